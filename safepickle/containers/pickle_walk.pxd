# C types of the walk in pickle_walk.py, for the compiled build only.
cimport cython

cdef bytes _VALID, _NEEDS, _CHANGE, _ENDS_AT_MARK, _BELOW, _ABOVE, _PUSHES
cdef bytes _FIXED_WIDTH, _COUNT_WIDTH, _LINE_COUNT, _SIGNED, _CALLING, _OF_NUMBERS, _OF_NAMES
cdef int _UP, _MARK, _POP, _PROTO, _STOP, _PERSID, _STRING
cdef int _BROKEN, _BEYOND, _ENDLESS, _ALL_READ
cdef int _HEADED, _NAMED, _CALLED, _ENDED_SHIFT, _STREAMS_SHIFT

@cython.locals(
    position=cython.longlong, height=cython.longlong, streams=cython.longlong, count=cython.longlong,
    after=cython.longlong, effect=cython.longlong, repeats=cython.longlong,
    flags=cython.int, ended=cython.int, code=cython.uchar, marks=list, raw=bytes,
)
cdef long long _walked(object data, long long start, long long end, bytes naming) except -1

cdef long long _take(unsigned char code, long long height, list marks) except -2

@cython.locals(width=cython.int, after=cython.longlong, size=object)
cdef long long _argument_end(object data, long long position, long long end, unsigned char code) except -9

@cython.locals(limit=cython.longlong, found=cython.longlong, sound=cython.bint)
cdef long long _line_end(object data, long long position, long long end, unsigned char code) except -9

cdef long long _run_length(object data, long long position, long long end) except -1
