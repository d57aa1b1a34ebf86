"""What is known of a callable without running it: the records that the capability table answers with."""

from __future__ import annotations

from ..record import Record

STATUSES = ("root", "analysed", "native", "dynamic", "unresolvable")
"""How a name is known.

``root`` is a root sink itself; ``analysed`` was derived from source; ``native`` is written in C, and known from
published signatures if at all; ``dynamic`` may exist, as its module makes names at run time; ``unresolvable``
exists in no analysed version of its module.
"""


class Step(Record):
    """One step of a witness path: a callable, and where it is defined.

    Parameters
    ----------
    name
        Full name; that of the last step is a root sink.
    package, version
        Distribution it was read in; ``python`` for the standard library, empty for a root sink.
    path
        File within the package, with slashes.
    line
        First line of the definition, 0 if it has none.
    """

    name: str
    package: str = ""
    version: str = ""
    path: str = ""
    line: int = 0


class Reach(Record):
    """A kind of root sink that a callable can reach.

    Parameters
    ----------
    kind
        One of :data:`~safepickle.capabilities.sinks.KINDS`.
    depth
        Calls from the callable to the sink, at least 1; 0 for a root sink itself.
    flows
        Whether what the caller passes decides what the sink does: an argument of the call becomes one of the sink.
    implicit
        Whether only a method that the unpickler invokes by itself (``__setstate__``, ``__reduce__``, ...) reaches it.
    hop
        Where the table goes on; empty for a root sink itself.
    """

    kind: str
    depth: int
    flows: bool
    implicit: bool
    hop: str = ""

    @property
    def witness(self) -> tuple[Step, ...]:
        """What is called on a shortest way, in order; the last step is the root sink. Read when asked for."""
        from .table import follow

        return follow(self)


class Capability(Record):
    """What calling (or, for a module, importing) something could do.

    Parameters
    ----------
    name
        What the name asked for really is, through re-exports, C twins, Python 2 names and inheritance.
    status
        One of :data:`STATUSES`.
    form
        ``function`` (methods too), ``class``, ``module`` or ``value``; empty if that is not known.
    reaches
        Worst kind first, at most one for each kind: one with flow before one without, then the shortest.
    inert
        Fully understood: nothing that is passed to it gets to a sink, and by itself it does no more than import
        modules and read files.
    unknown
        Whether it does something that was not understood, so that a kind missing in `reaches` proves nothing.
    calls
        Whether it calls what is passed to it, at once or later.
    derived
        Reaches of kinds that have no root sinks of their own: ``make`` (makes code without running it), ``tamper``
        (changes how the interpreter works from then on) and ``read`` (reads files).
    package, versions
        Distribution, and the analysed versions of it that have the name; the facts are the worst over these.
    path, line
        Where it is defined in the latest of these versions.
    """

    name: str
    status: str
    form: str = ""
    reaches: tuple[Reach, ...] = ()
    inert: bool = False
    unknown: bool = False
    calls: bool = False
    derived: tuple[Reach, ...] = ()
    package: str = ""
    versions: tuple[str, ...] = ()
    path: str = ""
    line: int = 0

    def reach(self, kind: str, flows: bool = False) -> Reach | None:
        """The reach of a kind, if there is one; with `flows`, only if what is passed gets there."""
        for reach in self.reaches:
            if reach.kind == kind and reach.flows >= flows:
                return reach
        return None
