"""Links the summaries of packages and says of every public dotted name what it can reach."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from safepickle.capabilities.capability import Step
from safepickle.capabilities.sinks import KINDS, root_kind

from .bindings import bind_kept
from .callbacks import METHOD
from .flow import Analysis
from .graph import CALLED, IMPLICIT, Edge, Graph, Node, Way
from .names import Object, Objects
from .objects import Resolver
from .program import Class, Module, Program
from .records import NativeCallable, Reached, Row
from .summary import PackageSummary

MAX_WITNESS = 24
MAX_CALLED = 3
"""Calls within which what an instance does when it is called counts as its class's: callables that carry others."""
HARMLESS = frozenset(["read", "import"])
"""What a callable may do by itself and still be inert, as long as nothing of its caller gets there."""
_ORDER = {kind: number for number, kind in enumerate((*KINDS, "make", "call", "tamper", "read"))}


def link(summaries: Iterable[PackageSummary], native: Mapping[str, NativeCallable]) -> Iterator[Row]:
    """Say of every name that the packages define or re-export what it can reach.

    Parameters
    ----------
    summaries
        Of different packages; where two have the same module, the first counts.
    native
        Callables without source, by full name.

    Yields
    ------
    Row
        Modules, functions, classes, their methods, and what modules offer of others.
    """
    program = Program(summaries)
    resolver = Resolver(program, native)
    bind_kept(resolver)
    graph = Graph(resolver)
    for function in list(program.functions()):
        graph.node(function, function.owner)
    for module in program.modules.values():
        for found in module.classes.values():
            list(_makers(graph, found))
            list(_implicit(graph, found))
    graph.build()
    Analysis(graph, native).run()
    rows = Rows(graph, native)
    for module in program.modules.values():
        yield from rows.of_module(module)


def _makers(graph: Graph, found: Class) -> Iterator[Edge]:
    yield from graph.constructing(found)


def _implicit(graph: Graph, found: Class) -> Iterator[tuple[Node, int]]:
    """Methods that are called by themselves, and how many arguments get in; ``__call__`` takes any."""
    for name, arguments in IMPLICIT.items():
        for item in graph.resolver.member(found, name):
            if item[0] == "f":
                yield graph.node(item[1], found), arguments


Best = dict[tuple[str, bool, bool], tuple[int, Node | None, Way | None, str]]
"""(kind, flows, implicit) -> depth, the node to go on from, its way, and the source that flows."""


