"""A small call graph from source text, to find callables that reach a sink. Reads source, imports nothing.

This graph serves the making of training data only. It is kept apart from the scanner's capability map, so that
what the detectors learn from is not simply what the scanner already knows.
"""

from __future__ import annotations

import ast
from collections import defaultdict, deque
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

SINKS: dict[str, tuple[str, ...]] = {
    "exec": ("builtins.eval", "builtins.exec", "marshal.loads", "types.FunctionType", "runpy._run_code"),
    "deserialize": ("pickle.load", "pickle.loads", "_pickle.loads", "pickle.Unpickler", "marshal.load"),
    "process": (
        "os.system", "os.popen", "os.execv", "os.execve", "os.execvp", "os.execvpe", "os.spawnv", "os.spawnve",
        "os.posix_spawn", "os.posix_spawnp", "os.fork", "subprocess.Popen", "_posixsubprocess.fork_exec",
    ),
    "native": ("ctypes.CDLL", "ctypes.PyDLL"),
    "network": ("socket.socket", "_socket.socket", "socket.create_connection", "socket.getaddrinfo"),
    "file": (
        "builtins.open", "io.open", "os.open", "io.FileIO", "_io.FileIO", "os.remove", "os.unlink", "os.rename",
        "os.rmdir", "os.mkdir", "os.replace", "os.symlink", "os.link", "os.chmod", "os.truncate",
    ),
    "import": ("builtins.__import__", "importlib.import_module", "importlib._bootstrap._gcd_import"),
}  # fmt: skip
EFFECT_OF = {sink: effect for effect, sinks in SINKS.items() for sink in sinks}
SKIPPED = frozenset(
    "test tests idle_test site-packages __pycache__ lib2to3 turtledemo testing _vendor vendored conftest".split()
)
BUILTINS = frozenset("eval exec open __import__ compile".split())


class Callable(NamedTuple):
    """A function or class of a module, with what it calls by name.

    `kind` is ``function class method static`` (static and class methods need no instance); `required` counts
    the parameters without a default; `calls` are fully qualified names.
    """

    module: str
    name: str
    kind: str
    parameters: tuple[str, ...]
    required: int
    calls: frozenset[str]


class Function(NamedTuple):
    """A function as written: `calls` are the dotted names that it calls; `owner` is its class or empty."""

    owner: str
    kind: str
    parameters: tuple[str, ...]
    required: int
    calls: frozenset[tuple[str, ...]]


class Module:
    """One parsed module: what its names stand for, and its functions and classes by qualified name."""

    def __init__(self, name: str, tree: ast.Module, package: bool) -> None:
        self.name = name
        self.package = package
        self.imported: dict[str, str] = {}
        self.top_level: dict[str, str] = {}
        self.functions: dict[str, Function] = {}
        self.classes: dict[str, list[list[str]]] = {}
        """Classes with the dotted names of their bases."""
        for node in ast.walk(tree):
            self._import(node, self.imported)
        for node in tree.body:
            self._import(node, self.top_level)
        self._define(tree.body, "", "")

    def _import(self, node: ast.AST, names: dict[str, str]) -> None:
        if isinstance(node, ast.Import):
            for alias in node.names:
                first = alias.name.split(".")[0]
                names.setdefault(alias.asname or first, alias.name if alias.asname else first)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = self.name.split(".")
                parts = parts[: len(parts) - node.level + (1 if self.package else 0)]
                base = ".".join([*parts, base]).rstrip(".")
            for alias in node.names:
                names.setdefault(alias.asname or alias.name, f"{base}.{alias.name}")

    def _define(self, body: list[ast.stmt], prefix: str, owner: str) -> None:
        for node in body:
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                self.functions.setdefault(prefix + node.name, _function(node, owner))
            elif isinstance(node, ast.ClassDef):
                self.classes.setdefault(prefix + node.name, [parts for base in node.bases if (parts := _dotted(base))])
                self._define(node.body, f"{prefix}{node.name}.", prefix + node.name)
            elif isinstance(node, (ast.If, ast.Try)):
                self._define(node.body, prefix, owner)
                self._define(node.orelse, prefix, owner)


def find_modules(root: Path, prefix: str = "") -> Iterator[tuple[str, Path]]:
    """Modules below a folder, by name, in sorted order; tests and vendored copies are left out."""
    for path in sorted(root.iterdir()):
        if path.stem in SKIPPED or path.stem.startswith("test_"):
            continue
        if path.is_dir() and (path / "__init__.py").exists():
            yield prefix + path.name, path / "__init__.py"
            yield from find_modules(path, f"{prefix}{path.name}.")
        elif path.suffix == ".py" and path.stem != "__init__" and path.stem.isidentifier():
            yield prefix + path.stem, path


def parse(root: Path, prefix: str = "") -> dict[str, Module]:
    """Parse every module below a folder; those that this Python cannot parse are left out."""
    found: dict[str, Module] = {}
    for name, path in find_modules(root, prefix):
        try:
            tree = ast.parse(path.read_bytes())
        except (SyntaxError, ValueError):
            continue
        found[name] = Module(name, tree, path.name == "__init__.py")
    return found


