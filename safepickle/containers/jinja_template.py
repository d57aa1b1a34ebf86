"""Jinja: what rendering a template does, as chat templates of language models are, told as the pickle that would do it.

A template computes with what it is given, and gets at everything else of Python only by attributes whose names begin
with underscores, by names of Python's own functions, or by names that it computes. Expressions that do are told, each
with all that it is made of; those that only read what they are given are not. Told is what rendering without a sandbox
would do. The parser is Jinja's own (extra ``templates``), which runs nothing; see ``jinja2.nodes``.
"""

from __future__ import annotations

from functools import lru_cache

from .jinja_values import DEEPEST, GIVEN, UNKNOWN_TEXT, Evaluator, Value, hiding, is_expression, item, literal, rank
from .program import Program, Unreadable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..bytecode.trace import Place
    from .survey import Survey

LONGEST = 128 << 10
"""Characters of a template that is read."""
_MOST_OPCODES = 256 << 10
_MOST_PASSES = 8
"""Over a template, until no variable may stand for more than it did before; most need two."""
_OTHERS = frozenset(("Include", "Import", "FromImport", "Extends"))
"""Statements that bring other templates in."""
_ASSIGNMENTS = {
    "AssignBlock": ("target",), "With": ("targets", "values"), "Assign": ("target", "node"), "For": ("target", "iter"),
    "Macro": ("args", "defaults"), "CallBlock": ("args", "defaults"),
}  # fmt: skip
"""Statements that set variables: the fields that say to what."""


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
        parsed = _environment().parse(text)
        while not program.follow(parsed) and not survey.overdue(place):
            pass
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
    except ValueError as error:
        # Of numbers with thousands of digits, which some versions of Python read and others refuse.
        survey.fail("unsupported-format", place, 0, f"the template cannot be read: {error}")
    if not program.alone:
        note("unsupported-format", place, 0, "the template brings in another one, which is not in the file")
    if program.tells:
        program.tell(place, survey)


@lru_cache(maxsize=1)
def _environment() -> Any:
    """Jinja's parser, with the statements that chat templates of transformers may use."""
    from jinja2 import Environment
    from jinja2.ext import ExprStmtExtension, Extension, InternationalizationExtension, LoopControlExtension

    class Generation(Extension):
        tags = frozenset(("generation",))  # type: ignore[assignment]

        def parse(self, parser: Any) -> Any:
            next(parser.stream)
            return parser.parse_statements(("name:endgeneration",), drop_needle=True)

    known = (ExprStmtExtension, LoopControlExtension, InternationalizationExtension, Generation)
    return Environment(extensions=known)


