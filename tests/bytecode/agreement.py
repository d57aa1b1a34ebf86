"""Whether a Trace has everything that an unpickler was seen to do."""

from __future__ import annotations

from safepickle.bytecode.names import canonical
from safepickle.bytecode.region import Budget, Found, trace_region
from safepickle.bytecode.trace import Trace
from safepickle.limits import Limits
from tests.bytecode.oracle import BETWEEN, EXTENSIONS, Reading

_CALLS = frozenset(("REDUCE", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX"))
_OPCODES = {
    "call": _CALLS, "call result": _CALLS, "build": frozenset(("BUILD",)), "setitem": frozenset(("setitem",)),
    "append": frozenset(("append", "extend")), "extend": frozenset(("append", "extend")), "add": frozenset(("add",)),
}  # fmt: skip
EXTENSION_NAMES = frozenset(EXTENSIONS.values())


def traced(data: bytes) -> Found:
    """The scanner's reading of bytes as a region."""
    return trace_region(data, 0, len(data), (), Budget(Limits()))


def missing(found: Found, readings: list[Reading]) -> list[str]:
    """What the unpicklers did and the scanner does not know of, in words."""
    at = {trace.offset: trace for trace in reversed(found.traces) if not _continued(trace)}
    problems = []
    for reading in readings:
        trace = at.get(reading.start)
        others = [child for child in trace.children if "frame" in dict(child.place[-1:])] if trace is not None else []
        where = f"{reading.reader} at {reading.start}"
        if trace is None:
            # bytes behind a stream count as another one only where they come to import something that can exist
            whole = reading.events if reading.end >= 0 else reading.events[:-1]
            if any(_could_exist(event) for event in whole) or (found.complete and reading.end > 0):
                problems.extend(f"{where}: no stream for {event}" for event in reading.events)
            continue
        cut = trace.coverage.reason == "truncated"
        torn = any(oddity.kind == "read-across-frame" for oddity in trace.oddities)
        for index, event in enumerate(reading.events):
            if any(_known(known, event) for known in (trace, *others)):
                continue
            if (cut and _of_cut_line(event, reading.events[index:])) or (torn and not _could_exist(event)):
                continue
            problems.append(f"{where}: {event}")
        if trace.coverage.state == "complete":
            # readers of files go on behind the frame, of which there may be more than the stream
            if reading.end not in (-1, reading.start + trace.length) and "FRAME" not in trace.opcodes:
                problems.append(f"{where}: ends at {reading.end}, traced to {trace.offset + trace.length}")
        elif reading.end >= 0 and all(known.coverage.state == "stopped" for known in (trace, *others)):
            problems.append(f"{where}: read to its end, but stopped: {trace.coverage.reason}")
    return problems


def _continued(trace: Trace) -> bool:
    """Whether a Trace is that of an unpickler that loads again; those here are new for each stream."""
    return any(oddity.kind == "memo-of-earlier-stream" for oddity in trace.oddities)


def _of_cut_line(event: tuple[str, str, int], last: list[tuple[str, str, int]]) -> bool:
    """Whether an event comes of a line that the end of the file cut off: it names nothing that its writer meant."""
    return (len(last) == 1 and event[0] in ("import", "persistent_load")) or event[1].endswith(BETWEEN)


def _could_exist(event: tuple[str, str, int]) -> bool:
    module, _between, name = event[1].partition(BETWEEN)
    if (module, name) in EXTENSION_NAMES:
        return False
    return event[0] == "import" and all(part.isidentifier() for part in f"{module}.{name}".split("."))


def _known(trace: Trace, event: tuple[str, str, int]) -> bool:
    what, written, count = event
    module, _between, attribute = written.partition(BETWEEN)
    name = canonical(module, attribute)
    extended = (module, attribute) in EXTENSION_NAMES and any("extension" in call.callee.kind for call in trace.calls)
    if what == "import":
        return any(entry.name == name for entry in trace.imports) or extended
    if what == "persistent_load":
        return any(call.opcode == what for call in trace.calls)
    for call in trace.calls:
        if call.opcode not in _OPCODES[what]:
            continue
        if call.callee.kind == "extension" and extended:
            return True
        if written == "persistent" + BETWEEN:
            if call.callee.kind == "persistent":
                return True
        elif call.callee.name == name and (what != "call" or call.callee.kind == "global"):
            if what != "call" or call.opcode in ("NEWOBJ_EX", "OBJ", "INST") or count > 16:
                return True
            if len(call.args) == count or _spread(call.args, count):
                return True
        elif what != "call" and extended and "extension" in call.callee.name:
            return True
    return False


def _spread(described: tuple[object, ...], _count: int) -> bool:
    """Whether the arguments are one value that is no tuple: the reader in Python spreads any iterable."""
    return len(described) == 1
