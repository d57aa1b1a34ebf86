"""Root sinks as they are called: which arguments matter, what a mode changes, who changes the interpreter."""

from __future__ import annotations

from collections.abc import Iterator

from safepickle.capabilities.sinks import ARGUMENTS, CONTAINERS, MODES, READERS, SWITCHES, root_kind

from .program import Atoms, Call

CHANGING = frozenset(
    """__setitem__ __delitem__ __setattr__ append appendleft extend insert add update setdefault pop remove clear
    register putenv""".split()
)


def matters(name: str, call: Call) -> Iterator[Atoms]:
    """What a call passes to a root sink where it matters."""
    wanted = ARGUMENTS.get(canonical(name))
    if wanted is None:
        yield from call.given()
        return
    for place in wanted:
        if isinstance(place, int):
            yield call.args[place] if place < len(call.args) else ()
        else:
            yield call.keywords.get(place, ())
    if wanted and not call.args:
        yield call.star
    if wanted:
        yield call.stars


def canonical(name: str) -> str:
    """A root sink's name as the table of arguments has it."""
    head, _, tail = name.rpartition(".")
    twins = {"posix": "os", "nt": "os", "_io": "io", "_pickle": "pickle", "_socket": "socket", "_ctypes": "ctypes"}
    return f"{twins.get(head, head)}.{tail}"


def kind_at(name: str, call: Call) -> str:
    """Kind of a root sink, told apart by its mode where it has one: files that are only read are ``read``."""
    kind = root_kind(name)
    full = canonical(name)
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
