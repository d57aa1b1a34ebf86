# C types of the loops in inference.py, for the compiled build only.
cimport cython


cpdef double sigmoid(double x)

@cython.locals(i=cython.Py_ssize_t, total=cython.double)
cdef double _rounded(object values, float[::1] row) except? -1.0

@cython.locals(tree=cython.Py_ssize_t, node=cython.Py_ssize_t, step=cython.Py_ssize_t, total=cython.double)
cdef double _walk(
    const unsigned int[::1] roots, const unsigned short[::1] skip, const unsigned short[::1] feature,
    const float[::1] value, const float[::1] row,
) except? -1.0

@cython.locals(
    tree=cython.Py_ssize_t, split=cython.Py_ssize_t, end=cython.Py_ssize_t, first=cython.Py_ssize_t,
    leaf=cython.Py_ssize_t, bit=cython.Py_ssize_t, total=cython.double,
)
cdef double _descend(
    const unsigned int[::1] starts, const unsigned short[::1] feature, const float[::1] border,
    const double[::1] leaves, const float[::1] row,
) except? -1.0

@cython.locals(i=cython.Py_ssize_t, z=cython.double)
cdef int _standardise(
    const float[::1] row, const unsigned int[::1] columns, const double[::1] mean, const double[::1] scale,
    double clip, double[::1] point,
) except -1

@cython.locals(i=cython.Py_ssize_t, shifted=cython.double)
cdef int _shift(double[::1] values, const float[::1] bias, bint rectify) except -1

@cython.locals(i=cython.Py_ssize_t, gap=cython.double, total=cython.double)
cdef double _mean_squared_gap(const double[::1] left, const double[::1] right) except? -1.0

@cython.locals(
    i=cython.Py_ssize_t, count=cython.Py_ssize_t, place=cython.Py_ssize_t, found=cython.Py_ssize_t,
    here=cython.double, limit=cython.double, path=cython.double, dense=cython.double,
)
cdef double _outlier_factor(
    const double[::1] squares, const double[::1] reach, const double[::1] density, double[::1] nearest,
) except? -1.0

@cython.locals(i=cython.Py_ssize_t, total=cython.double)
cdef double _radial_sum(const double[::1] squares, const double[::1] weight, double gamma) except? -1.0
