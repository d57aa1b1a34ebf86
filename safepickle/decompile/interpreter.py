"""Executes a stream opcode by opcode on values that remember how they came about; imports and calls nothing.

Slower than :mod:`safepickle.bytecode.machine` and without its folding, but in full detail and in order: it takes the
same opcodes for the same calls, and stops where that stops.
"""

from __future__ import annotations

from time import monotonic

from ..bytecode.arguments import argument_span, text_at
from ..bytecode.opcodes import NAMES
from ..bytecode.values import Stop, text_float, text_key, text_number
from ..record import Record
from .statements import Statement, Statements, hand_on
from .values import Container, Name, Result, Scalar, Text, Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .reading import Reading

OPCODES = 20_000_000
"""Opcodes of one stream that are executed."""
SECONDS = 60.0
"""Wall time for one stream."""
_DEEPEST = 4_000_000
"""Values on the stack, and memo entries."""
_NAME = 2_048
_STEPS = 0xFFFF

_CONSTANTS = {"NONE": "None", "NEWTRUE": "True", "NEWFALSE": "False", "NEXT_BUFFER": "<buffer>"}
_TEXTS = frozenset(
    ("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES",
     "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8")
)  # fmt: skip
_EMPTY = {"EMPTY_TUPLE": "tuple", "EMPTY_LIST": "list", "EMPTY_DICT": "dict", "EMPTY_SET": "set"}
_COLLECTED = {"TUPLE": "tuple", "LIST": "list", "DICT": "dict", "FROZENSET": "frozenset"}
_FILLING = {
    # opcode: (values below the items where there is no mark, name in a Trace, container that it is made for)
    "APPEND": (1, "append", "list"), "APPENDS": (0, "extend", "list"), "SETITEM": (2, "setitem", "dict"),
    "SETITEMS": (0, "setitem", "dict"), "ADDITEMS": (0, "add", "set"),
}  # fmt: skip
_FILLED = ("list", "dict", "set", "frozenset")


class Decompiled(Record):
    """A stream as statements.

    Parameters
    ----------
    statements
        Kept statements in order of execution, each the first of its shape or one that was asked for.
    imports
        Names that are imported and used by nothing, with the offset and number of these imports.
    returned
        What loading returns; None when it does not come to that.
    stopped
        Why it ends before STOP; empty when it does not.
    stopped_at
        Offset of the opcode where it ended.
    events
        Opcode as in a Trace and offset of every call, kept or not; empty unless asked for.
    """

    statements: list[Statement]
    imports: list[tuple[Name, int, int]]
    returned: Value | None
    stopped: str
    stopped_at: int
    events: list[tuple[str, int]]


def decompile(
    reading: Reading, wanted: frozenset[int] = frozenset(), record: bool = False, seconds: float = SECONDS
) -> Decompiled:
    """What loading a stream does.

    Parameters
    ----------
    reading
        The stream, and where its bytes are.
    wanted
        Offsets in the stream of statements that are kept whatever they are like.
    record
        Whether to list every call.
    seconds
        Wall time that it may take, and little more.
    """
    return _Interpreter(reading, wanted, record, seconds).run()


