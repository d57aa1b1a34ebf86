"""Leaves out of the table what nobody asks for, so that it stays small.

What an argument gets to is kept as it is. Left out is

* of what is reached whatever is passed: reading files and importing modules, which everything does, and what is further
  away than :data:`NEAR` calls (the network: :data:`FAR`), unless the way of an argument leads through it;
* the way to the callables that are passed: it is enough that they are called;
* the line of what hands nothing on;
* where names lead that a module merely imports (one that is no package, so that it offers nothing), unless something
  there hands on what it is passed. They are still known to exist.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from safepickle.capabilities.layout import CALL, READ
from safepickle.capabilities.sinks import sink_kind

from .entries import Entry, ModuleEntries, Way

NEAR = 5
FAR = {"network": 10}
"""Who uses the network does so through the many layers of a client, and whoever is asked hears of it."""
Find = Callable[[str], Entry | None]
Split = Callable[[str], tuple[ModuleEntries, str] | None]


def thin(modules: Mapping[str, ModuleEntries], split: Split, find: Find) -> None:
    """Leave out what is not needed; `find` follows a full name to what it leads to, `split` finds its module."""
    handing = {(module.name, part) for module in modules.values() for part in _handing(module)}
    for module in modules.values():
        if "p" not in module.flags:
            for name, entry in module.names.items():
                if entry.target and "." not in name and not _leads_to(entry.target, handing, split):
                    _forget_target(entry, find(entry.target))
    entries = [entry for module in modules.values() for entry in (module.itself, *module.names.values())]
    needed = _needed(entries, modules, find)
    for entry in entries:
        entry.ways = {kind: way for kind, way in entry.ways.items() if (id(entry), kind) in needed}
        if CALL in entry.ways:
            entry.ways[CALL] = Way(CALL, 0, True, False, "")
        if not any(way.flows and way.kind != CALL for way in entry.ways.values()):
            entry.line = 0


def _is_told(way: Way) -> bool:
    return way.flows or not (way.kind in (READ, "import") or way.depth > FAR.get(way.kind, NEAR))


def _needed(entries: list[Entry], modules: Mapping[str, ModuleEntries], find: Find) -> set[tuple[int, str]]:
    """Ways that are told, and those that they go on with."""
    needed: set[tuple[int, str]] = set()
    for entry in entries:
        for kind, way in entry.ways.items():
            current: Entry | None = entry if _is_told(way) else None
            while current is not None and kind in current.ways and (id(current), kind) not in needed:
                needed.add((id(current), kind))
                onward = current.ways[kind]
                if kind == CALL or not onward.following or onward.last or sink_kind(onward.following):
                    break
                at = modules.get(onward.following)
                current = at.itself if at is not None else find(onward.following)
    return needed


def _handing(module: ModuleEntries) -> Iterator[str]:
    """Names of a module that hand on what they are passed, and the classes that have them."""
    for name, entry in module.names.items():
        if any(way.flows and way.kind not in (CALL, READ) for way in entry.ways.values()):
            parts = name.split(".")
            for count in range(1, len(parts) + 1):
                yield ".".join(parts[:count])


def _leads_to(target: str, handing: set[tuple[str, str]], split: Split) -> bool:
    for _ in range(8):
        place = split(target)
        if place is None:
            return False
        module, name = place
        entry = module.names.get(name)
        if entry is None or not entry.target:
            return (module.name, name) in handing
        target = entry.target
    return False


def _forget_target(entry: Entry, target: Entry | None) -> None:
    entry.target, entry.form = "", "value"
    entry.inert = target is not None and target.inert and target.form == "function"
    entry.unknown = not entry.inert
