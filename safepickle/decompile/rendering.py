"""Statements written as Python, within budgets of lines, items and characters.

Nothing that comes out holds a character that is not plainly printed: a terminal shows it as it is.
"""

from __future__ import annotations

from ..bytecode.arguments import text_at
from ..bytecode.values import Stop
from ..record import Record
from .statements import Statement
from .values import Container, Name, Result, Scalar, Text, Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from .interpreter import Decompiled
    from .reading import Reading

_LITERAL = 80
_ITEMS = 8
_DEPTH = 3
_NODES = 48
_LINE = 400
_INLINED = 72
_SETTING = 3
_OPEN = 8
_BRACKETS = {"tuple": ("(", ")"), "list": ("[", "]"), "dict": ("{", "}"), "set": ("{", "}"),
             "frozenset": ("frozenset({", "})")}  # fmt: skip


class Line(Record):
    """One line: the statement at `offset`, of which there are `count`, the last one at `last`.

    `callee` is the canonical name of what is called, where the stream names it.
    """

    opcode: str
    offset: int
    text: str
    count: int = 1
    last: int = 0
    callee: str = ""


def render(decompiled: Decompiled, reading: Reading, marked: frozenset[int]) -> list[Line]:
    """The lines of a stream, in order of execution.

    Parameters
    ----------
    decompiled
        What the stream does.
    reading
        Where its literals are.
    marked
        Offsets of statements that get a line of their own.
    """
    writer = _Writer(reading)
    inlined = _inlined(decompiled.statements, writer, marked)
    for statement in decompiled.statements:
        if statement.result is not None and statement.result.uses and id(statement) not in inlined:
            writer.variables[id(statement)] = f"v{len(writer.variables)}"
    lines: list[Line] = []
    for statement in decompiled.statements:
        if id(statement) not in inlined:
            lines += writer.lines(statement)
    lines += [
        Line("GLOBAL", offset, f"import {writer.expression(name)}", count) for name, offset, count in decompiled.imports
    ]
    lines.sort(key=lambda line: line.offset)
    if decompiled.stopped:
        lines.append(Line("", decompiled.stopped_at, f"raise UnpicklingError({decompiled.stopped!r})"))
    elif decompiled.returned is not None:
        lines += writer.returned(decompiled.returned, decompiled.stopped_at)
    return lines


def _inlined(statements: list[Statement], writer: _Writer, marked: frozenset[int]) -> set[int]:
    """Statements that are written within the next one, since nothing else uses what they return.

    Only where Python would evaluate them in the same order.
    """
    inlined = writer.inlined
    waiting: list[Statement] = []
    for statement in statements:
        seen = [result.statement for result in writer.results_in(statement)]
        for size in range(min(len(waiting), len(seen)), 0, -1):
            last = waiting[-size:]
            if [one for one in seen if one in last] == last and all(one.count == statement.count for one in last):
                for one in last:
                    inlined.add(id(one))
                del waiting[-size:]
                break
        alone = statement.result is not None and statement.result.uses == 1 and statement.offset not in marked
        if alone and len(writer.call(statement)) <= _INLINED and len(waiting) < _OPEN:
            waiting.append(statement)
        else:
            waiting.clear()
    return inlined


