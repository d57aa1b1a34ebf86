"""The call graph: nodes are functions with the class of their first parameter, edges what each call may call."""

from __future__ import annotations

from collections.abc import Iterator

from safepickle.capabilities.sinks import root_kind

from .atoms import result_of
from .names import Object
from .objects import Resolver
from .program import Atoms, Call, Class, Function

CALLED = 99
IMPLICIT = {
    "__setstate__": 1, "__setitem__": 2, "__hash__": 0, "__eq__": 1, "__del__": 0, "__getattr__": 0, "__call__": CALLED,
    "append": 1, "extend": 1, "add": 1,
}  # fmt: skip
"""Methods that unpickling, garbage collection or a further call invoke, and how many arguments get in."""


class Edge:
    """One thing that a call may call.

    Parameters
    ----------
    node
        A node of the graph, or None for something without source, of full name `name`.
    receiver
        Atom that becomes the first parameter; empty when nothing does, ``*`` for a new instance.
    shift
        1 when the arguments begin at the second parameter.
    captured
        What a closure's captured variables are, by parameter: atoms of the function itself, or with `through`
        atoms of the function that made it in the call of that number.
    """

    __slots__ = ("captured", "name", "node", "receiver", "shift", "through")

    def __init__(
        self, node: Node | None, name: str = "", receiver: str = "", shift: int = 0,
        captured: dict[int, Atoms] | None = None, through: int = -1,
    ) -> None:  # fmt: skip
        self.node = node
        self.name = name
        self.receiver = receiver
        self.shift = shift
        self.captured = captured
        self.through = through


Way = tuple[int, int, "Node | str | None"]
"""Depth, number of the call, and what is called there."""


class Node:
    """A function, and what is known of it: see :mod:`pipelines.capabilities.flow`."""

    __slots__ = (
        "attributes", "called", "edges", "flows", "function", "guards", "imports", "items", "opaque", "own", "passes",
        "reaches", "returns", "stores", "unknown",
    )  # fmt: skip

    def __init__(self, function: Function, own: Class | None) -> None:
        self.function = function
        self.own = own
        self.edges: list[tuple[Edge, ...]] = []
        self.called: dict[int, tuple[Object, ...]] = {}
        self.flows: dict[tuple[str, str], Way] = {}
        self.attributes: dict[tuple[str, str], set[str]] = {}
        self.guards: dict[tuple[str, str], frozenset[int]] = {}
        """Parameters, false by default, that must be true for a flow, if there are such."""
        self.reaches: dict[str, Way] = {}
        self.returns: frozenset[str] = frozenset()
        self.items: list[frozenset[str]] = []
        """The same for each item of a tuple that it returns."""
        self.stores: dict[str, frozenset[str]] = {}
        self.unknown = 0
        self.opaque = False
        """Whether it calls, or anything below it, what is not known."""
        self.imports: list[tuple[int, Node]] = []
        """Of a module's code: what it imports, with the line."""
        self.passes: tuple[Node, ...] = ()
        """Functions that it hands over to what it calls."""


