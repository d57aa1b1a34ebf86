# C types of the count of symbols in literals.py, for the compiled build only.
cimport cython

@cython.locals(total=cython.Py_ssize_t, count=cython.Py_ssize_t, bits=cython.double, share=cython.double)
cpdef double entropy(object data) except -1.0

@cython.locals(counts=cython.int[::1], symbol=cython.uchar, met=list)
cdef list _counted(bytes data)

cpdef str looks_like(str text)

cpdef str looks_like_bytes(object data)
