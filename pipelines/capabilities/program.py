"""All summaries together: functions, classes and modules as the linker works on them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from sys import intern
from typing import Any

from .summary import PackageSummary

Atoms = tuple[str, ...]


class Call:
    """One call of a function; see :meth:`pipelines.capabilities.scope.Call.as_json`."""

    __slots__ = ("args", "callee", "keywords", "line", "needs", "star", "stars")

    def __init__(self, data: list[Any]) -> None:
        data = data + [(), (), {}, (), (), ()][len(data) - 1 :] if len(data) < 7 else data
        self.line: int = data[0]
        self.callee = _atoms(data[1])
        self.args = tuple([_atoms(item) for item in data[2]])
        self.keywords: dict[str, Atoms] = {intern(name): _atoms(item) for name, item in data[3].items()} or NOTHING
        self.star = _atoms(data[4])
        self.stars = _atoms(data[5])
        self.needs: frozenset[int] = frozenset(data[6]) if data[6] else NEEDS_NOTHING

    def given(self) -> Iterator[Atoms]:
        """What is passed, each argument once."""
        yield from self.args
        yield from self.keywords.values()
        if self.star:
            yield self.star
        if self.stars:
            yield self.stars


NOTHING: dict[str, Atoms] = {}
NEEDS_NOTHING: frozenset[int] = frozenset()


def _atoms(data: Iterable[str]) -> Atoms:
    return tuple([intern(atom) for atom in data])


class Function:
    """A function, method, lambda, or the code of a module (whose `qualname` is empty)."""

    __slots__ = (
        "annotated", "calls", "closures", "falsy", "items", "kind", "line", "loads", "module", "own", "owner",
        "parameters", "positional", "qualname", "returns", "star", "stars", "stores",
    )  # fmt: skip

    def __init__(self, module: Module, qualname: str, data: dict[str, Any]) -> None:
        self.module = module
        self.qualname = qualname
        self.kind: str = intern(data["kind"])
        self.owner: Class | None = None
        self.line: int = data["line"]
        self.parameters = _atoms(data.get("parameters", ()))
        self.positional: int = data.get("positional", 0)
        self.star: int = data["star"]
        self.stars: int = data["stars"]
        self.calls = [Call(item) for item in data.get("calls", ())]
        self.returns = _atoms(data.get("returns", ()))
        self.items = [_atoms(item) for item in data.get("items", ())]
        """Items of what it returns, if it always returns a tuple of as many."""
        self.annotated = _atoms(data.get("annotated", ()))
        self.stores = [(intern(base), intern(name), _atoms(value)) for base, name, value in data.get("stores", ())]
        self.closures = [
            (qualname, {int(index): _atoms(value) for index, value in captured.items()})
            for qualname, captured in data.get("closures", ())
        ]
        self.loads = _atoms(data.get("loads", ()))
        self.falsy: frozenset[int] = frozenset(data.get("falsy", ()))
        self.own: frozenset[str] | None = None
        """Attributes of its first parameter that it uses, filled when first asked for."""

    @property
    def name(self) -> str:
        """Full dotted name."""
        return f"{self.module.name}.{self.qualname}" if self.qualname else self.module.name


class Class:
    """A class."""

    __slots__ = ("around", "bases", "fields", "line", "made", "meta", "module", "mro", "names", "qualname")

    def __init__(self, module: Module, qualname: str, data: dict[str, Any]) -> None:
        self.module = module
        self.qualname = qualname
        self.line: int = data["line"]
        self.around: str = data["in"]
        self.bases = [_atoms(base) for base in data.get("bases", ())]
        self.meta = _atoms(data.get("meta", ()))
        self.names = {intern(name): _atoms(value) for name, value in data["names"].items()}
        self.made: bool = data["fields"]
        """Whether a decorator writes its constructor, from its fields."""
        self.fields: dict[str, list[tuple[Function, Atoms]]] = {}
        self.mro: tuple[Class | str, ...] | None = None

    @property
    def name(self) -> str:
        """Full dotted name."""
        return f"{self.module.name}.{self.qualname}"


class Module:
    """A module, with the package that it is from."""

    __slots__ = (
        "classes", "code", "extra", "functions", "imports", "name", "names", "package", "path", "stars", "version",
    )  # fmt: skip

    def __init__(self, name: str, data: dict[str, Any], package: str, version: str) -> None:
        self.name = name
        self.package = package
        self.version = version
        self.path: str = data["path"]
        self.names = {intern(name): _atoms(value) for name, value in data["names"].items()}
        self.extra: dict[str, dict[str, list[str]]] = data["extra"]
        self.stars: list[str] = data["stars"]
        self.imports: dict[str, int] = data["imports"]
        self.code = Function(self, "", data["code"])
        self.functions = {qualname: Function(self, qualname, item) for qualname, item in data["functions"].items()}
        self.classes = {qualname: Class(self, qualname, item) for qualname, item in data["classes"].items()}
        for qualname, item in data["functions"].items():
            owner = item.get("owner")
            if owner and owner in self.classes:
                function = self.functions[qualname]
                function.owner = self.classes[owner]
                for base, name, value in function.stores:
                    if base == "p0" and function.kind != "static":
                        function.owner.fields.setdefault(name, []).append((function, value))


class Program:
    """Every module of all packages, by name."""

    def __init__(self, summaries: Iterable[PackageSummary]) -> None:
        self.modules: dict[str, Module] = {}
        for summary in summaries:
            for name, data in summary.modules.items():
                if name not in self.modules:
                    self.modules[name] = Module(name, data, summary.package, summary.version)

    def functions(self) -> Iterator[Function]:
        """All functions, the codes of modules among them."""
        for module in self.modules.values():
            yield module.code
            yield from module.functions.values()

    def around(self, found: Class) -> Function:
        """The function, or code of a module, that a class statement stands in."""
        return found.module.functions.get(found.around, found.module.code)
