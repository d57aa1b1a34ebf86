# cython: language_level=3, boundscheck=True, wraparound=False, initializedcheck=False, cdivision=True
"""The symbolic pickle machine: executes all 68 opcodes on abstract values, imports and calls nothing.

One file in Cython's pure-Python mode: compiled where a compiler was at hand, else run as it is, with equal
results. Memory checks stay on in both.

Abstract values are ints, ``payload << 3 | tag``. Strings and bytes are the offset of their opcode and decoded
only when a name or an argument needs them; tuples, lists, dicts, sets and call results are nodes in an arena of
int arrays; folded literals and resolved references are in `objects`; strings far into the stream and numbers
that do not fit are offsets in `far`. Arrays grow within a budget that goes by the size of the stream.

It is one long class because its methods call each other as C functions, many times an opcode. They stand in this order:

1. running: the loop with a branch an opcode, and ``_rare`` for opcodes that files use seldom or once;
2. bytes: numbers, lines and names at an offset;
3. stack, marks, memo;
4. literals: strings, numbers and objects as abstract values;
5. nodes: the arena of containers and results, and what opcodes put into them;
6. imports and calls: names, call sites and the keys that tell them apart, what `fold` is asked, BUILD;
7. reading abstract values: what descriptions, folding and array layouts ask for.
"""

try:
    import cython
except ImportError:  # the shim has the few names that this file uses
    from safepickle.bytecode import cython_shim as cython
from array import array
from time import monotonic

from safepickle.bytecode.carried import BEGINNINGS, DIGITS, may_carry
from safepickle.bytecode.literals import CLASSES, looks_like, looks_like_bytes
from safepickle.bytecode.made import Extension, weight
from safepickle.bytecode.names import canonical, is_stdlib, shortened
from safepickle.bytecode.opcodes import NAMES, PROTOCOLS
from safepickle.bytecode.resync import read_across
from safepickle.bytecode.values import (
    UNKNOWN,
    CallSite,
    Instance,
    Literal,
    Reference,
    Shared,
    Stop,
    is_plain,
    text_float,
    text_key,
    text_line,
    text_number,
)

# Tags.
SCALAR = cython.declare(cython.int, 0)
INT = cython.declare(cython.int, 1)
TEXT = cython.declare(cython.int, 2)
BYTES = cython.declare(cython.int, 3)
GLOBAL = cython.declare(cython.int, 4)
NODE = cython.declare(cython.int, 5)
OBJECT = cython.declare(cython.int, 6)
FAR = cython.declare(cython.int, 7)

# Payloads of SCALAR.
UNKNOWN_SCALAR = 0
NONE_SCALAR = 1
TRUE_SCALAR = 2
FALSE_SCALAR = 3
FLOAT_SCALAR = 4
BIGINT_SCALAR = 5
EMPTY_TUPLE_SCALAR = 6
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

# Flags of nodes. CUT: items or their order are not all known. MANY: callables were dropped too. SHARED: a dict that
# something else holds and may change. CARRIER: made of a class in `carriers`, however indirectly.
HAS_GLOBAL = cython.declare(cython.int, 1)
HAS_RESULT = cython.declare(cython.int, 2)
CUT = cython.declare(cython.int, 4)
MANY = cython.declare(cython.int, 8)
SHARED = cython.declare(cython.int, 16)
CARRIER = cython.declare(cython.int, 32)

# Flags of imports: names in `foldable`, `makers` and `carriers`.
FOLDED_NAME = cython.declare(cython.int, 1)
MAKER_NAME = cython.declare(cython.int, 2)
CARRIER_NAME = cython.declare(cython.int, 4)

BINARY = cython.declare(cython.int, len(CLASSES) + CLASSES.index("binary"))
"""Number of the class of bytes that are no text; those of strings come before those of bytes."""

# What became of the result of a call.
BUILT, DROPPED, RETURNED, STORED, USED = 1, 2, 4, 8, 16
RESULT_USES = ((BUILT, "built"), (DROPPED, "dropped"), (RETURNED, "returned"), (STORED, "stored"), (USED, "used"))

FIRST_MEMO = cython.declare(cython.longlong, 64)
"""Memo entries for which there is room from the beginning."""
MET = cython.declare(cython.int, 64)
MET_WIDTH = cython.declare(cython.int, 64)
"""Call shapes that were met last and are looked up at once, and numbers that each of them takes."""
KEPT = cython.declare(cython.int, 24)
"""Items of one container that are remembered; of further ones only callables."""
KEPT_CALLABLES = cython.declare(cython.int, 256)
"""Items of one container up to which further callables are remembered; fits the ten bits of a node's length."""
MAX_OBJECTS = cython.declare(cython.longlong, 131_072)
MAX_FOLDED = cython.declare(cython.longlong, 1 << 23)
"""Bytes that all folded values together take, about."""
MAX_SPARSE = cython.declare(cython.longlong, 1 << 20)
MAX_HUGE = cython.declare(cython.longlong, 4_096)
"""Memo keys beyond 63 bits, and endless names, that are remembered."""
MAX_PLANTED = cython.declare(cython.longlong, 4_096)
"""Methods that BUILD plants, and extension codes, of one stream."""
ARENA = 480 << 20
"""Bytes of all arrays of a machine, at the most."""
MAX_TAKEN = cython.declare(cython.longlong, 1 << 20)
"""Characters of literals that one :meth:`Machine.value` reads, but for the last of them."""
DEPTH = 10
"""Levels of calls and containers that the evaluation of a call looks at."""
VALUES = 1_024
"""Abstract values that one :meth:`Machine.value` looks at."""
SHORT = cython.declare(cython.int, 64)
MAX_SEEN = cython.declare(cython.int, 8_192)
_seen = cython.declare(dict, {})
"""Short literals of all streams, most of which are met again, and what :func:`_look_at` says of them."""
_ZEROS = bytes(65_536)
_ROOM = bytes(4 * 640)
PAYLOAD_MAX = cython.declare(cython.longlong, (1 << 28) - 1)
TICK = cython.declare(cython.longlong, 0xFFFF)
_SEEN = cython.declare(cython.longlong, 256 * 0xFFFF)
"""Bytes that are read between two looks at the budgets; longer literals are told one by one."""

# Opcodes whose argument is skipped and that push one scalar: code -> (argument bytes, scalar).
_PUSHES = {
    0x47: (8, FLOAT_SCALAR), 0x4E: (0, NONE_SCALAR), 0x88: (0, TRUE_SCALAR), 0x89: (0, FALSE_SCALAR),
    0x29: (0, EMPTY_TUPLE_SCALAR), 0x97: (0, BUFFER_SCALAR),
}  # fmt: skip
_SKIP = cython.declare(
    "const unsigned char[::1]", bytes(_PUSHES[code][0] if code in _PUSHES else 255 for code in range(256))
)
_PUSH = cython.declare(
    "const unsigned char[::1]", bytes(_PUSHES[code][1] if code in _PUSHES else 0 for code in range(256))
)
_BEGINNINGS = cython.declare("const unsigned char[::1]", BEGINNINGS)
_DIGITS = cython.declare("const unsigned char[::1]", DIGITS)


def _numbers(size: cython.longlong, kind="i"):
    """A zeroed array of int32 or int64; a list where nothing is compiled, since lists index faster there."""
    if cython.compiled:
        return array(kind, bytes((8 if kind == "q" else 4) * size))
    return [0] * size


def _apart(numbers):
    """What was a part of the one array that a machine begins with, as an array of its own, which can grow."""
    return array("i", bytes(numbers)) if cython.compiled else numbers


def _lengthen(numbers, size: cython.longlong):
    """Append zeros up to `size` in place: large arrays are moved by the kernel rather than copied."""
    if cython.compiled:
        missing: cython.longlong = numbers.itemsize * (size - len(numbers))
        while missing > 0:
            numbers.frombytes(_ZEROS[:missing] if missing < 65_536 else _ZEROS)
            missing -= 65_536
    else:
        numbers.extend([0] * (size - len(numbers)))


_NO_FAR = _numbers(0, "q")


@cython.cfunc
def _next_size(size: cython.longlong, needed: cython.longlong) -> cython.longlong:
    """Doubled while small, then by a quarter."""
    while size < needed:
        size += size if size < 262_144 else size >> 2
    return size


@cython.cfunc
def _look_at(literal, is_bytes: cython.bint) -> tuple:
    """Number of the class of a literal, and whether it may be a file in disguise; short ones are remembered."""
    short: cython.bint = len(literal) <= SHORT and type(literal) is not bytearray
    if short:
        seen = _seen.get(literal)
        if seen is not None:
            return seen
    known: cython.int = CLASSES.index(looks_like_bytes(literal) if is_bytes else looks_like(literal))
    if is_bytes:
        known += len(CLASSES)
    seen = known, len(literal) > 7 and may_carry(literal)
    if short:
        if len(_seen) >= MAX_SEEN:
            _seen.clear()
        _seen[literal] = seen
    return seen


