"""What the analysis says about a public name, and what it must be told about callables written in C."""

from __future__ import annotations

from safepickle.record import Record


class Step(Record):
    """One callable on the way to a sink: `line` is where it calls the next one (0 at the sink itself).

    `path` is relative to the root of the package's files; `package`, `version` and `path` are empty for what
    has no source.
    """

    name: str
    package: str = ""
    version: str = ""
    path: str = ""
    line: int = 0


class Reach(Record):
    """That a callable can reach a root sink.

    Parameters
    ----------
    kind
        One of :data:`safepickle.capabilities.sinks.KINDS`.
    depth
        Calls between the callable and the sink; a root sink has depth 0, its direct caller 1.
    flows
        Whether an argument of the caller (of a class: also the state) gets into an argument of the sink that
        matters: command, code, path, name, address, callee.
    implicit
        Whether it is reached only through methods that unpickling or garbage collection calls
        (``__setstate__``, ``append``, ``__del__`` ...), not by the call itself.
    witness
        The shortest way there: from the callable to the sink, both included.
    """

    kind: str
    depth: int
    flows: bool
    implicit: bool = False
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
    reaches: tuple[Reach, ...] = ()
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
