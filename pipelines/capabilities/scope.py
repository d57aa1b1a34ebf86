"""One function while it is being summarised: its variables, calls, stores and closures."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .atoms import EMPTY, Value, joined, kept, short, without

if TYPE_CHECKING:
    from .modules import ModuleScope

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


class Call:
    """A call as it is being collected; a second visit (loops) widens it."""

    def __init__(self, line: int) -> None:
        self.line = line
        self.callee: Value = EMPTY
        self.args: list[Value] = []
        self.keywords: dict[str, Value] = {}
        self.star: Value = EMPTY
        self.stars: Value = EMPTY
        self.needs: frozenset[int] | None = None

    def as_json(self) -> list[Any]:
        """``[line, callee, args, keywords, *args, **kwargs, needs]``, empty ends left out.

        `needs` are parameters that are false if nobody says otherwise, and must be true for the call to be made.
        """
        heads = "pc~gdks"
        found: list[Any] = [self.line, kept(self.callee, "pcgdkIu~"), [kept(value, heads) for value in self.args]]
        found.append({name: kept(value, heads) for name, value in self.keywords.items()})
        found += [kept(self.star, heads), kept(self.stars, heads), sorted(self.needs or ())]
        while len(found) > 2 and not found[-1]:
            found.pop()
        return found


class Scope:
    """A function's summary in the making.

    Parameters
    ----------
    module
        The module it is in.
    qualname
        As Python names it, ``Class.method`` or ``outer.<locals>.inner``; made unique in the module.
    parent
        The function around it, or None for functions and methods of the module.
    owner
        Qualified name of the class it is a method of, or empty.
    kind
        ``function method static class property module``; the last is the code of a module itself.
    """

    def __init__(
        self, module: ModuleScope, qualname: str, parent: Scope | None, owner: str = "", kind: str = "function"
    ) -> None:
        self.module = module
        self.qualname = qualname
        self.parent = parent
        self.owner = owner
        self.kind = kind
        self.line = 0
        self.parameters: list[str] = []
        self.positional = 0
        self.star = -1
        self.stars = -1
        self.variables: dict[str, Value] = {}
        self.ever: dict[str, Value] = {}
        """What each variable may be at any time: what nested functions see."""
        self.calls: list[Call] = []
        self.sites: dict[int, int] = {}
        self.stores: dict[tuple[str, str], set[str]] = {}
        self.returned: set[str] = set()
        self.items: list[set[str]] | None = None
        """Items of the tuples that it returns; empty if it also returns something else, None if nothing so far."""
        self.annotated: Value = EMPTY
        self.closures: list[tuple[FunctionNode, Scope]] = []
        self.captures: dict[str, int] = {}
        self.loads: set[str] = set()
        self.globals: set[str] = set()
        self.checked: set[str] = set()
        self.looping = False
        self.falsy: set[int] = set()
        """Parameters whose default is false."""
        self.needs: frozenset[int] = frozenset()
        """Those of them that must be true for the statement at hand to be reached."""

    def lookup(self, name: str) -> Value:
        """What a name stands for here."""
        if name in self.variables and name not in self.globals:
            return self.variables[name]
        if name in self.captures:
            return frozenset([f"p{self.captures[name]}"])
        outer = self.parent
        while outer is not None and outer.kind != "module":
            if name in outer.ever or name in outer.captures:
                return self._captured(name)
            outer = outer.parent
        return self.module.lookup(name)

    def _captured(self, name: str) -> Value:
        index = len(self.parameters)
        self.parameters.append(name)
        self.captures[name] = index
        return frozenset([f"p{index}"])

    def bind(self, name: str, value: Value) -> None:
        """Assign to a variable."""
        if name in self.globals:
            self.module.bind_global(name, self.qualname, value)
            return
        if len(value) > 64:
            value = frozenset(kept(value, "pc~gdkIis"))
        self.variables[name] = value
        before = self.ever.get(name)
        self.ever[name] = value if before is None else before | value

    def weaken(self, name: str, value: Value) -> None:
        """Let a variable be `value` as well."""
        self.bind(name, joined(self.lookup(name), value))

    def store(self, base: Value, name: str, value: Value, line: int) -> None:
        """Assign to an attribute; `name` is ``*`` when it is not known which."""
        for atom in base:
            if atom[0] in "pc" and value:
                key = tuple(short(atom if "." in atom else f"{atom}.{name}").split(".", 1))
                self.stores.setdefault((key[0], key[1]), set()).update(value)
            elif atom[0] == "g":
                self.call(None, line, frozenset([atom + ".__setattr__"]), [frozenset(["s" + name]), value])

    def call(
        self, node: ast.AST | None, line: int, callee: Value, args: list[Value],
        keywords: dict[str, Value] | None = None, star: Value = EMPTY, stars: Value = EMPTY,
    ) -> Value:  # fmt: skip
        """Note a call and return its result. The same node visited again widens its call."""
        number = self.sites.get(id(node)) if node is not None else None
        if number is None:
            number = len(self.calls)
            self.calls.append(Call(line))
            if node is not None:
                self.sites[id(node)] = number
        found = self.calls[number]
        itself = f"c{number}"
        args = [value - {itself} for value in args]
        found.callee |= callee
        for index, value in enumerate(args):
            if index < len(found.args):
                found.args[index] |= value
            else:
                found.args.append(value)
        for name, value in (keywords or {}).items():
            found.keywords[name] = found.keywords.get(name, EMPTY) | value
        found.star |= star
        found.stars |= stars
        found.needs = self.needs if found.needs is None else found.needs & self.needs
        return frozenset([itself])

    def returns(self, value: Value, items: Sequence[Value]) -> None:
        """Note that a value may be returned, with its items if it is a tuple."""
        self.returned |= value
        if self.items is None:
            self.items = [set(item) for item in items]
        elif len(self.items) == len(items):
            for known, item in zip(self.items, items, strict=True):
                known |= item
        else:
            self.items = []

    def strip(self, roots: frozenset[str]) -> None:
        """Forget where variables come from, for parameters and results that were checked."""
        for name, value in self.variables.items():
            self.variables[name] = without(value, roots)

    def as_json(self) -> dict[str, Any]:
        """The summary, as :mod:`pipelines.capabilities.program` reads it."""
        found: dict[str, Any] = {
            "line": self.line,
            "kind": self.kind,
            "owner": self.owner,
            "parameters": self.parameters,
            "positional": self.positional,
            "star": self.star,
            "stars": self.stars,
            "calls": [call.as_json() for call in self.calls],
            "returns": kept(self.returned, "pc~gdkIi"),
            "items": [kept(item, "pc~gdkIi") for item in self.items or ()],
            "annotated": sorted(self.annotated),
            "stores": [[base, name, kept(value, "pc~gdkIi")] for (base, name), value in sorted(self.stores.items())],
            "closures": [
                [scope.qualname, {str(index): kept(self.captured(name)) for name, index in scope.captures.items()}]
                for _, scope in self.closures
            ],
            "loads": sorted(self.loads),
            "falsy": sorted(self.falsy),
        }
        return {key: value for key, value in found.items() if value or key in ("star", "stars", "line")}

    def captured(self, name: str) -> Value:
        """What a variable that a nested function captures may be."""
        return self.ever[name] if name in self.ever else self.lookup(name)
