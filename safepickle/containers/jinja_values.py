"""What expressions of a Jinja template come to, as far as the template itself says: symbolically, rendering nothing."""

from __future__ import annotations

import builtins
import types

from ..record import Record
from .program import Unreadable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    Enter = Callable[[str, list["Value | None"], dict[str, "Value | None"]], "Value | None"]

DEEPEST = 200
"""Levels of statements and expressions that are followed."""

GIVEN, REACHED, TELLING = 0, 1, 2
"""How far a value gets: no further than what the template is given; to what a computed or a private name leads to, told
once it is called; to what is behind a name that only Python's own machinery has, which is told."""

_OWN = frozenset(("range", "dict", "super"))
"""Names of Python's own that mean something of Jinja's."""
_PYTHON = frozenset((*(name for name in dir(builtins) if name[0].islower()), "__import__")) - _OWN
_BUILTINS = "__builtins__"
_OPERATORS = {
    "Add": "add", "Sub": "sub", "Mul": "mul", "Div": "truediv", "FloorDiv": "floordiv", "Mod": "mod", "Pow": "pow",
}  # fmt: skip
_METHODS = frozenset(("lower", "upper", "replace", "title", "capitalize"))
_SAME = frozenset(("string", "safe", "escape", "e", "forceescape", "default", "d", "trim"))
_SHORTEST_HIDDEN = 5
_FRAMES = types.FrameType, types.GeneratorType, types.CoroutineType, types.AsyncGeneratorType, types.CodeType
_INNER = frozenset(name for kind in _FRAMES for name in dir(kind) if name[0] != "_" and "_" in name)
"""Attributes of what runs, such as ``gi_frame`` of a generator: they lead to everything, as hidden names do."""
_OF_FRAMES = {"f_globals": "__globals__", "f_locals": "__globals__", "f_builtins": "__builtins__"}
_BY_ATTRIBUTE = frozenset(
    ("map", "select", "reject", "selectattr", "rejectattr", "groupby", "sort", "unique", "sum", "min", "max", "join")
)
"""Filters that may be given the name of an attribute."""


class Value(Record):
    """What an expression comes to; where there is none, it is something that the template is given.

    Parameters
    ----------
    kind
        ``literal``, ``global`` (module, name), ``call`` (callee, then arguments), ``tuple`` or ``list``.
    parts
        What it is made of; None in place of what the template is given.
    level
        :data:`GIVEN`, :data:`REACHED` or :data:`TELLING`.
    hides
        Whether it is, or holds, a name that only Python's own machinery has.
    """

    kind: str
    parts: tuple[Any, ...]
    level: int = GIVEN
    hides: bool = False


_OBJECT = Value("global", ("jinja2.runtime", "Undefined"))
"""Stands for an object that a template is given, where it gets at what is behind that."""
UNKNOWN_TEXT = Value("call", (Value("global", ("jinja2.runtime", "str_join")), None))
"""Text that is made while a template is rendered."""


def literal(value: Any) -> Value:
    """A value that stands in the template."""
    return Value("literal", (value,), GIVEN, _is_hidden(value))


def call(module: str, name: str, *arguments: Value | None, level: int = GIVEN) -> Value:
    """What a function returns."""
    return Value("call", (Value("global", (module, name)), *arguments), max(level, highest(arguments)))


def highest(values: Iterable[Value | None]) -> int:
    """The level of what is made of values."""
    return max((value.level for value in values if value is not None), default=GIVEN)


def _is_number(value: Value | None) -> bool:
    return value is not None and value.kind == "literal" and isinstance(value.parts[0], (int, float))


def _is_numeric(operation: str, first: Value | None, second: Value | None) -> bool:
    """Whether an operation gives a number, which is no name: a text may be repeated or filled in by one."""
    if operation == "mul":
        return all(value is None or _is_number(value) for value in (first, second))
    if operation == "mod":
        return _is_number(first) or (first is None and _is_number(second))
    return _is_number(first) or _is_number(second)


def hiding(values: Iterable[Value | None]) -> bool:
    """Whether any of some values hides a name."""
    return any(value is not None and value.hides for value in values)


def rank(value: Value | None) -> int:
    """How much an expression could come to; of those that a variable may stand for, the one that could most counts."""
    if value is None:
        return 0
    if value.level:
        return 3 + value.level
    return 3 if value.hides else 1 if value.kind == "literal" else 2


def item(owner: Value | None, index: int) -> Value | None:
    """One of the items of a value."""
    if owner is not None and owner.kind in ("tuple", "list") and -len(owner.parts) <= index < len(owner.parts):
        part: Value | None = owner.parts[index]
        return part
    return None if owner is None else call("operator", "getitem", owner, literal(index))


