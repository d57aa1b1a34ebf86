# cython: language_level=3, boundscheck=True, wraparound=False, initializedcheck=False, cdivision=True
"""The symbolic pickle machine: executes all 68 opcodes on abstract values, imports and calls nothing.

One file in Cython's pure-Python mode: compiled where a compiler was at hand, else run as it is, with equal
results. Memory checks stay on in both.

Abstract values are ints, ``payload << 3 | tag``. Strings and bytes are the offset of their opcode and decoded
only when a name or an argument needs them; tuples, lists, dicts, sets and call results are nodes in an arena of
int arrays; what does not fit an int (folded strings, resolved references, big numbers) is in `objects`.
"""

try:
    import cython
except ImportError:  # the shim has the few names that this file uses
    from safepickle.bytecode import cython_shim as cython
from array import array
from time import monotonic

from safepickle.bytecode.names import canonical

# Tags.
SCALAR = cython.declare(cython.int, 0)
INT = cython.declare(cython.int, 1)
TEXT = cython.declare(cython.int, 2)
BYTES = cython.declare(cython.int, 3)
GLOBAL = cython.declare(cython.int, 4)
NODE = cython.declare(cython.int, 5)
OBJECT = cython.declare(cython.int, 6)

# Payloads of SCALAR.
UNKNOWN_SCALAR = 0
NONE_SCALAR = 1
TRUE_SCALAR = 2
FALSE_SCALAR = 3
FLOAT_SCALAR = 4
BIGINT_SCALAR = 5
EMPTY_TUPLE_SCALAR = 6
BYTEARRAY_SCALAR = 7
BUFFER_SCALAR = 8
UNSET = cython.declare(cython.int, 63 << 3)
NOTHING = 63 << 3
"""UNSET for importers: what is declared to Cython is no attribute of the compiled module."""

# Kinds of nodes.
TUPLE_NODE = cython.declare(cython.int, 1)
LIST_NODE = cython.declare(cython.int, 2)
DICT_NODE = cython.declare(cython.int, 3)
SET_NODE = cython.declare(cython.int, 4)
RESULT_NODE = cython.declare(cython.int, 5)

# Flags of nodes.
HAS_GLOBAL = cython.declare(cython.int, 1)
HAS_RESULT = cython.declare(cython.int, 2)
CUT = cython.declare(cython.int, 4)

# What became of the result of a call.
BUILT, DROPPED, RETURNED, STORED, USED = 1, 2, 4, 8, 16
RESULT_USES = ((BUILT, "built"), (DROPPED, "dropped"), (RETURNED, "returned"), (STORED, "stored"), (USED, "used"))

KEPT = cython.declare(cython.int, 24)
"""Items of one container that are remembered; further ones only raise its flags."""
PAYLOAD_MAX = cython.declare(cython.longlong, (1 << 28) - 1)
TICK = cython.declare(cython.longlong, 0xFFFF)

# Opcodes whose argument is skipped and that push one scalar: code -> (argument bytes, scalar).
_PUSHES = {
    0x47: (8, FLOAT_SCALAR), 0x4E: (0, NONE_SCALAR), 0x88: (0, TRUE_SCALAR), 0x89: (0, FALSE_SCALAR),
    0x29: (0, EMPTY_TUPLE_SCALAR), 0x97: (0, BUFFER_SCALAR),
}  # fmt: skip
_SKIP = bytes(_PUSHES[code][0] if code in _PUSHES else 255 for code in range(256))
_PUSH = bytes(_PUSHES[code][1] if code in _PUSHES else 0 for code in range(256))


class Stop(Exception):
    """The machine cannot go on; `reason` names why, `offset` the opcode."""

    def __init__(self, reason, offset):
        super().__init__(reason)
        self.reason = reason
        self.offset = offset


class Reference:
    """What a value in `objects` stands for when it can be called: mirrors :class:`~.trace.Ref`."""

    __slots__ = ("kind", "name", "steps")

    def __init__(self, kind, name, steps=()):
        self.kind = kind
        self.name = name
        self.steps = steps


class Literal:
    """A folded or large literal, with the callables through which it was computed."""

    __slots__ = ("steps", "value")

    def __init__(self, value, steps=()):
        self.value = value
        self.steps = steps


class CallSite:
    """First site of one call shape; `callee` and `arguments` are abstract values."""

    __slots__ = ("arguments", "callee", "count", "depth", "offset", "opcode", "uses")

    def __init__(self, opcode, callee, arguments, offset, depth):
        self.opcode = opcode
        self.callee = callee
        self.arguments = arguments
        self.offset = offset
        self.depth = depth
        self.count = 0
        self.uses = 0


def _numbers(size: cython.longlong):
    """A zeroed int32 array; a list where nothing is compiled, since lists index faster there."""
    if cython.compiled:
        return array("i", bytes(4 * size))
    return [0] * size


def _grown(numbers, size: cython.longlong):
    """The same numbers in an array of `size`."""
    if cython.compiled:
        larger = array("i", bytes(4 * size))
        larger[: len(numbers)] = numbers
        return larger
    numbers.extend([0] * (size - len(numbers)))
    return numbers


