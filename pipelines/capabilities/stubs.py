"""Reads type stubs (``.pyi``) of typeshed: what a module written in C offers, and with what signatures."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from safepickle.record import Record

Function = ast.FunctionDef | ast.AsyncFunctionDef


class Class(Record):
    """A class of a stub, with the overloads of its methods by name."""

    node: ast.ClassDef
    methods: dict[str, list[Function]]


class Stub:
    """One stub; both branches of what depends on version or platform count."""

    def __init__(self, module: str, tree: ast.Module) -> None:
        self.module = module
        self.functions: dict[str, list[Function]] = {}
        self.classes: dict[str, Class] = {}
        self.aliases: dict[str, ast.expr] = {}
        self.imported: dict[str, tuple[str, str]] = {}
        """Name -> (module, name there, or nothing for the module itself)."""
        self.exported: list[str] = []
        """Imported names that the module offers as its own (``from a import b as b``)."""
        for node in _statements(tree.body):
            if isinstance(node, Function):
                self.functions.setdefault(node.name, []).append(node)
            elif isinstance(node, ast.ClassDef):
                self._add_class(node)
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                self._add_alias(node.target.id, node.value)
            elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                self._add_alias(node.targets[0].id, node.value)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                for name in node.names:
                    self.imported.setdefault(name.asname or name.name, (node.module, name.name))
                    if name.asname == name.name:
                        self.exported.append(name.name)
            elif isinstance(node, ast.Import):
                for name in node.names:
                    self.imported.setdefault(name.asname or name.name, (name.name, ""))

    def _add_class(self, node: ast.ClassDef) -> None:
        if any(ast.unparse(item) == "type_check_only" for item in node.decorator_list):
            return
        known = self.classes.setdefault(node.name, Class(node, {}))
        for inner in _statements(node.body):
            if isinstance(inner, Function):
                known.methods.setdefault(inner.name, []).append(inner)

    def _add_alias(self, name: str, value: ast.expr | None) -> None:
        if value is not None and not isinstance(value, ast.Constant):
            self.aliases.setdefault(name, value)


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    for node in body:
        if isinstance(node, ast.If):
            yield from _statements(node.body)
            yield from _statements(node.orelse)
        else:
            yield node


class Typeshed:
    """The stubs of the standard library that come with mypy."""

    def __init__(self) -> None:
        spec = find_spec("mypy")
        if spec is None or spec.origin is None:
            raise SystemExit("the stubs of the standard library come with mypy: pip install -e '.[dev]'")
        self.folder = Path(spec.origin).parent / "typeshed" / "stdlib"
        self._read: dict[str, Stub | None] = {}

    def stub(self, module: str) -> Stub | None:
        """The stub of a module, if there is one."""
        if module not in self._read:
            base = self.folder.joinpath(*module.split("."))
            paths = (base.with_suffix(".pyi"), base / "__init__.pyi")
            path = next((path for path in paths if path.is_file()), None)
            self._read[module] = Stub(module, ast.parse(path.read_bytes())) if path else None
        return self._read[module]

    def find(self, module: str, name: str) -> tuple[Stub, str] | None:
        """The stub that defines a name of a module, through re-exports and ``a = b``, and the name there."""
        for _ in range(10):
            stub = self.stub(module)
            if stub is None:
                return None
            if name in stub.functions or name in stub.classes:
                return stub, name
            alias = stub.aliases.get(name)
            if isinstance(alias, ast.Name):
                name = alias.id
            elif isinstance(alias, ast.Attribute) and isinstance(alias.value, ast.Name):
                module, name = alias.value.id, alias.attr
            elif name in stub.imported and stub.imported[name][1]:
                module, name = stub.imported[name]
            elif alias is not None:
                return stub, name
            else:
                return None
        return None

    def methods(self, stub: Stub, name: str) -> dict[str, tuple[Stub, list[Function]]]:
        """The methods of a class, its own before those of its bases, but for those of ``object``."""
        found: dict[str, tuple[Stub, list[Function]]] = {}
        queue = [(stub, name)]
        for _ in range(30):
            if not queue:
                break
            where, of = queue.pop(0)
            known = where.classes[of]
            for method, overloads in known.methods.items():
                found.setdefault(method, (where, overloads))
            for base in known.node.bases:
                base = base.value if isinstance(base, ast.Subscript) else base
                module, attribute = where.module, ast.unparse(base)
                if "." in attribute:
                    module, _, attribute = attribute.rpartition(".")
                place = self.find(module, attribute) or self.find("builtins", attribute)
                if place and place[1] in place[0].classes and place[1] != "object":
                    queue.append(place)
        return found
