"""The names of :mod:`cython` that the compiled modules use, for machines without Cython.

Everything is a no-op: the modules then run as plain Python.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

compiled = False


class _Type:
    """Stands for any C type: can be subscripted and called as a cast."""

    def __getitem__(self, _index: object) -> _Type:
        return self


bint = int = longlong = ulonglong = uchar = double = float = void = const = _Type()


def declare(_type: object = None, value: Any = None, **_options: object) -> Any:
    """The value itself."""
    return value


def cast(_type: object, value: Any, **_options: object) -> Any:
    """The value itself."""
    return value


def cclass(cls: Any) -> Any:
    """The class itself."""
    return cls


def final(cls: Any) -> Any:
    """The class itself."""
    return cls


def cfunc(function: Any) -> Any:
    """The function itself."""
    return function


def ccall(function: Any) -> Any:
    """The function itself."""
    return function


def locals(**_types: object) -> Callable[[Any], Any]:
    """A decorator that changes nothing."""
    return lambda function: function