@lru_cache(maxsize=1)
def _private() -> frozenset[str]:
    """Attributes in which the objects that Jinja hands to templates keep what is not meant for these."""
    from jinja2 import runtime

    kinds = [kind for kind in vars(runtime).values() if isinstance(kind, type)]
    makers = [vars(kind)["__init__"] for kind in kinds if "__init__" in vars(kind)]
    names = {name for maker in makers if hasattr(maker, "__code__") for name in maker.__code__.co_names}
    return frozenset(name for name in names if name.startswith("_") and not name.startswith("__"))


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
        self._evaluator = Evaluator(self._tell, self._enter, _private())
        self._macros: dict[str, Any] = {}
        self._passes = 0
        self._changed = False
        self._quiet = False

    def follow(self, template: Any) -> bool:
        """Follow a parsed template once more; whether that was the last time, in which it is told what it does.

        Raises
        ------
        Unreadable
            When the template is too deep or comes to too much.
        """
        self._passes += 1
        if self._passes > _MOST_PASSES:
            raise Unreadable("its variables depend on each other too often")
        self._changed, self._quiet = False, True
        self.statement(template, 0)
        if self._changed:
            return False
        self._quiet = False
        self.statement(template, 0)
        return True

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
        if depth > DEEPEST:
            raise Unreadable(f"more than {DEEPEST} levels")
        self.alone = self.alone and name not in _OTHERS
        assigned = _ASSIGNMENTS.get(name, ())
        if name == "Macro":
            self._macros[node.name] = node
            self._parameters(node, depth)
        elif name == "CallBlock":
            self._parameters(node, depth)
            for index, target in enumerate(node.args):
                self._assign(target, self._evaluator.names.get(f"caller {index}"))
        elif name == "AssignBlock":
            self._assign(node.target, self._block(node.body))
        elif name == "With":
            for target, value in zip(node.targets, node.values, strict=True):
                self._assign(target, self._evaluator.root(value, depth))
        elif name == "Assign":
            self._assign(node.target, self._evaluator.root(node.node, depth))
            self._alias(node.target, node.node)
        elif name == "For":
            self._rounds(node.target, self._evaluator.root(node.iter, depth))
            if node.recursive:
                self._rounds(node.target, self._evaluator.names.get("loop 0"))
        self._body(node, assigned, depth)

    def _rounds(self, target: Any, values: Value | None) -> None:
        """What a loop goes over."""
        listed = values is not None and values.kind in ("tuple", "list")
        for value in values.parts if listed and values is not None else (item(values, 0),):
            self._assign(target, value)

    def _parameters(self, node: Any, depth: int) -> None:
        """What parameters are when they are not given."""
        for target, default in zip(reversed(node.args), reversed(node.defaults), strict=False):
            self._assign(target, self._evaluator.root(default, depth))

    def _alias(self, target: Any, node: Any) -> None:
        """Remember macros by other names, and the variables of a namespace."""
        if type(target).__name__ != "Name":
            return
        if type(node).__name__ == "Name" and node.name in self._macros:
            self._macros[target.name] = self._macros[node.name]
        elif type(node).__name__ == "Call" and getattr(node.node, "name", "") == "namespace":
            for pair in node.kwargs:
                self._remember(f"{target.name}.{pair.key}", self._evaluator.value(pair.value, 0))

    def _body(self, node: Any, but: tuple[str, ...], depth: int) -> None:
        """What is in a statement, without the fields that were followed."""
        for child in node.iter_child_nodes(exclude=but):
            if is_expression(child):
                self._evaluator.root(child, depth)
            else:
                self.statement(child, depth + 1)

    def _assign(self, target: Any, value: Value | None) -> None:
        """Remember what variables stand for."""
        kind = type(target).__name__
        if kind == "Name":
            self._remember(target.name, value)
        elif kind == "NSRef":
            self._remember(f"{target.name}.{target.attr}", value)
        elif kind == "Tuple":
            for index, part in enumerate(target.items):
                self._assign(part, item(value, index))

    def _remember(self, name: str, value: Value | None) -> None:
        """Which branch is taken, and how often, is not known: what could most is what a variable stands for."""
        names = self._evaluator.names
        if name not in names or rank(value) > rank(names[name]):
            names[name] = value
            self._changed = True

    def _block(self, body: list[Any]) -> Value:
        """The text that a block is rendered to: itself, where there is nothing to be rendered."""
        parts = [part for node in body for part in getattr(node, "nodes", (node,))]
        if all(type(part).__name__ == "TemplateData" for part in parts):
            return literal("".join(part.data for part in parts))
        return UNKNOWN_TEXT

    def _enter(self, name: str, by_place: list[Value | None], by_name: dict[str, Value | None]) -> Value | None:
        """What a macro comes to; what it is called with is what its parameters stand for."""
        if name in ("caller", "loop"):
            for index, value in enumerate(by_place):
                self._remember(f"{name} {index}", value)
            return UNKNOWN_TEXT
        macro = self._macros.get(name)
        if macro is None:
            return None
        for target, value in zip(macro.args, by_place, strict=False):
            self._assign(target, value)
        for target in macro.args:
            if target.name in by_name:
                self._assign(target, by_name[target.name])
        for rest, values in (("varargs", by_place[len(macro.args) :]), ("kwargs", list(by_name.values()))):
            if any(value is not None for value in values):
                self._remember(rest, Value("list", tuple(values), GIVEN, hiding(values)))
        return self._block(macro.body)

    def _tell(self, value: Value) -> None:
        if self._quiet:
            return
        self._write(value, 0)
        self.opcodes += b"0"
        self.tells = True

    def _write(self, value: Value | None, depth: int) -> None:
        if len(self.opcodes) > _MOST_OPCODES or depth > DEEPEST:
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
            for part in items:
                self._write(part, depth + 1)
            self.opcodes += {"call": b"tR", "tuple": b"t", "list": b"e"}[value.kind]