class Graph:
    """Who calls whom, over a set of modules."""

    def __init__(self, modules: dict[str, Module]) -> None:
        self._modules = modules
        self.callables: dict[str, Callable] = {}
        for module in modules.values():
            for name, found in module.functions.items():
                calls = self._called(module, found)
                self._add(Callable(module.name, name, found.kind, found.parameters, found.required, calls))
            for name in module.classes:
                self._add(self._class(module, name))

    def _add(self, found: Callable) -> None:
        self.callables[f"{found.module}.{found.name}"] = found

    def _class(self, module: Module, name: str) -> Callable:
        makers = [full for full in (self._method(module, name, hook) for hook in ("__init__", "__new__")) if full]
        parameters: tuple[str, ...] = ()
        required = 0
        if makers:
            owner, qualname = self._split(makers[0])
            made_by = self._modules[owner].functions[qualname]
            parameters, required = made_by.parameters, made_by.required
        bases = {self.resolve(module, parts) for parts in module.classes[name]}
        return Callable(module.name, name, "class", parameters, required, frozenset(makers) | (bases - {""}))

    def _split(self, full: str) -> tuple[str, str]:
        parts = full.split(".")
        for cut in range(len(parts) - 1, 0, -1):
            module = ".".join(parts[:cut])
            if module in self._modules:
                return module, ".".join(parts[cut:])
        return "", full

    def _method(self, module: Module, owner: str, method: str, depth: int = 0) -> str:
        if f"{owner}.{method}" in module.functions:
            return f"{module.name}.{owner}.{method}"
        if depth > 5:
            return ""
        for parts in module.classes.get(owner, ()):
            where, qualname = self._split(self.resolve(module, parts))
            if where and qualname in self._modules[where].classes:
                found = self._method(self._modules[where], qualname, method, depth + 1)
                if found:
                    return found
        return ""

    def _called(self, module: Module, function: Function) -> frozenset[str]:
        found: set[str] = set()
        for parts in function.calls:
            if parts[0] in ("self", "cls") and function.owner and len(parts) == 2:
                found.add(self._method(module, function.owner, parts[1]))
            else:
                found.add(self.resolve(module, list(parts)))
        return frozenset(found - {""})

    def resolve(self, module: Module, parts: list[str], depth: int = 0) -> str:
        """Fully qualified name of a dotted name used in a module; empty when it is a local or unknown."""
        full = ".".join(parts)
        if full in module.functions or parts[0] in module.classes:
            return f"{module.name}.{full}"
        if parts[0] in module.imported:
            target = ".".join([module.imported[parts[0]], *parts[1:]])
            where, qualname = self._split(target)
            if target in EFFECT_OF or not where or where == module.name or depth > 5:
                return target
            return self.resolve(self._modules[where], qualname.split("."), depth + 1) or target
        return f"builtins.{full}" if full in BUILTINS else ""

    def reached(self, steps: int = 3) -> dict[str, tuple[str, int]]:
        """For each callable that reaches a sink within `steps` calls: the nearest sink's effect and its distance."""
        callers: dict[str, list[str]] = defaultdict(list)
        for full, found in self.callables.items():
            for called in found.calls:
                callers[called].append(full)
        best: dict[str, tuple[int, int]] = {}
        for rank, sinks in enumerate(SINKS.values()):
            distances = dict.fromkeys(sinks, 0)
            queue = deque(sinks)
            while queue:
                current = queue.popleft()
                for caller in callers[current] if distances[current] < steps else ():
                    if caller not in distances and caller not in EFFECT_OF:
                        distances[caller] = distances[current] + 1
                        queue.append(caller)
            for full, distance in distances.items():
                best[full] = min(best.get(full, (99, 99)), (distance, rank))
        effects = list(SINKS)
        return {full: (effects[rank], distance) for full, (distance, rank) in best.items() if distance}

    def owner_is_simple(self, found: Callable) -> bool:
        """Whether a method's class can be made without arguments, as far as its source tells."""
        owner = self.callables.get(f"{found.module}.{found.name.rpartition('.')[0]}")
        return owner is not None and owner.kind == "class" and owner.required == 0


def _dotted(node: ast.expr) -> list[str]:
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return [*parts, node.id][::-1] if isinstance(node, ast.Name) else []


def _function(node: ast.FunctionDef | ast.AsyncFunctionDef, owner: str) -> Function:
    decorators = {parts[-1] for item in node.decorator_list if (parts := _dotted(item))}
    if not owner:
        kind = "function"
    elif decorators & {"staticmethod", "classmethod"}:
        kind = "static"
    else:
        kind = "property" if decorators & {"property", "cached_property", "setter"} else "method"
    bound = bool(owner) and "staticmethod" not in decorators
    names = tuple(item.arg for item in [*node.args.posonlyargs, *node.args.args][bound:])
    calls = frozenset(
        tuple(parts) for item in ast.walk(node) if isinstance(item, ast.Call) and (parts := _dotted(item.func))
    )
    return Function(owner, kind, names, max(0, len(names) - len(node.args.defaults)), calls)
