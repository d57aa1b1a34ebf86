"""Facts of a node as they are noted, and functions that are handed over: who calls them, and with what."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from safepickle.capabilities.sinks import PREPARING, root_kind

from .atoms import result_of
from .graph import Edge, Graph, Node, Way, argument
from .origins import CONTENT, NONE, Origins
from .program import NEEDS_NOTHING, Call
from .roots import kind_at

MAX_ATTRIBUTES = 8
"""Attributes of one parameter that are told apart for one kind of sink; more count as the parameter."""
MAX_FLOW = 5
"""Calls through which a flow is claimed. Each call widens what an argument may be: of tagged callables read in thirty
packages, four of five were right up to five calls and fewer than half beyond, and no callable of the public advisories
needed more than four."""
METHOD = "method"
"""Kind, told to nobody, of calling what a parameter has under the name of a root sink: ``codec.load(file)``. It is
followed where a call passes the module that has it."""
GIVEN = frozenset(["call", METHOD])
RUNNING = frozenset(["exec", "make", "deserialize"])


class Callbacks(Origins):
    """Notes what a node reaches, and follows the functions that it hands over."""

    def __init__(self, graph: Graph, node: Node) -> None:
        super().__init__(node)
        self.graph = graph
        self.changed = False
        self.guards = NEEDS_NOTHING

    def flow(self, kind: str, source: str, way: Way) -> None:
        """Note that a source reaches a kind of sink, if that is news or nearer."""
        if way[0] > MAX_FLOW:
            if kind not in GIVEN:
                self.reach(kind, way)
            return
        if source.endswith(CONTENT):
            if kind not in RUNNING:
                return
            source = source.partition(".")[0]
        if "." in source and (kind, source) not in self.node.flows:
            base = source.partition(".")[0]
            names = self.node.attributes.setdefault((kind, base), set())
            if len(names) >= MAX_ATTRIBUTES:
                source = base  # from there on the whole of it
            names.add(source)
        key = (kind, source)
        known = self.node.flows.get(key)
        guards = self.calls[way[1]].needs | self.guards if 0 <= way[1] < len(self.calls) else NEEDS_NOTHING
        if known is None:
            if guards:
                self.node.guards[key] = guards
        elif key in self.node.guards and not guards >= self.node.guards[key]:
            self.node.guards[key] &= guards
            if not self.node.guards[key]:
                del self.node.guards[key]
            self.changed = True
        if known is None or way[0] < known[0]:
            self.node.flows[key] = way
            self.changed = True
        if kind not in GIVEN:  # who calls what nobody gave it does nothing that its own calls do not tell
            self.reach(kind, way)

    def reach(self, kind: str, way: Way) -> None:
        """Note that a kind of sink is reached, if that is news or nearer."""
        known = self.node.reaches.get(kind)
        if known is None or way[0] < known[0]:
            self.node.reaches[kind] = way
            self.changed = True

    def calls_back(self, number: int, edge: Edge, callee: Node, source: str, depth: int) -> None:
        """The callee calls what it is given: follow the functions that it is given here."""
        base, _, name = source.partition(".")
        position = int(base[1:])
        given: list[str] = []
        binding: Call | None = None
        if edge.captured is not None and position in edge.captured:
            given += edge.captured[position] if edge.through < 0 else ()
        elif not (position == 0 and edge.shift):
            for atoms in argument(self.calls[number], callee.function, position, edge.shift):
                given += atoms
        elif edge.receiver[:1] == "c" and name and "." not in edge.receiver:
            given += self._held(int(edge.receiver[1:]), name)
            binding = self.calls[int(edge.receiver[1:])]
        for atom in given:
            self.hand(number, _attributed(atom, name, position, edge), depth, binding)

    def hand(self, number: int, atom: str, depth: int, binding: Call | None = None) -> None:
        """What an atom stands for is called by what call `number` calls, with the arguments of `binding` too."""
        if atom[0] in "gdkp":
            for inner in self.graph.handed(self.node, atom):
                self._back(number, inner, depth, binding)
        elif (made := result_of(atom)) >= 0:
            carrier = self.calls[made]
            for atoms in carrier.given():
                for held in atoms:
                    if held[0] in "gdk":
                        for inner in self.graph.handed(self.node, held):
                            self._back(number, inner, depth + 1, carrier)

    def _held(self, number: int, name: str) -> Iterator[str]:
        """Atoms that went into a field of the instance that a call makes."""
        for edge in self.node.edges[number]:
            if edge.receiver == "*" and edge.node is not None:
                for source in edge.node.stores.get(name, NONE):
                    if not source.startswith("p0") and "." not in source:
                        for atoms in argument(self.calls[number], edge.node.function, int(source[1:]), edge.shift):
                            yield from atoms

    def _back(self, number: int, inner: Edge, depth: int, binding: Call | None) -> None:
        """A function handed over is called, with whatever else is passed there."""
        call = self.calls[number]
        given: set[str] = set()
        for atoms in (*call.given(), *(binding.given() if binding else ())):
            given |= self.sources(atoms)
        if inner.node is None:
            kind = kind_at(inner.name, call) if root_kind(inner.name) and inner.name not in PREPARING else ""
            if kind:
                self.reach(kind, (depth + 1, number, inner.name))
                for source in given:
                    self.flow(kind, source, (depth + 1, number, inner.name))
            return
        for kind, way in list(inner.node.reaches.items()):
            self.reach(kind, (way[0] + depth + 1, number, inner.node))
        for (kind, source), way in list(inner.node.flows.items()):
            names = [inner.node.function.parameters[item] for item in inner.node.guards.get((kind, source), ())]
            bound = binding.keywords if binding else {}
            passed = [call.keywords.get(name, bound.get(name, ())) for name in names]
            if ("sFalse",) in passed:
                continue
            given_by = [int(atoms[0][1:]) for atoms in passed if len(atoms) == 1 and atoms[0][1:].isdigit()]
            self.guards = self.node.function.falsy.intersection(given_by) if len(given_by) == 1 else NEEDS_NOTHING
            if inner.captured and int(source.partition(".")[0][1:]) in inner.captured:
                own: Iterable[str] = self.mapped(number, inner, source) if inner.through < 0 else ()
            elif inner.shift and source.startswith("p0"):
                own = self._received(number, inner, source.partition(".")[2])
            else:
                own = given
            for item in own:
                self.flow(kind, item, (way[0] + depth + 1, number, inner.node))
        self.guards = NEEDS_NOTHING


def _attributed(atom: str, name: str, position: int, edge: Edge) -> str:
    received = position == 0 and edge.shift
    return atom if not name or received or atom[0] == "k" else f"{atom}.{name}"
