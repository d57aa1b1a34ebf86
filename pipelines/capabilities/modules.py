"""Modules: find the source files of a package and summarise one module."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .atoms import Value, kept
from .expressions import BUILTINS, UNDERSTOOD, evaluate, returned
from .hints import annotation
from .scope import FunctionNode, Scope
from .statements import run

SKIPPED = frozenset(["tests", "idle_test", "site-packages", "dist-packages", "__pycache__", "node_modules"])
"""Folders that are left out: tests, which nobody installs on purpose, and what is not of the package."""
MAX_BYTES = 4 << 20
"""A larger source file is data; it is left out, and its names are unresolvable."""
_TRANSPARENT = frozenset(
    """staticmethod classmethod property abstractmethod abstractproperty abstractclassmethod abstractstaticmethod
    cached_property wraps lru_cache cache singledispatch overload final override contextmanager asynccontextmanager
    setter getter deleter coroutine total_ordering dataclass runtime_checkable unique deprecated""".split()
)
"""Decorators after which a call still calls what was decorated, with the same arguments."""


def find_modules(root: Path, prefix: str = "", top: frozenset[str] | None = None) -> Iterator[tuple[str, Path]]:
    """Modules below a folder, by name, in sorted order; folders without ``__init__.py`` count inside packages.

    Parameters
    ----------
    root
        A folder as on ``sys.path``.
    prefix
        Name of the package that `root` is, with a dot; empty at the top.
    top
        Names of the modules at the top that are wanted; None for all.
    """
    for path in sorted(root.iterdir()):
        name = path.stem if path.suffix == ".py" else path.name
        if not name.isidentifier() or name in SKIPPED or (top is not None and name not in top):
            continue
        if path.is_dir() and not path.is_symlink():
            if (path / "__init__.py").exists():
                yield prefix + name, path / "__init__.py"
            elif not any(path.glob("*.py")) and not any(path.glob("*/__init__.py")):
                continue
            yield from find_modules(path, f"{prefix}{name}.")
        elif path.suffix == ".py" and name != "__init__" and not name.startswith("test_"):
            yield prefix + name, path


def parse(path: Path) -> ast.Module | None:
    """The syntax tree of a source file, or None when this Python cannot read it."""
    if path.stat().st_size > MAX_BYTES:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about escapes in other people's strings
            return ast.parse(path.read_bytes())
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


class ModuleScope:
    """One module while it is being summarised."""

    def __init__(self, name: str, is_package: bool) -> None:
        self.name = name
        self.is_package = is_package
        self.bound: set[str] = set()
        self.stars: dict[str, None] = {}
        self.imports: dict[str, int] = {}
        self.extra: dict[str, dict[str, set[str]]] = {}
        self.functions: dict[str, Scope] = {}
        self.classes: dict[str, dict[str, Any]] = {}
        self.waiting: list[tuple[FunctionNode, Scope]] = []
        self.code = Scope(self, "", None, kind="module")

    def absolute(self, name: str) -> str:
        """A module's full name, from one that may be relative (``..core``)."""
        level = len(name) - len(name.lstrip("."))
        if not level:
            return name
        parts = self.name.split(".")
        parts = parts[: len(parts) - level + self.is_package] if level - self.is_package else parts
        return ".".join([*parts, name[level:]]).rstrip(".")

    def lookup(self, name: str) -> Value:
        """What a global name is, from within a function."""
        if name not in self.bound and name in BUILTINS and (not self.stars or name in UNDERSTOOD):
            return frozenset(["gbuiltins." + name])
        value = self.code.ever.get(name)
        if value is not None and len(value) == 1 and name not in self.extra and next(iter(value))[0] == "g":
            return value  # an import, most often
        return frozenset([f"g{self.name}.{name}"])

    def bind_global(self, name: str, function: str, value: Value) -> None:
        """A function assigns to a global name."""
        self.extra.setdefault(name, {}).setdefault(function, set()).update(value)

    def unique(self, qualname: str) -> str:
        """A qualified name that no other definition of the module has."""
        number, found = 1, qualname
        while found in self.functions or found in self.classes:
            number += 1
            found = f"{qualname}#{number}"
        return found

    def nested(self, scope: Scope, node: FunctionNode, name: str, kind: str = "function") -> Value:
        """A function or lambda; inside another function it is a closure, summarised when that is at its end."""
        if isinstance(scope, ClassBody):
            scope = scope.around
        site = scope.sites.get(id(node))
        if site is not None:
            return frozenset([f"k{site}"]) if scope.kind != "module" else self._definition(scope.closures[site][1])
        inner = "" if scope.kind == "module" else scope.qualname + ".<locals>."
        child = self._function(node, inner + name, scope, "", kind)
        scope.sites[id(node)] = len(scope.closures)
        scope.closures.append((node, child))
        return frozenset([f"k{len(scope.closures) - 1}"]) if scope.kind != "module" else self._definition(child)

    def _definition(self, scope: Scope) -> Value:
        return frozenset([f"d{self.name}:{scope.qualname}"])

    def _function(self, node: FunctionNode, qualname: str, parent: Scope, owner: str, kind: str) -> Scope:
        around = parent.around if isinstance(parent, ClassBody) else parent
        child = Scope(self, self.unique(qualname), around, owner, kind)
        self.functions[child.qualname] = child
        child.line = node.lineno
        _parameters(child, node.args, parent)
        if not isinstance(node, ast.Lambda):
            child.annotated = annotation(parent, node.returns)
        self.waiting.append((node, child))
        return child

    def define(self, scope: Scope, node: ast.FunctionDef | ast.AsyncFunctionDef) -> Value:
        """A ``def``; return what its name is bound to."""
        if scope.kind == "body":
            return self._method(scope, node)
        value = self.nested(scope, node, node.name)
        return self._decorated(scope, node.decorator_list, value)

    def _method(self, scope: Scope, node: ast.FunctionDef | ast.AsyncFunctionDef) -> Value:
        names = {_last(item) for item in node.decorator_list}
        kind = "method"
        if "staticmethod" in names:
            kind = "static"
        elif "classmethod" in names or node.name in ("__init_subclass__", "__class_getitem__"):
            kind = "class"
        elif any(name.lower().endswith(("property", "setter", "getter", "deleter")) for name in names):
            kind = "property"
        child = self._function(node, f"{scope.owner}.{node.name}", scope, scope.owner, kind)
        return self._decorated(scope, node.decorator_list, self._definition(child))

    def _decorated(self, scope: Scope, decorators: list[ast.expr], value: Value) -> Value:
        original = value
        for item in reversed(decorators):
            if _last(item) not in _TRANSPARENT:
                value = scope.call(None, item.lineno, evaluate(scope, item), [value])
        return value | original

    def define_class(self, scope: Scope, node: ast.ClassDef) -> Value:
        """A class statement; its body is walked as part of the code around it."""
        inner = scope.qualname + ".<locals>." if scope.kind not in ("module", "body") else ""
        qualname = self.unique((f"{scope.owner}." if scope.kind == "body" else inner) + node.name)
        body = ClassBody(self, qualname, scope)
        found: dict[str, Any] = {"line": node.lineno, "in": scope.qualname if scope.kind != "module" else ""}
        self.classes[qualname] = found
        found["bases"] = [kept(evaluate(scope, base), "gdck") for base in node.bases]
        for keyword in node.keywords:
            if keyword.arg == "metaclass":
                found["meta"] = kept(evaluate(scope, keyword.value), "gd")
        names = [_last(item) for item in node.decorator_list]
        found["fields"] = any(name in ("dataclass", "define", "attrs", "s", "frozen", "mutable") for name in names)
        run(body, node.body)
        found["names"] = {name: kept(value, "pc~gdkIi") for name, value in body.variables.items()}
        value = frozenset([f"d{self.name}:{qualname}"])
        return self._decorated(scope, node.decorator_list, value)

    def finish(self) -> dict[str, Any]:
        """Summarise the functions that wait, and return the module's summary."""
        while self.waiting:
            node, scope = self.waiting.pop(0)
            if isinstance(node, ast.Lambda):
                returned(scope, node.body)
            else:
                run(scope, node.body)
        code = self.code.as_json()
        code.pop("closures", None)
        names = {name: kept(value, "c~gdIi") for name, value in self.code.variables.items()}
        extra = {
            name: {function: kept(value, "pc~gdkIi") for function, value in found.items()}
            for name, found in self.extra.items()
        }
        return {
            "names": names,
            "extra": extra,
            "stars": list(self.stars),
            "imports": self.imports,
            "code": code,
            "functions": {qualname: scope.as_json() for qualname, scope in self.functions.items()},
            "classes": self.classes,
        }


