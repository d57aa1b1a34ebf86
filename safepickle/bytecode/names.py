"""Canonical names: one spelling for what Python 2 and Python 3 files call the same thing."""

from __future__ import annotations

import sys
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING

_IMPORT_MAPPING: dict[str, str] = IMPORT_MAPPING
_NAME_MAPPING: dict[tuple[str, str], tuple[str, str]] = NAME_MAPPING


def canonical(module: str, name: str) -> str:
    """``module.name`` with the Python 2 names that the unpickler's ``fix_imports`` knows translated.

    The translation is applied in every protocol: a name that exists only in Python 2 means its Python 3
    successor to a reader, whatever the stream declares.
    """
    head, dot, rest = name.partition(".")
    if (module, head) in _NAME_MAPPING:
        module, head = _NAME_MAPPING[(module, head)]
    elif module in _IMPORT_MAPPING:
        module = _IMPORT_MAPPING[module]
    return f"{module}.{head}{dot}{rest}"


def candidates(name: str) -> list[str]:
    """Names under which a dotted name may be known: its own first, then those of what other modules re-export.

    A module in C counts as the public one that re-exports it.

    >>> candidates("random._os.path.join")
    ['random._os.path.join', 'os.path.join', 'path.join']
    """
    parts = name.split(".", 12)
    return [".".join((_public(parts[first], first), *parts[first + 1 :])) for first in range(len(parts) - 1)] or [name]


def _public(module: str, depth: int) -> str:
    if module in ("posix", "nt"):
        return "os"
    stripped = module.lstrip("_")
    return stripped if stripped != module and (depth or stripped in sys.stdlib_module_names) else module


def shortened(name: str) -> str:
    """A name of at most 512 characters: both ends of a longer one, of which the last says what is named."""
    return name if len(name) <= 512 else f"{name[:248].rstrip('.')}.cut_{name[-259:]}"


def is_stdlib(name: str) -> bool:
    """Whether the top-level module is one of this interpreter's standard library."""
    return name.partition(".")[0] in sys.stdlib_module_names