@cython.cclass
class Machine:
    """Executes the stream that begins at `start` of `data`.

    Parameters
    ----------
    data : bytes or mmap
        The bytes; offsets below are offsets into it.
    start, end : int
        First byte of the stream, and the byte that it may not reach.
    limits : safepickle.limits.Limits
    deadline : float
        :func:`time.monotonic` at which to stop.
    splice : callable or None
        Called as ``splice(machine, node, position)`` after BUILD on the result of a call whose callee carries
        raw bytes in the stream (`carriers`); returns the position behind them.
    fold : callable or None
        Called as ``fold(callee, arguments)`` with a :class:`Reference` for foldable callees; returns a str,
        bytes, int, tuple, :class:`Reference`, or None when it cannot tell.
    foldable : frozenset
        Names for which `fold` is called.
    carriers : frozenset
        Names for which `splice` is called.
    """

    data = cython.declare(object, visibility="readonly")
    buffer = cython.declare("const unsigned char[::1]")
    start = cython.declare(cython.longlong, visibility="readonly")
    end = cython.declare(cython.longlong, visibility="readonly")
    position = cython.declare(cython.longlong, visibility="readonly")
    opcode_at = cython.declare(cython.longlong)
    executed = cython.declare(cython.longlong, visibility="readonly")
    stack = cython.declare("int[::1]")
    stack_size = cython.declare(cython.longlong)
    sp = cython.declare(cython.longlong)
    marks = cython.declare("int[::1]")
    mark_size = cython.declare(cython.longlong)
    mp = cython.declare(cython.longlong)
    fence = cython.declare(cython.longlong)
    memo = cython.declare("int[::1]")
    memo_size = cython.declare(cython.longlong)
    memo_count = cython.declare(cython.longlong)
    sparse_memo = cython.declare(dict)
    node_kind = cython.declare("int[::1]")
    node_first = cython.declare("int[::1]")
    node_length = cython.declare("int[::1]")
    node_flags = cython.declare("int[::1]")
    node_size = cython.declare(cython.longlong)
    nodes = cython.declare(cython.longlong, visibility="readonly")
    items = cython.declare("int[::1]")
    item_size = cython.declare(cython.longlong)
    item_count = cython.declare(cython.longlong)
    counts = cython.declare("int[::1]")
    limits = cython.declare(object, visibility="readonly")
    deadline = cython.declare(cython.double)
    splice = cython.declare(object)
    fold = cython.declare(object)
    foldable = cython.declare(object)
    carriers = cython.declare(object)
    objects = cython.declare(list, visibility="readonly")
    imports = cython.declare(list, visibility="readonly")
    import_ids = cython.declare(dict)
    calls = cython.declare(list, visibility="readonly")
    call_ids = cython.declare(dict)
    oddities = cython.declare(dict, visibility="readonly")
    literals = cython.declare(list, visibility="readonly")
    declared = cython.declare(cython.int, visibility="readonly")
    result = cython.declare(cython.int, visibility="readonly")
    max_nodes = cython.declare(cython.longlong)
    max_stack = cython.declare(cython.longlong)
    max_memo = cython.declare(cython.longlong)
    max_opcodes = cython.declare(cython.longlong)
    max_calls = cython.declare(cython.longlong)

    def __init__(self, data, start, end, limits, deadline, splice=None, fold=None,
                 foldable=frozenset(), carriers=frozenset()):  # fmt: skip
        self.data = data
        self.buffer = memoryview(data)
        self.start = start
        self.position = start
        self.opcode_at = start
        self.end = end
        self.executed = 0
        self.limits = limits
        self.deadline = deadline
        self.splice = splice
        self.fold = fold
        self.foldable = foldable
        self.carriers = carriers
        self.stack_size = 128
        self.stack = _numbers(self.stack_size)
        self.sp = 0
        self.mark_size = 32
        self.marks = _numbers(self.mark_size)
        self.mp = 0
        self.fence = 0
        self.memo_size = 0
        self.memo = _numbers(0) if not cython.compiled else _numbers(1)
        self.memo_count = 0
        self.sparse_memo = {}
        self.node_size = 32
        self.node_kind = _numbers(self.node_size)
        self.node_first = _numbers(self.node_size)
        self.node_length = _numbers(self.node_size)
        self.node_flags = _numbers(self.node_size)
        self.nodes = 0
        self.item_size = 64
        self.items = _numbers(self.item_size)
        self.item_count = 0
        self.counts = _numbers(256)
        self.objects = []
        self.imports = []
        self.import_ids = {}
        self.calls = []
        self.call_ids = {}
        self.oddities = {}
        self.literals = []
        self.declared = -1
        self.result = UNSET
        self.max_nodes = min(limits.nodes, PAYLOAD_MAX)
        self.max_stack = limits.stack
        self.max_memo = limits.memo
        self.max_opcodes = limits.opcodes
        self.max_calls = limits.calls

    # --- running ---------------------------------------------------------------------------------

    def run(self):
        """Execute up to and including STOP.

        Returns
        -------
        str
            ``""`` when STOP was reached, else the reason for which the machine could not go on;
            `stopped_at` is then the offset of the opcode.
        """
        try:
            self._loop()
        except Stop as stop:
            if stop.offset >= 0:
                self.opcode_at = stop.offset
            return stop.reason
        return ""

    @property
    def stopped_at(self):
        """Offset of the opcode that was executed last."""
        return self.opcode_at

    @property
    def opcode_counts(self):
        """Executions of each opcode code, as a dict without zeros."""
        return {code: self.counts[code] for code in range(256) if self.counts[code]}

    @cython.cfunc
    def _loop(self) -> cython.void:
        code: cython.int
        skip: cython.int
        value: cython.int
        length: cython.longlong
        at: cython.longlong
        end: cython.longlong = self.end
        skips: cython.const[cython.uchar][::1] = _SKIP
        pushes: cython.const[cython.uchar][::1] = _PUSH
        buffer: cython.const[cython.uchar][::1] = self.buffer
        while True:
            at = self.position
            self.opcode_at = at
            if at >= end:
                raise Stop("truncated", at)
            if self.sp >= self.stack_size - 4:
                self._grow_stack()
            self.executed += 1
            if self.executed & TICK == 0:
                self._check_budget()
            code = buffer[at]
            at += 1
            self.counts[code] += 1
            skip = skips[code]
            if skip != 255:
                self.position = at + skip
                if self.position > end:
                    raise Stop("truncated", -1)
                self.stack[self.sp] = pushes[code] << 3
                self.sp += 1
            elif code == 0x94:  # MEMOIZE
                self.position = at
                if self.sp <= self.fence:
                    raise Stop("stack underflow", -1)
                self._put(self.memo_count)
            elif code == 0x8C:  # SHORT_BINUNICODE
                if at >= end:
                    raise Stop("truncated", -1)
                self._push_literal(TEXT, at + 1, buffer[at])
            elif code == 0x68:  # BINGET
                if at >= end:
                    raise Stop("truncated", -1)
                self.position = at + 1
                self._get(buffer[at])
            elif code == 0x71:  # BINPUT
                if at >= end:
                    raise Stop("truncated", -1)
                self.position = at + 1
                if self.sp <= self.fence:
                    raise Stop("stack underflow", -1)
                self._put(buffer[at])
            elif code == 0x4B:  # BININT1
                if at >= end:
                    raise Stop("truncated", -1)
                self.position = at + 1
                value = buffer[at]
                self.stack[self.sp] = (value << 3) | INT
                self.sp += 1
            elif code == 0x4D:  # BININT2
                if at + 2 > end:
                    raise Stop("truncated", -1)
                self.position = at + 2
                value = buffer[at] | (buffer[at + 1] << 8)
                self.stack[self.sp] = (value << 3) | INT
                self.sp += 1
            elif code == 0x4A:  # BININT
                length = self._little(at, 4)
                self.position = at + 4
                self._push_int(length - (1 << 32) if length >= (1 << 31) else length)
            elif code == 0x28:  # MARK
                self.position = at
                if self.mp >= self.mark_size:
                    self._grow_marks()
                self.marks[self.mp] = self.sp
                self.mp += 1
                self.fence = self.sp
            elif code == 0x85 or code == 0x86 or code == 0x87:  # TUPLE1 TUPLE2 TUPLE3
                self.position = at
                self._tuple(self.sp - (code - 0x84))
            elif code == 0x74:  # TUPLE
                self.position = at
                self._tuple(self._pop_mark())
            elif code == 0x58 or code == 0x42 or code == 0x54:  # BINUNICODE BINBYTES BINSTRING
                self._push_literal(BYTES if code == 0x42 else TEXT, at + 4, self._little(at, 4))
            elif code == 0x8D or code == 0x8E:  # BINUNICODE8 BINBYTES8
                self._push_literal(BYTES if code == 0x8E else TEXT, at + 8, self._little(at, 8))
            elif code == 0x43 or code == 0x55:  # SHORT_BINBYTES SHORT_BINSTRING
                if at >= end:
                    raise Stop("truncated", -1)
                self._push_literal(BYTES if code == 0x43 else TEXT, at + 1, buffer[at])
            elif code == 0x52 or code == 0x81:  # REDUCE NEWOBJ
                self.position = at
                self._need(2)
                self.sp -= 1
                value = self.stack[self.sp]
                self._call(code, self.stack[self.sp - 1], value, 1)
            elif code == 0x62:  # BUILD
                self.position = at
                self._build()
            elif code == 0x5D or code == 0x7D or code == 0x8F:  # EMPTY_LIST EMPTY_DICT EMPTY_SET
                self.position = at
                self.stack[self.sp] = self._node(LIST_NODE if code == 0x5D else DICT_NODE if code == 0x7D else SET_NODE)
                self.sp += 1
            elif code == 0x65 or code == 0x75 or code == 0x90:  # APPENDS SETITEMS ADDITEMS
                self.position = at
                length = self._pop_mark()
                if length <= self.fence:
                    raise Stop("stack underflow", -1)
                self._extend(code, length)
            elif code == 0x61:  # APPEND
                self.position = at
                self._need(2)
                self._extend(code, self.sp - 1)
            elif code == 0x73:  # SETITEM
                self.position = at
                self._need(3)
                self._extend(code, self.sp - 2)
            elif code == 0x2E:  # STOP
                self.position = at
                self._finish()
                break
            else:
                self._rare(code, at)

    @cython.cfunc
    def _rare(self, code: cython.int, at: cython.longlong) -> cython.void:
        """Opcodes that ordinary files use seldom or once."""
        length: cython.longlong
        value: cython.int
        if code == 0x93:  # STACK_GLOBAL
            self.position = at
            self._stack_global()
        elif code == 0x63 or code == 0x69:  # GLOBAL INST
            self._global_lines(code, at)
        elif code == 0x6A or code == 0x72:  # LONG_BINGET LONG_BINPUT
            length = self._little(at, 4)
            self.position = at + 4
            if code == 0x6A:
                self._get(length)
            else:
                self._need(1)
                self._put(length)
        elif code == 0x67 or code == 0x70:  # GET PUT
            length = self._decimal(self._line(at))
            if code == 0x67:
                self._get(length)
            else:
                self._need(1)
                self._put(length)
        elif code == 0x80:  # PROTO
            self._proto(at)
        elif code == 0x95:  # FRAME
            length = self._little(at, 8)
            self.position = at + 8
            if length > self.end - self.position or length < 0:
                self.note("frame-past-end", self.opcode_at)
        elif code == 0x30:  # POP
            self.position = at
            if self.mp > 0 and self.marks[self.mp - 1] == self.sp:
                self._pop_mark()
            else:
                self._need(1)
                self.sp -= 1
                self._used(self.stack[self.sp], DROPPED)
        elif code == 0x31:  # POP_MARK
            self.position = at
            length = self.sp
            self.sp = self._pop_mark()
            for at in range(self.sp, length):
                self._used(self.stack[at], DROPPED)
        elif code == 0x32:  # DUP
            self.position = at
            self._need(1)
            self.stack[self.sp] = self.stack[self.sp - 1]
            self.sp += 1
        elif code == 0x6C or code == 0x64 or code == 0x91:  # LIST DICT FROZENSET
            self.position = at
            self._collect(LIST_NODE if code == 0x6C else DICT_NODE if code == 0x64 else SET_NODE)
        elif code == 0x53 or code == 0x56:  # STRING UNICODE
            self._line(at)
            self._push_reference(TEXT)
        elif code == 0x49 or code == 0x4C:  # INT LONG
            self._text_int(code, self._line(at))
        elif code == 0x46:  # FLOAT
            self._line(at)
            self._push(FLOAT_SCALAR << 3)
        elif code == 0x8A or code == 0x8B:  # LONG1 LONG4
            self._long(code, at)
        elif code == 0x50:  # PERSID
            line = self._line(at)
            value = self._object(Literal(bytes(line).decode("utf-8", "replace")))
            self._push(UNSET)
            self._call(code, UNSET, value, 1)
        elif code == 0x51:  # BINPERSID
            self.position = at
            self._need(1)
            self._call(code, UNSET, self.stack[self.sp - 1], 1)
        elif code == 0x92:  # NEWOBJ_EX
            self.position = at
            self._need(3)
            self.sp -= 2
            value = self._merge(self.stack[self.sp], self.stack[self.sp + 1])
            self._call(code, self.stack[self.sp - 1], value, 1)
        elif code == 0x6F:  # OBJ
            self.position = at
            length = self._pop_mark()
            if length >= self.sp:
                raise Stop("stack underflow", -1)
            self._tuple(length + 1)
            self.sp -= 1
            self._call(code, self.stack[length], self.stack[self.sp], 1)
        elif code == 0x82 or code == 0x83 or code == 0x84:  # EXT1 EXT2 EXT4
            self._extension(at, 1 if code == 0x82 else 2 if code == 0x83 else 4)
        elif code == 0x96:  # BYTEARRAY8
            length = self._little(at, 8)
            self._skip_bytes(at + 8, length)
            self._push(BYTEARRAY_SCALAR << 3)
        elif code == 0x98:  # READONLY_BUFFER
            self.position = at
            self._need(1)
        else:
            self.counts[code] -= 1
            self.executed -= 1
            raise Stop("invalid opcode", -1)

    @cython.cfunc
    def _check_budget(self) -> cython.void:
        if self.executed > self.max_opcodes:
            raise Stop("budget:opcodes", -1)
        if monotonic() > self.deadline:
            raise Stop("budget:seconds", -1)

    def note(self, kind, offset, detail=""):
        """Count an oddity; the first one's offset and detail are kept."""
        entry = self.oddities.get(kind)
        if entry is None:
            self.oddities[kind] = [offset, 1, detail]
        else:
            entry[1] += 1

    # --- bytes -----------------------------------------------------------------------------------

    @cython.cfunc
    def _little(self, at: cython.longlong, size: cython.int) -> cython.longlong:
        """Unsigned little-endian number; -1 when it does not fit 63 bits."""
        value: cython.ulonglong = 0
        i: cython.int
        if at + size > self.end:
            raise Stop("truncated", -1)
        for i in range(size):
            value |= cython.cast(cython.ulonglong, self.buffer[at + i]) << (8 * i)
        if value >> 63:
            return -1
        return value

    @cython.cfunc
    def _line(self, at: cython.longlong) -> object:
        """The argument up to the newline; moves behind it."""
        newline: cython.longlong = self.data.find(b"\n", at, self.end)
        if newline < 0:
            raise Stop("truncated", -1)
        self.position = newline + 1
        return self.data[at:newline]

    @cython.cfunc
    def _skip_bytes(self, at: cython.longlong, length: cython.longlong) -> cython.void:
        if length < 0 or length > self.end - at:
            raise Stop("truncated", -1)
        self.position = at + length

    # --- stack, marks, memo ----------------------------------------------------------------------

    @cython.cfunc
    def _need(self, count: cython.longlong) -> cython.void:
        if self.sp - count < self.fence:
            raise Stop("stack underflow", -1)

    @cython.cfunc
    def _push(self, value: cython.int) -> cython.void:
        self.stack[self.sp] = value
        self.sp += 1

    @cython.cfunc
    def _grow_stack(self) -> cython.void:
        if self.stack_size * 2 > self.max_stack:
            raise Stop("budget:stack", -1)
        self.stack_size *= 2
        self.stack = _grown(_storage(self.stack), self.stack_size)

    @cython.cfunc
    def _grow_marks(self) -> cython.void:
        if self.mark_size * 2 > self.max_stack:
            raise Stop("budget:stack", -1)
        self.mark_size *= 2
        self.marks = _grown(_storage(self.marks), self.mark_size)

    @cython.cfunc
    def _pop_mark(self) -> cython.longlong:
        """Position of the topmost mark, which is removed."""
        at: cython.longlong
        if self.mp == 0:
            raise Stop("no mark", -1)
        self.mp -= 1
        at = self.marks[self.mp]
        self.fence = self.marks[self.mp - 1] if self.mp > 0 else 0
        return at

    @cython.cfunc
    def _get(self, key: cython.longlong) -> cython.void:
        value: cython.int = UNSET
        if 0 <= key < self.memo_size:
            value = self.memo[key]
        elif key in self.sparse_memo:
            value = self.sparse_memo[key]
        if value == UNSET:
            raise Stop("unset memo key", -1)
        self.stack[self.sp] = value
        self.sp += 1

    @cython.cfunc
    def _put(self, key: cython.longlong) -> cython.void:
        """Memo entry `key` becomes the top of the stack, whose presence the caller has checked."""
        value: cython.int = self.stack[self.sp - 1]
        size: cython.longlong
        i: cython.longlong
        if key < 0:
            raise Stop("negative memo key", -1)
        if key >= self.memo_size and key <= 2 * self.memo_count + 64:
            size = self.memo_size
            self.memo_size = 2 * key + 64
            self.memo = _grown(_storage(self.memo), self.memo_size)
            for i in range(size, self.memo_size):
                self.memo[i] = UNSET
            if self.sparse_memo:
                for far in [far for far in self.sparse_memo if far < self.memo_size]:
                    self.memo[far] = self.sparse_memo.pop(far)
        if key < self.memo_size:
            if self.memo[key] == UNSET:
                self.memo_count += 1
            self.memo[key] = value
        else:
            if key not in self.sparse_memo:
                self.memo_count += 1
            self.sparse_memo[key] = value
        if self.memo_count > self.max_memo:
            raise Stop("budget:memo", -1)

    # --- literals --------------------------------------------------------------------------------

    @cython.cfunc
    def _push_literal(self, tag: cython.int, at: cython.longlong, length: cython.longlong) -> cython.void:
        """A string or bytes of known length, whose bytes begin at `at`."""
        if length < 0 or length > self.end - at:
            raise Stop("truncated", -1)
        self.position = at + length
        if length > 3 and self._begins_like_file(self.buffer[at], self.buffer[at + 1]):
            self._carry(at, length)
        self._push_reference(tag)

    @cython.cfunc
    def _begins_like_file(self, first: cython.int, second: cython.int) -> cython.bint:
        """A pickle, zip, gzip, zlib, bzip2 or xz begins with these two bytes."""
        if first == 0x80:
            return second <= 5
        return (
            (first == 0x50 and second == 0x4B)
            or (first == 0x1F and second == 0x8B)
            or (first == 0x78 and (second == 0x01 or second == 0x5E or second == 0x9C or second == 0xDA))
            or (first == 0x42 and second == 0x5A)
            or (first == 0xFD and second == 0x37)
        )

    @cython.cfunc
    def _carry(self, at: cython.longlong, length: cython.longlong) -> cython.void:
        """Remember a literal that begins like a file."""
        if len(self.literals) < 4096:
            self.literals.append((at, length))
        else:
            self.note("budget:children", at)

    @cython.cfunc
    def _push_reference(self, tag: cython.int) -> cython.void:
        """Push the string or bytes whose opcode was just read."""
        at: cython.longlong = self.opcode_at - self.start
        if at <= PAYLOAD_MAX:
            self._push(cython.cast(cython.int, (at << 3) | tag))
        else:
            self._push(self._object(FarLiteral(self.opcode_at, tag)))

    @cython.cfunc
    def _push_int(self, value: cython.longlong) -> cython.void:
        if -PAYLOAD_MAX <= value <= PAYLOAD_MAX:
            self._push(cython.cast(cython.int, (value << 3) | INT))
        else:
            self._push(self._object(Literal(value)))

    @cython.cfunc
    def _decimal(self, line: object) -> cython.longlong:
        """A memo key written as text."""
        try:
            number = int(line)
        except ValueError:
            raise Stop("bad number", -1) from None
        if not -(1 << 62) < number < (1 << 62):
            raise Stop("bad number", -1)
        return number

    @cython.cfunc
    def _text_int(self, code: cython.int, line: object) -> cython.void:
        """INT and LONG: ``01`` and ``00`` are booleans, readers differ on the number base."""
        text = bytes(line).strip()
        if code == 0x49 and text in (b"00", b"01"):
            self._push((TRUE_SCALAR if text == b"01" else FALSE_SCALAR) << 3)
            return
        if code == 0x4C and text.endswith(b"L"):
            text = text[: len(text) - 1]
        if len(text) > 4000:
            self._push(BIGINT_SCALAR << 3)
            return
        try:
            number = int(text, 0)
        except ValueError:
            try:
                number = int(text)
            except ValueError:
                raise Stop("bad number", -1) from None
        if -(1 << 62) < number < (1 << 62):
            self._push_int(number)
        else:
            self._push(BIGINT_SCALAR << 3)

    @cython.cfunc
    def _long(self, code: cython.int, at: cython.longlong) -> cython.void:
        size: cython.int = 1 if code == 0x8A else 4
        length: cython.longlong = self._little(at, size)
        if code == 0x8B and length >= (1 << 31):
            raise Stop("negative length", -1)
        self._skip_bytes(at + size, length)
        if length > 7:
            self._push(BIGINT_SCALAR << 3)
        else:
            self._push_int(int.from_bytes(self.data[at + size : at + size + length], "little", signed=True))

    @cython.cfunc
    def _object(self, value: object) -> cython.int:
        """Abstract value for a Python object of ours."""
        if len(self.objects) >= self.max_nodes:
            self.note("budget:nodes", self.opcode_at)
            return UNKNOWN_SCALAR
        self.objects.append(value)
        return cython.cast(cython.int, ((len(self.objects) - 1) << 3) | OBJECT)

    @cython.cfunc
    def _proto(self, at: cython.longlong) -> cython.void:
        if at >= self.end:
            raise Stop("truncated", -1)
        self.position = at + 1
        if self.buffer[at] > 5:
            self.note("unsupported-protocol", self.opcode_at, str(self.buffer[at]))
        if self.declared >= 0:
            self.note("repeated-proto", self.opcode_at)
        elif self.opcode_at != self.start:
            self.note("late-proto", self.opcode_at)
        self.declared = self.buffer[at]

    # --- nodes -----------------------------------------------------------------------------------

    @cython.cfunc
    def _node(self, kind: cython.int) -> cython.int:
        """A new empty node as an abstract value; an unknown scalar when the budget ran out."""
        index: cython.longlong = self.nodes
        if index >= self.max_nodes:
            self.note("budget:nodes", self.opcode_at)
            return UNKNOWN_SCALAR
        if index >= self.node_size:
            self.node_size *= 2
            self.node_kind = _grown(_storage(self.node_kind), self.node_size)
            self.node_first = _grown(_storage(self.node_first), self.node_size)
            self.node_length = _grown(_storage(self.node_length), self.node_size)
            self.node_flags = _grown(_storage(self.node_flags), self.node_size)
        self.nodes += 1
        self.node_kind[index] = kind
        self.node_first[index] = self.item_count
        self.node_length[index] = 0
        self.node_flags[index] = 0
        return cython.cast(cython.int, (index << 3) | NODE)

    @cython.cfunc
    def _reserve(self, count: cython.longlong) -> cython.void:
        if self.item_count + count > self.item_size:
            while self.item_count + count > self.item_size:
                self.item_size *= 2
            self.items = _grown(_storage(self.items), self.item_size)

    @cython.cfunc
    def _add_items(self, node: cython.longlong, first: cython.longlong, last: cython.longlong) -> cython.void:
        """Items ``stack[first:last]`` join the node, as far as it keeps items; its flags see all of them."""
        i: cython.longlong
        value: cython.int
        tag: cython.int
        flags: cython.int = self.node_flags[node]
        length: cython.longlong = self.node_length[node]
        room: cython.longlong = min(KEPT - length, last - first)
        begin: cython.longlong = self.node_first[node]
        if room < last - first:
            flags |= CUT
        if room > 0:
            self._reserve(length + room)
            if begin + length != self.item_count:
                for i in range(length):
                    self.items[self.item_count + i] = self.items[begin + i]
                self.node_first[node] = self.item_count
                self.item_count += length
            for i in range(room):
                self.items[self.item_count + i] = self.stack[first + i]
            self.item_count += room
            self.node_length[node] = length + room
        for i in range(first, last):
            value = self.stack[i]
            tag = value & 7
            if tag >= GLOBAL:
                if tag == GLOBAL or tag == OBJECT:
                    flags |= HAS_GLOBAL
                else:
                    flags |= self.node_flags[value >> 3] & (HAS_GLOBAL | HAS_RESULT)
                    if self.node_kind[value >> 3] == RESULT_NODE:
                        flags |= HAS_RESULT
                        self._used(value, STORED)
        self.node_flags[node] = flags

    @cython.cfunc
    def _tuple(self, first: cython.longlong) -> cython.void:
        """Stack above `first` becomes one tuple."""
        node: cython.int
        if first < self.fence:
            raise Stop("stack underflow", -1)
        if first == self.sp:
            self._push(EMPTY_TUPLE_SCALAR << 3)
            return
        node = self._node(TUPLE_NODE)
        if node & 7 == NODE:
            self._add_items(node >> 3, first, self.sp)
        self.stack[first] = node
        self.sp = first + 1

    @cython.cfunc
    def _collect(self, kind: cython.int) -> cython.void:
        """LIST, DICT, FROZENSET: everything above the mark becomes one container."""
        first: cython.longlong = self._pop_mark()
        node: cython.int = self._node(kind)
        if node & 7 == NODE and self.sp > first:
            self._add_items(node >> 3, first, self.sp)
        self.sp = first
        self._push(node)

    @cython.cfunc
    def _merge(self, args: cython.int, keywords: cython.int) -> cython.int:
        """Arguments and keyword arguments of NEWOBJ_EX as one tuple."""
        node: cython.int = self._node(TUPLE_NODE)
        at: cython.longlong = self.sp
        if node & 7 == NODE:
            self.stack[at] = args
            self.stack[at + 1] = keywords
            if args & 7 == NODE and self.node_kind[args >> 3] == TUPLE_NODE:
                for i in range(self.node_length[args >> 3]):
                    self.stack[at] = self.items[self.node_first[args >> 3] + i]
                    self._add_items(node >> 3, at, at + 1)
                self._add_items(node >> 3, at + 1, at + 2)
            elif args == EMPTY_TUPLE_SCALAR << 3:
                self._add_items(node >> 3, at + 1, at + 2)
            else:
                self._add_items(node >> 3, at, at + 2)
        return node

    @cython.cfunc
    def _extend(self, code: cython.int, first: cython.longlong) -> cython.void:
        """APPEND(S), SETITEM(S), ADDITEMS: items above `first` go into the value below it."""
        target: cython.int = self.stack[first - 1]
        kind: cython.int = 0
        arguments: cython.int
        if target & 7 == NODE:
            kind = self.node_kind[target >> 3]
        if kind == LIST_NODE or kind == DICT_NODE or kind == SET_NODE:
            if (code == 0x73 or code == 0x75) and kind == LIST_NODE:
                self.note("setitem-on-list", self.opcode_at)
            self._add_items(target >> 3, first, self.sp)
            self.sp = first
            return
        arguments = self._node(TUPLE_NODE)
        if arguments & 7 == NODE:
            self._add_items(arguments >> 3, first, self.sp)
        self.sp = first
        self._call(code, target, arguments, 0)

    # --- imports and calls -----------------------------------------------------------------------

    @cython.cfunc
    def _import(self, module: object, name: object, opcode: cython.int, computed: object) -> cython.int:
        """Abstract value of a global; `module` or `name` is None when it is not a known string."""
        key = (module, name, opcode)
        index = self.import_ids.get(key)
        if index is None:
            if len(self.imports) >= self.max_nodes // 16:
                self.note("budget:imports", self.opcode_at)
                return UNKNOWN_SCALAR
            index = len(self.imports)
            self.import_ids[key] = index
            known = module is not None and name is not None
            resolved = canonical(module, name) if known else ""
            written = f"{module if module is not None else '?'} {name if name is not None else '?'}"
            self.imports.append([resolved, written, opcode, self.opcode_at, 0, tuple(computed)])
        self.imports[index][4] += 1
        return cython.cast(cython.int, (index << 3) | GLOBAL)

    @cython.cfunc
    def _global_lines(self, code: cython.int, at: cython.longlong) -> cython.void:
        module = bytes(self._line(at)).decode("utf-8", "replace")
        name = bytes(self._line(self.position)).decode("utf-8", "replace")
        callee: cython.int = self._import(module, name, code, ())
        first: cython.longlong
        if code == 0x63:
            self._push(callee)
            return
        first = self._pop_mark()
        self._tuple(first)
        arguments: cython.int = self.stack[self.sp - 1]
        self.stack[self.sp - 1] = callee
        self._call(code, callee, arguments, 1)

    @cython.cfunc
    def _stack_global(self) -> cython.void:
        self._need(2)
        module, module_steps = self._name_operand(self.stack[self.sp - 2])
        name, name_steps = self._name_operand(self.stack[self.sp - 1])
        self.sp -= 2
        if module is None or name is None:
            self.note("computed-global", self.opcode_at)
        steps = module_steps + name_steps
        if steps:
            self.note("folded-global", self.opcode_at)
        self._push(self._import(module, name, 0x93, steps))

    @cython.cfunc
    def _name_operand(self, value: cython.int) -> tuple:
        """The string an operand of STACK_GLOBAL stands for, or None, and how it was computed."""
        tag: cython.int = value & 7
        if tag == TEXT:
            return self.literal(value), ()
        if tag == OBJECT:
            entry = self.objects[value >> 3]
            if isinstance(entry, Literal) and isinstance(entry.value, str):
                return entry.value, entry.steps
            if isinstance(entry, FarLiteral) and entry.tag == TEXT:
                return self.literal(value), ()
        if tag == BYTES:
            self.note("bytes-as-name", self.opcode_at)
            return bytes(self.literal(value)).decode("utf-8", "replace"), ()
        return None, ()

    @cython.cfunc
    def _extension(self, at: cython.longlong, size: cython.int) -> cython.void:
        code: cython.longlong = self._little(at, size)
        self.position = at + size
        self._push(self._object(Reference("extension", f"copyreg.extension.{code}")))
        self._call(0x82, self.stack[self.sp - 1], EMPTY_TUPLE_SCALAR << 3, 0)

    @cython.cfunc
    def _call(self, code: cython.int, callee: cython.int, arguments: cython.int, push: cython.int) -> cython.void:
        """Record a call; with `push`, its result replaces the top of the stack."""
        index: cython.longlong = self._call_site(code, callee, arguments)
        node: cython.int
        if not push:
            return
        if self.fold is not None and code == 0x52 and (callee & 7 == GLOBAL or callee & 7 == OBJECT):
            node = self._folded(callee, arguments)
            if node != UNSET:
                self.calls[index].uses |= USED
                self.stack[self.sp - 1] = node
                return
        node = self._node(RESULT_NODE)
        if node & 7 == NODE:
            self._reserve(4)
            self.items[self.item_count] = cython.cast(cython.int, index)
            self.items[self.item_count + 1] = callee
            self.items[self.item_count + 2] = arguments
            self.items[self.item_count + 3] = UNSET
            self.item_count += 4
            self.node_length[node >> 3] = 4
        self.stack[self.sp - 1] = node

    @cython.cfunc
    def _call_site(self, code: cython.int, callee: cython.int, arguments: cython.int) -> cython.longlong:
        """Index of the call shape, which is counted."""
        shape = (code, self._identity(callee), self._shape(arguments, 2))
        index = self.call_ids.get(shape)
        if index is None:
            if len(self.calls) >= self.max_calls:
                self.note("budget:calls", self.opcode_at)
                shape = (code, self._identity(callee), None)
                index = self.call_ids.get(shape)
            if index is None and len(self.calls) >= 2 * self.max_calls:
                shape = (code, None, None)
                index = self.call_ids.get(shape)
            if index is None:
                index = len(self.calls)
                self.call_ids[shape] = index
                self.calls.append(CallSite(code, callee, arguments, self.opcode_at, self.mp))
        site = self.calls[index]
        site.count += 1
        return index

    @cython.cfunc
    def _identity(self, value: cython.int) -> object:
        """What distinguishes callees: the import, or the call that made the object."""
        if value & 7 == NODE and self.node_kind[value >> 3] == RESULT_NODE:
            return -1 - self.items[self.node_first[value >> 3]]
        if value & 7 == OBJECT:
            entry = self.objects[value >> 3]
            if isinstance(entry, Reference):
                return entry.kind + entry.name
        return value

    @cython.cfunc
    def _shape(self, value: cython.int, depth: cython.int) -> object:
        """What distinguishes arguments: kinds, classes of strings, identities of callables, two levels deep."""
        tag: cython.int = value & 7
        index: cython.longlong = value >> 3
        kind: cython.int
        if tag == NODE:
            kind = self.node_kind[index]
            if kind == RESULT_NODE:
                self._used(value, USED)
                return -1 - self.items[self.node_first[index]]
            if depth == 0:
                if self.node_flags[index] & HAS_GLOBAL:
                    return (kind, index)
                return kind
            return (kind, self.node_flags[index], tuple([
                self._shape(self.items[self.node_first[index] + i], depth - 1)
                for i in range(self.node_length[index])
            ]))  # fmt: skip
        if tag == GLOBAL:
            return value
        if tag == OBJECT:
            entry = self.objects[index]
            return entry.kind + entry.name if isinstance(entry, Reference) else str(type(entry.value))
        if tag == TEXT or tag == BYTES:
            return self._looks(value, tag)
        if tag == INT:
            return "i"
        return value

    @cython.cfunc
    def _looks(self, value: cython.int, tag: cython.int) -> object:
        return describe_literal(self.literal(value), tag == BYTES)

    @cython.cfunc
    def _folded(self, callee: cython.int, arguments: cython.int) -> cython.int:
        """Abstract value of a call that our own table can evaluate, else UNSET."""
        name = self.callee_name(callee)
        if name not in self.foldable:
            return UNSET
        kind, name, steps = self.reference(callee)
        value = self.fold(Reference(kind, name, steps), self.value(arguments, 3))
        if value is None:
            return UNSET
        if isinstance(value, Reference):
            return self._object(Reference(value.kind, value.name, (*value.steps, name)))
        return self._object(Literal(value, (*self._steps(arguments), name)))

    @cython.cfunc
    def _steps(self, value: cython.int) -> tuple:
        """Callables that literals inside `value` were computed with."""
        steps: tuple = ()
        if value & 7 == OBJECT:
            entry = self.objects[value >> 3]
            if isinstance(entry, (Literal, Reference)):
                return entry.steps[:8]
        elif value & 7 == NODE and self.node_kind[value >> 3] != RESULT_NODE:
            for i in range(self.node_length[value >> 3]):
                steps += self._steps(self.items[self.node_first[value >> 3] + i])
        return steps[:8]

    @cython.cfunc
    def _build(self) -> cython.void:
        target: cython.int
        state: cython.int
        self._need(2)
        self.sp -= 1
        state = self.stack[self.sp]
        target = self.stack[self.sp - 1]
        self._call_site(0x62, target, state)
        if target & 7 == NODE and self.node_kind[target >> 3] == RESULT_NODE:
            self._used(target, BUILT)
            first: cython.longlong = self.node_first[target >> 3]
            self.items[first + 3] = state
            if self.splice is not None and self.callee_name(self.items[first + 1]) in self.carriers:
                self.position = self.splice(self, target, self.position)
        elif target & 7 != NODE:
            self.note("build-on-" + ("global" if target & 7 in (GLOBAL, OBJECT) else "literal"), self.opcode_at)

    @cython.cfunc
    def _used(self, value: cython.int, use: cython.int) -> cython.void:
        """Note what became of a call's result."""
        if value & 7 == NODE and self.node_kind[value >> 3] == RESULT_NODE:
            site = self.calls[self.items[self.node_first[value >> 3]]]
            site.uses |= use

    @cython.cfunc
    def _finish(self) -> cython.void:
        i: cython.longlong
        self._need(1)
        self.sp -= 1
        self.result = self.stack[self.sp]
        self._used(self.result, RETURNED)
        if self.sp > 0 or self.mp > 0:
            self.note("leftover-stack", self.opcode_at, str(self.sp))
            for i in range(self.sp):
                self._used(self.stack[i], DROPPED)

    # --- reading abstract values -----------------------------------------------------------------

    def literal(self, value: cython.int):
        """The str or bytes that a TEXT, BYTES or far literal stands for, as the unpickler decodes it."""
        at: cython.longlong
        if value & 7 == OBJECT:
            at = self.objects[value >> 3].offset
        else:
            at = self.start + (value >> 3)
        code: cython.int = self.buffer[at]
        limit = self.limits.literal_bytes
        if code == 0x8C or code == 0x55 or code == 0x43:
            raw = self.data[at + 2 : at + 2 + self.buffer[at + 1]]
        elif code == 0x58 or code == 0x54 or code == 0x42:
            raw = self.data[at + 5 : at + 5 + min(self._little(at + 1, 4), limit)]
        elif code == 0x8D or code == 0x8E:
            raw = self.data[at + 9 : at + 9 + min(self._little(at + 1, 8), limit)]
        else:
            newline = self.data.find(b"\n", at + 1, self.end)
            return _text_line(code, bytes(self.data[at + 1 : min(newline, at + 1 + limit)]))
        if code == 0x43 or code == 0x42 or code == 0x8E:
            return raw
        return raw.decode("latin-1" if code == 0x54 or code == 0x55 else "utf-8", "replace")

    def callee_name(self, value: cython.int):
        """Canonical name of a GLOBAL or resolved reference; empty for anything else."""
        if value & 7 == GLOBAL:
            return self.imports[value >> 3][0]
        if value & 7 == OBJECT:
            entry = self.objects[value >> 3]
            if isinstance(entry, Reference):
                return entry.name
        return ""

    def reference(self, value: cython.int):
        """(kind, name, steps) of a callee."""
        tag: cython.int = value & 7
        if tag == GLOBAL:
            entry = self.imports[value >> 3]
            known = bool(entry[0])
            return ("global" if known else "computed", entry[0], entry[5])
        if tag == OBJECT:
            entry = self.objects[value >> 3]
            if isinstance(entry, Reference):
                return (entry.kind, entry.name, entry.steps)
            return ("literal", "", ())
        if tag == NODE and self.node_kind[value >> 3] == RESULT_NODE:
            first: cython.longlong = self.node_first[value >> 3]
            site = self.calls[self.items[first]]
            if site.opcode == 0x50 or site.opcode == 0x51:
                return ("persistent", "", ())
            callee = self.items[first + 1]
            depth = 0
            while callee & 7 == NODE and self.node_kind[callee >> 3] == RESULT_NODE and depth < 8:
                callee = self.items[self.node_first[callee >> 3] + 1]
                depth += 1
            if callee & 7 == NODE:
                return ("result", "", ())
            kind, name, steps = self.reference(callee)
            return ("result" if kind != "persistent" else kind, name, steps)
        return ("literal", "", ()) if value != UNSET else ("persistent", "", ())

    def parts(self, value: cython.int):
        """(kind, abstract items, cut) of a NODE; `kind` is one of ``tuple list dict set result``."""
        index: cython.longlong = value >> 3
        first: cython.longlong = self.node_first[index]
        kinds = ("", "tuple", "list", "dict", "set", "result")
        kept = [self.items[first + i] for i in range(self.node_length[index])]
        return kinds[self.node_kind[index]], kept, bool(self.node_flags[index] & CUT)

    def value(self, value: cython.int, depth: cython.int = 3):
        """Python value of an abstract one where it is a literal; other things become :class:`Reference`,
        :class:`Instance` or :data:`UNKNOWN`."""
        tag: cython.int = value & 7
        if tag == INT:
            return value >> 3
        if tag == TEXT or tag == BYTES:
            return self.literal(value)
        if tag == SCALAR:
            return _SCALARS.get(value >> 3, UNKNOWN)
        if tag == GLOBAL:
            kind, name, steps = self.reference(value)
            return Reference(kind, name, steps)
        if tag == OBJECT:
            entry = self.objects[value >> 3]
            if isinstance(entry, FarLiteral):
                return self.literal(value)
            return entry.value if isinstance(entry, Literal) else entry
        if depth <= 0:
            return UNKNOWN
        kind, kept, cut = self.parts(value)
        if kind == "result":
            return Instance(self.reference(value)[1], self.value(kept[2], depth - 1), self.value(kept[3], depth - 1))
        if cut:
            return UNKNOWN
        values = [self.value(item, depth - 1) for item in kept]
        if kind == "tuple":
            return tuple(values)
        if kind == "dict":
            return {
                name: item
                for name, item in zip(values[::2], values[1::2], strict=False)
                if isinstance(name, (str, int, bytes))
            }  # fmt: skip
        return values


