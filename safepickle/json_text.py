"""Reads JSON without the import of :mod:`json`, whose ``re`` and ``enum`` would be a tenth of a cold scan."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

_BLANKS = " \t\n\r"


def parse(text: str, pairs: Callable[[list[tuple[str, Any]]], Any] | None = None) -> Any:
    """Plain values of a JSON text, as :func:`json.loads` gives them, but without NaN and infinities.

    Parameters
    ----------
    text
        The whole text.
    pairs
        Makes an object of its names and values; a dict when None.

    Raises
    ------
    ValueError
        When it is no JSON, or `pairs` raises it.
    RecursionError
        When it is nested too deep.
    """
    try:
        from _json import make_scanner
    except ImportError:  # an interpreter without the scanner in C
        import json

        return json.loads(text, object_pairs_hook=pairs, parse_constant=_refuse)
    begin = len(text) - len(text.lstrip(_BLANKS))
    try:
        value, end = make_scanner(_Options(pairs))(text, begin)  # type: ignore[arg-type]
    except StopIteration as stopped:
        raise ValueError(f"no value at character {stopped.value}") from None
    if text[end:].strip(_BLANKS):
        raise ValueError(f"something behind the value, at character {end}")
    return value


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number")


class _Options:
    """What the scanner in C asks its maker for."""

    strict = True
    object_hook = None
    array_hook = None
    parse_float = float
    parse_int = int

    def __init__(self, pairs: Callable[[list[tuple[str, Any]]], Any] | None) -> None:
        self.object_pairs_hook = pairs
        self.parse_constant = _refuse