class _Writer:
    def __init__(self, reading: Reading) -> None:
        self.reading = reading
        self.variables: dict[int, str] = {}
        self.inlined: set[int] = set()
        self.defined: set[int] = set()
        self.before: list[Line] = []
        self.nodes = 0
        self.seen: list[Result] = []
        self.within: list[Container] = []

    # --- statements ------------------------------------------------------------------------------

    def lines(self, statement: Statement) -> Iterator[Line]:
        """The line of a statement, after those that define what it names."""
        name = self.variables.get(id(statement))
        self.nodes = _NODES
        if statement.opcode.endswith("setitem"):
            texts = self._settings(statement)
        else:
            texts = [f"{name} = {self.call(statement)}" if name else self.call(statement)]
        yield from self._definitions()
        for text in texts[:-1]:
            yield Line(statement.opcode, statement.offset, _cut(text))
        callee = statement.callee.canonical if isinstance(statement.callee, Name) else ""
        yield Line(statement.opcode, statement.offset, _cut(texts[-1]), statement.count, statement.last, callee)

    def returned(self, value: Value, offset: int) -> Iterator[Line]:
        """The line of what loading returns."""
        text = self.expression(value)
        yield from self._definitions()
        yield Line("STOP", offset, _cut(f"return {text}"))

    def _definitions(self) -> list[Line]:
        before, self.before = self.before, []
        return before

    def results_in(self, statement: Statement) -> list[Result]:
        """Results of kept statements that the line of a statement shows and nothing else uses, in that order."""
        self.seen = []
        self.call(statement)
        self.before.clear()
        self.defined.clear()
        return [result for result in self.seen if result.uses == 1 and not result.hidden]

    def call(self, statement: Statement) -> str:
        """The expression of a statement."""
        self.nodes = _NODES
        return self._call(statement)

    def _call(self, statement: Statement) -> str:
        opcode = statement.opcode.removeprefix("change ")
        if opcode == "persistent_load":
            return f"persistent_load({self._value(statement.arguments, _DEPTH)})"
        if opcode == "ext":
            return f"extension({self._value(statement.arguments, 0)})"
        callee = self._callee(statement.callee)
        if opcode in ("NEWOBJ", "NEWOBJ_EX"):
            arguments = self._arguments(statement.arguments)
            if statement.keywords is not None and not _is_empty(statement.keywords):
                arguments = [*arguments, f"**{self._value(statement.keywords, _DEPTH)}"]
            return f"{callee}.__new__({', '.join([callee, *arguments])})"
        if opcode == "BUILD":
            return f"{callee}.__setstate__({self._value(statement.arguments, _DEPTH)})"
        if opcode == "extend":
            return f"{callee}.extend([{', '.join(self._arguments(statement.arguments))}])"
        if opcode in ("append", "add"):
            return f"{callee}.{opcode}({', '.join(self._arguments(statement.arguments))})"
        if opcode == "setitem":
            return "; ".join(self._settings(statement))
        return f"{callee}({', '.join(self._arguments(statement.arguments))})"

    def _settings(self, statement: Statement) -> list[str]:
        callee = self._callee(statement.callee)
        arguments = statement.arguments
        items = arguments.items if isinstance(arguments, Container) else []
        texts = [
            f"{callee}[{self._value(key, 1)}] = {self._value(value, _DEPTH)}"
            for key, value in zip(items[: 2 * _SETTING : 2], items[1 : 2 * _SETTING : 2], strict=False)
        ]
        more = (arguments.length if isinstance(arguments, Container) else 0) // 2 - len(texts)
        if more > 0:
            texts.append(f"{callee}[...] = ...  # {more:,} more {'item' if more == 1 else 'items'}")
        return texts or [f"{callee}[...] = ...  # nothing"]

    def _arguments(self, value: Value | None) -> list[str]:
        if isinstance(value, Container) and value.kind == "tuple":
            return self._items(value, _DEPTH)
        return [f"*{self._value(value, _DEPTH)}"]

    # --- expressions -----------------------------------------------------------------------------

    def expression(self, value: Value) -> str:
        """A value as it is written where it is used."""
        self.nodes = _NODES
        return self._value(value, _DEPTH)

    def _callee(self, value: Value | None) -> str:
        text = self._value(value, 1)
        return text if isinstance(value, (Name, Result)) or text.isidentifier() else f"({text})"

    def _value(self, value: Value | None, depth: int) -> str:
        self.nodes -= 1
        if isinstance(value, Scalar):
            return value.text
        if isinstance(value, Text):
            return self._text(value)
        if isinstance(value, Name):
            return self._name(value)
        if isinstance(value, Result):
            return self._result(value)
        if isinstance(value, Container):
            return self._container(value, depth)
        return "?"

    def _text(self, value: Text) -> str:
        try:
            text, length = text_at(self.reading.data, value.offset, self.reading.end, 4 * _LITERAL)
        except Stop:
            return "'...'"
        if len(text) > _LITERAL or length > 4 * _LITERAL:
            return f"{text[: _LITERAL - 20]!r}... <{length:,} bytes>"
        return repr(text)

    def _name(self, value: Name) -> str:
        if value.text and all(part.isidentifier() and part.isascii() for part in value.text.split(".")):
            return value.text if len(value.text) <= _LITERAL else f"{value.text[:40]}...{value.text[-30:]}"
        parts = [ascii(part[:_LITERAL]) if isinstance(part, str) else self._value(part, 1)
                 for part in (value.module, value.name)]  # fmt: skip
        return f"find_class({', '.join(parts)})"

    def _result(self, value: Result) -> str:
        if not value.hidden:
            self.seen.append(value)
            if id(value.statement) in self.inlined:
                return self._call(value.statement)
            if id(value.statement) in self.variables:
                return self.variables[id(value.statement)]
        callee = value.statement.callee
        what = self._name(callee) if isinstance(callee, Name) else "result"
        if callee is None:
            what = value.statement.opcode
        return f"<{what} @{value.offset + self.reading.trace.offset}>"

    def _container(self, value: Container, depth: int) -> str:
        if not value.named:
            return self._literal(value, depth)
        offset = value.offset - self.reading.position
        name = (
            f"{value.kind}_{offset + self.reading.trace.offset}" if offset >= 0 else f"{value.kind}_of_earlier_stream"
        )
        if value not in self.within and id(value) not in self.defined:
            self.defined.add(id(value))
            self.before.append(Line("", offset, _cut(f"{name} = {self._literal(value, _DEPTH)}")))
        return name

    def _literal(self, value: Container, depth: int) -> str:
        opened, closed = _BRACKETS[value.kind]
        if not value.length:
            return {"set": "set()", "frozenset": "frozenset()"}.get(value.kind, opened + closed)
        if depth <= 0 or self.nodes <= 0 or value in self.within:
            return f"{opened}...{closed}"
        self.within.append(value)
        items = self._items(value, depth - 1)
        self.within.pop()
        alone = "," if value.kind == "tuple" and value.length == 1 else ""
        return f"{opened}{', '.join(items)}{alone}{closed}"

    def _items(self, value: Container, depth: int) -> list[str]:
        pairs = value.kind == "dict"
        shown = value.items[: 2 * _ITEMS if pairs else _ITEMS]
        texts: list[str] = []
        for item in shown:
            if self.nodes <= 0:
                break
            texts.append(self._value(item, depth))
        left = value.length - len(texts)
        if pairs:
            texts = [f"{key}: {item}" for key, item in zip(texts[::2], texts[1::2], strict=False)]
            left = value.length // 2 - len(texts)
        return [*texts, f"...{f' {left:,} more' if left > 1 else ''}"] if left > 0 else texts


def _is_empty(value: Value) -> bool:
    return isinstance(value, Container) and value.length == 0


def _cut(text: str) -> str:
    return text if len(text) <= _LINE else f"{text[: _LINE - 3]}..."
