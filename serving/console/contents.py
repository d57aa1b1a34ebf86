"""What a stored Trace says of a file: its parts as a tree, and everything that it calls or imports."""

from __future__ import annotations

import dataclasses

from safepickle.bytecode.trace import Call, FileTrace, Trace
from safepickle.capabilities.capability import Capability
from safepickle.capabilities.sinks import DERIVED_EFFECTS, EFFECTS
from safepickle.capabilities.table import lookup
from safepickle.findings import place_text
from safepickle.findings.wording import expression

MOST_PARTS = 200
MOST_NAMES = 120
MOST_LOOKED_AT = 2_000
"""Names of a file that are sorted out; a hostile one may have any number."""
_STEPS = 6
_UNNAMED = ("persistent_load", "ext")
"""Calls of what the loading program provides."""


@dataclasses.dataclass(slots=True)
class Part:
    """A step into a file: an archive's member, a compressed layer, a literal, a stream."""

    title: str
    detail: str = ""
    parts: list[Part] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(slots=True)
class Named:
    """A name that loading calls or imports.

    Parameters
    ----------
    name, kind
        What, and how: ``called`` or ``imported``.
    text
        As Python would write the first one.
    count
        Number of sites.
    where, offset
        The first one.
    does
        What it could do, in words; empty if it does nothing worth telling.
    known
        How that is known.
    witness
        A way from it to what it could do.
    rank
        Sorts the gravest first.
    """

    name: str
    kind: str
    text: str
    count: int
    where: str
    offset: int
    does: str = ""
    known: str = ""
    witness: list[str] = dataclasses.field(default_factory=list)
    rank: int = 9


def tree(trace: FileTrace) -> tuple[Part, int]:
    """The parts of a file, and how many streams are left out of it."""
    root = Part(trace.container, f"{trace.size:,} bytes")
    found: dict[tuple[tuple[str, str], ...], Part] = {(): root}
    left_out = 0
    for stream in trace.walk():
        if len(found) > MOST_PARTS:
            left_out += 1
            continue
        for depth in range(1, len(stream.place) + 1):
            place = stream.place[:depth]
            if place not in found:
                step, member = place[-1]
                found[place] = Part(member or step, step if member else "")
                found[place[:-1]].parts.append(found[place])
        found[stream.place].parts.append(_stream_part(stream))
    return root, left_out


def _stream_part(stream: Trace) -> Part:
    calls = sum(call.count for call in stream.calls)
    facts = [
        f"{stream.length:,} bytes at {stream.offset:,}",
        f"{sum(stream.opcodes.values()):,} opcodes",
        f"{calls:,} {'call' if calls == 1 else 'calls'}",
    ]
    if stream.coverage.state != "complete":
        facts.append(f"not understood to its end: {stream.coverage.reason or stream.coverage.state}")
    facts += [oddity.kind.replace("-", " ") for oddity in stream.oddities[:3]]
    declared, highest = stream.protocol
    return Part(f"pickle, protocol {highest if declared < 0 else declared}", ", ".join(facts))


def names(trace: FileTrace) -> tuple[list[Named], int]:
    """All names that are called or only imported, the gravest first, and how many are left out."""
    found: dict[tuple[str, str, str], Named] = {}
    ignored: set[str] = set()

    def add(kind: str, name: str, text: str, count: int, where: str, offset: int) -> None:
        key = (kind, name, text.partition("(")[0] if kind == "called" else "")
        if key not in found:
            if len(found) >= MOST_LOOKED_AT:
                ignored.add(name)
                return
            found[key] = Named(name, kind, text, 0, where, offset)
        found[key].count += count

    for stream in trace.walk():
        where = place_text(stream.place)
        for call in stream.calls:
            add("called", call.callee.name, _text(call), call.count, where, stream.offset + call.offset)
    called = {name for _, name, _ in found}
    for stream in trace.walk():
        where = place_text(stream.place)
        for entry in stream.imports:
            if entry.name not in called:
                add("imported", entry.name, entry.name, entry.count, where, stream.offset + entry.offset)
    everything = list(found.values())
    for named in everything:
        _tell(named)
    everything.sort(key=lambda named: (named.rank, named.kind, -named.count, named.name))
    return everything[:MOST_NAMES], max(0, len(everything) - MOST_NAMES) + len(ignored)


def _text(call: Call) -> str:
    text = expression(call)
    return f"{call.opcode}({text.partition('(')[2]}" if call.opcode in _UNNAMED else text


def _tell(named: Named) -> None:
    capability = lookup(named.name) if named.name else None
    if capability is None:
        named.known = "never analysed"
        named.rank = 6
        return
    named.known = _known(capability)
    effects = {**EFFECTS, **DERIVED_EFFECTS}
    reach = next(iter((*capability.reaches, *capability.derived)), None)
    if reach is None:
        named.rank = 8 if capability.inert else 7
        named.does = "" if capability.inert or not capability.unknown else "not all understood"
        return
    itself = capability.status == "root"
    named.does = effects[reach.kind] + ("" if itself or reach.flows else ", whatever it is passed")
    order = list(effects)
    named.rank = 0 if itself else 1 if reach.flows and order.index(reach.kind) < len(EFFECTS) else 5
    if not itself:
        named.witness = [
            step.name + (f" ({step.path}:{step.line})" if step.path and step.line else "")
            for step in reach.witness[:_STEPS]
        ]


def _known(capability: Capability) -> str:
    if capability.status == "root":
        return "a root sink"
    if capability.status == "unresolvable":
        return "does not exist"
    if capability.status == "dynamic":
        return "made at run time"
    versions = f" {capability.versions[-1]}" if capability.versions else ""
    what = "inert" if capability.inert else "analysed" if capability.status == "analysed" else "native"
    return f"{what}, {capability.package}{versions}"