class ClassBody(Scope):
    """The body of a class: its names are its own, its calls are made by the code around it."""

    def __init__(self, module: ModuleScope, qualname: str, around: Scope) -> None:
        super().__init__(module, around.qualname, around, qualname, "body")
        self.around: Scope = around.around if isinstance(around, ClassBody) else around
        self.calls, self.sites, self.stores, self.closures = around.calls, around.sites, around.stores, around.closures

    def lookup(self, name: str) -> Value:
        if name in self.variables:
            return self.variables[name]
        return self.around.lookup(name)


def _parameters(child: Scope, args: ast.arguments, around: Scope) -> None:
    positional = [*args.posonlyargs, *args.args]
    named = [*positional, *([args.vararg] if args.vararg else []), *args.kwonlyargs]
    named += [args.kwarg] if args.kwarg else []
    child.parameters = [item.arg for item in named]
    child.positional = len(positional)
    child.star = len(positional) if args.vararg else -1
    child.stars = len(named) - 1 if args.kwarg else -1
    defaults: dict[str, ast.expr] = {}
    for item, default in zip(reversed(positional), reversed(args.defaults), strict=False):
        defaults[item.arg] = default
    for item, only in zip(args.kwonlyargs, args.kw_defaults, strict=True):
        if only is not None:
            defaults[item.arg] = only
    for index, item in enumerate(named):
        value: Value = frozenset([f"p{index}"])
        if item.arg in defaults:
            default = defaults[item.arg]
            if isinstance(default, ast.Constant) and not default.value:
                child.falsy.add(index)
            value |= frozenset(atom for atom in evaluate(around, defaults[item.arg]) if atom[0] in "gds")
        if item.annotation is not None:
            value |= annotation(around, item.annotation)
        child.bind(item.arg, value)


def _last(node: ast.expr) -> str:
    if isinstance(node, ast.Call):
        node = node.func
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def _bound(body: list[ast.stmt]) -> Iterator[str]:
    """Names that the statements of a module may bind, in whatever branch."""
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield node.name
            continue
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            for alias in node.names:
                yield (alias.asname or alias.name).split(".")[0]
        for target in [*getattr(node, "targets", ()), getattr(node, "target", None)]:
            for item in ast.walk(target) if target is not None else ():
                if isinstance(item, ast.Name):
                    yield item.id
        for part in ("body", "orelse", "finalbody"):
            yield from _bound(getattr(node, part, []))
        for handler in getattr(node, "handlers", ()):
            yield from _bound(handler.body)


def summarise(name: str, path: Path, where: str) -> dict[str, Any] | None:
    """Summary of one module, or None when its source cannot be read; `where` is its path in the package."""
    tree = parse(path)
    if tree is None:
        return None
    module = ModuleScope(name, path.name == "__init__.py")
    module.bound = set(_bound(tree.body))
    try:
        run(module.code, tree.body)
        found = module.finish()
    except RecursionError:
        return None
    found["path"] = where
    return found
