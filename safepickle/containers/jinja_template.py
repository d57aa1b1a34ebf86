"""Jinja: what rendering a template does, as chat templates of language models are, told as the pickle that would do it.

A template computes with what it is given, and gets at everything else of Python only by attributes whose names begin
with underscores, by names of Python's own functions, or by names that it computes. Expressions that do are told, each
with all that it is made of; those that only read what they are given are not. Told is what rendering without a sandbox
would do. The parser is Jinja's own (extra ``templates``), which runs nothing; see ``jinja2.nodes``.
"""

from __future__ import annotations

import builtins

from ..record import Record
from .program import Program, Unreadable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ..bytecode.trace import Place
    from .survey import Survey

LONGEST = 256 << 10
"""Characters of a template that is read."""
_MOST_OPCODES = 1 << 20
_DEEPEST = 200
_OTHERS = frozenset(("Include", "Import", "FromImport", "Extends"))
"""Statements that bring other templates in."""
_OWN = frozenset(("range", "dict", "super"))
"""Names of Python's own that mean something of Jinja's."""
_PYTHON = frozenset((*(name for name in dir(builtins) if name[0].islower()), "__import__")) - _OWN
_BUILTINS = "__builtins__"
_OPERATORS = {
    "Add": "add", "Sub": "sub", "Mul": "mul", "Div": "truediv", "FloorDiv": "floordiv", "Mod": "mod", "Pow": "pow",
}  # fmt: skip
_METHODS = frozenset(("lower", "upper", "replace", "title", "capitalize", "format_map"))
_SAME = frozenset(("string", "safe", "escape", "e", "forceescape", "default", "d", "trim"))


class Value(Record):
    """What an expression comes to, as far as the template itself says.

    Parameters
    ----------
    kind
        ``literal``, ``global`` (module, name), ``call`` (callee, then arguments), ``tuple`` or ``list``.
    parts
        What it is made of; None in place of what the template is given.
    telling
        Whether it gets at more than it is given.
    """

    kind: str
    parts: tuple[Any, ...]
    telling: bool = False


_GIVEN = Value("global", ("jinja2.runtime", "Undefined"))
"""Stands for an object that a template is given, where it gets at what is behind that."""


def read(text: str, place: Place, survey: Survey, alone: bool) -> None:
    """Tell what a template does; what cannot be read leaves a file that holds nothing else incomplete."""
    note = survey.fail if alone else survey.odd
    try:
        from jinja2 import TemplateSyntaxError
    except ImportError:
        note(
            "decoder-missing",
            place,
            0,
            "templates are read with the extra `templates`: pip install 'safepickle-ml[templates]'",
        )
        return
    if len(text) > LONGEST:
        note("unsupported-format", place, 0, f"a template of more than {LONGEST >> 10} kB is not read")
        return
    program = JinjaTemplate()
    try:
        program.statement(_parse(text), 0)
    except TemplateSyntaxError as error:
        note(
            "unsupported-format",
            place,
            0,
            f"a template of another kind, or damaged: line {error.lineno}: {error.message}",
        )
    except Unreadable as error:
        note("unsupported-format", place, 0, f"the template cannot be read: {error}")
    except RecursionError:
        note("budget:depth", place)
    if not program.alone:
        note("unsupported-format", place, 0, "the template brings in another one, which is not in the file")
    if program.tells:
        program.tell(place, survey)


def _parse(text: str) -> Any:
    """The tree of a template, with the statements that chat templates of transformers may use."""
    from jinja2 import Environment
    from jinja2.ext import ExprStmtExtension, Extension, InternationalizationExtension, LoopControlExtension

    class Generation(Extension):
        tags = frozenset(("generation",))  # type: ignore[assignment]

        def parse(self, parser: Any) -> Any:
            next(parser.stream)
            return parser.parse_statements(("name:endgeneration",), drop_needle=True)

    known = (ExprStmtExtension, LoopControlExtension, InternationalizationExtension, Generation)
    return Environment(extensions=known).parse(text)