def _method(owner: Value, name: str, *arguments: Value | None) -> Value:
    callee = call("builtins", "getattr", owner, literal(name))
    return Value("call", (callee, *arguments), max(callee.level, highest(arguments)))


def _is_hidden(name: Any) -> bool:
    """Whether a name, or one in a path of names, is of Python's own machinery."""
    return isinstance(name, str) and any(
        part in _INNER or (len(part) >= _SHORTEST_HIDDEN and part.startswith("__") and part.endswith("__"))
        for part in name.split(".")
    )


def is_expression(node: Any) -> bool:
    """Whether a node of Jinja's tree is an expression."""
    return any(base.__name__ == "Expr" for base in type(node).__mro__)


class Evaluator:
    """Values of expressions.

    Parameters
    ----------
    tell
        Called with each telling value that becomes part of no other.
    enter
        Called with the name of what is called and the values that it is given, by position and by name; returns what
        comes of it where it is a macro.
    private
        Attributes that objects of Jinja keep for themselves, such as the environment.

    Attributes
    ----------
    names
        What variables were set to; ``name.attribute`` for those of a namespace.
    """

    def __init__(self, tell: Callable[[Value], None], enter: Enter, private: frozenset[str]) -> None:
        self._tell = tell
        self._private = private
        self._enter = enter
        self.names: dict[str, Value | None] = {}

    def root(self, node: Any, depth: int) -> Value | None:
        """Value of an expression that stands for itself; told if it is telling."""
        value = self.value(node, depth)
        self._drop(value)
        return value

    def value(self, node: Any, depth: int) -> Value | None:
        """What an expression comes to; None where that is only known when it is rendered.

        Raises
        ------
        Unreadable
            When it is too deep.
        """
        if depth > DEEPEST:
            raise Unreadable(f"more than {DEEPEST} levels")
        name = type(node).__name__
        known: Callable[[Any, int], Value | None] | None = getattr(self, f"_of_{name.lower()}", None)
        if known is not None:
            return known(node, depth + 1)
        if name in _OPERATORS:
            return self._operation(_OPERATORS[name], node, depth + 1)
        self._drop(*[self.value(child, depth + 1) for child in node.iter_child_nodes() if is_expression(child)])
        return None

    def _drop(self, *values: Value | None) -> None:
        """Tell what is lost for what it is a part of."""
        for value in values:
            if value is not None and value.level == TELLING:
                self._tell(value)

    def _of_const(self, node: Any, _depth: int) -> Value | None:
        return literal(node.value)

    def _of_name(self, node: Any, _depth: int) -> Value | None:
        if node.name in self.names:
            return self.names[node.name]
        return Value("global", ("builtins", "__dict__"), TELLING) if node.name == _BUILTINS else None

    def _of_tuple(self, node: Any, depth: int) -> Value | None:
        return self._items("tuple", node.items, depth)

    def _of_list(self, node: Any, depth: int) -> Value | None:
        return self._items("list", node.items, depth)

    def _of_dict(self, node: Any, depth: int) -> Value | None:
        """A mapping as what one gets by iterating over it: its keys."""
        values = [self.value(pair.value, depth) for pair in node.items]
        self._drop(*values)
        keys = self._items("list", [pair.key for pair in node.items], depth)
        return keys if keys is None or not hiding(values) else keys.replace(hides=True)

    def _of_concat(self, node: Any, depth: int) -> Value | None:
        items = self._items("list", node.nodes, depth)
        return UNKNOWN_TEXT if items is None else _method(literal(""), "join", items)

    def _of_condexpr(self, node: Any, depth: int) -> Value | None:
        self.root(node.test, depth)
        return self._either(
            self.value(node.expr1, depth), None if node.expr2 is None else self.value(node.expr2, depth)
        )

    def _of_or(self, node: Any, depth: int) -> Value | None:
        return self._either(self.value(node.left, depth), self.value(node.right, depth))

    _of_and = _of_or

    def _either(self, first: Value | None, second: Value | None) -> Value | None:
        if rank(second) > rank(first):
            first, second = second, first
        self._drop(second)
        return first

    def _of_getattr(self, node: Any, depth: int) -> Value | None:
        if type(node.node).__name__ == "Name" and f"{node.node.name}.{node.attr}" in self.names:
            return self.names[f"{node.node.name}.{node.attr}"]
        return self._attribute(self.value(node.node, depth), literal(node.attr))

    def _of_getitem(self, node: Any, depth: int) -> Value | None:
        if type(node.node).__name__ == "Name" and type(node.arg).__name__ == "Const":
            path = f"{node.node.name}.{node.arg.value}"
            if path in self.names:
                return self.names[path]
        owner = self.value(node.node, depth)
        if type(node.arg).__name__ == "Slice":
            ends = (node.arg.start, node.arg.stop, node.arg.step)
            parts = [None if part is None else self.value(part, depth) for part in ends]
            return None if owner is None else call("operator", "getitem", owner, call("builtins", "slice", *parts))
        key = self.value(node.arg, depth)
        if key is not None and (key.kind != "literal" or isinstance(key.parts[0], str)):
            return self._attribute(owner, key)
        if owner is None or (key is None and owner.level == GIVEN and not owner.hides):
            return None
        return call("operator", "getitem", owner, key)

    def _attribute(self, owner: Value | None, name: Value | None) -> Value | None:
        """What an object has by a name."""
        computed = name is None or name.kind != "literal"
        known = name.parts[0] if name is not None and name.kind == "literal" else None
        hidden = _is_hidden(known)
        private = known in self._private
        if owner is None and not (computed or hidden or private):
            return None
        level = TELLING if hidden else REACHED if computed or private else GIVEN
        name = literal(_OF_FRAMES[known]) if hidden and known in _OF_FRAMES else name
        return call("builtins", "getattr", owner or _OBJECT, name, level=level)

    def _of_call(self, node: Any, depth: int) -> Value | None:
        named = node.node.name if type(node.node).__name__ == "Name" else ""
        callee = self.value(node.node, depth)
        by_place = [self.value(argument, depth) for argument in node.args]
        by_name = {pair.key: self.value(pair.value, depth) for pair in node.kwargs}
        unpacked = [self.value(part, depth) for part in (node.dyn_args, node.dyn_kwargs) if part is not None]
        arguments = [*by_place, *by_name.values(), *unpacked]
        if callee is None and named in _PYTHON:
            level = TELLING if all(argument is not None for argument in arguments) else GIVEN
            return call("builtins", named, *arguments, level=level)
        if callee is None:
            self._drop(*arguments)
            if named == "dict":
                return Value(
                    "list",
                    tuple(literal(key) for key in by_name),
                    GIVEN,
                    hiding(arguments) or hiding(map(literal, by_name)),
                )
            found = self._enter(named, by_place + unpacked, by_name)
            return Value("call", (_OBJECT, *arguments)) if found is None and hiding(arguments) else found
        level = TELLING if callee.level else highest(arguments)
        return Value("call", (callee, *arguments), level)

    def _of_filter(self, node: Any, depth: int) -> Value | None:
        given = [self.value(argument, depth) for argument in (*node.args, *(pair.value for pair in node.kwargs))]
        base = None if node.node is None else self.value(node.node, depth)
        if node.name == "attr":
            return self._attribute(base, given[0] if given else None)
        hidden = [name for name in given if name is not None and name.kind == "literal" and _is_hidden(name.parts[0])]
        if hidden:
            return self._attribute(item(base, 0), hidden[0])
        computed = [name for name in given if name is not None and name.kind != "literal"]
        if computed and node.name in _BY_ATTRIBUTE and (node.name != "join" or len(given) > 1):
            return self._attribute(item(base, 0), computed[-1])
        if node.name in ("join", "format"):
            return self._built(node.name, base, given)
        if base is None:
            self._drop(*given)
            return None
        return self._filtered(node.name, base, given)

    def _built(self, name: str, base: Value | None, given: list[Value | None]) -> Value | None:
        """A text that a filter makes."""
        if base is None:
            return UNKNOWN_TEXT
        if name == "join":
            return _method((given or [None])[0] or literal(""), "join", base)
        return call("operator", "mod", base, Value("tuple", tuple(given), highest(given)))

    def _filtered(self, name: str, base: Value, given: list[Value | None]) -> Value | None:
        if name in _METHODS:
            return _method(base, name, *given)
        if name == "list":
            return base if base.kind == "list" else call("builtins", "list", base)
        if name in ("first", "last"):
            return item(base, 0 if name == "first" else -1)
        if name == "reverse":
            return call("operator", "getitem", base, call("builtins", "slice", None, None, literal(-1)))
        self._drop(*given)
        return base if name in _SAME or base.level else call("jinja2.filters", f"do_{name}", base)

    def _operation(self, name: str, node: Any, depth: int) -> Value | None:
        first, second = self.value(node.left, depth), self.value(node.right, depth)
        if _is_numeric(name, first, second):
            self._drop(first, second)
            return None
        if first is not None and second is not None:
            return call("operator", name, first, second)
        self._drop(first, second)
        return None if first is None and second is None else UNKNOWN_TEXT

    def _items(self, kind: str, nodes: list[Any], depth: int) -> Value | None:
        items = [self.value(node, depth) for node in nodes]
        level = highest(items)
        if level == GIVEN and not hiding(items) and any(part is None for part in items):
            return None
        return Value(kind, tuple(items), level, hiding(items))
