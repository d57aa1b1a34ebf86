"""Where a value comes from: the sources, in terms of a node's own parameters, of what its atoms stand for."""

from __future__ import annotations

from collections.abc import Iterable

from .atoms import item_at
from .graph import Edge, Node, argument
from .program import Call

Sources = frozenset[str]
NONE: Sources = frozenset()
CONTENT = "<content>"
"""Attribute that stands for what a file in memory holds: it can be run or loaded, and is no path and no address."""
IN_MEMORY = frozenset(["_io.BytesIO", "_io.StringIO", "io.BytesIO", "io.StringIO"])
TELLING_NOTHING = frozenset(["sys._getframe", "sys.exc_info", "sys._current_frames"])
"""Functions in C whose result holds nothing of their arguments, though it is no plain number."""


class Origins:
    """The sources of a node's values, from what is known of those that it calls."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.calls = node.function.calls
        self.stores = dict(node.stores)
        self.results: list[Sources | None] = [None] * len(self.calls)
        self.fields: dict[tuple[str, str], Sources] = {}

    def forget(self) -> None:
        """Drop answers that were given before all stores were known."""
        self.results = [None] * len(self.calls)
        self.fields = {}

    def sources(self, atoms: Iterable[str]) -> Sources:
        """The sources that any of some atoms comes from."""
        found: set[str] = set()
        for atom in atoms:
            head = atom[0]
            if head == "~":
                atom = atom[1:]
                head = atom[0]
            if head == "p":
                found |= self._of_parameter(atom)
            elif head == "c":
                base, _, path = atom.partition(".")
                found |= self.of_field(base, path.partition(".")[0]) if path else self.of_result(int(base[1:]))
            elif head == "k":
                for captured in self.node.function.closures[int(atom.partition(".")[0][1:])][1].values():
                    found |= self.sources(item for item in captured if item[0] != "k")
        return frozenset(found)

    def _of_parameter(self, atom: str) -> set[str]:
        base, _, path = atom.partition(".")
        if not path:
            return {base}
        name = path.partition(".")[0]
        if _is_dunder(name) and name != "__dict__":
            return set()  # what a function or class says of itself is its author's: who can forge it has run code
        source = f"{base}.{name}"
        if base == "p0" and self.stores:
            return {source} | self.stores.get(name, NONE) | self.stores.get("*", NONE)
        return {source}

    def of_result(self, number: int) -> Sources:
        """The sources that the result of a call is made from."""
        found = self.results[number]
        if found is not None:
            return found
        self.results[number] = NONE
        call = self.calls[number]
        edges = self.node.edges[number]
        answer: set[str] = set()
        opaque = not edges or number in self.node.called
        for edge in edges:
            if edge.node is not None and edge.receiver not in ("*", "**"):
                for source in edge.node.returns:
                    answer |= self.mapped(number, edge, source)
            else:
                opaque = True
        if opaque and not (len(edges) == 1 and edges[0].name in TELLING_NOTHING) and not _asks_what_it_says(call):
            for atoms in call.given():
                answer |= self.sources(atoms)
            answer |= self.sources(atom.rpartition(".")[0] or atom for atom in call.callee if atom[0] in "pc~")
        if any(edge.name in IN_MEMORY for edge in edges):
            answer = {f"{source.partition('.')[0]}.{CONTENT}" for source in answer}
        self.results[number] = frozenset(answer)
        return frozenset(answer)

    def of_field(self, base: str, name: str) -> Sources:
        """The sources in attribute `name` of the result of a call, when that makes an instance."""
        known = self.fields.get((base, name))
        if known is not None:
            return known
        self.fields[base, name] = NONE
        answer = self.fields[base, name] = self._of_field(base, name)
        return answer

    def _of_field(self, base: str, name: str) -> Sources:
        number = int(base[1:])
        edges = self.node.edges[number]
        index = item_at(name)
        if index >= 0:
            return self._of_item(number, index)
        makers = [edge for edge in edges if edge.receiver == "*" and edge.node is not None]
        found: set[str] = set()
        for store, attribute, atoms in self.node.function.stores:
            if store == base and attribute in (name, "*"):
                found |= self.sources(atoms)
        if not makers or len(makers) < len(edges):
            return self.of_result(number) | found
        for edge in makers:
            assert edge.node is not None
            for source in edge.node.stores.get(name, NONE) | edge.node.stores.get("*", NONE):
                if not source.startswith("p0"):
                    found |= self.mapped(number, edge, source)
        return frozenset(found)

    def _of_item(self, number: int, index: int) -> Sources:
        """The sources of one item of what a call returns."""
        edges = self.node.edges[number]
        if not edges or number in self.node.called:
            return self.of_result(number)
        found: set[str] = set()
        for edge in edges:
            if edge.node is None or edge.receiver in ("*", "**") or index >= len(edge.node.items):
                return self.of_result(number)
            for source in edge.node.items[index]:
                found |= self.mapped(number, edge, source)
        return frozenset(found)

    def mapped(self, number: int, edge: Edge, source: str) -> Sources:
        """The node's own sources for one of a callee's."""
        assert edge.node is not None
        call, callee = self.calls[number], edge.node.function
        base, _, name = source.partition(".")
        position = int(base[1:])
        if edge.captured is not None and position in edge.captured:
            return self._captured(edge, position, name)
        if position == 0 and edge.shift:
            return self._received(number, edge, name)
        found: set[str] = set()
        for atoms in argument(call, callee, position, edge.shift):
            found |= self.sources(_attributes(atoms, name) if name else atoms)
        return frozenset(found)

    def _received(self, number: int, edge: Edge, name: str) -> Sources:
        receiver = edge.receiver
        if receiver == "**":
            return self.sources(atom for atoms in self.calls[number].given() for atom in atoms)
        if receiver in ("", "*"):
            return NONE
        return self.sources(_attributes((receiver,), name) if name else (receiver,))

    def _captured(self, edge: Edge, position: int, name: str) -> Sources:
        atoms = (edge.captured or {})[position]
        if edge.through < 0:
            return self.sources(_attributes(atoms, name) if name else atoms)
        found: set[str] = set()
        for maker in self.node.edges[edge.through]:
            if maker.node is not None and maker.captured is None:
                for atom in atoms:
                    if atom.lstrip("~")[0] == "p":
                        found |= self.mapped(edge.through, maker, atom.lstrip("~").split(".")[0])
        return frozenset(found)


def _is_dunder(name: str) -> bool:
    return name.startswith("__") and name.endswith("__")


def _asks_what_it_says(call: Call) -> bool:
    """Whether a call is ``thing.__dict__.get("__annotations__")``: the same as the attribute."""
    asked = call.args[0] if call.args else ()
    return (
        bool(asked and call.callee)
        and all(atom.endswith(".__dict__.get") for atom in call.callee)
        and all(atom[0] == "s" and _is_dunder(atom[1:]) for atom in asked)
    )


def _attributes(atoms: Iterable[str], name: str) -> list[str]:
    """An attribute of each atom, as far as sources tell attributes apart."""
    return [atom if "." in atom or atom[0] not in "pc" else f"{atom}.{name}" for atom in atoms]