@cython.final
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
        Called as ``splice(machine, node, position)`` after BUILD on what is made of a class in `carriers`, whose
        instances are followed by raw bytes in the stream; returns the position behind them.
    fold : callable or None
        Called as ``fold(callee, arguments, keywords)`` with a :class:`Reference` or :class:`Instance` for calls that
        may have a known value or make other calls; see :func:`safepickle.bytecode.folding.fold`.
    foldable : container of str
        Names for which `fold` is called.
    makers : container of str
        Names of callables whose results `fold` looks into: once one is called, it is called for whatever is
        handed the result of a call.
    carriers : container of str
        Names of classes for whose instances `splice` is called.
    """

    data = cython.declare(object, visibility="readonly")
    buffer = cython.declare("const unsigned char[::1]")
    touched = cython.declare(object)
    told = cython.declare(cython.longlong)
    start = cython.declare(cython.longlong, visibility="readonly")
    end = cython.declare(cython.longlong, visibility="readonly")
    position = cython.declare(cython.longlong, visibility="readonly")
    opcode_at = cython.declare(cython.longlong)
    executed = cython.declare(cython.longlong, visibility="readonly")
    searched = cython.declare(cython.longlong, visibility="readonly")
    frame_at = cython.declare(cython.longlong, visibility="readonly")
    frame_end = cython.declare(cython.longlong, visibility="readonly")
    straddled = cython.declare(cython.longlong, visibility="readonly")
    straddled_frame = cython.declare(tuple, visibility="readonly")
    stack = cython.declare("int[::1]")
    stack_store = cython.declare(object)
    stack_size = cython.declare(cython.longlong)
    sp = cython.declare(cython.longlong)
    marks = cython.declare("int[::1]")
    marks_store = cython.declare(object)
    mark_size = cython.declare(cython.longlong)
    mp = cython.declare(cython.longlong)
    fence = cython.declare(cython.longlong)
    memo = cython.declare("int[::1]")
    memo_store = cython.declare(object)
    memo_size = cython.declare(cython.longlong)
    memo_count = cython.declare(cython.longlong)
    sparse_memo = cython.declare(dict)
    huge_keys = cython.declare(dict)
    node_first = cython.declare("int[::1]")
    node_first_store = cython.declare(object)
    node_meta = cython.declare("int[::1]")
    node_meta_store = cython.declare(object)
    node_size = cython.declare(cython.longlong)
    nodes = cython.declare(cython.longlong, visibility="readonly")
    items = cython.declare("int[::1]")
    items_store = cython.declare(object)
    item_size = cython.declare(cython.longlong)
    item_count = cython.declare(cython.longlong)
    far = cython.declare("long long[::1]")
    far_store = cython.declare(object)
    far_size = cython.declare(cython.longlong)
    far_count = cython.declare(cython.longlong)
    counts = cython.declare("int[::1]")
    limits = cython.declare(object, visibility="readonly")
    deadline = cython.declare(cython.double)
    splice = cython.declare(object)
    fold = cython.declare(object)
    foldable = cython.declare(object)
    carriers = cython.declare(object)
    makers = cython.declare(object)
    import_flags = cython.declare(bytearray)
    made = cython.declare(cython.bint)
    planted = cython.declare(dict)
    objects = cython.declare(list, visibility="readonly")
    imports = cython.declare(list, visibility="readonly")
    import_ids = cython.declare(dict)
    calls = cython.declare(list, visibility="readonly")
    call_ids = cython.declare(dict)
    oddities = cython.declare(dict, visibility="readonly")
    literals = cython.declare(list, visibility="readonly")
    encoded = cython.declare(list, visibility="readonly")
    site_counts = cython.declare("int[::1]")
    site_counts_store = cython.declare(object)
    site_uses = cython.declare("int[::1]")
    site_uses_store = cython.declare(object)
    site_size = cython.declare(cython.longlong)
    key = cython.declare("int[::1]")
    key_store = cython.declare(object)
    key_size = cython.declare(cython.longlong)
    key_count = cython.declare(cython.longlong)
    met = cython.declare("int[::1]")
    met_none = cython.declare(cython.bint)
    words = cython.declare(dict)
    looks = cython.declare(dict)
    read_last = cython.declare(cython.int)
    literal_last = cython.declare(object)
    long_names = cython.declare(dict)
    extensions = cython.declare(dict)
    has_carriers = cython.declare(cython.bint)
    folded = cython.declare(cython.longlong)
    room = cython.declare(cython.longlong)
    taken = cython.declare(cython.longlong)
    work = cython.declare(cython.longlong)
    max_work = cython.declare(cython.longlong)
    arena = cython.declare(cython.longlong)
    max_arena = cython.declare(cython.longlong)
    declared = cython.declare(cython.int, visibility="readonly")
    result = cython.declare(cython.int, visibility="readonly")
    max_nodes = cython.declare(cython.longlong)
    max_stack = cython.declare(cython.longlong)
    max_memo = cython.declare(cython.longlong)
    max_opcodes = cython.declare(cython.longlong)
    max_literal = cython.declare(cython.longlong)
    max_calls = cython.declare(cython.longlong)
    max_imports = cython.declare(cython.longlong)
    max_children = cython.declare(cython.longlong)

    def __init__(self, data, start, end, limits, deadline, splice=None, fold=None,
                 foldable=frozenset(), carriers=frozenset(), makers=frozenset()):  # fmt: skip
        self.data = data
        self.buffer = data if type(data) is bytes else memoryview(data)
        self.touched = getattr(data, "touched", None)  # of a map; what is read of `buffer` it does not see
        self.told = start
        self.start = start
        self.position = start
        self.opcode_at = start
        self.end = end
        self.executed = 0
        self.searched = 0
        self.frame_at = 0
        self.frame_end = 0
        self.straddled = -1
        self.straddled_frame = 0, 0
        self.limits = limits
        self.deadline = deadline
        self.splice = splice
        self.fold = fold
        self.foldable = foldable
        self.carriers = carriers
        self.makers = makers
        self.import_flags = bytearray()
        self.made = False
        self.planted = {}
        # one array for what every stream needs; what grows gets its own
        room: cython.int[::1] = array("i", _ROOM) if cython.compiled else [0] * 640
        self.counts = room[0:256]
        self.stack_size = 128
        self.stack_store = None
        self.stack = room[256:384]
        self.sp = 0
        self.mark_size = 32
        self.marks_store = None
        self.marks = room[384:416]
        self.mp = 0
        self.fence = 0
        self.memo_size = 0
        self.memo_store = None
        self.memo = room[416:480]
        self.memo_count = 0
        self.sparse_memo = {}
        self.huge_keys = {}
        self.node_size = 32
        self.node_first_store = None
        self.node_first = room[480:512]
        self.node_meta_store = None
        self.node_meta = room[512:544]
        self.nodes = 0
        self.item_size = 64
        self.items_store = None
        self.items = room[544:608]
        self.item_count = 0
        self.far_size = 0
        self.far_store = None
        self.far = _NO_FAR
        self.far_count = 0
        self.objects = []
        self.imports = []
        self.import_ids = {}
        self.calls = []
        self.call_ids = {}
        self.oddities = {}
        self.literals = []
        self.encoded = []
        self.site_size = 16
        self.site_counts_store = None
        self.site_counts = room[608:624]
        self.site_uses_store = None
        self.site_uses = room[624:640]
        self.key_size = 64
        self.key_store = self.key = _numbers(self.key_size)
        self.key_count = 0
        self.met = room[0:0]
        self.met_none = True
        self.words = {}
        self.looks = {}
        self.read_last = UNSET
        self.literal_last = None
        self.long_names = {}
        self.extensions = {}
        self.has_carriers = False
        self.folded = 0
        self.room = 0
        self.taken = 0
        self.work = 0
        self.max_work = 8_000_000 + 8 * (end - start)
        self.arena = 0
        self.max_arena = min(ARENA, (36 << 20) + 4 * (end - start))
        self.declared = -1
        self.result = UNSET
        self.max_nodes = min(limits.nodes, PAYLOAD_MAX)
        self.max_stack = limits.stack
        self.max_memo = limits.memo
        self.max_opcodes = limits.opcodes
        self.max_literal = limits.literal_bytes
        self.max_calls = limits.calls
        self.max_imports = limits.imports
        self.max_children = limits.children

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
        finally:
            self._tell_sites()
        return ""

    @cython.cfunc
    def _tell_sites(self) -> cython.void:
        """Write into the call sites what was counted of them."""
        i: cython.longlong
        for i in range(len(self.calls)):
            site = self.calls[i]
            site.count = self.site_counts[i]
            site.uses = self.site_uses[i]

    def run_on(self):
        """Execute the stream behind STOP as an unpickler does that is asked to load again: the memo stays."""
        self.sp = 0
        self.mp = 0
        self.fence = 0
        self.result = UNSET
        return self.run()

    @property
    def at_stop(self):
        """Whether STOP was executed last."""
        return self.result != UNSET

    @property
    def stopped_at(self):
        """Offset of the opcode that was executed last."""
        return self.opcode_at

    def opcode_counts(self):
        """Executions of each opcode by its name, in the order of the codes, and the highest protocol among them."""
        code: cython.int
        highest: cython.int = 0
        found = {}
        for code in range(256):
            if self.counts[code] != 0:
                found[NAMES[code]] = self.counts[code]
                highest = max(highest, PROTOCOLS[code])
        return found, highest

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
        counts: cython.int[::1] = self.counts
        buffer: cython.const[cython.uchar][::1] = self.buffer
        while True:
            at = self.position
            if at > self.frame_end > self.opcode_at and self.straddled < 0:
                self._straddle()
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
            counts[code] += 1
            skip = skips[code]
            if skip != 255:
                self.position = at + skip
                if self.position > end:
                    raise Stop("truncated", -1)
                self.stack[self.sp] = pushes[code] << 3
                self.sp += 1
                continue  # what follows compares nothing but the opcode, so that a compiler makes a jump of it
            if code == 0x94:  # MEMOIZE
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
            length = self._text_key(at)
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
                length = self.end - self.position
            length += self.position
            if self.opcode_at < self.frame_end < length and self.position != self.frame_end and self.straddled < 0:
                self._straddle()
            if length > self.frame_end:
                self.frame_end = length
                self.frame_at = self.opcode_at
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
            self.position = self._line_end(at) + 1
            self._push_reference(TEXT)
        elif code == 0x49 or code == 0x4C:  # INT LONG
            self._text_int(code, at)
        elif code == 0x46:  # FLOAT
            self._text_float(at)
        elif code == 0x8A or code == 0x8B:  # LONG1 LONG4
            self._long(code, at)
        elif code == 0x50:  # PERSID
            self.position = self._line_end(at) + 1
            self._push_reference(TEXT)
            self._call(code, UNSET, self.stack[self.sp - 1], 1)
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
            self._push_literal(BYTES, at + 8, self._little(at, 8))
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
        if self.touched is not None:
            self.touched(min(self.position - self.told, _SEEN))
            self.told = self.position

    @cython.cfunc
    def _straddle(self) -> cython.void:
        """The argument of the opcode before reaches over the end of a frame, or lies behind it."""
        self.note("read-across-frame", self.opcode_at)
        if read_across(self.data, self.opcode_at, self.frame_end, self.end) not in (-1, self.frame_end):
            self.straddled = self.opcode_at
            self.straddled_frame = self.frame_at, self.frame_end

    @cython.ccall
    def note(self, kind: object, offset: cython.longlong, detail: object = "") -> cython.void:
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
    def _line_end(self, at: cython.longlong) -> cython.longlong:
        """Offset of the newline that ends the argument at `at`."""
        newline: cython.longlong = at
        near: cython.longlong = min(self.end, at + 32)
        while newline < near:  # most lines are short, and a call costs more than reading them
            if self.buffer[newline] == 0x0A:
                return newline
            newline += 1
        newline = self.data.find(b"\n", newline, self.end)
        self.searched += (newline if newline >= 0 else self.end) - at
        if newline < 0:
            raise Stop("truncated", -1)
        return newline

    @cython.cfunc
    def _digits(self, at: cython.longlong) -> cython.longlong:
        """A plain number up to the newline, or to ``L`` and the newline; moves behind it. -1 for any other argument."""
        value: cython.longlong = 0
        code: cython.int
        first: cython.longlong = at
        while at < self.end and at - first <= 18:
            code = self.buffer[at]
            if 0x30 <= code <= 0x39 and (value > 0 or at == first):
                value = 10 * value + code - 0x30
            elif at > first and code == 0x0A:
                self.position = at + 1
                return value
            elif at > first and code == 0x4C and at + 1 < self.end and self.buffer[at + 1] == 0x0A:
                self.position = at + 2
                return value
            else:
                break
            at += 1
        return -1

    @cython.cfunc
    def _line(self, at: cython.longlong) -> bytes:
        """The argument up to the newline, as far as a number needs it; moves behind it."""
        newline: cython.longlong = self._line_end(at)
        self.position = newline + 1
        if newline - at > 8192:
            while at < newline and (self.buffer[at] == 0x20 or 0x09 <= self.buffer[at] <= 0x0D):
                at += 1
        return bytes(self.data[at : min(newline, at + 8192)])

    @cython.cfunc
    def _name_line(self, at: cython.longlong, end: cython.longlong) -> object:
        """The name in ``data[at:end]``; the middle of an endless one is left out."""
        if end - at > 4096:
            return shortened(bytes(self.data[at : at + 2048] + self.data[end - 2048 : end]).decode("utf-8", "replace"))
        return bytes(self.data[at:end]).decode("utf-8", "replace")

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
    def _claim(self, size: cython.longlong) -> cython.bint:
        """Whether the arrays may take `size` more bytes."""
        if self.arena + size > self.max_arena:
            return False
        self.arena += size
        return True

    @cython.cfunc
    def _grow_stack(self) -> cython.void:
        size: cython.longlong = min(_next_size(self.stack_size, self.stack_size + 1), self.max_stack)
        if self.sp >= size - 4 or not self._claim(4 * (size - self.stack_size)):
            raise Stop("budget:stack", -1)
        if self.stack_store is None:
            self.stack_store = _apart(self.stack)
        self.stack = None  # an array that lends its memory out cannot grow
        _lengthen(self.stack_store, size)
        self.stack = self.stack_store
        self.stack_size = size

    @cython.cfunc
    def _grow_marks(self) -> cython.void:
        size: cython.longlong = min(_next_size(self.mark_size, self.mark_size + 1), self.max_stack)
        if self.mp >= size or not self._claim(4 * (size - self.mark_size)):
            raise Stop("budget:stack", -1)
        if self.marks_store is None:
            self.marks_store = _apart(self.marks)
        self.marks = None
        _lengthen(self.marks_store, size)
        self.marks = self.marks_store
        self.mark_size = size

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
        if self.memo_count >= self.max_memo:
            self.note("budget:memo", self.opcode_at)
            return
        if key >= self.memo_size and key <= 2 * self.memo_count + 64:
            size = _next_size(max(self.memo_size, FIRST_MEMO), key + 1)
            if not self._claim(4 * (size - self.memo_size)):
                self.note("budget:memo", self.opcode_at)
                return
            if size > FIRST_MEMO:
                if self.memo_store is None:
                    self.memo_store = _apart(self.memo)
                self.memo = None
                _lengthen(self.memo_store, size)
                self.memo = self.memo_store
            for i in range(self.memo_size, size):
                self.memo[i] = UNSET
            self.memo_size = size
            if self.sparse_memo:
                for far in [far for far in self.sparse_memo if far < size]:
                    self.memo[far] = self.sparse_memo.pop(far)
        if key < self.memo_size:
            if self.memo[key] == UNSET:
                self.memo_count += 1
            elif self.memo[key] != value:
                self.note("memo-key-repeated", self.opcode_at)
            self.memo[key] = value
        else:
            if key not in self.sparse_memo:
                if len(self.sparse_memo) >= MAX_SPARSE:
                    self.note("budget:memo", self.opcode_at)
                    return
                self.memo_count += 1
            elif self.sparse_memo[key] != value:
                self.note("memo-key-repeated", self.opcode_at)
            self.sparse_memo[key] = value

    # --- literals --------------------------------------------------------------------------------

    @cython.cfunc
    def _push_literal(self, tag: cython.int, at: cython.longlong, length: cython.longlong) -> cython.void:
        """A string or bytes of known length, whose bytes begin at `at`."""
        if length < 0 or length > self.end - at:
            raise Stop("truncated", -1)
        self.position = at + length
        if length > 255 and self.touched is not None:
            self.touched(0)
        if length > 3 and self._begins_like_file(self.buffer[at], self.buffer[at + 1]):
            self._carry(at, length)
        self._push_reference(tag)

    @cython.cfunc
    def _begins_like_file(self, first: cython.int, second: cython.int) -> cython.bint:
        """A pickle, zip, gzip, zlib, bzip2, xz, lzma, lz4, zstd, npy or HDF5 begins with these two bytes."""
        if first == 0x80:
            return second <= 5
        return (
            (first == 0x50 and second == 0x4B)
            or (first == 0x1F and second == 0x8B)
            or (first == 0x78 and (second == 0x01 or second == 0x5E or second == 0x9C or second == 0xDA))
            or (first == 0x42 and second == 0x5A)
            or (first == 0xFD and second == 0x37)
            or (first == 0x5D and second == 0x00)
            or (first == 0x04 and second == 0x22)
            or (first == 0x28 and second == 0xB5)
            or (first == 0x93 and second == 0x4E)
            or (first == 0x89 and second == 0x48)
        )

    @cython.cfunc
    def _carry(self, at: cython.longlong, length: cython.longlong) -> cython.void:
        """Remember a literal that begins like a file."""
        if len(self.literals) < self.max_children:
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
            self._push(self._far(tag))

    @cython.cfunc
    def _far(self, tag: cython.int) -> cython.int:
        """Abstract value of the literal or number whose opcode was just read, when its offset or it itself is big."""
        size: cython.longlong
        if self.far_count >= self.far_size:
            size = _next_size(max(self.far_size, 64), self.far_count + 1)
            if self.far_count >= PAYLOAD_MAX or not self._claim(8 * (size - self.far_size)):
                self.note("budget:nodes", self.opcode_at)
                return UNKNOWN_SCALAR
            if self.far_store is None:
                self.far_store = _numbers(0, "q")
            self.far = None
            _lengthen(self.far_store, size)
            self.far = self.far_store
            self.far_size = size
        self.far[self.far_count] = (self.opcode_at << 3) | tag
        self.far_count += 1
        return cython.cast(cython.int, ((self.far_count - 1) << 3) | FAR)

    @cython.cfunc
    def _tag(self, value: cython.int) -> cython.int:
        """The tag, that of what is far for FAR."""
        if value & 7 == FAR:
            return cython.cast(cython.int, self.far[value >> 3] & 7)
        return value & 7

    @cython.cfunc
    def _offset(self, value: cython.int) -> cython.longlong:
        """Offset of the opcode of a TEXT, BYTES or FAR value."""
        if value & 7 == FAR:
            return self.far[value >> 3] >> 3
        return self.start + (value >> 3)

    @cython.cfunc
    def _push_int(self, value: cython.longlong) -> cython.void:
        """Push the number whose opcode was just read."""
        if -PAYLOAD_MAX <= value <= PAYLOAD_MAX:
            self._push(cython.cast(cython.int, (value << 3) | INT))
        else:
            self._push(self._far(INT))

    @cython.cfunc
    def _number(self, value: cython.int) -> object:
        """Value of an INT, or of a FAR that is one."""
        at: cython.longlong
        if value & 7 == INT:
            return value >> 3
        at = self._offset(value)
        code: cython.int = self.buffer[at]
        if code == 0x4A:
            return int.from_bytes(self.data[at + 1 : at + 5], "little", signed=True)
        if code == 0x8A:
            return int.from_bytes(self.data[at + 2 : at + 2 + self.buffer[at + 1]], "little", signed=True)
        if code == 0x8B:
            return int.from_bytes(self.data[at + 5 : at + 5 + self._little(at + 1, 4)], "little", signed=True)
        return text_number(code, bytes(self.data[at + 1 : self.data.find(b"\n", at + 1, self.end)]))

    @cython.cfunc
    def _text_key(self, at: cython.longlong) -> cython.longlong:
        """A memo key written as text; the unpickler in Python takes numbers of any size."""
        quick: cython.longlong = self._digits(at)
        if quick >= 0 and self.buffer[self.position - 2] != 0x4C:
            return quick
        line = self._line(at)
        try:
            number = text_key(line)
        except ValueError:
            raise Stop("bad number", -1) from None
        if not is_plain(0x70, line):
            self.note("unusual-number", self.opcode_at)
        if number < 0:
            return -1
        if number < 1 << 62:
            return number
        key = self.huge_keys.get(number)
        if key is None:
            if len(self.huge_keys) >= MAX_HUGE:
                raise Stop("budget:memo", -1)
            key = self.huge_keys[number] = (1 << 62) + len(self.huge_keys)
        return key

    @cython.cfunc
    def _text_int(self, code: cython.int, at: cython.longlong) -> cython.void:
        """INT and LONG: ``01`` and ``00`` are booleans, readers differ on the number base."""
        negative: cython.bint = at < self.end and self.buffer[at] == 0x2D
        quick: cython.longlong = self._digits(at + 1 if negative else at)
        if quick >= 0 and (code == 0x4C or self.buffer[self.position - 2] != 0x4C):
            self._push_int(-quick if negative else quick)
            return
        line = self._line(at)
        try:
            number = text_number(code, line)
        except ValueError:
            raise Stop("bad number", -1) from None
        if number is not True and number is not False and not is_plain(code, line):
            self.note("unusual-number", self.opcode_at)
        if number is True or number is False:
            self._push((TRUE_SCALAR if number else FALSE_SCALAR) << 3)
        elif number is not None and -(1 << 62) < number < (1 << 62):
            self._push_int(number)
        else:
            self._push(BIGINT_SCALAR << 3)

    @cython.cfunc
    def _text_float(self, at: cython.longlong) -> cython.void:
        """FLOAT: readers differ on blanks, underscores and NUL."""
        end: cython.longlong = self._line_end(at)
        begin: cython.longlong = at
        behind: cython.longlong
        digits: cython.longlong
        self.position = end + 1
        if at < end and self.buffer[at] == 0x2D:
            at += 1
        behind = self._behind_digits(at, end)
        digits = behind - at
        if behind < end and self.buffer[behind] == 0x2E:
            at = behind + 1
            behind = self._behind_digits(at, end)
            digits += behind - at
        if digits > 0 and behind < end and self.buffer[behind] == 0x65:
            at = behind + 1
            if at < end and (self.buffer[at] == 0x2B or self.buffer[at] == 0x2D):
                at += 1
            behind = self._behind_digits(at, end)
            digits = behind - at
        if digits == 0 or behind < end:
            try:
                agreed = text_float(self._line(begin))
            except ValueError:
                raise Stop("bad number", -1) from None
            if not agreed:
                self.note("unusual-number", self.opcode_at)
        self._push(FLOAT_SCALAR << 3)

    @cython.cfunc
    def _behind_digits(self, at: cython.longlong, end: cython.longlong) -> cython.longlong:
        while at < end and 0x30 <= self.buffer[at] <= 0x39:
            at += 1
        return at

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
        if len(self.objects) >= MAX_OBJECTS:
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
        size: cython.longlong
        if index >= self.max_nodes:
            return UNKNOWN_SCALAR
        if index >= self.node_size:
            size = min(_next_size(self.node_size, index + 1), self.max_nodes)
            if not self._claim(8 * (size - self.node_size)):
                self.max_nodes = index
                self.note("budget:nodes", self.opcode_at)
                return UNKNOWN_SCALAR
            if self.node_first_store is None:
                self.node_first_store = _apart(self.node_first)
                self.node_meta_store = _apart(self.node_meta)
            self.node_first = None
            self.node_meta = None
            _lengthen(self.node_first_store, size)
            _lengthen(self.node_meta_store, size)
            self.node_first = self.node_first_store
            self.node_meta = self.node_meta_store
            self.node_size = size
        self.nodes += 1
        if self.nodes == self.max_nodes:
            self.note("budget:nodes", self.opcode_at)
        self.node_first[index] = cython.cast(cython.int, self.item_count)
        self.node_meta[index] = kind
        return cython.cast(cython.int, (index << 3) | NODE)

    # A node's meta: kind in 3 bits, flags in 6, items in 6, items that it has room for in 6.

    @cython.cfunc
    def _kind(self, value: cython.int) -> cython.int:
        """Kind of a node; 0 for what is none."""
        return self.node_meta[value >> 3] & 7 if value & 7 == NODE else 0

    @cython.cfunc
    def _flags(self, value: cython.int) -> cython.int:
        return (self.node_meta[value >> 3] >> 3) & 63

    @cython.cfunc
    def _raise_flags(self, value: cython.int, flags: cython.int) -> cython.void:
        self.node_meta[value >> 3] |= flags << 3

    @cython.cfunc
    def _length(self, value: cython.int) -> cython.int:
        return (self.node_meta[value >> 3] >> 9) & 1023

    @cython.cfunc
    def _reserve(self, count: cython.longlong) -> cython.bint:
        """Whether there is room for more items."""
        size: cython.longlong
        if self.item_count + count > self.item_size:
            size = _next_size(self.item_size, self.item_count + count)
            if not self._claim(4 * (size - self.item_size)):
                self.note("budget:nodes", self.opcode_at)
                return False
            if self.items_store is None:
                self.items_store = _apart(self.items)
            self.items = None
            _lengthen(self.items_store, size)
            self.items = self.items_store
            self.item_size = size
        return True

    @cython.cfunc
    def _make_room(self, node: cython.longlong, more: cython.longlong) -> cython.bint:
        """Whether the node has room for more items; those that it has may be moved."""
        i: cython.longlong
        meta: cython.int = self.node_meta[node]
        length: cython.longlong = (meta >> 9) & 1023
        capacity: cython.longlong = (meta >> 19) & 1023
        begin: cython.longlong = self.node_first[node]
        if length + more <= capacity:
            return True
        if begin + capacity == self.item_count:
            if not self._reserve(length + more - capacity):
                return False
            self.item_count += length + more - capacity
            capacity = length + more
        else:
            capacity = length + more if length == 0 else min(2 * (length + more), KEPT_CALLABLES)
            if not self._reserve(capacity):
                return False
            for i in range(length):
                self.items[self.item_count + i] = self.items[begin + i]
            self.node_first[node] = cython.cast(cython.int, self.item_count)
            self.item_count += capacity
        self.node_meta[node] = (meta & 0x7FFFF) | cython.cast(cython.int, capacity << 19)
        return True

    @cython.cfunc
    def _add_items(self, node: cython.longlong, first: cython.longlong, last: cython.longlong) -> cython.void:
        """Items ``stack[first:last]`` join the node, as far as it keeps items; its flags see all of them."""
        i: cython.longlong
        value: cython.int
        tag: cython.int
        flags: cython.int = 0
        length: cython.longlong = (self.node_meta[node] >> 9) & 1023
        room: cython.longlong = max(0, min(KEPT - length, last - first))
        if room > 0:
            if self._make_room(node, room):
                for i in range(room):
                    self.items[self.node_first[node] + length + i] = self.stack[first + i]
                self.node_meta[node] += cython.cast(cython.int, room << 9)
            else:
                room = 0
        if room < last - first:
            flags |= CUT
        for i in range(first, last):
            value = self.stack[i]
            tag = value & 7
            if tag < GLOBAL or tag == FAR:
                if tag == TEXT and i >= first + room and (i - first) & 1 and self._is_program(node, value):
                    self._keep_callable(node, value)
                continue
            if tag == NODE:
                flags |= self._flags(value) & (HAS_GLOBAL | HAS_RESULT | MANY | CARRIER)
                if self._kind(value) == RESULT_NODE:
                    flags |= HAS_RESULT
                    self._used(value, STORED)
                elif i >= first + room and self._flags(value) & HAS_GLOBAL:
                    self._keep_callable(node, value)
            else:
                flags |= HAS_GLOBAL
                if i >= first + room:
                    flags |= self._keep_callable(node, value)
                if self.has_carriers and self._is_carrier(value):
                    flags |= CARRIER
        self.node_meta[node] |= flags << 3

    @cython.cfunc
    def _is_program(self, node: cython.longlong, value: cython.int) -> cython.bint:
        """Whether a value of a dict that keeps no more items is a text of lines that reads like a program."""
        begin: cython.longlong
        length: cython.longlong
        if self.node_meta[node] & 7 != DICT_NODE or (self.node_meta[node] >> 9) & 1023 >= KEPT + 4:
            return False
        begin, length = self._span(self._offset(value))
        if length < 16 or self.work > self.max_work or self.data.find(b"\n", begin, begin + min(length, 256)) < 0:
            return False
        self.work += 64
        return looks_like(self.literal(value, 4096)) == "code"

    @cython.cfunc
    def _keep_callable(self, node: cython.longlong, value: cython.int) -> cython.int:
        """A callable, or what holds one, joins a node that keeps no more items; MANY when there is no room left."""
        i: cython.longlong
        length: cython.longlong = (self.node_meta[node] >> 9) & 1023
        for i in range(length):
            if self.items[self.node_first[node] + i] == value:
                return 0
        if length >= KEPT_CALLABLES or not self._make_room(node, 1):
            return MANY
        self.items[self.node_first[node] + length] = value
        self.node_meta[node] += 1 << 9
        return 0

    @cython.cfunc
    def _is_carrier(self, value: cython.int) -> cython.bint:
        """Whether a value is, or was made of, a class whose instances are followed by raw bytes."""
        tag: cython.int = value & 7
        if tag == GLOBAL:
            return self.import_flags[value >> 3] & CARRIER_NAME != 0
        if tag == NODE:
            return self._flags(value) & CARRIER != 0
        return tag == OBJECT and self.callee_name(value) in self.carriers

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
            if self._kind(args) == TUPLE_NODE:
                for i in range(self._length(args)):
                    self.stack[at] = self.items[self.node_first[args >> 3] + i]
                    self._add_items(node >> 3, at, at + 1)
                self._add_items(node >> 3, at + 1, at + 2)
                self._raise_flags(node, self._flags(args))
            elif args == EMPTY_TUPLE_SCALAR << 3:
                self._add_items(node >> 3, at + 1, at + 2)
            else:
                self._add_items(node >> 3, at, at + 2)
        return node

    @cython.cfunc
    def _extend(self, code: cython.int, first: cython.longlong) -> cython.void:
        """APPEND(S), SETITEM(S), ADDITEMS: items above `first` go into the value below it."""
        target: cython.int = self.stack[first - 1]
        kind: cython.int = self._kind(target)
        arguments: cython.int
        if kind == LIST_NODE or kind == DICT_NODE or kind == SET_NODE:
            self._add_items(target >> 3, first, self.sp)
            if (kind == LIST_NODE) != (code == 0x61 or code == 0x65):
                # what an unpickler does with items of a list, or where it raises
                self._raise_flags(target, CUT)
                if kind == LIST_NODE:
                    self.note("setitem-on-list", self.opcode_at)
            self.sp = first
            return
        if target & 7 == OBJECT:
            self._share(target)
        arguments = self._node(TUPLE_NODE)
        if arguments & 7 == NODE:
            self._add_items(arguments >> 3, first, self.sp)
            if kind == RESULT_NODE:
                self._raise_flags(target, self._flags(arguments) & CARRIER)
                if self.planted:
                    self._call_planted(
                        target, "append" if code == 0x61 else "add" if code == 0x90 else "extend", arguments
                    )
        self.sp = first
        self._call(code, target, arguments, 0)

    # --- imports and calls -----------------------------------------------------------------------

    @cython.cfunc
    def _import(self, module: object, name: object, opcode: cython.int, computed: tuple) -> cython.int:
        """Abstract value of a global; `module` or `name` is None when it is not a known string."""
        key = (module, name, opcode)
        index = self.import_ids.get(key)
        if index is None:
            index = len(self.imports)
            if index >= self.max_imports and (index >= 2 * self.max_imports or module is None or not is_stdlib(module)):
                self.note("budget:imports", self.opcode_at)
                return UNKNOWN_SCALAR
            self.import_ids[key] = index
            known = module is not None and name is not None
            resolved = canonical(module, name) if known else ""
            written = f"{module if module is not None else '?'} {name if name is not None else '?'}"
            self.imports.append([resolved, written, opcode, self.opcode_at, 0, computed])
            flags: cython.int = FOLDED_NAME if resolved in self.foldable else 0
            if resolved in self.makers:
                flags |= MAKER_NAME
            if resolved in self.carriers:
                flags |= CARRIER_NAME
                self.has_carriers = True
            self.import_flags.append(flags)
        self.imports[index][4] += 1
        return cython.cast(cython.int, (index << 3) | GLOBAL)

    @cython.cfunc
    def _global_lines(self, code: cython.int, at: cython.longlong) -> cython.void:
        end: cython.longlong = self._line_end(at)
        first: cython.longlong
        module = self._name_line(at, end)
        at = end + 1
        end = self.data.find(b"\n", at, self.end)
        ended: cython.bint = end >= 0
        self.searched += (end if ended else self.end) - at
        if not ended:
            # pickle._Unpickler takes the rest but for its last byte for the line, and calls what INST names
            if code == 0x63 or at >= self.end:
                raise Stop("truncated", -1)
            end = self.end - 1
        callee: cython.int = self._import(module, self._name_line(at, end), code, ())
        self.position = end + 1
        if code == 0x63:
            self._push(callee)
            return
        first = self._pop_mark()
        self._tuple(first)
        arguments: cython.int = self.stack[self.sp - 1]
        self.stack[self.sp - 1] = callee
        self._call(code, callee, arguments, 1)
        if not ended:
            raise Stop("truncated", -1)

    @cython.cfunc
    def _stack_global(self) -> cython.void:
        self._need(2)
        if self._is_no_string(self.stack[self.sp - 2]) or self._is_no_string(self.stack[self.sp - 1]):
            raise Stop("name is no string", -1)
        module, module_steps = self._name_operand(self.stack[self.sp - 2])
        name, name_steps = self._name_operand(self.stack[self.sp - 1])
        self.sp -= 2
        if module is None or name is None:
            self.note("computed-global", self.opcode_at)
        steps = module_steps + name_steps
        if steps:
            self.note("folded-global", self.opcode_at)
        self._push(self._import(module, name, 0x93, steps[:8]))

    @cython.cfunc
    def _is_no_string(self, value: cython.int) -> cython.bint:
        """Whether a value is known to be something that every unpickler refuses as a name."""
        tag: cython.int = self._tag(value)
        if tag == SCALAR:
            return value >> 3 != UNKNOWN_SCALAR and value >> 3 != BUFFER_SCALAR
        if tag == OBJECT:
            entry = self.objects[value >> 3]
            return isinstance(entry, Literal) and not isinstance(entry.value, (str, bytes))
        return tag == INT or (tag == NODE and self._kind(value) != RESULT_NODE)

    @cython.cfunc
    def _name_operand(self, value: cython.int) -> tuple:
        """The string an operand of STACK_GLOBAL stands for, or None, and how it was computed."""
        tag: cython.int = self._tag(value)
        if tag == TEXT or tag == BYTES:
            name = self.long_names.get(value)
            if name is None:
                name = self._name(value)
                if len(name) > 500:
                    if len(self.long_names) >= MAX_HUGE:
                        self.long_names.clear()
                    self.long_names[value] = name
            if tag == BYTES:
                self.note("bytes-as-name", self.opcode_at)
            return name, ()
        if tag == OBJECT:
            entry = self.objects[value >> 3]
            if isinstance(entry, Literal) and isinstance(entry.value, str):
                return shortened(entry.value), entry.steps
        return None, ()

    @cython.cfunc
    def _name(self, value: cython.int) -> object:
        """A string or bytes as a name; the middle of an endless one is left out."""
        at: cython.longlong = self._offset(value)
        begin: cython.longlong
        length: cython.longlong
        begin, length = self._span(at)
        code: cython.int = self.buffer[at]
        if length > 4096 and code != 0x53 and code != 0x56:
            return self._name_line(begin, begin + length)
        literal = self.literal(value)
        return shortened(literal if isinstance(literal, str) else literal.decode("utf-8", "replace"))

    @cython.cfunc
    def _extension(self, at: cython.longlong, size: cython.int) -> cython.void:
        code: cython.longlong = self._little(at, size)
        self.position = at + size
        value = self.extensions.get(code)
        if value is None:
            value = self._object(Reference("extension", f"copyreg.extension.{code}"))
            if value & 7 == OBJECT:
                self.extensions[code] = value
        self._push(value)
        self._call(0x82, value, EMPTY_TUPLE_SCALAR << 3, 0)

    @cython.cfunc
    def _call(self, code: cython.int, callee: cython.int, arguments: cython.int, push: cython.int) -> cython.void:
        """Record a call; with `push`, its result replaces the top of the stack."""
        index: cython.longlong = self._call_site(code, callee, arguments)
        node: cython.int
        if (code == 0x52 or code == 0x81) and arguments & 7 == NODE:
            node = self._kind(arguments)
            if node != TUPLE_NODE and node != RESULT_NODE:
                self.note("arguments-no-tuple", self.opcode_at)
        if self.fold is not None and self._may_fold(code, callee, arguments):
            node = self._folded(code, callee, arguments, index)
            if push and node != UNSET:
                self.site_uses[index] |= USED
                self.stack[self.sp - 1] = node
                return
        self._escape(arguments, 4)
        if not push:
            return
        node = self._node(RESULT_NODE)
        if node & 7 == NODE:
            if self._make_room(node >> 3, 4):
                self._set_result(node, cython.cast(cython.int, index), callee, arguments, UNSET)
                if self.has_carriers and (self._is_carrier(callee) or self._is_carrier(arguments)):
                    self._raise_flags(node, CARRIER)
            else:
                node = UNKNOWN_SCALAR
        self.stack[self.sp - 1] = node

    @cython.cfunc
    def _set_result(self, node: cython.int, index: cython.int, callee: cython.int, arguments: cython.int,
                    state: cython.int) -> cython.void:  # fmt: skip
        """What is known of a call's result: index of its call site, callee, arguments, BUILD state."""
        first: cython.longlong = self.node_first[node >> 3]
        self.items[first] = index
        self.items[first + 1] = callee
        self.items[first + 2] = arguments
        self.items[first + 3] = state
        self.node_meta[node >> 3] |= 4 << 9

    @cython.cfunc
    def _escape(self, value: cython.int, depth: cython.int) -> cython.void:
        """Containers within `value` were handed to something that may change them."""
        i: cython.longlong
        item: cython.int
        kind: cython.int = self._kind(value)
        if kind == 0 or kind == RESULT_NODE:
            return
        if kind != TUPLE_NODE:
            self._raise_flags(value, SHARED)
        if depth == 0:
            return
        for i in range(self._length(value)):
            item = self.items[self.node_first[value >> 3] + i]
            if item & 7 == NODE:
                self.work += 1
                if self.work > self.max_work:
                    return
                self._escape(item, depth - 1)
            elif item & 7 == OBJECT:
                self._share(item)

    @cython.cfunc
    def _share(self, value: cython.int) -> cython.void:
        """A folded list may become another one."""
        entry = self.objects[value >> 3]
        if isinstance(entry, Literal) and isinstance(entry.value, (list, dict)):
            items = entry.value if isinstance(entry.value, list) else [i for both in entry.value.items() for i in both]
            self.objects[value >> 3] = Literal(Shared(type(entry.value).__name__, items, []), entry.steps)

    @cython.cfunc
    def _call_site(self, code: cython.int, callee: cython.int, arguments: cython.int) -> cython.longlong:
        """Index of the call shape, which is counted."""
        index: object = None
        known: cython.longlong
        shape: object = None
        self.key_count = 0
        self._key(code)
        self._key_identity(callee)
        if self.work <= self.max_work:
            self._key_shape(arguments, 2)
            known = self._met()
            if known >= 0:
                self.site_counts[known] += 1
                return known
            shape = self._key_so_far(self.key_count)
            index = self.call_ids.get(shape)
            if index is not None:
                self._remember(index)
        if index is None:
            if shape is None or len(self.calls) >= self.max_calls:
                self.note("budget:calls", self.opcode_at)
                shape = self._key_so_far(2)
                index = self.call_ids.get(shape)
            if index is None and len(self.calls) >= 2 * self.max_calls:
                if len(self.calls) >= 4 * self.max_calls or not is_stdlib(self.callee_name(callee)):
                    shape = self._key_so_far(1)
                    index = self.call_ids.get(shape)
            if index is None:
                index = len(self.calls)
                self.call_ids[shape] = index
                self.calls.append(CallSite(code, callee, arguments, self.opcode_at, self.mp))
                self._count_site()
        known = index
        self.site_counts[known] += 1
        return known

    # Most calls are like one of those shortly before them, and to look among these takes no object.

    @cython.cfunc
    def _place(self) -> cython.longlong:
        """Where in `met` the key would be; -1 where it is too long, and where nothing is compiled."""
        mixed: cython.uint = 0
        i: cython.longlong
        if not cython.compiled or self.key_count > MET_WIDTH - 2:
            return -1
        for i in range(self.key_count):
            mixed = mixed * 31 + cython.cast(cython.uint, self.key[i])
        return (mixed ^ (mixed >> 15)) % MET * MET_WIDTH

    @cython.cfunc
    def _met(self) -> cython.longlong:
        """Index of the call site that has the key, if it is among those met last; else -1."""
        at: cython.longlong = self._place()
        i: cython.longlong
        if at < 0 or self.met_none or self.met[at] != self.key_count:
            return -1
        for i in range(self.key_count):
            if self.met[at + 2 + i] != self.key[i]:
                return -1
        return self.met[at + 1]

    @cython.cfunc
    def _remember(self, index: cython.longlong) -> cython.void:
        """The key is that of a call site which was met again."""
        at: cython.longlong = self._place()
        i: cython.longlong
        if at < 0:
            return
        if self.met_none:
            self.met = _numbers(MET * MET_WIDTH)
            self.met_none = False
        self.met[at] = cython.cast(cython.int, self.key_count)
        self.met[at + 1] = cython.cast(cython.int, index)
        for i in range(self.key_count):
            self.met[at + 2 + i] = self.key[i]

    @cython.cfunc
    def _count_site(self) -> cython.void:
        """Make room for what is counted of the call site that was found last."""
        size: cython.longlong
        if len(self.calls) > self.site_size:
            size = _next_size(self.site_size, len(self.calls))
            if self.site_counts_store is None:
                self.site_counts_store = _apart(self.site_counts)
                self.site_uses_store = _apart(self.site_uses)
            self.site_counts = None
            self.site_uses = None
            _lengthen(self.site_counts_store, size)
            _lengthen(self.site_uses_store, size)
            self.site_counts = self.site_counts_store
            self.site_uses = self.site_uses_store
            self.site_size = size

    # What distinguishes call sites is a list of ints, with a tag as in abstract values: SCALAR and GLOBAL are such
    # values, INT stands for any number, NODE begins a container, OBJECT is a word, TEXT the result of a call, BYTES
    # the class of a literal, FAR the tag of what cannot be called.

    @cython.cfunc
    def _key(self, part: cython.int) -> cython.void:
        size: cython.longlong
        if self.key_count >= self.key_size:
            size = _next_size(self.key_size, self.key_count + 1)
            self.key = None
            _lengthen(self.key_store, size)
            self.key = self.key_store
            self.key_size = size
        self.key[self.key_count] = part
        self.key_count += 1

    @cython.cfunc
    def _key_so_far(self, count: cython.longlong) -> object:
        if cython.compiled:
            return self.key_store[:count].tobytes()
        return tuple(self.key_store[:count])

    @cython.cfunc
    def _word(self, word: object) -> cython.int:
        """The word as a part of a key."""
        known = self.words.get(word)
        if known is None:
            known = self.words[word] = len(self.words)
        return cython.cast(cython.int, (cython.cast(cython.longlong, known) << 3) | OBJECT)

    @cython.cfunc
    def _key_identity(self, value: cython.int) -> cython.void:
        """What distinguishes callees: the import, or the call that made the object."""
        tag: cython.int = value & 7
        if self._kind(value) == RESULT_NODE:
            self._key((self.items[self.node_first[value >> 3]] << 3) | TEXT)
        elif tag == OBJECT:
            entry = self.objects[value >> 3]
            self._key(self._word(entry.kind + entry.name if isinstance(entry, Reference) else "literal"))
        elif tag == GLOBAL:
            self._key(value)
        else:
            self._key((tag << 3) | FAR)

    @cython.cfunc
    def _key_shape(self, value: cython.int, depth: cython.int) -> cython.void:
        """What distinguishes arguments: kinds, classes of strings, identities of callables, two levels deep."""
        tag: cython.int = self._tag(value)
        kind: cython.int
        flags: cython.int
        i: cython.longlong
        self.work += 1
        if tag == NODE:
            kind = self._kind(value)
            flags = self._flags(value)
            if kind == RESULT_NODE:
                self._used(value, USED)
                self._key((self.items[self.node_first[value >> 3]] << 3) | TEXT)
                return
            if flags & MANY:
                self.note("budget:calls", self.opcode_at)
            if depth == 0:
                self._key((kind << 10) | ((flags & HAS_GLOBAL) << 3) | NODE)
                if flags & HAS_GLOBAL:
                    self._key_callables(value)
                return
            self._key((1 << 20) | (kind << 10) | ((flags & (HAS_GLOBAL | HAS_RESULT | CUT)) << 3) | NODE)
            self._key(self._length(value))
            for i in range(self._length(value)):
                self._key_shape(self.items[self.node_first[value >> 3] + i], depth - 1)
        elif tag == TEXT or tag == BYTES:
            self._key((self._looks(value, tag == BYTES) << 3) | BYTES)
        elif tag == OBJECT:
            entry = self.objects[value >> 3]
            if isinstance(entry, Reference):
                self._key(self._word(entry.kind + entry.name))
            elif isinstance(entry.value, (str, bytes, bytearray)):
                self._key((self._looks(value, not isinstance(entry.value, str)) << 3) | BYTES)
            else:
                self._key(self._word(str(type(entry.value))))
        else:
            self._key(INT if tag == INT else value)

    @cython.cfunc
    def _key_callables(self, value: cython.int) -> cython.void:
        """How many distinct callables are items of a container, and which."""
        i: cython.longlong
        item: cython.int
        first: cython.longlong = self.node_first[value >> 3]
        found = []
        for i in range(self._length(value)):
            self.work += 1
            item = self.items[first + i]
            if item & 7 == OBJECT or (item & 7 == GLOBAL and item not in found):
                found.append(item)
        self._key(cython.cast(cython.int, len(found)))
        for known in found:
            self._key_identity(known)

    @cython.cfunc
    def _looks(self, value: cython.int, is_bytes: cython.bint) -> cython.int:
        """Number of the class of a literal that is an argument. One that may be a file in disguise is remembered."""
        if is_bytes and value & 7 == BYTES and self._is_noise(value):
            self.work += 4
            return BINARY
        known = self.looks.get(value)
        if known is not None:
            return known
        literal = self.objects[value >> 3].value if value & 7 == OBJECT else self.literal(value)
        self.work += 32 + (len(literal) >> 6)
        known, carries = _look_at(literal, is_bytes)
        if len(self.looks) >= 65_536:
            self.looks.clear()
        self.looks[value] = known
        if carries:
            if len(self.encoded) < self.max_children:
                self.encoded.append((value, self.opcode_at))
            else:
                self.note("budget:children", self.opcode_at)
        return known

    @cython.cfunc
    def _is_noise(self, value: cython.int) -> cython.bint:
        """Whether a look at the first bytes of a bytes literal tells that it is no text and no file in disguise.

        False for what a longer look must decide; see :func:`~.carried.may_carry` for what is asked of it here.
        """
        at: cython.longlong = self._offset(value)
        length: cython.longlong = min(self._argument_length(at), self.max_literal)
        begin: cython.longlong = self._argument_begin(at)
        end: cython.longlong
        code: cython.int
        high: cython.int = 64
        digit: cython.int
        if length < 16:
            return False
        code = self.buffer[begin]
        if _BEGINNINGS[code] or code == 0xE3 or code == 0x63:
            return False
        end = begin + min(length, 64)
        at = begin
        while True:
            if at >= end:
                return False
            code = self.buffer[at]
            if code >= 0x7F or (code < 0x20 and not 0x09 <= code <= 0x0D):
                break
            at += 1
        # the first byte that a base64 decoder makes of it is made of the first two digits
        end = begin + min(length, 512)
        for at in range(begin, end):
            digit = _DIGITS[self.buffer[at]]
            if digit < 64:
                if high < 64:
                    return not _BEGINNINGS[(high << 2 | digit >> 4) & 0xFF]
                high = digit
        return length <= 512

    @cython.cfunc
    def _may_fold(self, code: cython.int, callee: cython.int, arguments: cython.int) -> cython.bint:
        """Whether a call may have a known value, or make other calls."""
        tag: cython.int = callee & 7
        if tag == GLOBAL:
            flags: cython.int = self.import_flags[callee >> 3]
            if flags & MAKER_NAME:
                self.made = True
            if flags & FOLDED_NAME:
                return not (code == 0x81 or code == 0x92) or self.imports[callee >> 3][0] not in _FILLED_BY_INIT
        elif tag == OBJECT:
            return code not in _IMPLICIT and code != 0x82
        elif tag == NODE and (code == 0x52 or code == 0x6F):
            return True
        if not self.made or arguments & 7 != NODE:
            return False
        return self._flags(arguments) & HAS_RESULT != 0 or self._kind(arguments) == RESULT_NODE

    @cython.cfunc
    def _folded(self, code: cython.int, callee: cython.int, arguments: cython.int,
                index: cython.longlong = -1) -> cython.int:  # fmt: skip
        """Abstract value of a call that our own table can evaluate, else UNSET; records the calls that it makes."""
        before: cython.longlong = self.work
        if len(self.objects) >= MAX_OBJECTS or self.folded >= MAX_FOLDED:
            return UNSET  # what is not folded is the result of a known callee, which is as telling
        if self.work > self.max_work:
            self.note("budget:calls", self.opcode_at)
            return UNSET
        called = self.value(callee, DEPTH)
        given = self.value(arguments, DEPTH)
        if code == 0x62:
            called, given = _SETSTATE, (called, given)
        elif code in _IMPLICIT or not isinstance(called, (Reference, Instance)):
            called = _NOTHING_KNOWN
        outcome = self.fold(called, tuple(given) if isinstance(given, list) else given, code == 0x92)
        self.work += 32 + 8 * (self.work - before) + 64 * outcome.effort
        self._record_made(outcome)
        if outcome.through is not None and index >= 0:
            self.calls[index].callee = self._object(outcome.through)
        value = outcome.value
        name = self.reference(callee)[1]
        if value is None:
            return UNSET
        if isinstance(value, Extension):
            if len(self.extensions) >= MAX_PLANTED:
                self.note("budget:calls", self.opcode_at)
            else:
                self.extensions[value.code] = self._object(Reference("extension", shortened(value.name), (name,)))
            return UNSET
        if isinstance(value, Reference):
            if value.name in self.carriers:
                self.has_carriers = True
            self.folded += weight(value)
            steps = (*value.steps, name)[:8]
            return self._object(Reference(value.kind, shortened(value.name), steps, value.bound, value.keywords))
        self.folded += weight(value)
        return self._object(Literal(value, (*self._steps(arguments, 3), name)[:8]))

    @cython.cfunc
    def _record_made(self, outcome: object) -> cython.void:
        """Record the calls that a call makes in turn."""
        if outcome.cut:
            self.note("budget:calls", self.opcode_at)
        for opcode, reference, arguments in outcome.calls:
            self.folded += 256
            if len(self.objects) >= MAX_OBJECTS or self.folded >= MAX_FOLDED:
                self.note("budget:calls", self.opcode_at)
                return
            name = shortened(reference.name)
            callee: cython.int = self._object(Reference(reference.kind, name, reference.steps))
            state = arguments[0] if opcode == "BUILD" else arguments
            self._call_site(_MADE[opcode], callee, self._lifted(state, 3))

    @cython.cfunc
    def _lifted(self, value: object, depth: cython.int) -> cython.int:
        """Abstract value of a Python value that :meth:`value` gave or `fold` computed."""
        node: cython.int = UNKNOWN_SCALAR
        self.work += 16
        if self.work > self.max_work:
            return UNKNOWN_SCALAR
        if isinstance(value, Instance):
            return value.node if value.node >= 0 else UNKNOWN_SCALAR
        if isinstance(value, Reference):
            return self._object(value)
        if isinstance(value, (str, bytes, bytearray, float)):
            self.folded += len(value) if not isinstance(value, float) else 8
            return self._object(Literal(value))
        if value is None or value is True or value is False:
            return (NONE_SCALAR if value is None else TRUE_SCALAR if value else FALSE_SCALAR) << 3
        if isinstance(value, int):
            return (value << 3) | INT if -PAYLOAD_MAX <= value <= PAYLOAD_MAX else BIGINT_SCALAR << 3
        kind = value.kind if isinstance(value, Shared) else type(value).__name__
        if kind not in _NODE_KINDS:
            return UNKNOWN_SCALAR
        node = self._node(_NODE_KINDS[kind])
        items = value.items if isinstance(value, Shared) else value
        if isinstance(items, dict):
            items = [part for entry in items.items() for part in entry]
        if node & 7 == NODE and depth > 0:
            for item in items[:KEPT]:
                self.stack[self.sp] = self._lifted(item, depth - 1)
                self._add_items(node >> 3, self.sp, self.sp + 1)
        return node

    @cython.cfunc
    def _steps(self, value: cython.int, depth: cython.int) -> tuple:
        """Callables that literals inside `value` were computed with, the first eight."""
        i: cython.longlong
        steps: tuple = ()
        kind: cython.int = self._kind(value)
        if value & 7 == OBJECT:
            return self.objects[value >> 3].steps
        if kind != 0 and kind != RESULT_NODE and depth > 0:
            for i in range(self._length(value)):
                steps += self._steps(self.items[self.node_first[value >> 3] + i], depth - 1)
                if len(steps) >= 8:
                    break
        return steps

    @cython.cfunc
    def _build(self) -> cython.void:
        target: cython.int
        state: cython.int
        node: cython.int
        first: cython.longlong
        self._need(2)
        self.sp -= 1
        state = self.stack[self.sp]
        target = self.stack[self.sp - 1]
        self._call_site(0x62, target, state)
        if state & 7 < GLOBAL and state != NONE_SCALAR << 3 and self._is_falsy(state):
            self.note("falsy-state", self.opcode_at)
        if self.fold is not None:
            self._plant(target, state)
        if self._kind(target) == RESULT_NODE:
            self._used(target, BUILT)
            first = self.node_first[target >> 3]
            self.items[first + 3] = state
            if self.has_carriers and self.splice is not None and self._flags(target) & CARRIER:
                if self.work > self.max_work:
                    raise Stop("budget:calls", -1)
                self.position = self.splice(self, target, self.position)
                self.frame_end = 0
                # From here on the array is on the stack, while the memo still has what announced it.
                node = self._node(RESULT_NODE)
                if node & 7 == NODE and self._make_room(node >> 3, 4):
                    first = self.node_first[target >> 3]
                    self._set_result(node, self.items[first], self.items[first + 1], self.items[first + 2], state)
                    self.stack[self.sp - 1] = node
                return
            if self.has_carriers and self._is_carrier(state):
                self._raise_flags(target, CARRIER)
        elif target & 7 != NODE:
            self.note("build-on-" + ("global" if target & 7 in (GLOBAL, OBJECT) else "literal"), self.opcode_at)
        self._escape(state, 4)

    @cython.cfunc
    def _is_falsy(self, state: cython.int) -> cython.bint:
        """Whether a literal that is no container is false: without __setstate__, one reader goes on and one raises."""
        tag: cython.int = state & 7
        if tag == TEXT or tag == BYTES:
            return self._span(self._offset(state))[1] == 0
        return state == (FALSE_SCALAR << 3) or state == (EMPTY_TUPLE_SCALAR << 3) or state == INT

    @cython.cfunc
    def _plant(self, target: cython.int, state: cython.int) -> cython.void:
        """Follow callables that BUILD plants: on an instance, where they are called by a later opcode, or elsewhere."""
        i: cython.longlong
        if self._kind(target) == RESULT_NODE and self.planted:
            self._call_planted(target, "__setstate__", state)
        if state & 7 != NODE or self._flags(state) & HAS_GLOBAL == 0:
            return
        if target & 7 == GLOBAL or target & 7 == OBJECT or self._is_made_by_foldable(target):
            value = self._folded(0x62, target, state)
            if target & 7 == OBJECT and value & 7 == OBJECT:
                self.objects[target >> 3] = self.objects[value >> 3]
        if self._kind(target) != RESULT_NODE:
            return
        if self._kind(state) != TUPLE_NODE:
            self._plant_items(target, state)
            return
        for i in range(self._length(state)):
            self._plant_items(target, self.items[self.node_first[state >> 3] + i])

    @cython.cfunc
    def _is_made_by_foldable(self, target: cython.int) -> cython.bint:
        """Whether what a value is the result of is among `foldable`."""
        callee: cython.int
        if self._kind(target) == RESULT_NODE:
            callee = self.items[self.node_first[target >> 3] + 1]
            if callee & 7 == GLOBAL:
                return self.import_flags[callee >> 3] & FOLDED_NAME != 0
        return self.reference(target)[1] in self.foldable

    @cython.cfunc
    def _plant_items(self, target: cython.int, state: cython.int) -> cython.void:
        """Remember the callables that a dict has under names of methods that opcodes look up."""
        i: cython.longlong
        first: cython.longlong
        if self._kind(state) != DICT_NODE:
            return
        first = self.node_first[state >> 3]
        for i in range(first, first + self._length(state) - 1, 2):
            if (self.items[i + 1] & 7 == GLOBAL or self.items[i + 1] & 7 == OBJECT) and self._may_name(self.items[i]):
                name = self.value(self.items[i], 0)
                if isinstance(name, str) and name in _PLANTED:
                    if len(self.planted) >= MAX_PLANTED:
                        self.note("budget:calls", self.opcode_at)
                        return
                    self.planted[(target >> 3, name)] = self.items[i + 1]

    @cython.cfunc
    def _may_name(self, key: cython.int) -> cython.bint:
        """Whether a key may be one of the names in `_PLANTED`, by its length where its opcode gives that."""
        at: cython.longlong
        length: cython.longlong
        if key & 7 != TEXT:
            return True
        at = self._offset(key)
        if self.buffer[at] == 0x53 or self.buffer[at] == 0x56:
            return True
        length = self._argument_length(at)
        return length == 3 or length == 6 or length == 12

    @cython.cfunc
    def _call_planted(self, target: cython.int, name: object, argument: cython.int) -> cython.void:
        """Record the call of what an earlier BUILD planted on an instance under the name of a method."""
        callee = self.planted.get((target >> 3, name))
        if callee is not None:
            if name == "__setstate__":
                self.stack[self.sp] = argument
                node: cython.int = self._node(TUPLE_NODE)
                if node & 7 == NODE:
                    self._add_items(node >> 3, self.sp, self.sp + 1)
                argument = node
            kind, known, steps = self.reference(callee)
            if kind != "carrier":
                reached = self._object(Reference(kind, known, (*steps, "BUILD", name)[:8]))
                self._call_site(MADE, reached, argument)
            if self._may_fold(0x52, callee, argument):
                self._folded(0x52, callee, argument)

    @cython.cfunc
    def _used(self, value: cython.int, use: cython.int) -> cython.void:
        """Note what became of a call's result."""
        if self._kind(value) == RESULT_NODE:
            self.site_uses[self.items[self.node_first[value >> 3]]] |= use

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

    @cython.cfunc
    def _span(self, at: cython.longlong) -> tuple:
        """Offset and length of the argument of the string or bytes opcode at `at`."""
        return self._argument_begin(at), self._argument_length(at)

    @cython.cfunc
    def _argument_begin(self, at: cython.longlong) -> cython.longlong:
        code: cython.int = self.buffer[at]
        if code == 0x8C or code == 0x55 or code == 0x43:
            return at + 2
        if code == 0x58 or code == 0x54 or code == 0x42:
            return at + 5
        return at + 9 if code == 0x8D or code == 0x8E or code == 0x96 else at + 1

    @cython.cfunc
    def _argument_length(self, at: cython.longlong) -> cython.longlong:
        code: cython.int = self.buffer[at]
        if code == 0x8C or code == 0x55 or code == 0x43:
            return self.buffer[at + 1]
        if code == 0x58 or code == 0x54 or code == 0x42:
            return self._little(at + 1, 4)
        if code == 0x8D or code == 0x8E or code == 0x96:
            return self._little(at + 1, 8)
        return self.data.find(b"\n", at + 1, self.end) - at - 1

    @cython.ccall
    def literal(self, value: cython.int, limit: cython.longlong = 0) -> object:
        """The str or bytes that a TEXT, BYTES or FAR stands for, as the unpickler decodes it.

        At most `limit` bytes of it are read, by default as many as the limits have for one literal.
        """
        if limit != 0:
            return self._read_literal(value, limit)
        if value != self.read_last:  # a call is described, folded and recorded: each asks for its arguments
            self.literal_last = self._read_literal(value, self.max_literal)
            self.read_last = value
        return self.literal_last

    @cython.cfunc
    def _read_literal(self, value: cython.int, limit: cython.longlong) -> object:
        at: cython.longlong = self._offset(value)
        begin: cython.longlong = self._argument_begin(at)
        length: cython.longlong = self._argument_length(at)
        code: cython.int = self.buffer[at]
        raw = self.data[begin : begin + min(length, limit)]
        if code == 0x43 or code == 0x42 or code == 0x8E or code == 0x96:
            return raw
        if code == 0x54 or code == 0x55:
            return raw.decode("latin-1")
        if code == 0x58 or code == 0x8C or code == 0x8D:
            return raw.decode("utf-8", "replace")
        return text_line(code, bytes(raw))

    def span(self, value: cython.int):
        """(offset, length) of the bytes of a literal in the stream; of a folded one only where the stream begins."""
        if value & 7 == OBJECT:
            return self.start, 0
        return self._span(self._offset(value))

    def argument(self, value: cython.int, limit: cython.longlong):
        """A literal, folded or in the stream, of which at most `limit` bytes are read."""
        return self.objects[value >> 3].value if value & 7 == OBJECT else self.literal(value, limit)

    @cython.ccall
    def callee_name(self, value: cython.int) -> object:
        """Canonical name of a GLOBAL or resolved reference; empty for anything else."""
        if value & 7 == GLOBAL:
            return self.imports[value >> 3][0]
        if value & 7 == OBJECT:
            entry = self.objects[value >> 3]
            if isinstance(entry, Reference):
                return entry.name
        return ""

    @cython.ccall
    def reference(self, value: cython.int) -> tuple:
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
        if self._kind(value) == RESULT_NODE:
            first: cython.longlong = self.node_first[value >> 3]
            site = self.calls[self.items[first]]
            if site.opcode == 0x50 or site.opcode == 0x51:
                return ("persistent", "", ())
            callee = self.items[first + 1]
            depth = 0
            while self._kind(callee) == RESULT_NODE and depth < 8:
                callee = self.items[self.node_first[callee >> 3] + 1]
                depth += 1
            if callee & 7 == NODE:
                return ("result", "", ())
            kind, name, steps = self.reference(callee)
            return ("result" if kind != "persistent" else kind, name, steps)
        return ("literal", "", ()) if value != UNSET else ("persistent", "", ())

    def parts(self, value: cython.int):
        """(kind, abstract items, cut) of a NODE; `kind` is one of ``tuple list dict set result``."""
        first: cython.longlong = self.node_first[value >> 3]
        kinds = ("", "tuple", "list", "dict", "set", "result")
        kept = [self.items[first + i] for i in range(self._length(value))]
        return kinds[self._kind(value)], kept, self._flags(value) & (CUT | SHARED) != 0

    @cython.ccall
    def built_with(self, value: cython.int):
        """Abstract state that the result of a call was built with last."""
        return self.items[self.node_first[value >> 3] + 3]

    @cython.ccall
    def fingerprint(self, value: cython.int, depth: cython.int) -> object:
        """What :meth:`value` goes by: two values with the same one are the same; None where that is not so simple."""
        self.key_count = 0
        return self._key_so_far(self.key_count) if self._key_exactly(value, depth) else None

    @cython.cfunc
    def _key_exactly(self, value: cython.int, depth: cython.int) -> cython.bint:
        i: cython.longlong
        first: cython.longlong
        length: cython.longlong
        kind: cython.int = self._kind(value)
        self.work += 1
        if kind == 0 or depth <= 0:
            self._key(value)
            return value & 7 != OBJECT
        first = self.node_first[value >> 3]
        length = self._length(value)
        if self.key_count > 512 or (kind == RESULT_NODE and self.items[first + 1] & 7 != GLOBAL):
            return False
        self._key((kind << 10) | ((self._flags(value) & (CUT | SHARED)) << 3) | NODE)
        self._key(cython.cast(cython.int, length))
        if kind == RESULT_NODE:  # its call and what it calls are numbers that mean the same throughout the stream
            self._key(self.items[first])
            self._key(self.items[first + 1])
            return self._key_exactly(self.items[first + 2], depth - 1) and self._key_exactly(
                self.items[first + 3], depth - 1
            )
        for i in range(length):
            if not self._key_exactly(self.items[first + i], depth - 1):
                return False
        return True

    @cython.ccall
    def holds_callable(self, value: cython.int):
        """Whether a value is a callable, or a container that has one in it."""
        tag: cython.int = value & 7
        kind: cython.int = self._kind(value)
        if kind != 0:
            return kind != RESULT_NODE and self._flags(value) & HAS_GLOBAL != 0
        return tag == GLOBAL or tag == OBJECT

    def value(self, value: cython.int, depth: cython.int = 3):
        """Python value of an abstract one where it is a literal; other things become
        :class:`~.values.Reference`, :class:`~.values.Instance` or :data:`~.values.UNKNOWN`."""
        self.room = VALUES
        self.taken = 0
        return self._value(value, depth)

    @cython.cfunc
    def _value(self, value: cython.int, depth: cython.int) -> object:
        tag: cython.int = self._tag(value)
        self.room -= 1
        self.work += 3
        if tag == INT:
            return self._number(value)
        if tag == TEXT or tag == BYTES:
            if self.taken > MAX_TAKEN:
                return UNKNOWN
            literal = self.literal(value)
            self.taken += len(literal)
            self.work += len(literal) >> 6
            return bytearray(literal) if self.buffer[self._offset(value)] == 0x96 else literal
        if tag == SCALAR:
            return _SCALARS.get(value >> 3, UNKNOWN)
        if tag == GLOBAL:
            kind, name, steps = self.reference(value)
            return Reference(kind, name, steps)
        if tag == OBJECT:
            entry = self.objects[value >> 3]
            if isinstance(entry, Literal):
                if isinstance(entry.value, (list, tuple)):
                    self.room -= len(entry.value) >> 4
                    self.work += len(entry.value)
                return entry.value
            return entry
        if depth <= 0 or self.room < 0:
            return UNKNOWN
        kind, kept, cut = self.parts(value)
        if kind == "result":
            name = self.reference(value)[1]
            state = None if kept[3] == UNSET else self._value(kept[3], depth - 1)
            return Instance(name, self._value(kept[2], depth - 1), state, value)
        values = [self._value(item, depth - 1) for item in kept]
        if cut or kind == "set":
            return Shared(kind, values[:KEPT], values[KEPT:])
        if kind == "tuple":
            return tuple(values)
        if kind == "dict":
            known = {}
            for i in range(0, len(values) - 1, 2):
                if not isinstance(values[i], (str, int, bytes)):
                    return Shared(kind, values, [])  # it may be equal to any other key
                known[values[i]] = values[i + 1]
            return known
        return values


