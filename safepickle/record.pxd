# C types of what fills a record in record.py, for the compiled build only.
cimport cython

@cython.locals(given=cython.Py_ssize_t, index=cython.Py_ssize_t, used=cython.Py_ssize_t)
cdef bint _fill(dict state, tuple fields, tuple values, dict named, tuple defaults, Py_ssize_t required) except -1
