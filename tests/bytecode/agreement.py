"""Whether a Trace has everything that the unpicklers were seen to do, and nothing that none of them does.

The laws, for a stream at any offset where an unpickler began to read:

* what it imported, called, built or filled is in the Trace, as often, with as many arguments;
* where it executed an opcode, so did the machine; the Trace of a stream that it loads is complete, ends where it
  ended, and has the opcodes that ``pickletools`` has;
* an unpickler that loads again, and so has the memo of the stream before, finds in the Trace of that what it does,
  where there is one: the scanner reads so only what cannot be read without, and what names nothing that could exist
  may be missing where the file is not complete;
* a stream that all of them load has no import and no call in its Trace that they did not make, in the same order.

``touch`` (a key hashed, an argument iterated over) is no record of its own: that the Trace has what was touched is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from safepickle.bytecode.folding import FOLDABLE
from safepickle.bytecode.names import canonical, shortened
from safepickle.bytecode.region import Budget, Found, trace_region
from safepickle.bytecode.trace import Call, FileTrace, Trace
from safepickle.limits import Limits
from tests.bytecode.inert import BETWEEN, EXTENSIONS
from tests.bytecode.oracle import Lexed, Observed, Reading

Event = tuple[str, str, int]

MADE = frozenset(("REDUCE", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX"))
_FILLING = frozenset(("append", "extend"))
_OPCODES = {
    "call": MADE, "call result": MADE, "build": frozenset(("BUILD",)), "state": frozenset(("BUILD",)),
    "setitem": frozenset(("setitem",)), "append": _FILLING, "extend": _FILLING, "add": frozenset(("add",)),
    "persistent_load": frozenset(("persistent_load",)),
}  # fmt: skip
_ONCE = frozenset(("import", "call", "call result", "build", "extend", "persistent_load"))
"""Events of which each is an opcode of its own."""
CODES_OF_EXTENSIONS = {name: f"copyreg.extension.{code}" for code, name in EXTENSIONS.items()}
PERSISTENT = "persistent" + BETWEEN
_DESCRIBED = 16
"""Arguments of a call that are described in any case."""


def traced(data: bytes) -> Found:
    """The scanner's reading of bytes as a region."""
    return trace_region(data, 0, len(data), (), Budget(Limits()))


def disagreements(found: Found, observed: Observed) -> list[str]:
    """Where the Traces break the laws, in words."""
    at = {trace.offset: trace for trace in reversed(found.traces) if not _continued(trace)}
    again = {trace.offset: trace for trace in found.traces if _continued(trace)}
    problems = []
    by_start: dict[int, list[Reading]] = {}
    for reading in observed.readings:
        trace = at.get(reading.start)
        where = f"{reading.reader} at {reading.start}: "
        if reading.reader.endswith("again"):
            # a call of the same shape as one of an earlier stream is counted there
            if reading.start in again and (found.complete or _counts_as_stream(reading)):
                problems.extend(where + problem for problem in _missing(list(found.traces), reading, often=False))
            continue
        by_start.setdefault(reading.start, []).append(reading)
        if trace is None:
            # found from a later byte on, it may lack persistent ids, but no import and no call, and is said to be odd
            silent = found.complete and not any(odd.kind == "stream-after-junk" for odd in found.oddities)
            if (_counts_as_stream(reading) and (silent or _lacking(found, reading))) or (
                found.complete and any(event[1] != BETWEEN for event in reading.events) and reading.end > 0
            ):
                problems.append(where + f"no stream for {reading.events}")
            continue
        problems.extend(where + problem for problem in _missing([trace, *_of_frames(trace)], reading))
        problems.extend(where + problem for problem in _shorter(trace, reading))
    for lexed in observed.lexed:
        if lexed.start in at:
            problems.extend(f"pickletools at {lexed.start}: {problem}" for problem in _unlike(at[lexed.start], lexed))
    for start, readings in by_start.items():
        if start in at and all(reading.end == readings[0].end >= 0 for reading in readings):
            problems.extend(f"all at {start}: {problem}" for problem in _invented(at[start], readings))
    return problems