class FarLiteral:
    """A string or bytes whose opcode lies too far into the stream for an abstract value."""

    __slots__ = ("offset", "tag", "value")

    def __init__(self, offset, tag):
        self.offset = offset
        self.tag = tag
        self.value = ""


class Instance:
    """The result of a call, as far as it is known: callee name, arguments, BUILD state."""

    __slots__ = ("arguments", "callee", "state")

    def __init__(self, callee, arguments, state):
        self.callee = callee
        self.arguments = arguments
        self.state = state


class Unknown:
    """The one value of which nothing is known; see :data:`UNKNOWN`."""

    __slots__ = ()

    def __repr__(self):
        return "UNKNOWN"


UNKNOWN = Unknown()
_SCALARS = {
    NONE_SCALAR: None, TRUE_SCALAR: True, FALSE_SCALAR: False, EMPTY_TUPLE_SCALAR: (),
}  # fmt: skip


def _storage(view):
    """The array behind a typed memoryview (the list itself where nothing is compiled)."""
    if cython.compiled:
        return array("i", bytes(view))
    return view


def _text_line(code, raw):
    """Argument of STRING, UNICODE or another text opcode, decoded."""
    if code == 0x56:
        return raw.decode("raw-unicode-escape", "replace")
    if code == 0x53:
        raw = raw.strip()
        size = len(raw)
        if size >= 2 and raw[0] == raw[size - 1] and raw[:1] in (b"'", b'"'):
            raw = raw[1 : size - 1]
        return _unescaped(raw).decode("latin-1")
    return raw.decode("utf-8", "replace")


