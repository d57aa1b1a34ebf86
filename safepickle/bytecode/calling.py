"""How a caller of :mod:`.higher_order` calls the callable that it is handed: with which arguments, how often."""

from __future__ import annotations

from .values import UNKNOWN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .evaluation import Run
    from .higher_order import Caller


def argument_of(caller: Caller, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
    """The argument that a caller calls, or None."""
    if caller.keyword and caller.keyword in keywords:
        return keywords[caller.keyword]
    if caller.position < 0:
        return None
    return arguments[caller.position] if len(arguments) > caller.position else None


def _following(run: Run, caller: Caller, function: Any, arguments: Any, keywords: Any, via: Any) -> Any:
    return run.call(function, arguments[caller.position + 1 :], keywords, via)


def _later(run: Run, caller: Caller, function: Any, arguments: Any, keywords: Any, via: Any) -> None:
    run.call(function, arguments[caller.position + 1 :], keywords, via)


def _packed(run: Run, caller: Caller, function: Any, arguments: Any, keywords: Any, via: Any) -> None:
    packed = keywords.get(caller.packed)
    if packed is None and len(arguments) > caller.position + 1 and arguments[caller.position] is function:
        packed = arguments[caller.position + 1]
    run.call(function, tuple(run.items(packed, via)) if packed is not None else (), {}, via)


def _each(run: Run, caller: Caller, function: Any, arguments: Any, keywords: Any, via: Any) -> list[Any]:
    iterables = [run.items(argument, via) for argument in arguments[caller.position + 1 :]]
    return [run.call(function, items, {}, via) for items in zip(*iterables, strict=False)]


def _unpacked(run: Run, caller: Caller, function: Any, arguments: Any, keywords: Any, via: Any) -> list[Any]:
    rows = run.items(arguments[caller.position + 1] if len(arguments) > caller.position + 1 else UNKNOWN, via)
    return [run.call(function, tuple(run.items(row, via)), {}, via) for row in rows]


def _item(run: Run, caller: Caller, function: Any, arguments: Any, keywords: Any, via: Any) -> None:
    for argument in arguments:
        if argument is not function and not isinstance(argument, int):
            for item in run.items(argument, via):
                run.call(function, (item,), {}, via)


def _pair(run: Run, caller: Caller, function: Any, arguments: Any, keywords: Any, via: Any) -> Any:
    others = [argument for argument in arguments if argument is not function]
    if not others:
        return None
    items = [*others[1:2], *run.items(others[0], via)]
    if len(items) == 1 and items[0] is UNKNOWN:
        items.append(UNKNOWN)
    value = items[0] if items else None
    for item in items[1:]:
        value = run.call(function, (value, item), {}, via)
    return value


def _nothing(run: Run, caller: Caller, function: Any, arguments: Any, keywords: Any, via: Any) -> None:
    run.call(function, (), {}, via)


def _something(run: Run, caller: Caller, function: Any, arguments: Any, keywords: Any, via: Any) -> None:
    run.call(function, (UNKNOWN,), {}, via)


HOW: dict[str, Callable[..., Any]] = {
    "following": _following, "later": _later, "packed": _packed, "each": _each,
    "unpacked": _unpacked, "item": _item, "pair": _pair, "nothing": _nothing,
    "something": _something,
}  # fmt: skip
"""What to do with a callable, by the kind of its caller."""