def hidden(file: FileTrace, observed: Observed) -> list[str]:
    """What the unpicklers import or call and a file believed to be understood completely does not have."""
    if file.complete and file.streams:
        known = {entry.name for trace in file.walk() for entry in trace.imports}
        known.update(call.callee.name for trace in file.walk() for call in trace.calls)
        return [
            f"{reading.reader} at {reading.start}: {event} is not in the file"
            for reading in observed.readings
            if not reading.reader.endswith("again") and (reading.start == 0 or _counts_as_stream(reading))
            for event in reading.events
            if event[0] in ("import", "call") and _name(event) not in known and event[1] != PERSISTENT
        ]
    return []


# --- one reading ---------------------------------------------------------------------------------


def _continued(trace: Trace) -> bool:
    """Whether a Trace is that of an unpickler that loads again."""
    return any(oddity.kind == "memo-of-earlier-stream" for oddity in trace.oddities)


def _of_frames(trace: Trace) -> list[Trace]:
    """The same stream as read by the unpickler in C that loses the rest of a frame, as often as it does."""
    others = [child for child in trace.children if "frame" in dict(child.place[-1:])]
    return others + [inner for child in others for inner in _of_frames(child)]


def _counts_as_stream(reading: Reading) -> bool:
    """Bytes behind a stream count as another one only where they come to import something that can exist."""
    whole = reading.events if reading.end >= 0 else reading.events[:-1]
    return any(_could_exist(event) for event in whole)


def _lacking(found: Found, reading: Reading) -> list[Event]:
    """Imports and calls that are in no Trace at all; persistent ids aside."""
    known = list(found.traces)
    return [event for event in reading.events if event[1] != PERSISTENT and not _times(known, event)]


def _could_exist(event: Event) -> bool:
    module, _between, name = event[1].partition(BETWEEN)
    if (module, name) in CODES_OF_EXTENSIONS:
        return False
    return event[0] == "import" and all(part.isidentifier() for part in f"{module}.{name}".split("."))


def _missing(known: list[Trace], reading: Reading, often: bool = True) -> Iterable[str]:
    cut = any(trace.coverage.reason == "truncated" for trace in known)
    seen: Counter[tuple[str, str, int]] = Counter()
    for index, event in enumerate(reading.events):
        seen[event] += 1
        if _times(known, event) >= (seen[event] if often and event[0] in _ONCE else 1):
            continue
        if event[1] == BETWEEN or (cut and _of_cut_line(event, reading.events[index:])):
            continue  # no module is without a name
        yield f"{event}, the {seen[event]}. time"


def _of_cut_line(event: Event, last: list[Event]) -> bool:
    """Whether an event comes of a line that the end of the file cut off: it names nothing that its writer meant."""
    return (len(last) == 1 and event[0] in ("import", "persistent_load")) or event[1].endswith(BETWEEN)


def _name(event: Event) -> str:
    module, _between, attribute = event[1].partition(BETWEEN)
    name = CODES_OF_EXTENSIONS.get((module, attribute)) or canonical(module, attribute)
    # as the machine decodes it: no half of a pair of surrogates ever gets into a Trace
    return shortened(name.encode("utf-8", "surrogatepass").decode("utf-8", "replace"))


def _times(known: list[Trace], event: Event) -> int:
    """How often an event is in the Traces."""
    what, written, count = event
    name = _name(event)
    extension = name.startswith("copyreg.extension.")
    if what == "import":
        counts = sum(entry.count for trace in known for entry in trace.imports if entry.name == name)
        return counts + sum(call.count for trace in known for call in trace.calls if _is_extension(call, name))
    if what == "touch":
        made = (call for trace in known for call in trace.calls if call.opcode in MADE | {"ext", "persistent_load"})
        imported = (entry for trace in known for entry in trace.imports if entry.name == name)
        return int(any(imported) or any(extension or written == PERSISTENT or _is_of(call, event) for call in made))
    return sum(
        call.count
        for trace in known
        for call in trace.calls
        if call.opcode in _OPCODES[what]
        and (what == "persistent_load" or _is_of(call, event))
        and _fits(call, what, count)
    )