class Graph:
    """Makes nodes as they are needed, so that an inherited method is looked at once for each class it differs in."""

    def __init__(self, resolver: Resolver) -> None:
        self.resolver = resolver
        self.nodes: dict[tuple[int, int], Node] = {}
        self._used: dict[int, frozenset[str]] = {}
        self._new: list[Node] = []

    def node(self, function: Function, own: Class | None) -> Node:
        """The node of a function whose first parameter is an instance of `own` (or is `own`)."""
        owner = function.owner
        if owner is None or function.kind == "static":
            own = None
        elif own is None or (own is not owner and not self._differs(function, own, owner)):
            own = owner
        key = (id(function), id(own))
        found = self.nodes.get(key)
        if found is None:
            found = self.nodes[key] = Node(function, own)
            self._new.append(found)
        return found

    def _differs(self, function: Function, own: Class, owner: Class) -> bool:
        """Whether any class before `owner` has something that the method uses of its instance."""
        used = self._uses(function, owner)
        if "*" in used:
            return True
        for item in self.resolver.mro(own):
            if item is owner:
                return False
            if isinstance(item, Class) and not (used.isdisjoint(item.names) and used.isdisjoint(item.fields)):
                return True
        return True

    def _uses(self, function: Function, owner: Class) -> frozenset[str]:
        """Attributes that a method, and the methods it calls on its instance, use of the instance."""
        found = self._used.get(id(function))
        if found is None:
            names: set[str] = set()
            waiting, seen = [function], {id(function)}
            while waiting:
                own = _own_attributes(waiting.pop())
                for name in own - names:
                    for item in self.resolver.member(owner, name) if name != "*" else ():
                        if item[0] == "f" and id(item[1]) not in seen:
                            seen.add(id(item[1]))
                            waiting.append(item[1])
                names |= own
            found = self._used[id(function)] = frozenset(names)
        return found

    def build(self) -> None:
        """Find the edges of every node, and of those that turn up on the way."""
        while self._new:
            node = self._new.pop()
            function = node.function
            node.edges = [tuple(self._edges(node, number)) for number in range(len(function.calls))]
            node.passes = tuple(dict.fromkeys(self._passed(node)))
            if not function.qualname:
                node.imports = list(self._imported(function))

    def _imported(self, function: Function) -> Iterator[tuple[int, Node]]:
        modules = self.resolver.program.modules
        for name, line in function.module.imports.items():
            parts = name.split(".")
            for length in range(1, len(parts) + 1):
                found = modules.get(".".join(parts[:length]))
                if found is not None and found is not function.module:
                    yield line, self.node(found.code, None)

    def _edges(self, node: Node, number: int) -> Iterator[Edge]:
        call = node.function.calls[number]
        rest: list[Object] = []
        for atom in call.callee:
            for item in self.resolver.objects(node.function, node.own, atom):
                if item[0] in "fbcikn":
                    edges = list(self.edges_to(item, atom, node, call))
                    if not edges and item[0] == "c":
                        rest.append(("t", ""))  # a class that nothing is called for
                    yield from edges
                elif item not in rest:
                    rest.append(item)
        if rest:
            node.called[number] = tuple(rest)

    def edges_to(self, item: Object, atom: str, node: Node | None, call: Call | None = None) -> Iterator[Edge]:
        """Edges for calling an object that `atom` of `node` stands for."""
        kind = item[0]
        base = atom.rpartition(".")[0] if "." in atom and atom[0] in "pc" else atom
        if kind == "f":
            yield Edge(self.node(item[1], self._own_of(item[1], call, node)))
        elif kind == "b":
            receiver = "p0" if atom[:1] == "u" else base if atom[:1] in ("p", "c") else ""
            yield Edge(self.node(item[1], item[2]), receiver=receiver, shift=1)
        elif kind == "n":
            yield Edge(None, item[1], receiver=base if atom[:1] in ("p", "c") else "")
        elif kind == "c":
            yield from self.constructing(item[1])
        elif kind == "i":
            for method in self.resolver.member(item[1], "__call__"):
                if method[0] == "f":
                    yield Edge(self.node(method[1], item[1]), receiver=atom if atom[:1] in ("p", "c") else "", shift=1)
        elif kind == "k":
            yield from self._closure(item, atom, node)

    def _own_of(self, function: Function, call: Call | None, node: Node | None) -> Class | None:
        """The class whose instance a call passes to a method that is not bound: ``Base.__init__(self)``."""
        if function.owner is not None and call is not None and node is not None and call.args:
            for atom in call.args[0]:
                for item in self.resolver.objects(node.function, node.own, atom):
                    if item[0] in "ci" and function.owner in self.resolver.mro(item[1]):
                        found: Class = item[1]
                        return found
        return function.owner

    def _closure(self, item: Object, atom: str, node: Node | None) -> Iterator[Edge]:
        maker: Function = item[1]
        qualname, captured = maker.closures[item[3]]
        inner = maker.module.functions.get(qualname)
        if inner is None:
            return
        found = self.node(inner, None)
        if node is not None and maker is node.function:
            yield Edge(found, captured=captured)
        elif atom and result_of(atom) >= 0:
            yield Edge(found, captured=captured, through=result_of(atom))
        elif atom[:1] == "p" and "." in atom:  # it was kept in a field, with what it captured
            yield Edge(found, captured=dict.fromkeys(captured, (atom,)))
        else:
            yield Edge(found, captured={})

    def constructing(self, found: Class) -> Iterator[Edge]:
        """Edges for making an instance."""
        own = any(item[0] == "f" for item in self.resolver.member(found, "__init__"))
        for name in ("__new__", "__init__"):
            for item in self.resolver.member(found, name):
                if item[0] == "f":
                    yield Edge(self.node(item[1], found), receiver="*", shift=1)
                elif item[0] == "n" and not item[1].startswith("builtins."):
                    maker = item[1].removesuffix("." + name)
                    if name == "__init__" or not (own and root_kind(maker)):  # else the own constructor tells what
                        yield Edge(None, maker, receiver="*")  # gets there
        if found.made or any(item == "typing.NamedTuple" for item in self.resolver.mro(found)):
            for item in self.resolver.member(found, "__post_init__"):
                if item[0] == "f":
                    yield Edge(self.node(item[1], found), receiver="**", shift=1)

    def _passed(self, node: Node) -> Iterator[Node]:
        for call in node.function.calls:
            for atoms in call.given():
                for atom in atoms:
                    if atom[0] in "gdk" or (atom[0] == "p" and "." in atom):
                        for edge in self.handed(node, atom):
                            if edge.node is not None:
                                yield edge.node

    def handed(self, node: Node, atom: str) -> Iterator[Edge]:
        """Edges for calling what an argument is, when that is known."""
        for item in self.resolver.objects(node.function, node.own, atom):
            if item[0] in "fbckn":
                yield from self.edges_to(item, atom, node)

    def successors(self, node: Node) -> Iterator[Node]:
        """Nodes that a node's facts depend on."""
        for edges in node.edges:
            for edge in edges:
                if edge.node is not None:
                    yield edge.node
        yield from node.passes
        for _, imported in node.imports:
            yield imported


