"""What goes into the capability table: modules, and the names in them, merged over versions."""

from __future__ import annotations

from safepickle.capabilities.layout import BRIEF, CALL, MAKE, READ, TAMPER
from safepickle.capabilities.sinks import KINDS
from safepickle.record import Record

REACHED = (*KINDS, MAKE, TAMPER, READ, CALL)
"""Kinds of what is reached, worst first."""

_BRIEF = frozenset(flags for flags, _ in BRIEF)


class Way(Record):
    """A kind of sink that is reached, and the name that comes next on a shortest way there; none at the sink itself.

    `last` says that this name is the sink.
    """

    kind: str
    depth: int
    flows: bool
    implicit: bool
    following: str
    last: bool = False

    def beats(self, other: Way) -> bool:
        """Whether this is the one to keep of two of a kind: one that flows, one by the call itself, a shorter one."""
        return (not self.flows, self.implicit, self.depth) < (not other.flows, other.implicit, other.depth)


class Entry:
    """A name of a module.

    Attributes
    ----------
    form
        ``function class value``.
    target
        Full name that it leads to, if it is not defined here.
    bases
        Full names of a class's bases.
    ways
        The sinks it reaches, by kind.
    versions
        Bits of the package's versions that have it.
    """

    __slots__ = ("bases", "form", "inert", "line", "target", "unknown", "versions", "ways")

    def __init__(self, form: str = "function", *, inert: bool = False, unknown: bool = False) -> None:
        self.form = form
        self.target = ""
        self.bases: tuple[str, ...] = ()
        self.ways: dict[str, Way] = {}
        self.inert = inert
        self.unknown = unknown
        self.line = 0
        self.versions = 0

    def add(self, way: Way) -> None:
        """Reach a sink by one more way."""
        known = self.ways.get(way.kind)
        if known is None or way.beats(known):
            self.ways[way.kind] = way

    @property
    def brief(self) -> str:
        """What is said of it by its fingerprint alone, one of :data:`BRIEF`; nothing if there is more to say."""
        if self.bases or self.target or any(kind != CALL for kind in self.ways):
            return ""
        flags = "i" * self.inert + "c" * bool(self.ways) + "u" * self.unknown or "k"
        flags += "t" * (self.form == "class")
        return flags if flags in _BRIEF else ""


class ModuleEntries:
    """A module with its names; `flags` as in :mod:`safepickle.capabilities.layout`."""

    __slots__ = ("flags", "itself", "name", "names", "package")

    def __init__(self, name: str, package: str, flags: str = "") -> None:
        self.name = name
        self.package = package
        self.flags = flags
        self.itself = Entry("value")
        """What importing it does."""
        self.names: dict[str, Entry] = {}
