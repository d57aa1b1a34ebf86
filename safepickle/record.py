# cython: annotation_typing=False
"""Frozen, typed records without the import cost of :mod:`dataclasses`.

A record is declared like a dataclass and understood by type checkers through :pep:`681`::

    class Point(Record):
        x: int
        y: int = 0

A cold scan must start in milliseconds, and ``dataclasses`` alone imports ``inspect`` and ``re``. A scan makes hundreds
of records, so that this file is compiled where a compiler was at hand.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, ClassVar, Self, dataclass_transform
else:

    def dataclass_transform(**_options: object):
        return lambda base: base


COMPILED = not __file__.endswith(".py")
"""Whether this is the compiled build of the module."""


def _fill(
    state: dict[str, Any],
    fields: tuple[str, ...],
    values: tuple[Any, ...],
    named: dict[str, Any],
    defaults: tuple[Any, ...],
    required: int,
) -> bool:
    """Set the fields, as far as they are given as they should be."""
    given = len(values)
    used = 0
    if given > len(fields):
        return False
    for index in range(len(fields)):
        if index < given:
            state[fields[index]] = values[index]
        elif named and fields[index] in named:
            state[fields[index]] = named[fields[index]]
            used += 1
        elif index < required:
            return False
        else:
            state[fields[index]] = defaults[index]
    return used == len(named)


@dataclass_transform(frozen_default=True)
class Record:
    """Base of all records: fields come from the annotations of the class body, in order.

    Instances compare and hash by value and cannot be changed; :meth:`replace` makes a changed copy.

    Raises
    ------
    TypeError
        At construction, when a field is missing, unknown or given twice.
    """

    _fields: ClassVar[tuple[str, ...]] = ()
    _defaults: ClassVar[tuple[Any, ...]] = ()
    _required: ClassVar[int] = 0

    def __init_subclass__(cls) -> None:
        own = tuple(name for name in cls.__annotations__ if name[0] != "_" and name not in cls._fields)
        cls._fields = cls._fields + own
        cls._defaults = tuple(getattr(cls, name, None) for name in cls._fields)
        cls._required = max((i for i, name in enumerate(cls._fields, 1) if not hasattr(cls, name)), default=0)

    def __init__(self, *values: Any, **named: Any) -> None:
        cls = type(self)
        fields = cls._fields
        state = self.__dict__
        if COMPILED:
            if _fill(state, fields, values, named, cls._defaults, cls._required):
                return
            state.clear()  # what is wrong is told below
        elif not named and cls._required <= len(values) <= len(fields):  # as most are made, and the quick way
            state.update(zip(fields, values + cls._defaults[len(values) :], strict=True))
            return
        if len(values) > len(fields):
            raise TypeError(f"{cls.__name__} takes {len(fields)} fields, got {len(values)}")
        state.update(zip(fields, values, strict=False))
        for name, value in named.items():
            if name not in fields or name in state:
                raise TypeError(f"{cls.__name__} has no field {name!r}, or it was given twice")
            state[name] = value
        if len(state) < len(fields):
            for name in fields:
                if name not in state:
                    try:
                        state[name] = getattr(cls, name)
                    except AttributeError:
                        raise TypeError(f"{cls.__name__} needs the field {name!r}") from None

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen: {name!r} cannot be set")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen: {name!r} cannot be deleted")

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        return hash(tuple(self.__dict__[name] for name in self._fields))

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={self.__dict__[name]!r}" for name in self._fields)
        return f"{type(self).__name__}({fields})"

    def replace(self, **changes: Any) -> Self:
        """Return a copy with the given fields changed."""
        return type(self)(**{**self.__dict__, **changes})
