# C types of the loops in matrix.py, for the compiled build only.
cimport cython

cdef int _check(Py_ssize_t size, Py_ssize_t rows, Py_ssize_t columns) except -1

@cython.locals(
    kept=cython.Py_ssize_t, column=cython.Py_ssize_t, row=cython.Py_ssize_t, begin=cython.Py_ssize_t,
    votes=cython.Py_ssize_t, choice=cython.float, value=cython.float,
)
cdef Py_ssize_t _turn(
    const float[::1] flat, Py_ssize_t rows, Py_ssize_t columns, float[::1] turned, double[::1] usual,
    unsigned int[::1] starts, unsigned int[::1] others,
) except -1

@cython.locals(
    at=cython.Py_ssize_t, row=cython.Py_ssize_t, column=cython.Py_ssize_t, columns=cython.Py_ssize_t,
    gap=cython.double, total=cython.double,
)
cdef int _squares(const float[::1] flat, const double[::1] point, double[::1] out) except -1

@cython.locals(
    rows=cython.Py_ssize_t, columns=cython.Py_ssize_t, column=cython.Py_ssize_t, row=cython.Py_ssize_t,
    begin=cython.Py_ssize_t, other=cython.Py_ssize_t, value=cython.double, gap=cython.double,
)
cdef int _squares_by_column(
    const float[::1] turned, const double[::1] usual, const unsigned int[::1] starts,
    const unsigned int[::1] others, const double[::1] point, double[::1] out,
) except -1

@cython.locals(
    at=cython.Py_ssize_t, row=cython.Py_ssize_t, column=cython.Py_ssize_t, columns=cython.Py_ssize_t,
    total=cython.double,
)
cdef int _times(const float[::1] flat, const double[::1] vector, double[::1] out) except -1

@cython.locals(
    rows=cython.Py_ssize_t, columns=cython.Py_ssize_t, column=cython.Py_ssize_t, row=cython.Py_ssize_t,
    begin=cython.Py_ssize_t, value=cython.double,
)
cdef int _times_by_column(const float[::1] turned, const double[::1] vector, double[::1] out) except -1
