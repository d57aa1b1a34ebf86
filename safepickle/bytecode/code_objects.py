"""What a function made of a code object may call: read from the code's names, never run."""

from __future__ import annotations

import builtins
import sys

from .values import Instance

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_NAMES = 256
_FUNCTIONS = frozenset(name for name in dir(builtins) if name[0].islower()) | {"__import__"}


def names_in_code(function: Instance) -> list[tuple[str, tuple[Any, ...]]]:
    """Functions of Python's own that the code of a function names, each with the texts among its constants.

    Which constant goes to which call is not known, nor whether it is called at all.
    """
    found = _code_in(function, 4)
    if found is None:
        return []
    constants, names = found
    texts = tuple(item for item in constants if isinstance(item, (str, bytes)))
    called = []
    for index, name in enumerate(names[:_NAMES]):
        if name in _FUNCTIONS:
            called.append((f"builtins.{name}", texts))
        elif name in sys.stdlib_module_names:
            called.extend((f"{name}.{attribute}", texts) for attribute in names[index + 1 : index + 2])
    return called


def _code_in(function: Instance, depth: int) -> tuple[tuple[Any, ...], tuple[str, ...]] | None:
    """Constants and names of the code object that a call was given: bytes, then two tuples, the second of names."""
    arguments = function.arguments
    if not isinstance(arguments, tuple) or depth == 0:
        return None
    for code, constants, names in zip(arguments, arguments[1:], arguments[2:], strict=False):
        if isinstance(code, bytes) and isinstance(constants, tuple) and isinstance(names, tuple):
            return constants, tuple(name for name in names if isinstance(name, str))
    for argument in arguments:
        if isinstance(argument, Instance):
            found = _code_in(argument, depth - 1)
            if found is not None:
                return found
    return None
