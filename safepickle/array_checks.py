"""Checks of a detector's parameters and flat arrays, before anything is computed with them.

All raise :class:`ValueError` with what is wrong. They look at whole arrays at the speed of :class:`bytes` methods,
because they run on every cold scan.
"""

from __future__ import annotations

from array import array

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_EXPONENTS = {"f": (4, 3), "d": (8, 7)}


def whole(meta: Mapping[str, Any], name: str, low: int, high: int) -> int:
    """Read an int of `meta` between `low` and `high`, else raise ValueError."""
    value = meta.get(name)
    if type(value) is not int or not low <= value <= high:
        raise ValueError(f"{name!r} must be a whole number from {low} to {high}, not {value!r}")
    return value


def number(meta: Mapping[str, Any], name: str, low: float = -1e300, high: float = 1e300) -> float:
    """Read a finite number of `meta` between `low` and `high`, else raise ValueError."""
    value: Any = meta.get(name)
    if type(value) not in (int, float) or not low <= value <= high:
        raise ValueError(f"{name!r} must be a number from {low:g} to {high:g}, not {value!r}")
    return float(value)


def take(arrays: dict[str, Any], name: str, code: str, length: int = -1) -> memoryview[Any]:
    """Remove an array from `arrays` and return its flat, checked view.

    Floats may be neither NaN nor infinite, nor within a factor of two (float32) of infinity: one look at the
    exponent bytes tells, quicker than reading the numbers.

    Raises
    ------
    ValueError
        When it is missing, of another type or length, or not finite.
    """
    if name not in arrays:
        raise ValueError(f"the array {name!r} is missing")
    view: memoryview[Any] = memoryview(arrays.pop(name))
    if view.format != code:
        raise ValueError(f"the array {name!r} has the type {view.format!r} instead of {code!r}")
    raw = view.cast("B")
    flat: memoryview[Any] = raw.cast(code)  # type: ignore[call-overload]  # the code is one of four
    if length >= 0 and len(flat) != length:
        raise ValueError(f"the array {name!r} has {len(flat)} values instead of {length}")
    if code in _EXPONENTS:
        step, last = _EXPONENTS[code]
        top = raw.tobytes()[last::step]
        if b"\x7f" in top or b"\xff" in top:
            raise ValueError(f"the array {name!r} holds NaN, infinity or a number next to it")
    return flat


def all_below(view: memoryview[Any], bound: int) -> bool:
    """Whether every uint16 of `view` is less than `bound`; quick for bounds up to 256 and multiples of 256."""
    raw = view.cast("B").tobytes()
    low, high = raw[::2], raw[1::2]
    if bound <= 256:
        return not high.strip(b"\0") and not low.translate(None, bytes(range(bound)))
    if bound % 256 == 0:
        return not high.translate(None, bytes(range(bound >> 8)))
    return not len(view) or max(view) < bound


def nothing_left(arrays: Mapping[str, Any]) -> None:
    """Raise ValueError when arrays are left over."""
    if arrays:
        raise ValueError(f"arrays that nothing reads: {', '.join(sorted(arrays))}")


def column_numbers(meta: Mapping[str, Any], width: int) -> array[int]:
    """Read the column numbers of `meta`, each less than `width`."""
    columns = meta.get("columns")
    if not isinstance(columns, (list, tuple)) or not columns:
        raise ValueError("'columns' must be a list of column numbers")
    if not all(type(column) is int and 0 <= column < width for column in columns):
        raise ValueError(f"'columns' must be whole numbers from 0 to {width - 1}")
    return array("I", columns)
