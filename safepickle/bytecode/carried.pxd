# C types of the loop in carried.py, for the compiled build only.
cimport cython

cdef int _PAD, _DECODED

@cython.locals(
    table=bytes, decoded=bytearray, bits=cython.uint, digits=cython.int, size=cython.int, digit=cython.int, i=cython.Py_ssize_t
)
cdef bytes _base64_head(bytes head)