class _Interpreter:
    def __init__(self, reading: Reading, wanted: frozenset[int], record: bool, seconds: float) -> None:
        self.data = reading.data
        self.end = reading.end
        self.base = reading.position
        self.gaps = reading.gaps
        self.last = reading.position + reading.trace.length
        self.reason = reading.trace.coverage.reason
        self.at = self.next = reading.start
        self.stack: list[Value] = []
        self.marks: list[int] = []
        self.memo: dict[int, Value] = {}
        self.statements = Statements(wanted)
        self.events: list[tuple[str, int]] | None = [] if record else None
        self.imports: dict[str, list[Name]] = {}
        self.first_import: dict[str, int] = {}
        self.returned: Value | None = None
        self.deadline = monotonic() + seconds

    def run(self) -> Decompiled:
        stopped = ""
        try:
            while True:
                self._stream()
                if self.at >= self.base:
                    break
                self.stack, self.marks = [], []
        except Stop as stop:
            stopped = stop.reason
        unused = [
            (names[0], self.first_import[text], len(names))
            for text, names in self.imports.items()
            if self.first_import[text] >= 0 and not any(name.used for name in names)
        ]
        return Decompiled(
            self.statements.kept, unused, self.returned, stopped, self.at - self.base, self.events or [],
        )  # fmt: skip

    def _stream(self) -> None:
        executed = 0
        while True:
            self.at = at = self.next
            if at >= self.end:
                raise Stop("truncated", at)
            if at > self.last:
                raise Stop(self.reason, at)  # the scan knew something that shows only when names are computed
            executed += 1
            if executed & _STEPS == 0:
                if executed > OPCODES or monotonic() > self.deadline:
                    raise Stop("budget:opcodes", at)
                if len(self.stack) > _DEEPEST or len(self.memo) > _DEEPEST:
                    raise Stop("budget:stack", at)
            begin, behind, self.next = argument_span(self.data, at, self.end)
            name = NAMES[self.data[at]]
            if name in _TEXTS:
                self.stack.append(Text(at))
            elif name == "STOP":
                self._need(1)
                value = self.stack.pop()
                if at >= self.base:
                    hand_on(value)
                    self.returned = value
                return
            elif name in _FILLING:
                self._fill(name)
            elif name in _EMPTY:
                self.stack.append(Container(_EMPTY[name], at))
            elif name in _COLLECTED:
                self._collect(_COLLECTED[name], self._pop_mark())
            elif name in _CONSTANTS:
                self.stack.append(Scalar(_CONSTANTS[name]))
            else:
                handler = _HANDLERS.get(name)
                if handler is not None:
                    handler(self, name, begin, behind)

    # --- stack -----------------------------------------------------------------------------------

    @property
    def fence(self) -> int:
        return self.marks[-1] if self.marks else 0

    def _need(self, count: int) -> None:
        if len(self.stack) - count < self.fence:
            raise Stop("stack underflow", self.at)

    def _pop_mark(self) -> int:
        if not self.marks:
            raise Stop("no mark", self.at)
        return self.marks.pop()

    def _mark(self, _name: str, _begin: int, _behind: int) -> None:
        self.marks.append(len(self.stack))

    def _pop(self, _name: str, _begin: int, _behind: int) -> None:
        if self.marks and self.marks[-1] == len(self.stack):
            self.marks.pop()
            return
        self._need(1)
        self.stack.pop()

    def _pop_to_mark(self, _name: str, _begin: int, _behind: int) -> None:
        del self.stack[self._pop_mark() :]

    def _top(self, _name: str, _begin: int, _behind: int) -> None:
        self._need(1)

    def _dup(self, _name: str, _begin: int, _behind: int) -> None:
        self._need(1)
        self.stack.append(self.stack[-1])

    def _tuple(self, name: str, _begin: int, _behind: int) -> None:
        size = int(name[-1])
        self._need(size)
        self._collect("tuple", len(self.stack) - size)

    def _collect(self, kind: str, first: int) -> None:
        container = Container(kind, self.at)
        container.put(self.stack[first:])
        self.stack[first:] = [container]

    # --- memo ------------------------------------------------------------------------------------

    def _key(self, name: str, begin: int, behind: int) -> int:
        if name in ("GET", "PUT"):
            try:
                return text_key(bytes(self.data[begin : min(behind, begin + 8192)]))
            except ValueError:
                raise Stop("bad number", self.at) from None
        return int.from_bytes(self.data[begin:behind], "little")

    def _put(self, name: str, begin: int, behind: int) -> None:
        key = len(self.memo) if name == "MEMOIZE" else self._key(name, begin, behind)
        self._need(1)
        if key < 0:
            raise Stop("negative memo key", self.at)
        self.memo[key] = self.stack[-1]

    def _get(self, name: str, begin: int, behind: int) -> None:
        value = self.memo.get(self._key(name, begin, behind))
        if value is None:
            raise Stop("unset memo key", self.at)
        self.stack.append(value)

    # --- literals --------------------------------------------------------------------------------

    def _number(self, name: str, begin: int, behind: int) -> None:
        raw = bytes(self.data[begin : min(behind, begin + 8192)])
        if name in ("INT", "LONG"):
            try:
                value = text_number(self.data[self.at], raw)
            except ValueError:
                raise Stop("bad number", self.at) from None
            text = str(value) if value is not None else "<a long number>"
        else:
            text = str(int.from_bytes(raw, "little", signed=name in ("BININT", "LONG1", "LONG4")))
            if len(raw) < behind - begin:
                text = "<a long number>"
        self.stack.append(Scalar(text if len(text) <= 40 else f"{text[:37]}..."))

    def _float(self, name: str, begin: int, behind: int) -> None:
        if name == "BINFLOAT":
            from struct import unpack

            text = repr(unpack(">d", self.data[begin:behind])[0])
        else:
            raw = bytes(self.data[begin : min(behind, begin + 8192)])
            try:
                text_float(raw)
            except ValueError:
                raise Stop("bad number", self.at) from None
            text = ascii(raw[:40].decode("latin-1"))[1:-1]
        self.stack.append(Scalar(text))

    # --- imports and calls -----------------------------------------------------------------------

    def _import(self, module: str | Value, attribute: str | Value) -> Name:
        name = Name(module, attribute)
        text = name.text
        if text:
            names = self.imports.setdefault(text, [])
            if not names:
                self.first_import[text] = self.at - self.base
            if len(names) < 64:
                names.append(name)
        for part in (module, attribute):
            if isinstance(part, Value):
                hand_on(part)
        return name

    def _lines(self, begin: int, behind: int) -> Name:
        module, _, attribute = bytes(self.data[begin : min(behind, begin + 2 * _NAME)]).partition(b"\n")
        return self._import(module.decode("utf-8", "replace"), attribute.decode("utf-8", "replace"))

    def _global(self, _name: str, begin: int, behind: int) -> None:
        self.stack.append(self._lines(begin, behind))

    def _stack_global(self, _name: str, _begin: int, _behind: int) -> None:
        self._need(2)
        if any(_is_no_string(value) for value in self.stack[-2:]):
            raise Stop("name is no string", self.at)
        attribute, module = self._operand(self.stack.pop()), self._operand(self.stack.pop())
        self.stack.append(self._import(module, attribute))

    def _operand(self, value: Value) -> str | Value:
        if not isinstance(value, Text):
            return value
        text = text_at(self.data, value.offset, self.end, _NAME)[0]
        return text if isinstance(text, str) else text.decode("utf-8", "replace")

    def _statement(self, opcode: str, callee: Value | None, arguments: Value | None, keywords: Value | None = None,
                   returns: bool = True) -> Result | None:  # fmt: skip
        offset = self.at - self.base
        if self.events is not None and offset >= 0 and opcode != "change":
            self.events.append((opcode, offset))
        statement = Statement(opcode, offset, callee, arguments, keywords)
        if offset < 0:  # of an earlier stream, whose memo is all that matters
            return Result(statement, offset, True) if returns else None
        return self.statements.add(statement, returns)

    def _push_result(self, opcode: str, callee: Value | None, arguments: Value | None,
                     keywords: Value | None = None) -> None:  # fmt: skip
        result = self._statement(opcode, callee, arguments, keywords)
        if result is not None:
            self.stack.append(result)

    def _reduce(self, name: str, _begin: int, _behind: int) -> None:
        self._need(2)
        arguments = self.stack.pop()
        self._push_result(name, self.stack.pop(), arguments)

    def _new_with_keywords(self, name: str, _begin: int, _behind: int) -> None:
        self._need(3)
        keywords, arguments = self.stack.pop(), self.stack.pop()
        self._push_result(name, self.stack.pop(), arguments, keywords)

    def _obj(self, name: str, _begin: int, _behind: int) -> None:
        first = self._pop_mark()
        if first >= len(self.stack):
            raise Stop("stack underflow", self.at)
        self._collect("tuple", first + 1)
        arguments = self.stack.pop()
        self._push_result(name, self.stack.pop(), arguments)

    def _inst(self, name: str, begin: int, behind: int) -> None:
        callee = self._lines(begin, behind)
        self._collect("tuple", self._pop_mark())
        self._push_result(name, callee, self.stack.pop())
        if self.next == self.end and self.data[self.end - 1 : self.end] != b"\n":
            raise Stop("truncated", self.at)

    def _build(self, _name: str, _begin: int, _behind: int) -> None:
        self._need(2)
        state = self.stack.pop()
        self._statement("BUILD", self.stack[-1], state, returns=False)
        self.next = self.gaps.get(self.next, self.next)

    def _persistent(self, name: str, _begin: int, _behind: int) -> None:
        if name == "PERSID":
            self.stack.append(Text(self.at))
        self._need(1)
        self._push_result("persistent_load", None, self.stack.pop())

    def _extension(self, _name: str, begin: int, behind: int) -> None:
        code = int.from_bytes(self.data[begin:behind], "little")
        self._push_result("ext", None, Scalar(str(code)))

    def _fill(self, name: str) -> None:
        below, opcode, kind = _FILLING[name]
        if below:
            self._need(1 + below)
            first = len(self.stack) - below
        else:
            first = self._pop_mark()
            if first <= self.fence:
                raise Stop("stack underflow", self.at)
        target, items = self.stack[first - 1], self.stack[first:]
        del self.stack[first:]
        if isinstance(target, Container) and target.kind in _FILLED:
            if target.kind == kind and not target.handed:
                target.put(items)
                return
            target.named = True
            opcode = f"change {opcode}"
        arguments = Container("tuple", self.at)
        arguments.put(items)
        if opcode.startswith("change "):
            if self.at >= self.base:
                self.statements.add(Statement(opcode, self.at - self.base, target, arguments), returns=False)
        else:
            self._statement(opcode, target, arguments, returns=False)


