# C types of what describes calls in describe.py, for the compiled build only.

cdef dict _described, _numbers, _refs

cdef class Describer:
    cdef object machine, models
    cdef long long start, left
    cdef dict known

    cpdef object import_(self, list entry)
    cpdef object call(self, object site)
    cdef object _ref(self, object value)
    cdef tuple _arguments(self, object value, int depth)
    cdef tuple _items(self, list kept, int depth)
    cdef object _simple(self, object value)
    cdef object _holds(self, object value)
    cdef bint _is_code(self, object value) except -1
    cdef object _describe(self, object value, int depth)
    cdef object _describe_node(self, object value, int depth)

cdef object _short(object known)
cdef tuple _describe_items(object items, int depth)
cdef object _describe_literal(object known, int depth)
