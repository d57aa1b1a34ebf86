"""What the analysis says about a public name, and what it must be told about callables written in C."""

from __future__ import annotations

from safepickle.capabilities.capability import Reach, Step
from safepickle.record import Record


class Reached(Reach):
    """That a callable can reach a root sink, with the shortest way there: from the callable to the sink, both included.

    The line of a step is where it calls the next one, 0 at the sink itself.
    """

    witness: tuple[Step, ...] = ()


class Row(Record):
    """One public dotted name.

    Parameters
    ----------
    name
        Dotted name, as a pickle could ask for it.
    status
        ``analysed`` (source was read), ``native`` (told by the table of C callables) or ``module``.
    kind
        ``function class method module instance``.
    target
        Dotted name of the definition; equal to `name` unless this is a re-export.
    reaches
        At most one for each kind: one that flows before one that does not, then the shortest.
    inert
        All that it calls is known, nothing of the caller gets anywhere, and it does no more by itself than
        import modules and read files.
    unknown
        Calls in its own body whose callee could not be resolved.
    package, version, path, line
        Where it is defined.
    """

    name: str
    status: str
    kind: str
    target: str
    reaches: tuple[Reached, ...] = ()
    inert: bool = False
    unknown: int = 0
    package: str = ""
    version: str = ""
    path: str = ""
    line: int = 0


class NativeCallable(Record):
    """What a callable without Python source does. Names that are root sinks need no entry.

    Parameters
    ----------
    name
        Dotted name: ``_functools.reduce``, ``builtins.str.join``.
    kind
        ``function class method``.
    parameters
        Names in order of position (without ``self``); empty when they do not matter.
    reaches
        Pairs (kind, parameter whose value matters); parameter ``*`` is any argument, ``-`` none.
    calls
        Parameters that it calls: ``("function",)`` for ``functools.reduce``; ``*`` for any argument.
    returns
        Dotted name of the type of the result, ``@<parameter>`` when an argument is given back, or empty for plain
        data.
    """

    name: str
    kind: str = "function"
    parameters: tuple[str, ...] = ()
    reaches: tuple[tuple[str, str], ...] = ()
    calls: tuple[str, ...] = ()
    returns: str = ""