def _own_attributes(function: Function) -> frozenset[str]:
    """Attributes of the first parameter that a method names; ``*`` when it makes instances of its class."""
    if function.own is None:
        names: set[str] = set(function.loads)
        for atoms in _all_atoms(function):
            for atom in atoms:
                if atom.startswith(("p0.", "u.")):
                    names.add(atom.split(".", 2)[1])
        for call in function.calls:
            if "p0" in call.callee or "p0.__class__" in call.callee:
                names.add("*")
        names.discard("__class__")
        function.own = frozenset(names)
    return function.own


def _all_atoms(function: Function) -> Iterator[Atoms]:
    for call in function.calls:
        yield call.callee
        yield from call.given()
    yield function.returns
    for base, name, value in function.stores:
        if base == "p0":
            yield ("p0." + name,)
        yield value


def argument(call: Call, function: Function, position: int, shift: int) -> Iterator[Atoms]:
    """Atoms that a call passes for the parameter of a function at `position`."""
    index = position - shift
    if position < function.positional:
        if 0 <= index < len(call.args):
            yield call.args[index]
        else:
            yield call.keywords.get(function.parameters[position], ())
            yield call.star
            yield call.stars
    elif position == function.star:
        yield from call.args[max(0, function.positional - shift) :]
        yield call.star
    elif position == function.stars:
        for name, atoms in call.keywords.items():
            if name not in function.parameters:
                yield atoms
        yield call.stars
    elif position < len(function.parameters):
        yield call.keywords.get(function.parameters[position], ())
        yield call.stars