class Rows:
    """Turns the facts of nodes into rows."""

    def __init__(self, graph: Graph, native: Mapping[str, NativeCallable]) -> None:
        self.graph = graph
        self.resolver = graph.resolver
        self.native = native

    def of_module(self, module: Module) -> Iterator[Row]:
        """Rows of a module and of what it offers."""
        code = self.graph.node(module.code, None)
        best: Best = {}
        for kind, way in code.reaches.items():
            best[kind, False, False] = (way[0], code, way, "")
        yield self._row(module.name, "module", "module", module.name, module, best, not code.opaque, code.unknown, 1)
        for name in self._names(module):
            full = f"{module.name}.{name}"
            yield from self._offered(full, module, self.resolver.attribute(("m", module), name))
        for qualname, found in module.classes.items():
            if "<locals>" not in qualname and "#" not in qualname:
                if "." in qualname:
                    yield from self._offered(found.name, module, (("c", found),))
                yield from self._methods(module, found)

    def _names(self, module: Module) -> dict[str, None]:
        """Names that a module has: its own, those of star imports, those that its ``__getattr__`` gives."""
        names = dict.fromkeys([*module.names, *module.extra])
        for star in module.stars:
            other = self.resolver.program.modules.get(star)
            if other is not None and other is not module:
                names.update((name, None) for name in other.names if name[0] != "_")
            else:
                names.update((name, None) for name in self.resolver.native_names(star) if name[0] != "_")
        names.update((name, None) for name in self.resolver.lazy(module))
        return names

    def _methods(self, module: Module, found: Class) -> Iterator[Row]:
        for name, atoms in found.names.items():
            full = f"{found.name}.{name}"
            items: list[Object] = []
            for atom in atoms:
                items += [
                    item
                    for item in self.resolver.objects(self.resolver.program.around(found), None, atom)
                    if item[0] in "fkn"
                ]
            if items:
                yield from self._offered(full, module, tuple(dict.fromkeys(items)), found)

    def _offered(self, full: str, module: Module, items: Objects, own: Class | None = None) -> Iterator[Row]:
        best: Best = {}
        known, unknown, target, kind, line = True, 0, "", "", 0
        at = module
        status = "analysed"
        for item in items:
            head = item[0]
            if head in "fb":
                node = self.graph.node(
                    item[1], own if head == "f" and own else item[2] if head == "b" else item[1].owner
                )
                self._node_facts(node, best)
                known, unknown = known and not node.opaque, unknown + node.unknown
                if not target or item[1].name.partition("#")[0] == full:
                    target, line, at = item[1].name.partition("#")[0], item[1].line, item[1].module
                kind = kind or ("method" if item[1].owner is not None else "function")
            elif head == "k":
                captured = frozenset(item[1].closures[item[3]][1])  # given when it was made, not by who calls it
                for edge in self.graph.edges_to(item, "", None):
                    if edge.node is not None:
                        self._node_facts(edge.node, best, captured=captured)
                        known, unknown = known and not edge.node.opaque, unknown + edge.node.unknown
                        kind = kind or "function"
                        line = line or edge.node.function.line
            elif head == "c":
                safe, more = self._class_facts(item[1], best)
                known, unknown, kind = known and safe, unknown + more, kind or "class"
                if not target or item[1].name == full:
                    target, line, at = item[1].name, item[1].line, item[1].module
            elif head == "n" and (self.resolver.known_native(item[1])):
                known = self._native_facts(item[1], best) and known
                entry = self.native.get(item[1])
                if not target:
                    target, status = item[1], "native"
                    kind = kind or (entry.kind if entry else "function")
            elif head == "n" and not target:
                known = False
            elif head in "it" and not kind and full == f"{module.name}.{full.rpartition('.')[2]}" and head == "i":
                kind = "instance"
        if not kind:
            return
        if target.partition("#")[0] != full and self._same_place(target, full):
            target = full
        known = known and kind != "instance"
        yield self._row(full, status, kind, target or full, at, best, known, unknown, line)

    @staticmethod
    def _same_place(target: str, full: str) -> bool:
        return not target or "<" in target

    def _node_facts(
        self,
        node: Node,
        best: Best,
        implicit: bool = False,
        last: int = CALLED,
        deepest: int = 99,
        captured: frozenset[int] = frozenset(),
    ) -> None:
        for kind, way in node.reaches.items():
            if way[0] <= deepest:
                _better(best, (kind, False, implicit), (way[0], node, way, ""))
        for (kind, source), way in node.flows.items():
            position = int(source[1:].partition(".")[0])
            if position == 0 and node.function.kind == "class":
                continue  # the class is no argument: its name says which
            if position <= last and way[0] <= deepest and position not in captured:
                _better(best, (kind, True, implicit), (way[0], node, way, source))

    def _class_facts(self, found: Class, best: Best) -> tuple[bool, int]:
        """Facts of making an instance, and of what happens to instances by itself."""
        known, unknown = True, 0
        for edge in _makers(self.graph, found):
            if edge.node is None:
                known = self._native_facts(edge.name, best) and known
                continue
            node = edge.node
            for kind, way in node.reaches.items():
                _better(best, (kind, False, False), (way[0], node, way, ""))
            for (kind, source), way in node.flows.items():
                if not source.startswith("p0") or edge.receiver == "**":
                    _better(best, (kind, True, False), (way[0], node, way, source))
            unknown += node.unknown
            known = known and not node.opaque
        for node, arguments in dict.fromkeys(_implicit(self.graph, found)):
            called = arguments == CALLED
            self._node_facts(node, best, True, arguments, MAX_CALLED if called else 99)
            known = known and (called or not node.opaque)
        for base in self.resolver.mro(found):
            if isinstance(base, str) and not self._is_described(base):
                known, unknown = False, unknown + 1
        return known, unknown

    def _is_described(self, base: str) -> bool:
        return base in self.native or bool(root_kind(base)) or base.startswith(("typing.", "builtins."))

    def _native_facts(self, name: str, best: Best) -> bool:
        """Facts of something without source; whether it is known at all."""
        kind = root_kind(name)
        if kind:
            _better(best, (kind, True, False), (1, None, (1, 0, name), ""))
            return True
        entry = self.native.get(name)
        if entry is None:
            return False
        for kind, parameter in entry.reaches:
            _better(best, (kind, parameter != "-", False), (1, None, (1, 0, name), ""))
        if entry.calls:
            _better(best, ("call", True, False), (1, None, (1, 0, name), ""))
        return True

    def _row(
        self, name: str, status: str, kind: str, target: str, module: Module, best: Best, known: bool, unknown: int,
        line: int,
    ) -> Row:  # fmt: skip
        reaches = []
        for what in sorted({key[0] for key in best}, key=lambda item: _ORDER.get(item, 99)):
            key, found = min(
                ((key, found) for key, found in best.items() if key[0] == what),
                key=lambda pair: (not pair[0][1], pair[0][2], pair[1][0]),
            )
            witness = tuple(self._witness(name, what, found))
            reaches.append(Reached(what, found[0], key[1], key[2], witness=witness))
        native = status == "native"
        inert = known and not any(flows or what not in HARMLESS for what, flows, _ in best)
        return Row(
            name, status, kind, target, tuple(reaches), inert, unknown, "" if native else module.package,
            "" if native else module.version, "" if native else module.path, 0 if native else line,
        )  # fmt: skip

    def _witness(self, name: str, kind: str, found: tuple[int, Node | None, Way | None, str]) -> Iterator[Step]:
        _, node, way, source = found
        if node is None:
            yield Step(name)
        flowing = bool(source)
        for _ in range(MAX_WITNESS):
            if node is None or way is None:
                break
            yield _step(node, way)
            following = way[2]
            if not isinstance(following, Node):
                if following is not None:
                    yield Step(following)
                return
            node, before = following, way[0]
            way = _onward(node, kind, flowing, before)
        if isinstance(way, tuple) and isinstance(way[2], str):
            yield Step(way[2])


def _better(best: Best, key: tuple[str, bool, bool], found: tuple[int, Node | None, Way | None, str]) -> None:
    known = best.get(key)
    if key[0] != METHOD and (known is None or found[0] < known[0]):
        best[key] = found


def _onward(node: Node, kind: str, flowing: bool, before: int) -> Way | None:
    ways = [way for (what, _), way in node.flows.items() if what == kind and way[0] < before] if flowing else []
    nearest = min(ways, key=lambda way: way[0], default=None)
    return nearest or node.reaches.get(kind)


def _step(node: Node, way: Way) -> Step:
    function = node.function
    module = function.module
    number = way[1]
    line = -number if number < 0 else function.calls[number].line if number < len(function.calls) else function.line
    return Step(function.name.partition("#")[0], module.package, module.version, module.path, line)
