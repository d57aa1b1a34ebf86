"""What readers of bodies with many files hand on."""

from __future__ import annotations

import dataclasses


class MalformedArchive(ValueError):
    """The body is not what it says."""


@dataclasses.dataclass(frozen=True, slots=True)
class Opened:
    """A file begins; `name` is as the client gave it."""

    name: str


@dataclasses.dataclass(frozen=True, slots=True)
class Closed:
    """The file ends."""


@dataclasses.dataclass(frozen=True, slots=True)
class Skipped:
    """Something that is no file, and why."""

    name: str
    why: str


Piece = Opened | Closed | Skipped | bytes
"""Bytes belong to the file that was opened last."""
