"""What lies on the stack of the decompiler: values by how they came about."""

from __future__ import annotations

from ..bytecode.names import canonical

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .statements import Statement

KEPT = 32
"""Items of one container that are remembered."""


class Value:
    """Anything on the stack."""

    __slots__ = ()


class Text(Value):
    """A string or bytes; what it says is read from the opcode at `offset` when it is shown."""

    __slots__ = ("offset",)

    def __init__(self, offset: int) -> None:
        self.offset = offset


class Scalar(Value):
    """A number, a truth value, None or a buffer, as it is written."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text


class Name(Value):
    """A global; `module` and `name` are values where the file computes them."""

    __slots__ = ("module", "name", "used")

    def __init__(self, module: str | Value, name: str | Value) -> None:
        self.module = module
        self.name = name
        self.used = False

    @property
    def text(self) -> str:
        """Dotted name; empty when it is computed."""
        if isinstance(self.module, str) and isinstance(self.name, str):
            return f"{self.module}.{self.name}"
        return ""

    @property
    def canonical(self) -> str:
        """Dotted name in the spelling of Python 3; empty when it is computed."""
        if isinstance(self.module, str) and isinstance(self.name, str):
            return canonical(self.module, self.name)
        return ""


class Container(Value):
    """A tuple, list, dict, set or frozenset; `items` of a dict are keys and values in turn.

    Once it was `handed` to something, what is put into it later is a statement of its own, and it is `named`.
    """

    __slots__ = ("handed", "items", "kind", "length", "named", "offset", "shown")

    def __init__(self, kind: str, offset: int) -> None:
        self.kind = kind
        self.offset = offset
        self.items: list[Value] = []
        self.length = 0
        self.handed = False
        self.named = False
        self.shown = False

    def put(self, values: list[Value]) -> None:
        """Add items; of many only the first are remembered."""
        self.length += len(values)
        room = max(0, KEPT - len(self.items))
        self.items.extend(values[:room])
        for value in values[room:]:
            mark_used(value)


class Result(Value):
    """What the call at `offset` returned; `statement` is the first of its shape, itself unless `hidden`."""

    __slots__ = ("hidden", "offset", "statement", "uses")

    def __init__(self, statement: Statement, offset: int, hidden: bool) -> None:
        self.statement = statement
        self.offset = offset
        self.hidden = hidden
        self.uses = 0


def mark_used(value: Value | None) -> None:
    """Note that something uses a value, and what is directly in it, where that will not be shown."""
    pending = [value, *value.items] if isinstance(value, Container) and not value.handed else [value]
    for one in pending:
        if isinstance(one, Result):
            one.uses += 2
        elif isinstance(one, Name):
            one.used = True
