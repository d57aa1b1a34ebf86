"""What constructors and wrappers of the standard library make of what they are given."""

from __future__ import annotations

from . import pure
from .names import candidates, canonical
from .resolving import entries
from .values import Instance, Reference, Shared

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


_HEAVIEST = 1 << 22
MOST_BOUND = 64
"""Arguments that a carrier holds, by position or by name."""


def is_known(value: Any) -> bool:
    """Whether a result is a reference, or a literal with nothing unknown in it."""
    return value is not None and pure.known(value, Reference)


def bound(target: Any, *owner: Any) -> Any:
    """A function bound to an object; the function itself where that is None."""
    if isinstance(target, Reference) and owner and owner[0] is not None:
        return Reference("carrier", target.name, target.steps, (*target.bound, owner[0])[:MOST_BOUND], target.keywords)
    return target


def weight(value: Any) -> int:
    """Bytes that a value takes, about; what is remembered of a stream is bounded by it."""
    pending = [value]
    total = 0
    while pending and total < _HEAVIEST:
        item = pending.pop()
        total += 64
        if isinstance(item, (str, bytes, bytearray)):
            total += len(item)
        elif isinstance(item, Instance):
            pending += (item.arguments, item.state)
        elif isinstance(item, Reference):
            pending += (item.bound, item.keywords)
        elif isinstance(item, Shared):
            pending += item.items
        elif isinstance(item, (tuple, list, dict)):
            pending += item.values() if isinstance(item, dict) else item
    return total


def partial(target: Any, *bound: Any, **keywords: Any) -> Reference | None:
    """What ``functools.partial`` returns."""
    if not isinstance(target, Reference) or not target.name:
        return None
    bound = tuple(Shared("list", item, []) if isinstance(item, list) else item for item in (*target.bound, *bound))
    named = {**(target.keywords or {}), **keywords}
    if len(bound) > MOST_BOUND or len(named) > MOST_BOUND:
        return None  # a chain of partials would take memory by its square
    return Reference("carrier", target.name, target.steps, bound, named)


def named_arguments(names: Any) -> dict[str, Any]:
    """Keyword arguments from what is given as their dict."""
    return {name: value for name, value in entries(names) if isinstance(name, str)}


def rebuilt(holder: str, state: Any) -> Reference | None:
    """What BUILD makes of a partial."""
    if "functools.partial" not in candidates(holder) or not isinstance(state, tuple) or len(state) != 4:
        return None
    held, bound, named, _namespace = state
    return partial(held, *(bound if isinstance(bound, tuple) else ()), **named_arguments(named))


def getter(kind: str) -> Callable[..., Reference | None]:
    """What ``operator.attrgetter``, ``itemgetter`` or ``methodcaller`` returns."""

    def make(*wanted: Any, **keywords: Any) -> Reference | None:
        if not wanted or (kind != "itemgetter" and not isinstance(wanted[0], str)):
            return None
        return Reference("getter", f"operator.{kind}", (), wanted, keywords)

    return make


def in_reverse(items: Any) -> Any:
    """``reversed(items)`` of literals."""
    return list(reversed(items)) if isinstance(items, (str, list, tuple, bytes)) and is_known(items) else None


def listed(items: Any = ()) -> Any:
    """``list(items)`` of literals."""
    return list(items) if isinstance(items, (str, list, tuple, bytes)) and is_known(items) else None


def tupled(items: Any = ()) -> Any:
    """``tuple(items)`` of literals."""
    known = listed(items)
    return None if known is None else tuple(known)


def first(items: Any, *_default: Any) -> Any:
    """``next(items)`` of what is known to yield them."""
    return items[0] if isinstance(items, (list, tuple)) and items else None


def itself(value: Any = None, *_rest: Any) -> Any:
    """What a copy of or a reference to a callable calls."""
    return value if isinstance(value, Reference) else None


def namespace_of(owner: Any) -> Reference | None:
    """``vars(owner)``."""
    return Reference("attribute", f"{owner.name}.__dict__", owner.steps) if isinstance(owner, Reference) else None


def type_named(name: Any) -> Reference | None:
    """A type of the module `types`, as rebuilders of functions ask for it."""
    return Reference("attribute", f"types.{name}") if isinstance(name, str) else None


class Extension:
    """What the extension registry is told that a code stands for."""

    __slots__ = ("code", "name")

    def __init__(self, name: str, code: int) -> None:
        self.name = name
        self.code = code


def extension(module: Any, name: Any, code: Any) -> Extension | None:
    """``copyreg.add_extension(module, name, code)``."""
    if isinstance(module, str) and isinstance(name, str) and isinstance(code, int):
        return Extension(canonical(module, name), code)
    return None
