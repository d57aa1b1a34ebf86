"""Root sinks as they are called: which arguments matter, what a mode changes, who changes the interpreter."""

from __future__ import annotations

from collections.abc import Iterator

from safepickle.capabilities.sinks import ARGUMENTS, CONTAINERS, MAKERS, MODES, READERS, SWITCHES, root_kind

from .program import Atoms, Call

CHANGING = frozenset(
    """__setitem__ __delitem__ __setattr__ append appendleft extend insert add update setdefault pop remove clear
    register putenv""".split()
)


def matters(name: str, call: Call, shift: int = 0) -> Iterator[Atoms]:
    """What a call passes to a root sink where it matters, after the first `shift` arguments."""
    wanted = ARGUMENTS.get(canonical(name))
    if wanted is None:
        yield from (atoms for at, atoms in enumerate(call.given()) if at >= shift)
        return
    for place in wanted:
        if isinstance(place, int):
            yield call.args[place + shift] if place + shift < len(call.args) else ()
        else:
            yield call.keywords.get(place, ())
    if wanted and len(call.args) <= shift:
        yield call.star
    if wanted:
        yield call.stars


def canonical(name: str) -> str:
    """A root sink's name as the table of arguments has it."""
    head, _, tail = name.rpartition(".")
    twins = {"posix": "os", "nt": "os", "_io": "io", "_pickle": "pickle", "_socket": "socket", "_ctypes": "ctypes"}
    return f"{twins.get(head, head)}.{tail}"


def kind_at(name: str, call: Call) -> str:
    """Kind of a root sink as it is called here: ``read`` for files that are only read, ``make`` for making code."""
    kind = root_kind(name)
    full = canonical(name)
    if full in MAKERS:
        return "make"
    if full in READERS:
        return "read"
    if full in MODES:
        position, keyword = MODES[full]
        mode = call.args[position] if position < len(call.args) else call.keywords.get(keyword, ())
        if (
            not call.star
            and not call.stars
            and all(atom[0] == "s" and not set(atom[1:]) & set("wax+") for atom in mode)
        ):
            return "read"
    return kind


def contained(name: str) -> bool:
    """Whether a name is a change of a container that the interpreter consults."""
    head, _, method = name.rpartition(".")
    return name in SWITCHES or (method in CHANGING and head.removesuffix(".__dict__") in CONTAINERS)
