"""What classes constructors are given, so that ``self.factory = factory`` has a meaning."""

from __future__ import annotations

from collections.abc import Iterable

from .names import Object
from .objects import Resolver
from .program import Function

MAX_BOUND = 6
"""A constructor that is given more classes than this is told nothing by them."""


def bind_classes(resolver: Resolver) -> None:
    """Find what classes constructors are given, so that ``self.factory = factory`` has a meaning."""
    bound: dict[tuple[int, int], list[Object]] = {}
    for function in resolver.program.functions():
        for number, call in enumerate(function.calls):
            places: list[tuple[int | str, tuple[str, ...]]] = list(enumerate(call.args, 1))
            places += call.keywords.items()
            if any(atom[0] in "gd" for _, atoms in places for atom in atoms):
                _bind(resolver, function, number, places, bound)
    resolver.forget()
    resolver.bound = {key: tuple(items) for key, items in bound.items() if len(items) <= MAX_BOUND}


def _bind(
    resolver: Resolver, function: Function, number: int, places: Iterable[tuple[int | str, tuple[str, ...]]],
    bound: dict[tuple[int, int], list[Object]],
) -> None:  # fmt: skip
    makers = [
        maker[1]
        for callee in resolver.callees(function, function.owner, number)
        for maker in (resolver.member(callee[1], "__init__") if callee[0] == "c" else ())
        if maker[0] == "f"
    ]
    for place, atoms in places if makers else ():
        classes = [
            item for atom in atoms for item in resolver.objects(function, function.owner, atom) if item[0] == "c"
        ]
        for maker in makers if classes else ():
            position = place if isinstance(place, int) else -1
            if place in maker.parameters:
                position = maker.parameters.index(place)
            if 0 < position < len(maker.parameters):
                known = bound.setdefault((id(maker), position), [])
                known += [item for item in classes if item not in known]
