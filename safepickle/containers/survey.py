"""What the readers of one file share: the budgets, and what they have found so far."""

from __future__ import annotations

import time

from ..bytecode.trace import Oddity, Place
from .contents import Contents, Region
from .source import Source
from .store import Sink, Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ..limits import Limits

    Explore = Callable[[Source, Place, "Survey"], str]
    Wanted = Callable[[Source], str]

SHOWN_ODDITIES = 64
"""Oddities of one kind that are listed one by one; further ones are counted in the last."""

_LISTED = 8
_CONFIGURATIONS = (".yaml", ".yml", ".json")
NAME_LENGTH = 256
"""Characters of a member's name that are kept."""


def member_name(raw: bytes) -> str:
    """A member's name as text that any encoder accepts: undecodable bytes as ``\\xNN``, cut when long."""
    name = raw[: 4 * NAME_LENGTH].decode("utf-8", "backslashreplace")
    return name if len(name) <= NAME_LENGTH else name[: NAME_LENGTH - 1] + "…"


def place_text(place: Place) -> str:
    """``(("zip", "a/data.pkl"), ("gzip", ""))`` as ``zip:a/data.pkl > gzip``."""
    return " > ".join(f"{step}:{name}" if name else step for step, name in place)


def listed(names: list[str]) -> str:
    """The first of some names, as a part of a sentence."""
    return ", ".join(names[:_LISTED]) + (", ..." if len(names) > _LISTED else "")


def is_configuration(place: Place) -> bool:
    """Whether a member's name promises a configuration, which is text of any length."""
    return bool(place) and place[-1][1].endswith(_CONFIGURATIONS)


class Spent(Exception):
    """A budget ran out; the survey knows."""


class Survey:
    """Findings and remaining budgets of one file; readers write into it, none of its methods raises.

    Parameters
    ----------
    limits
        Budgets; `depth`, `members`, `unpacked_bytes`, `ratio`, `literal_bytes` and `seconds` are used.
    explore
        Reads a source with every reader that accepts it and returns the name of its container.
    wanted
        How much of a source, of which the head is given, a reader would read: ``all``, ``head`` or nothing.
    """

    def __init__(self, limits: Limits, explore: Explore, wanted: Wanted) -> None:
        self.limits = limits
        self.wanted = wanted
        self.store = Store(limits.unpacked_bytes)
        self.regions: list[Region] = []
        self.complete = True
        self._explore = explore
        self._members = limits.members
        self._unpacked = limits.unpacked_bytes
        self._deadline = time.monotonic() + limits.seconds
        self._oddities: dict[tuple[str, str], Oddity] = {}
        self._kinds: dict[str, int] = {}
        self._spans: set[tuple[int, int, int, str]] = set()

    def explore(self, source: Source, place: Place) -> str:
        """Read what lies at `place`; returns the name of its container, empty when unknown."""
        return self._explore(source, place, self)

    def region(self, source: Source, place: Place, role: str, offset: int = 0, end: int | None = None) -> None:
        """Add ``[offset, end)`` of `source` as a region, once."""
        stop = source.end if end is None else min(source.start + end, source.end)
        span = (id(source.data), source.start + offset, stop, role)
        if span not in self._spans and span[1] < stop:
            self._spans.add(span)
            self.regions.append(Region(place, source.data, span[1], stop, role))

    def odd(self, kind: str, place: Place, offset: int = 0, detail: str = "") -> None:
        """Note something a well-formed file would not have."""
        text = f"{place_text(place)}: {detail}" if place and detail else place_text(place) or detail
        if self._kinds.get(kind, 0) >= SHOWN_ODDITIES and (kind, text) not in self._oddities:
            text = "further ones"
        known = self._oddities.get((kind, text))
        if known is None:
            self._kinds[kind] = self._kinds.get(kind, 0) + 1
            self._oddities[kind, text] = Oddity(kind, offset, 1, text)
        else:
            self._oddities[kind, text] = known.replace(count=known.count + 1)

    def fail(self, kind: str, place: Place, offset: int = 0, detail: str = "") -> None:
        """Note an oddity that leaves something unread: the file is incomplete."""
        self.complete = False
        self.odd(kind, place, offset, detail)

    def take_member(self, place: Place) -> bool:
        """Whether one more member may be opened."""
        if self._members <= 0:
            self.fail("budget:members", place)
            return False
        self._members -= 1
        return True

    def may_unpack(self, place: Place) -> bool:
        """Whether anything more may be unpacked."""
        if self._unpacked > 0:
            return True
        self.fail("budget:unpacked_bytes", place)
        return False

    def take_unpacked(self, size: int, place: Place) -> bool:
        """Whether `size` more bytes may be unpacked."""
        if size > self._unpacked:
            self._unpacked = 0
            self.fail("budget:unpacked_bytes", place)
            return False
        self._unpacked -= size
        return True

    def keep(self, data: bytes, place: Place) -> Source:
        """Bytes that were paid for, where they may stay as long as a region refers to them."""
        sink = Sink(self.store)
        try:
            sink.add(data)
            return sink.source()
        except OSError as error:
            self.fail("no-space", place, 0, f"what was unpacked cannot be kept in a temporary file: {error.strerror}")
            return Source(b"", 0, 0)

    def overdue(self, place: Place) -> bool:
        """Whether the time is up."""
        if time.monotonic() < self._deadline:
            return False
        self.fail("budget:seconds", place)
        return True

    def contents(self, container: str) -> Contents:
        """All that was found, at the end."""
        self.store.close()
        unpacked = self.limits.unpacked_bytes - self._unpacked
        return Contents(container, tuple(self.regions), tuple(self._oddities.values()), self.complete, unpacked)
