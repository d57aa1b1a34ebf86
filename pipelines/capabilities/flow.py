"""What each node of the call graph reaches, and which of its parameters get there.

A *source* is a parameter (``p2``) or an attribute of one (``p0.cmd``). For every node:

* ``flows``: (kind, source) -> the shortest way on which the source gets into what matters at a root sink;
* ``reaches``: kind -> the shortest way to a root sink, whatever is passed;
* ``returns``: the sources that its result is made from;
* ``stores``: attribute of its first parameter -> the sources that it puts there;
* ``unknown``: its calls of which nothing is known; ``opaque``: there are such calls, here or below.

Strongly connected parts are worked on from the callees up, each until nothing changes, so depths are shortest.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from safepickle.capabilities.sinks import CODE_ATTRIBUTES, CONTAINERS, PREPARING, SINKS, SWITCHES, root_kind

from .atoms import result_of
from .callbacks import GIVEN, METHOD, Callbacks
from .components import components
from .graph import Edge, Graph, Node, Way
from .origins import NONE, Sources
from .program import NEEDS_NOTHING, Atoms, Call
from .records import NativeCallable
from .roots import contained, kind_at, matters

_PLAIN = frozenset(["__setattr__", "__class__", "__delitem__", "__setitem__"])
"""Changes of something that nobody consults; of what matters they are root sinks."""
MAX_ROUNDS = 40
SINK_METHODS = frozenset(name.rpartition(".")[2] for name in SINKS)


class Analysis:
    """Works out the facts of all nodes of a graph."""

    def __init__(self, graph: Graph, native: Mapping[str, NativeCallable]) -> None:
        self.graph = graph
        self.native = native

    def run(self) -> None:
        """Fill in the facts of every node."""
        for part in components(self.graph):
            for _ in range(MAX_ROUNDS):
                changed = False
                for node in part:
                    changed |= Evaluation(self, node).run()
                if not changed or (len(part) == 1 and part[0] not in set(self.graph.successors(part[0]))):
                    break
            _settle(part, self.graph)


def _settle(part: list[Node], graph: Graph) -> None:
    """A part is opaque as a whole, or not at all."""
    opaque = any(node.unknown or any(following.opaque for following in graph.successors(node)) for node in part)
    for node in part:
        node.opaque = opaque


class Evaluation(Callbacks):
    """One look at one node, from what is known of those that it calls."""

    def __init__(self, analysis: Analysis, node: Node) -> None:
        super().__init__(analysis.graph, node)
        self.analysis = analysis
        self.unknown = 0
        self._used: frozenset[int] | None = None

    def run(self) -> bool:
        """Evaluate; return whether a fact changed."""
        node = self.node
        for number in range(len(self.calls)):
            self.of_result(number)
        self._store_late()
        for number in range(len(self.calls)):
            self._call(number)
        for line, imported in node.imports:
            for kind, way in list(imported.reaches.items()):
                self.reach(kind, (way[0] + 1, -line, imported))
        if self._store_late():
            self.forget()
            self.unknown = 0
            for number in range(len(self.calls)):
                self._call(number)
        self._attributes_of_code()
        returns = self.sources(node.function.returns)
        if returns != node.returns:
            node.returns = returns
            self.changed = True
        items = [returns if self._is_filled(atoms) else self.sources(atoms) for atoms in node.function.items]
        if items != node.items:
            node.items = items
            self.changed = True
        if self.stores != node.stores:
            node.stores = self.stores
            self.changed = True
        node.unknown = self.unknown
        return self.changed

    def _is_filled(self, atoms: Atoms) -> bool:
        """Whether a value may be an instance: what others put into it does not show in where it comes from."""
        objects = self.graph.resolver.objects
        return any(item[0] == "i" for atom in atoms for item in objects(self.node.function, self.node.own, atom))

    def _store(self, name: str, found: Sources) -> bool:
        before = self.stores.get(name, NONE)
        if found <= before:
            return False
        self.stores[name] = before | found
        return True

    def _store_late(self) -> bool:
        """Whether stores changed once the calls were known."""
        changed = False
        for base, name, atoms in self.node.function.stores:
            if base == "p0":
                changed |= self._store(name, self.sources(atoms))
        return changed or self.stores != self.node.stores

    def _call(self, number: int) -> None:
        call = self.calls[number]
        for edge in self.node.edges[number]:
            if edge.node is None:
                self._native(number, call, edge)
            else:
                self._analysed(number, edge, edge.node)
        for item in self.node.called.get(number, ()):
            self._given(number, call, item[0], item)
        for atom in call.callee:
            if (maker := result_of(atom)) >= 0:
                self._run_made(number, maker)
        if not self.node.edges[number] and number not in self.node.called:
            self.unknown += any(_is_whole(atom) for atom in call.callee)

    def _run_made(self, number: int, maker: int) -> None:
        """The result of call `maker` is called: what code was made from is run."""
        for edge in self.node.edges[maker]:
            if edge.node is not None:
                for (kind, source), way in list(edge.node.flows.items()):
                    if kind == "make" and _gives_made(edge.node, way):
                        for own in self.mapped(maker, edge, source):
                            self.flow("exec", own, (way[0] + 1, number, "types.FunctionType"))
            elif kind_at(edge.name, self.calls[maker]) == "make":
                for atoms in matters(edge.name, self.calls[maker]):
                    for own in self.sources(atoms):
                        self.flow("exec", own, (1, number, edge.name))

    def _given(self, number: int, call: Call, kind: str, item: tuple[object, ...]) -> None:
        """A call of something that the caller supplies, or that is not known."""
        if kind == "v" or (kind == "p" and not item[2]):
            for atom in call.callee:
                if atom[0] in "pc":
                    for source in self.sources((atom,)):
                        self.flow("call", source, (1, number, None))
        elif kind == "p" and item[2] in SINK_METHODS:
            for source in self.sources(atom for atom in call.callee if atom[0] == "p"):
                self.flow(METHOD, source, (1, number, None))

    def _analysed(self, number: int, edge: Edge, callee: Node) -> None:
        for kind, way in list(callee.reaches.items()):
            self.reach(kind, (way[0] + 1, number, callee))
        passing = bool(self.node.function.parameters)
        mapped: dict[str, Sources] = {}
        for (kind, source), way in list(callee.flows.items()):
            if passing:
                self.guards = NEEDS_NOTHING
                if (kind, source) in callee.guards and not self._may(number, edge, callee.guards[kind, source]):
                    continue
                if source not in mapped:
                    mapped[source] = self.mapped(number, edge, source)
                for own in mapped[source]:
                    self.flow(kind, own, (way[0] + 1, number, callee))
            if kind in GIVEN:
                self.calls_back(number, edge, callee, source, way[0])
        self.guards = NEEDS_NOTHING
        if edge.receiver == "p0" or (not edge.shift and callee.own is not None and self._passes_itself(number)):
            for name, stored in callee.stores.items():
                self._store(name, frozenset().union(*[self.mapped(number, edge, source) for source in stored]))

    def _may(self, number: int, edge: Edge, needs: Iterable[int]) -> bool:
        """Whether a call lets parameters be true that are false by default; on whose saying is put into `guards`."""
        call = self.calls[number]
        assert edge.node is not None
        callee = edge.node.function
        for position in needs:
            index = position - edge.shift
            if position < callee.positional and 0 <= index < len(call.args):
                given = call.args[index]
            elif callee.parameters[position] in call.keywords:
                given = call.keywords[callee.parameters[position]]
            elif call.star or call.stars or (edge.captured is not None and position in edge.captured):
                continue
            else:
                return False
            if given == ("sFalse",):
                return False
            numbers = [int(atom[1:]) for atom in given if atom[0] == "p" and "." not in atom]
            if numbers and len(numbers) == len([atom for atom in given if atom != "sFalse"]):
                self.guards |= self.node.function.falsy.intersection(numbers) if len(numbers) == 1 else NEEDS_NOTHING
        return True

    def _passes_itself(self, number: int) -> bool:
        args = self.calls[number].args
        return bool(args) and "p0" in args[0]

    def _native(self, number: int, call: Call, edge: Edge) -> None:
        name = edge.name
        if name in PREPARING:
            return
        shift = 0
        if root_kind(name.removesuffix(".__init__")) and not root_kind(name):  # what a subclass of a sink calls
            name = name.removesuffix(".__init__")
            shift = not any(atom[0] == "u" for atom in call.callee)
        if root_kind(name):
            kind = kind_at(name, call)
            self.reach(kind, (1, number, name))
            for atoms in matters(name, call, shift):
                for source in self.sources(atoms):
                    self.flow(kind, source, (1, number, name))
            return
        if contained(name):
            self.reach("tamper", (1, number, name))
            for atoms in call.given():
                for source in self.sources(atoms):
                    self.flow("tamper", source, (1, number, name))
            return
        if name in ("sys.modules.__getitem__", "sys.modules.get"):
            for source in self.sources(call.args[0] if call.args else ()):
                self.flow("import", source, (1, number, name))
            return
        if name == "builtins.getattr":
            self._by_name(number, call)
            return
        entry = self.analysis.native.get(name)
        if entry is not None:
            self._described(number, call, entry)
        elif not self._plain(name):
            self.unknown += 1

    def _plain(self, name: str) -> bool:
        """Whether a name without source is an attribute of something described, such as a container's method."""
        head, _, tail = name.rpartition(".")
        if tail in _PLAIN or head in CONTAINERS or head in SWITCHES or head in self.analysis.native:
            return True
        known = self.graph.resolver.native_names(name.partition(".")[0])
        return bool(root_kind(head)) or (bool(known) and ("." in head or tail[0] == "_")) or head == "builtins"

    def _described(self, number: int, call: Call, entry: NativeCallable) -> None:
        for kind, parameter in entry.reaches:
            self.reach(kind, (1, number, entry.name))
            for atoms in _of_native(call, entry, parameter):
                for source in self.sources(atoms):
                    self.flow(kind, source, (1, number, entry.name))
        for parameter in entry.calls:
            for atoms in _of_native(call, entry, parameter):
                for atom in atoms:
                    if atom[0] in "pc" and ("." not in atom or self._is_value(atom)):
                        for source in self.sources((atom,)):
                            self.flow("call", source, (1, number, entry.name))
                    self.hand(number, atom, 1)

    def _is_value(self, atom: str) -> bool:
        items = self.graph.resolver.objects(self.node.function, self.node.own, atom)
        return any(item[0] == "v" for item in items)

    def _by_name(self, number: int, call: Call) -> None:
        """``getattr`` with a computed name whose result is called or returned: any function of a module."""
        if len(call.args) < 2 or number not in self._followed():
            return
        named = self.sources(call.args[1])
        holders = self.graph.resolver
        for atom in call.args[0]:
            for item in holders.objects(self.node.function, self.node.own, atom):
                if item[0] in "mnp":  # the name decides, whoever has it
                    for source in named:
                        self.flow("import", source, (1, number, "builtins.getattr"))

    def _followed(self) -> frozenset[int]:
        """Calls whose result is itself called, or returned."""
        if self._used is None:
            atoms = [*self.node.function.returns, *[atom for call in self.calls for atom in call.callee]]
            self._used = frozenset(int(atom[1:].partition(".")[0]) for atom in atoms if atom[0] == "c")
        return self._used

    def _attributes_of_code(self) -> None:
        for base, name, atoms in self.node.function.stores:
            if base[0] == "p" and name in CODE_ATTRIBUTES:
                for source in self.sources(atoms):
                    self.flow("tamper", source, (1, 0, f"types.FunctionType.{name}"))
            full = f"{self.node.own.name}.{name}" if base == "p0" and self.node.own is not None else ""
            if full in CONTAINERS:
                for source in self.sources(atoms):
                    self.flow("tamper", source, (1, 0, full))


def _is_whole(atom: str) -> bool:
    """Whether an atom is a name or a value, no attribute of one."""
    return atom[0] == "g" or (atom[-1] != "." and "." not in atom) or result_of(atom) >= 0


def _gives_made(node: Node, way: Way) -> bool:
    """Whether a function returns the code that it makes."""
    while f"c{way[1]}" in node.function.returns:
        following = way[2]
        if not isinstance(following, Node):
            return True
        node, before = following, way[0]
        ways = [found for (kind, _), found in node.flows.items() if kind == "make" and found[0] < before]
        if not ways:
            return False
        way = min(ways, key=lambda found: found[0])
    return False


def _of_native(call: Call, entry: NativeCallable, parameter: str) -> Iterator[Atoms]:
    """What a call passes for a parameter of a callable in C; ``*`` is everything, ``-`` nothing."""
    if parameter == "*":
        yield from call.given()
    elif parameter in entry.parameters:
        position = entry.parameters.index(parameter)
        if position < len(call.args):
            yield call.args[position]
        else:
            yield call.keywords.get(parameter, ())
            yield call.star
    elif parameter != "-":
        yield from call.given()
