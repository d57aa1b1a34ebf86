"""Jinja: what rendering a template does, as chat templates of language models are, told as the pickle that would do it.

A template computes with what it is given, and gets at everything else of Python only by attributes whose names begin
with underscores, by names of Python's own functions, or by names that it computes. Expressions that do are told, each
with all that it is made of; those that only read what they are given are not. Told is what rendering without a sandbox
would do. The parser is Jinja's own (extra ``templates``), which runs nothing; see ``jinja2.nodes``.
"""

from __future__ import annotations

from functools import lru_cache

from .jinja_values import DEEPEST, UNKNOWN_TEXT, Evaluator, Value, is_expression, item, literal
from .program import Program, Unreadable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..bytecode.trace import Place
    from .survey import Survey

LONGEST = 128 << 10
"""Characters of a template that is read."""
_MOST_OPCODES = 256 << 10
_OTHERS = frozenset(("Include", "Import", "FromImport", "Extends"))
"""Statements that bring other templates in."""
_ASSIGNMENTS = {
    "AssignBlock": ("target",), "With": ("targets", "values"), "Assign": ("target", "node"), "For": ("target", "iter"),
    "Macro": ("args",),
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
        program.statement(_environment().parse(text), 0)
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
        self._evaluator = Evaluator(self._tell, self._enter)
        self._macros: dict[str, Any] = {}
        self._entered: set[str] = set()

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
        elif name == "AssignBlock":
            self._assign(node.target, self._block(node.body))
        elif name == "With":
            for target, value in zip(node.targets, node.values, strict=True):
                self._assign(target, self._evaluator.root(value, depth))
        elif name == "Assign":
            self._assign(node.target, self._evaluator.root(node.node, depth))
        elif name == "For":
            self._assign(node.target, item(self._evaluator.root(node.iter, depth), 0))
        self._body(node, assigned, depth)

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
            self._evaluator.names[target.name] = value
        elif kind == "NSRef":
            self._evaluator.names[f"{target.name}.{target.attr}"] = value
        elif kind == "Tuple":
            for index, part in enumerate(target.items):
                self._assign(part, item(value, index))

    def _block(self, body: list[Any]) -> Value:
        """The text that a block is rendered to: itself, where there is nothing to be rendered."""
        parts = [part for node in body for part in getattr(node, "nodes", (node,))]
        if all(type(part).__name__ == "TemplateData" for part in parts):
            return literal("".join(part.data for part in parts))
        return UNKNOWN_TEXT

    def _enter(self, name: str, arguments: list[Value | None]) -> None:
        """Follow a macro with what it is called with."""
        macro = self._macros.get(name)
        if macro is None or name in self._entered or all(value is None for value in arguments):
            return
        self._entered.add(name)
        for target, value in zip(macro.args, arguments, strict=False):
            self._assign(target, value)
        self._body(macro, ("args", "defaults"), len(self._entered))
        self._entered.discard(name)

    def _tell(self, value: Value) -> None:
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