_IMPLICIT = frozenset((0x61, 0x65, 0x73, 0x75, 0x90))
"""Opcodes that fill a container, and call methods of what is none."""
_SETSTATE = Reference("global", "builtins.object.__setstate__")
_NOTHING_KNOWN = Reference("unknown", "")
_PLANTED = frozenset(("__setstate__", "append", "extend", "add"))
"""Methods that opcodes look up on an instance."""
_NODE_KINDS = {"tuple": 1, "list": 2, "dict": 3, "set": 4}
MADE = 0x100
"""Opcode of a call that another call makes."""
_MADE = {"carried": MADE, "BUILD": 0x62, "append": 0x61, "extend": 0x65, "setitem": 0x73, "add": 0x90}
_FILLED_BY_INIT = frozenset(
    ("builtins.list", "builtins.dict", "builtins.set", "builtins.bytearray", "collections.deque",
     "collections.defaultdict", "collections.OrderedDict", "threading.Thread", "threading.Timer")
)  # fmt: skip
"""Classes whose ``__new__``, which is all that NEWOBJ calls, does nothing with its arguments."""

_SCALARS = {
    NONE_SCALAR: None, TRUE_SCALAR: True, FALSE_SCALAR: False, EMPTY_TUPLE_SCALAR: (),
}  # fmt: skip