class JinjaTemplate(Program):
    """The expressions of one template that get at more than they are given.

    Attributes
    ----------
    tells
        Whether there were any.
    alone
        Whether it brings in no other template.
    """

    step = "jinja"

    def __init__(self) -> None:
        super().__init__()
        self.tells = False
        self.alone = True
        self._set: dict[str, Value | None] = {}

    def tell(self, place: Place, survey: Survey) -> None:
        """Add them; what they came to was dropped."""
        self.opcodes += b"N"
        super().tell(place, survey)

    def statement(self, node: Any, depth: int) -> None:
        """Follow a statement and those in it, in the order of the text.

        Raises
        ------
        Unreadable
            When the template is too deep or comes to too much.
        """
        name = type(node).__name__
        if depth > _DEEPEST:
            raise Unreadable(f"more than {_DEEPEST} levels")
        self.alone = self.alone and name not in _OTHERS
        if name == "Assign" and type(node.target).__name__ == "Name":
            self._set[node.target.name] = self._root(node.node, depth)
            return
        if name == "For":
            over = self._root(node.iter, depth)
            if type(node.target).__name__ == "Name":
                self._set[node.target.name] = None if over is None else _call("operator", "getitem", over, _literal(0))
        for child in node.iter_child_nodes():
            if name == "For" and child in (node.iter, node.target):
                continue
            if _is_expression(child):
                self._root(child, depth)
            else:
                self.statement(child, depth + 1)

    def _root(self, node: Any, depth: int) -> Value | None:
        """Value of an expression of which nothing else is made; told if it is telling."""
        value = self._value(node, depth + 1)
        self._drop(value)
        return value

    def _drop(self, *values: Value | None) -> None:
        """Tell what is lost for what it is a part of."""
        for value in values:
            if value is not None and value.telling:
                self._write(value, 0)
                self.opcodes += b"0"
                self.tells = True

    def _write(self, value: Value | None, depth: int) -> None:
        if len(self.opcodes) > _MOST_OPCODES or depth > _DEEPEST:
            raise Unreadable("it comes to too much")
        if value is None:
            self.opcodes += b"N"
        elif value.kind == "literal":
            self.plain(value.parts[0])
        elif value.kind == "global":
            self.named(*value.parts)
        else:
            callee, items = (value.parts[0], value.parts[1:]) if value.kind == "call" else (None, value.parts)
            if callee is not None:
                self._write(callee, depth + 1)
            self.opcodes += b"](" if value.kind == "list" else b"("
            for item in items:
                self._write(item, depth + 1)
            self.opcodes += {"call": b"tR", "tuple": b"t", "list": b"e"}[value.kind]

    def _value(self, node: Any, depth: int) -> Value | None:
        """What an expression comes to; None where that is only known when it is rendered."""
        if depth > _DEEPEST:
            raise Unreadable(f"more than {_DEEPEST} levels")
        read_as: Callable[[Any, int], Value | None] | None = getattr(self, f"_of_{type(node).__name__.lower()}", None)
        if read_as is not None:
            return read_as(node, depth)
        if type(node).__name__ in _OPERATORS:
            return self._operation(_OPERATORS[type(node).__name__], node.left, node.right, depth)
        self._drop(*[self._value(child, depth + 1) for child in node.iter_child_nodes() if _is_expression(child)])
        return None

    def _of_const(self, node: Any, _depth: int) -> Value | None:
        return _literal(node.value)

    def _of_name(self, node: Any, _depth: int) -> Value | None:
        if node.name in self._set:
            return self._set[node.name]
        return Value("global", ("builtins", "__dict__"), True) if node.name == _BUILTINS else None

    def _of_tuple(self, node: Any, depth: int) -> Value | None:
        return self._items("tuple", node.items, depth)

    def _of_list(self, node: Any, depth: int) -> Value | None:
        return self._items("list", node.items, depth)

    def _of_concat(self, node: Any, depth: int) -> Value | None:
        items = self._items("list", node.nodes, depth)
        return None if items is None else _method(_literal(""), "join", items)

    def _of_condexpr(self, node: Any, depth: int) -> Value | None:
        self._root(node.test, depth)
        first = self._value(node.expr1, depth + 1)
        second = None if node.expr2 is None else self._value(node.expr2, depth + 1)
        chosen, other = (first, second) if first is not None and (first.telling or second is None) else (second, first)
        self._drop(other)
        return chosen

    def _of_getattr(self, node: Any, depth: int) -> Value | None:
        return self._attribute(self._value(node.node, depth + 1), _literal(node.attr))

    def _of_getitem(self, node: Any, depth: int) -> Value | None:
        owner = self._value(node.node, depth + 1)
        if type(node.arg).__name__ == "Slice":
            parts = [
                None if part is None else self._value(part, depth + 1)
                for part in (node.arg.start, node.arg.stop, node.arg.step)
            ]
            return None if owner is None else _call("operator", "getitem", owner, _call("builtins", "slice", *parts))
        key = self._value(node.arg, depth + 1)
        if key is not None and (key.kind != "literal" or isinstance(key.parts[0], str)):
            return self._attribute(owner, key)
        if owner is None:
            self._drop(key)
            return None
        return _call("operator", "getitem", owner, key)

    def _attribute(self, owner: Value | None, name: Value | None) -> Value | None:
        """What an object has by a name; behind names with underscores and computed ones lies all of Python."""
        hidden = name is None or name.kind != "literal" or _is_hidden(str(name.parts[0]))
        if owner is None and not hidden:
            return None
        return _call("builtins", "getattr", owner or _GIVEN, name, telling=hidden)

    def _of_call(self, node: Any, depth: int) -> Value | None:
        callee = self._value(node.node, depth + 1)
        if callee is None and type(node.node).__name__ == "Name" and node.node.name in _PYTHON:
            callee = Value("global", ("builtins", node.node.name))
        given = [*node.args, *(pair.value for pair in node.kwargs), *filter(None, (node.dyn_args, node.dyn_kwargs))]
        arguments = [self._value(argument, depth + 1) for argument in given]
        if callee is None:
            self._drop(*arguments)
            return None
        python = callee.kind == "global" and all(item is not None for item in arguments)
        return Value("call", (callee, *arguments), callee.telling or python or _any_telling(arguments))

    def _of_filter(self, node: Any, depth: int) -> Value | None:
        given = [self._value(argument, depth + 1) for argument in (*node.args, *(pair.value for pair in node.kwargs))]
        base = None if node.node is None else self._value(node.node, depth + 1)
        if node.name == "attr":
            return self._attribute(base, given[0] if given else None)
        if node.name == "map" and any(pair.key == "attribute" for pair in node.kwargs):
            return self._attribute(None if base is None else _call("operator", "getitem", base, _literal(0)), given[-1])
        if base is None:
            self._drop(*given)
            return None
        return self._filtered(node.name, base, given)

    def _filtered(self, name: str, base: Value, given: list[Value | None]) -> Value:
        if name == "join":
            return _method(given[0] if given and given[0] is not None else _literal(""), "join", base)
        if name == "format":
            return _call("operator", "mod", base, Value("tuple", tuple(given), _any_telling(given)))
        if name in _METHODS:
            return _method(base, name, *given)
        if name == "list":
            return _call("builtins", "list", base)
        if name in ("first", "last"):
            return _call("operator", "getitem", base, _literal(0 if name == "first" else -1))
        if name == "reverse":
            turned = _call("builtins", "slice", None, None, _literal(-1))
            return _call("operator", "getitem", base, turned)
        self._drop(*given)
        if name in _SAME or base.telling:
            return base
        return _call("jinja2.filters", f"do_{name}", base)

    def _operation(self, name: str, left: Any, right: Any, depth: int) -> Value | None:
        first, second = self._value(left, depth + 1), self._value(right, depth + 1)
        if first is None or second is None:
            self._drop(first, second)
            return None
        return _call("operator", name, first, second)

    def _items(self, kind: str, nodes: list[Any], depth: int) -> Value | None:
        items = [self._value(node, depth + 1) for node in nodes]
        if not _any_telling(items) and any(item is None for item in items):
            return None
        return Value(kind, tuple(items), _any_telling(items))


def _is_hidden(name: str) -> bool:
    return name.startswith("__") and name.endswith("__")


def _is_expression(node: Any) -> bool:
    return any(base.__name__ == "Expr" for base in type(node).__mro__)


def _literal(value: Any) -> Value:
    return Value("literal", (value,))


def _call(module: str, name: str, *arguments: Value | None, telling: bool = False) -> Value:
    return Value("call", (Value("global", (module, name)), *arguments), telling or _any_telling(arguments))


def _method(owner: Value, name: str, *arguments: Value | None) -> Value:
    callee = _call("builtins", "getattr", owner, _literal(name))
    return Value("call", (callee, *arguments), callee.telling or _any_telling(arguments))


def _any_telling(values: Any) -> bool:
    return any(value is not None and value.telling for value in values)
