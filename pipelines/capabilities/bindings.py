"""What is put into instances: the classes and instances that constructors and other methods are given and keep."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from .names import Object
from .objects import Resolver
from .program import Function

MAX_BOUND = 6
"""A method that is given more of them than this is told nothing by them."""
Bound = dict[tuple[int, int], list[Object]]


def bind_kept(resolver: Resolver) -> None:
    """Find what methods are given that they keep, so that ``self.factory = factory`` has a meaning."""
    bound: Bound = {}
    for function in resolver.program.functions():
        for number, call in enumerate(function.calls):
            places: list[tuple[int | str, tuple[str, ...]]] = list(enumerate(call.args, 1))
            places += call.keywords.items()
            if any(atom[0] in "gdc" for _, atoms in places for atom in atoms):
                _bind(resolver, function, number, places, bound)
    resolver.forget()
    resolver.bound = {key: tuple(items) for key, items in bound.items() if len(items) <= MAX_BOUND}


def _bind(
    resolver: Resolver, function: Function, number: int, places: Iterable[tuple[int | str, tuple[str, ...]]],
    bound: Bound,
) -> None:  # fmt: skip
    keeping = [(method, kept) for method in _methods(resolver, function, number) if (kept := _kept(method))]
    for place, atoms in places if keeping else ():
        given = [item for atom in atoms for item in resolver.objects(function, function.owner, atom) if item[0] in "ci"]
        for method, kept in keeping if given else ():
            position = place if isinstance(place, int) else -1
            if place in method.parameters:
                position = method.parameters.index(place)
            if position in kept:
                known = bound.setdefault((id(method), position), [])
                known += [item for item in given if item not in known]


def _methods(resolver: Resolver, function: Function, number: int) -> Iterator[Function]:
    """Methods that a call of a function calls on an instance, constructors among them."""
    for callee in resolver.callees(function, function.owner, number):
        if callee[0] == "c":
            yield from (item[1] for item in resolver.member(callee[1], "__init__") if item[0] == "f")
        elif callee[0] == "b" and callee[1].kind == "method":
            yield callee[1]


def _kept(method: Function) -> frozenset[int]:
    """Parameters that a method puts into its instance as they are."""
    return frozenset(
        int(atom[1:])
        for base, _, atoms in method.stores
        if base == "p0"
        for atom in atoms
        if atom[0] == "p" and atom[1:].isdigit() and atom != "p0"
    )