def _unescaped(raw):
    """Bytes with Python 2's escapes resolved. ``codecs.escape_decode`` warns of unknown ones, this keeps them."""
    if b"\\" not in raw:
        return raw
    made = bytearray()
    at: cython.longlong = 0
    size: cython.longlong = len(raw)
    while at < size:
        code = raw[at]
        at += 1
        if code != 0x5C or at >= size:
            made.append(code)
            continue
        code = raw[at]
        at += 1
        if code == 0x78 and _digits(raw[at : at + 2], _HEX) == 2:
            made.append(int(raw[at : at + 2], 16))
            at += 2
        elif 0x30 <= code <= 0x37:
            count = 1 + _digits(raw[at : at + 2], _OCTAL)
            made.append(int(raw[at - 1 : at - 1 + count], 8) & 0xFF)
            at += count - 1
        elif code in _ESCAPES:
            made.extend(_ESCAPES[code])
        else:
            made.append(0x5C)
            made.append(code)
    return bytes(made)


def _digits(raw, allowed):
    """How many bytes of `raw`, from its begin, are in `allowed`."""
    count = 0
    for code in raw:
        if code not in allowed:
            break
        count += 1
    return count


_HEX = b"0123456789abcdefABCDEF"
_OCTAL = b"01234567"
_ESCAPES = {
    0x0A: b"", 0x22: b'"', 0x27: b"'", 0x5C: b"\\", 0x61: b"\a", 0x62: b"\b", 0x66: b"\f", 0x6E: b"\n", 0x72: b"\r",
    0x74: b"\t", 0x76: b"\v",
}  # fmt: skip


def describe_literal(literal, is_bytes):
    """Class of a literal, prefixed by its type."""
    from safepickle.bytecode.literals import looks_like, looks_like_bytes

    return "b:" + looks_like_bytes(literal) if is_bytes else looks_like(literal)