def _is_no_string(value: Value) -> bool:
    return isinstance(value, Container) or (isinstance(value, Scalar) and value.text != "<buffer>")


_HANDLERS = {
    "MARK": _Interpreter._mark, "POP": _Interpreter._pop, "POP_MARK": _Interpreter._pop_to_mark,
    "DUP": _Interpreter._dup, "TUPLE1": _Interpreter._tuple, "TUPLE2": _Interpreter._tuple,
    "TUPLE3": _Interpreter._tuple, "PUT": _Interpreter._put, "BINPUT": _Interpreter._put,
    "LONG_BINPUT": _Interpreter._put, "MEMOIZE": _Interpreter._put, "GET": _Interpreter._get,
    "BINGET": _Interpreter._get, "LONG_BINGET": _Interpreter._get, "INT": _Interpreter._number,
    "LONG": _Interpreter._number, "BININT": _Interpreter._number, "BININT1": _Interpreter._number,
    "BININT2": _Interpreter._number, "LONG1": _Interpreter._number, "LONG4": _Interpreter._number,
    "FLOAT": _Interpreter._float, "BINFLOAT": _Interpreter._float, "GLOBAL": _Interpreter._global,
    "STACK_GLOBAL": _Interpreter._stack_global, "REDUCE": _Interpreter._reduce, "NEWOBJ": _Interpreter._reduce,
    "NEWOBJ_EX": _Interpreter._new_with_keywords, "OBJ": _Interpreter._obj, "INST": _Interpreter._inst,
    "BUILD": _Interpreter._build, "PERSID": _Interpreter._persistent, "BINPERSID": _Interpreter._persistent,
    "EXT1": _Interpreter._extension, "EXT2": _Interpreter._extension, "EXT4": _Interpreter._extension,
    "READONLY_BUFFER": _Interpreter._top,
}  # fmt: skip
"""What executes an opcode that :meth:`_Interpreter._stream` does not; those that are in neither change nothing."""