def _is_extension(call: Call, name: str) -> bool:
    return call.opcode == "ext" and call.callee.name == name


def _is_of(call: Call, event: Event) -> bool:
    """Whether a call is of the global that an event leads back to."""
    if event[1] == PERSISTENT:
        return call.callee.kind == "persistent"
    if event[0] != "call" and _name(event) in FOLDABLE:
        return True  # what it returns here is something else than what the scanner computes
    if call.callee.name != _name(event):
        return False
    return call.callee.kind in ("global", "extension") if event[0] == "call" else True


def _fits(call: Call, what: str, count: int) -> bool:
    """Whether the number of arguments is right; one that is no tuple is spread by the reader in Python."""
    if what not in ("call", "call result") or count > _DESCRIBED:
        return True
    given = len(call.args) - 1 if call.opcode == "NEWOBJ_EX" else len(call.args)
    return given == count or given == 1 or len(call.args) > _DESCRIBED


def _shorter(trace: Trace, reading: Reading) -> Iterable[str]:
    """Where the machine went less far than an unpickler."""
    executed = sum(trace.opcodes.values())
    frames = _of_frames(trace)
    if reading.executed > executed:
        yield f"executed {reading.executed} opcodes, traced {executed} of them: {trace.coverage.reason}"
    if reading.end < 0:
        return
    if trace.coverage.state == "complete":
        # readers of files go on behind the frame, of which there may be more than the stream
        if reading.end != trace.offset + trace.length and "FRAME" not in trace.opcodes:
            yield f"ends at {reading.end}, traced to {trace.offset + trace.length}"
    elif any(_could_exist(event) for event in reading.events) and all(
        known.coverage.state != "complete" for known in frames
    ):
        yield f"read to its end, but {trace.coverage.state}: {trace.coverage.reason}"


def _unlike(trace: Trace, lexed: Lexed) -> Iterable[str]:
    """Where the boundaries of opcodes differ from those of ``pickletools``."""
    if trace.coverage.state == "complete" and lexed.end >= 0:
        if lexed.end != trace.offset + trace.length or lexed.opcodes != trace.opcodes:
            yield f"{lexed.opcodes} up to {lexed.end}, traced {trace.opcodes}"
    elif lexed.end >= 0:
        more = {name: count for name, count in trace.opcodes.items() if count > lexed.opcodes.get(name, 0)}
        if more:
            yield f"has less than {more}"


def _invented(trace: Trace, readings: list[Reading]) -> Iterable[str]:
    """What no unpickler did with a stream that they all load, and where the order is another one."""
    events = readings[0].events
    if any(reading.events != events for reading in readings) or _of_frames(trace):
        return
    names = [name for event in events if event[0] == "import" and not (name := _name(event)).startswith("copyreg.ext")]
    traced_names = [entry.name for entry in sorted(trace.imports, key=lambda entry: entry.offset)]
    if list(dict.fromkeys(names)) != list(dict.fromkeys(traced_names)):
        yield f"imports {names}, traced {traced_names}"
    called = sum(event[0] in ("call", "call result") for event in events)
    traced_calls = sum(call.count for call in trace.calls if call.opcode in MADE)
    if called != traced_calls:
        yield f"calls {called} times, traced {traced_calls}"
    order = list(dict.fromkeys(_name(event) for event in events if event[0] == "call" and event[1] != PERSISTENT))
    first: dict[str, int] = {}
    for call in trace.calls:
        if call.opcode in MADE and call.callee.kind in ("global", "extension"):
            first[call.callee.name] = min(call.offset, first.get(call.callee.name, call.offset))
    if order != sorted(first, key=first.__getitem__):
        yield f"calls {order} in this order, traced {first}"
