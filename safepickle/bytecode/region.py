"""All pickle streams between two offsets, to the last byte.

A region may hold several streams, junk between and behind them, raw arrays inside them (joblib) and pickles
inside their literals. What follows damage is looked at again wherever a stream could begin.
"""

from __future__ import annotations

from time import monotonic

from ..limits import Limits
from ..record import Record
from .arrays import ArrayCarriers, Layouts
from .carried import MAGICS, begins_like_file, decodings
from .describe import Describer
from .folding import FOLDABLE, LOOKED_INTO, fold
from .machine import Machine
from .names import is_stdlib
from .opcodes import CODES
from .resync import candidates, marks_before, read_across
from .trace import Coverage, Oddity, Place, Trace
from .values import Stop

TYPE_CHECKING = False
if TYPE_CHECKING:
    import mmap
    from collections.abc import Callable

    Buffer = bytes | mmap.mmap
    Unwrap = Callable[[Buffer, int, int, Place], "Found"]
    Watch = Callable[["Trace", Machine, int, dict[int, int]], None]

CARRIERS = ArrayCarriers()
_WHOLE_LITERAL = 100 << 20
"""Bytes of a literal in disguise that are decoded."""
_WHOLE_STREAM = 1 << 26
"""Bytes of a stream that is copied without what a reader loses."""
INST = CODES["INST"]
_UNREAD = ("unsupported-format", "decoder-missing", "zip-encrypted")
"""Of files in literals: they are of a known kind, and what is in them was not read."""
_FRAMES_LEFT = 16
"""Streams that end before their frame does, behind whose frames the next stream is looked for."""
_TRIES = 4096.0
"""Offsets of a file at which a stream is tried, besides one for every 64 bytes that are looked at."""
_NAMED = frozenset(("global", "attribute", "method", "carrier", "getter", "extension"))
_ZEROS = bytes(65_536)  # comparing with these is some twenty times as fast as stripping them off


class Budget:
    """What one file may still use, shared by all its streams.

    `watch` is told of each stream: its Trace, the machine that made it, its first byte, and the raw arrays in it.
    """

    def __init__(self, limits: Limits, watch: Watch | None = None) -> None:
        self.limits = limits
        self.watch = watch
        self.deadline = monotonic() + limits.seconds
        self.streams = limits.streams
        self.depth = limits.depth
        self.unpacked = limits.unpacked_bytes
        self.tries = _TRIES


class Found(Record):
    """Streams of a region and what was odd around them; `model` when it is a whole model file, all of it understood."""

    traces: tuple[Trace, ...]
    oddities: tuple[Oddity, ...]
    complete: bool
    model: bool = False


def trace_region(
    data: Buffer,
    start: int,
    end: int,
    place: Place,
    budget: Budget,
    raw_tail: bool = False,
    unwrap: Unwrap | None = None,
) -> Found:
    """Trace every stream of ``data[start:end]``.

    Parameters
    ----------
    data
        The bytes that `place` leads to.
    start, end
        Bounds of the region.
    place
        Steps from the file to these bytes.
    budget
        Shared by all regions of a file; used up by this call.
    raw_tail
        Whether the format puts raw bytes behind its streams (torch's legacy files), so that they are no oddity.
    unwrap
        Opens a literal that begins like a file and returns what is in it.

    Returns
    -------
    Found
        `complete` tells whether every stream was understood to its STOP.
    """
    return _Region(data, start, end, place, budget, unwrap).read(raw_tail)


class _Region:
    def __init__(
        self,
        data: Buffer,
        start: int,
        end: int,
        place: Place,
        budget: Budget,
        unwrap: Unwrap | None,
    ) -> None:
        self.data = data
        self.start = start
        self.end = end
        self.place = place
        self.budget = budget
        self.unwrap = unwrap
        self.traces: list[Trace] = []
        self.models: set[int] = set()
        self.oddities: list[Oddity] = []
        self.complete = True
        budget.tries += (end - start) / 64
        self.effort = 0.0
        self.frames_left: list[int] = []
        self.last: Machine | None = None

    def read(self, raw_tail: bool) -> Found:
        position = self._contiguous(self.start, first=True)
        for frame_end in self.frames_left[:_FRAMES_LEFT]:
            # the unpickler in Python has read the whole frame when it is asked for the next stream
            if all(trace.offset != frame_end - self.start for trace in self.traces):
                position = max(position, self._contiguous(frame_end, first=False))
        if position < self.end and not self._blank(position):
            later = len(self.traces)
            position = self._resync(position)
            if len(self.traces) > later:
                self.oddities.append(Oddity("stream-after-junk", self.traces[later].offset))
            elif not raw_tail and self.traces and self.traces[-1].coverage.state == "complete":
                self.oddities.append(Oddity("trailing-bytes", position - self.start, self.end - position))
        return Found(tuple(self.traces), tuple(self.oddities), self.complete)

    def _resync(self, position: int) -> int:
        """Read the streams that begin anywhere behind `position`; return the offset behind the last one."""
        sign = -1
        for candidate, named_at in candidates(self.data, position, self.end):
            if candidate < position and named_at != sign:
                continue
            if monotonic() > self.budget.deadline:
                self._give_up("budget:seconds", candidate)
                break
            if self.budget.tries <= 0 or self.budget.streams <= 0:
                self._give_up("budget:streams", candidate)
                break
            begins = marks_before(self.data, candidate, position) if self.data[candidate] == INST else (candidate,)
            for begin in begins:
                known = len(self.traces)
                behind = self._contiguous(begin, first=False)
                if len(self.traces) > known:
                    position, sign = max(behind, position), named_at
                    break
        return position

    def _give_up(self, kind: str, position: int) -> None:
        self.complete = False
        if all(oddity.kind != kind for oddity in self.oddities):
            self.oddities.append(Oddity(kind, position - self.start))

    def _contiguous(self, position: int, first: bool) -> int:
        """Read streams that follow each other from `position`; return the offset behind the last one."""
        while position < self.end:
            if self.budget.streams <= 0:
                self._give_up("budget:streams", position)
                return self.end
            before = self.effort
            trace, machine = self._stream(position)
            behind = machine.position
            stopped = not machine.at_stop
            if stopped and not first:
                self._load_again(position, trace)
            if not first:
                self.budget.tries -= 1 + (self.effort - before) / 64
            if stopped and not first and not _credible(trace):
                return position
            if not stopped and not first and not (trace.imports or trace.calls) and self._inside_junk(position):
                return behind
            self.traces.append(trace)
            self.budget.streams -= 1
            if trace.coverage.state != "complete":
                self.complete = False
            if stopped:
                return max(position + 1, self.start + trace.coverage.offset)
            if behind < machine.frame_end <= self.end:
                self.frames_left.append(machine.frame_end)
            self.last = machine
            first = False
            position = behind
        return position

    def _load_again(self, position: int, trace: Trace) -> None:
        """Read the stream as an unpickler does that has read the one before it: with its memo."""
        if trace.coverage.reason != "unset memo key" or self.last is None or self.last.position != position:
            return
        machine, self.last = self.last, None
        known, (opcodes, _highest) = machine.executed, machine.opcode_counts()
        reason = machine.run_on()
        self.effort += machine.executed - known
        machine.note("memo-of-earlier-stream", position)
        again = self._trace(machine, position, reason, ())
        stay = {(call.opcode, call.callee, call.offset) for call in trace.calls} if _credible(trace) else ()
        calls = tuple(
            call for call in again.calls if call.offset >= 0 and (call.opcode, call.callee, call.offset) not in stay
        )
        if calls:
            self.complete = False
            counts = {name: count - opcodes.get(name, 0) for name, count in again.opcodes.items()}
            self.traces.append(
                again.replace(
                    opcodes={name: count for name, count in counts.items() if count},
                    calls=calls,
                    imports=tuple(entry for entry in again.imports if entry.offset >= 0),
                    oddities=tuple(oddity for oddity in again.oddities if oddity.offset >= 0),
                )
            )

    def _inside_junk(self, position: int) -> bool:
        """Whether the bytes before `position` belong to no stream."""
        return not self.traces or self.traces[-1].offset + self.traces[-1].length != position - self.start

    def _blank(self, position: int) -> bool:
        """Only NUL or white space up to the end."""
        while position < self.end:
            chunk = bytes(self.data[position : min(self.end, position + 65_536)])
            if chunk != _ZEROS and chunk.strip(b"\0 \r\n\t"):
                return False
            position += len(chunk)
        return True

    def _stream(self, position: int, frames: bool = True) -> tuple[Trace, Machine]:
        """Trace of the stream at `position`, and the machine that has executed it.

        With `frames`, what other readers make of frames that are too short is among the children.
        """
        arrays: dict[int, int] = {}
        layouts = Layouts()
        children: list[Trace] = []

        def splice(machine: Machine, node: int, at: int) -> int:
            arrays[at] = at  # known even where what is behind it is not
            arrays[at] = self._array(machine, node, at, children, layouts)
            return arrays[at]

        machine = self._machine(position, splice)
        reason = self._run(machine)
        if arrays:
            children.extend(self._second_reading(position, min(arrays)))
        if machine.literals or machine.encoded:
            children.extend(self._children(machine))
        if frames and not (machine.at_stop and machine.straddled < 0):
            children.extend(self._readings_of_frames(machine, position))
        return self._trace(machine, position, reason, tuple(children), arrays), machine

    def _readings_of_frames(self, machine: Machine, position: int) -> list[Trace]:
        """What the unpickler in C makes of a stream in a file: it loses the rest of each frame that is too short.

        What it wants to read in one go and is not all in the frame, it reads from behind the frame.
        """
        found: list[Trace] = []
        region, current = self, machine
        for reading in range(self.budget.depth + 1):
            opcode, (frame, frame_end) = current.straddled, current.straddled_frame
            if opcode < 0 and not current.at_stop and current.stopped_at < current.frame_end:
                opcode, frame, frame_end = current.stopped_at, current.frame_at, current.frame_end
            lost = read_across(region.data, opcode, frame_end, region.end) if opcode >= 0 else -1
            if lost < 0 or lost == frame_end or frame_end >= region.end:
                break
            if reading == self.budget.depth or region.end - position > _WHOLE_STREAM:
                machine.note("budget:depth", max(machine.straddled, machine.start))
                break
            length = (lost - frame - 9).to_bytes(8, "little")  # so that the frame ends where its rest was lost
            view = memoryview(region.data)
            left = b"".join((view[position : frame + 1], length, view[frame + 9 : lost], view[frame_end : region.end]))
            view.release()
            place = (*region.place, ("frame", str(frame_end - region.start)))
            region, position = _Region(left, 0, len(left), place, self.budget, self.unwrap), 0
            self.budget.depth -= 1
            try:
                trace, current = region._stream(0, frames=False)
            finally:
                self.budget.depth += 1
            self.effort += region.effort
            if trace.imports or trace.calls or _limited(trace):
                found.append(trace)
        return found

    def _machine(self, position: int, splice: Callable[[Machine, int, int], int] | None) -> Machine:
        limits, deadline = self.budget.limits, self.budget.deadline
        return Machine(self.data, position, self.end, limits, deadline, splice, fold, FOLDABLE, CARRIERS, LOOKED_INTO)

    def _run(self, machine: Machine) -> str:
        """Run to the end, of whose reason the machine tells, and count how much that took."""
        reason = machine.run()
        self.effort += machine.executed + machine.searched / 16
        return reason

    def _trace(
        self,
        machine: Machine,
        position: int,
        reason: str,
        children: tuple[Trace, ...],
        arrays: dict[int, int] | None = None,
    ) -> Trace:
        describer = Describer(machine, position, self.models)
        imports = tuple([describer.import_(entry) for entry in machine.imports])
        calls = tuple([describer.call(site) for site in machine.calls])
        stopped_at = machine.stopped_at
        odd = machine.oddities
        budgets = sorted([kind for kind in odd if kind.startswith("budget:")]) if odd else ()
        if reason:
            state, offset = "limited" if reason.startswith("budget:") else "stopped", stopped_at - position
        elif budgets:
            state, offset, reason = "limited", odd[budgets[0]][0] - position, budgets[0]
        else:
            state, offset = "complete", 0
        behind = stopped_at if reason else machine.position
        if state == "limited" or budgets or (children and any(_limited(child) for child in children)):
            self.complete = False
        opcodes, highest = machine.opcode_counts()
        trace = Trace(
            place=self.place,
            offset=position - self.start,
            length=behind - position,
            protocol=(machine.declared, highest),
            opcodes=opcodes,
            coverage=Coverage(state, reason, offset, behind - position, (self.end if reason else behind) - position),
            imports=imports,
            calls=calls,
            oddities=describer.oddities() if odd else (),
            children=children,
        )
        if self.budget.watch is not None:
            self.budget.watch(trace, machine, position, arrays or {})
        return trace

    # --- raw arrays ------------------------------------------------------------------------------

    def _array(self, machine: Machine, node: int, position: int, children: list[Trace], layouts: Layouts) -> int:
        """Offset behind the raw array that follows BUILD on a joblib wrapper; `layouts` has those of such as it."""
        layout = layouts.announced(machine, machine.built_with(node))
        if layout is None:
            raise Stop("joblib array of unknown size", -1)
        if machine.frame_end > position:
            raise Stop("joblib array inside a frame", -1)  # joblib would look for it behind the frame
        size, aligned = layout
        if size < 0:  # joblib pickles object arrays with a plain pickler of their own
            return self._object_array(position, children)
        if aligned and position < self.end:
            position += 1 + self.data[position]
        if position + size > self.end:
            raise Stop("truncated", -1)
        return position + size

    def _object_array(self, position: int, children: list[Trace]) -> int:
        """Offset behind the pickle of an object array, whose Trace joins `children`."""
        if self.budget.depth <= 0:
            raise Stop("budget:depth", -1)
        if self.budget.streams <= 0:
            raise Stop("budget:streams", -1)
        self.budget.streams -= 1
        self.budget.depth -= 1
        try:
            trace, machine = self._stream(position)
        finally:
            self.budget.depth += 1
        children.append(trace)
        if trace.coverage.state != "complete":
            raise Stop("damaged object array", -1)
        if machine.frame_end > machine.position:
            raise Stop("object array ends before its frame", -1)  # where joblib goes on depends on its version
        return machine.position

    def _second_reading(self, position: int, first_array: int) -> tuple[Trace, ...]:
        """What a reader that knows no raw arrays makes of the stream, where it gets behind the first one."""
        machine = self._machine(position, None)
        reason = self._run(machine)
        children = tuple(child for child in self._children(machine, first_array) if _credible(child))
        later = any(entry[3] >= first_array and _plausible(entry[0]) for entry in machine.imports) or any(
            site.offset >= first_array and site.opcode != 0x62 and machine.reference(site.callee)[0] in _NAMED
            for site in machine.calls
        )
        if not later and not children:
            return ()
        machine.note("read-differs-without-arrays", first_array)
        return (self._trace(machine, position, reason, children),)

    # --- pickles in literals ---------------------------------------------------------------------

    def _children(self, machine: Machine, since: int = 0) -> list[Trace]:
        """Streams inside the stream's literals, those at `since` and behind."""
        found: list[Trace] = []
        literals = [literal for literal in machine.literals if literal[0] >= since]
        encoded = [value for value, at in machine.encoded if at >= since]
        if self.budget.depth <= 0:
            if literals or encoded:
                machine.note("budget:depth", literals[0][0] if literals else machine.stopped_at)
            return found
        self.budget.depth -= 1
        try:
            for at, length in literals:
                if self._spent(machine, at):
                    break
                step = ("literal", str(at - self.start))
                if self.data[at] == 0x80:
                    inner = _Region(self.data, at, at + length, (*self.place, step), self.budget, self.unwrap)
                    found.extend(_noted(machine, inner.read(raw_tail=True), at, _worth))
                else:
                    found.extend(self._unwrapped(machine, self.data, at, at + length, step, at))
            tried = {at for at, _length in literals}
            known: set[int] = set()
            for value in encoded:
                at = machine.span(value)[0]
                if self._spent(machine, at):
                    break
                found.extend(self._decoded(machine, value, at in tried, known))
        finally:
            self.budget.depth += 1
        return found

    def _spent(self, machine: Machine, at: int) -> bool:
        """Whether nothing may be opened any more, which is noted."""
        if self.budget.streams > 0 and monotonic() <= self.budget.deadline:
            return False
        machine.note("budget:children", at)
        return True

    def _decoded(self, machine: Machine, value: int, tried: bool, known: set[int]) -> list[Trace]:
        """Streams in an argument that may be encoded.

        `tried` when its bytes as they are were looked at; `known` has the hashes of what was, since a text and
        what it is decoded to by the stream itself both come by here.
        """
        found: list[Trace] = []
        at, length = machine.span(value)
        most = min(_WHOLE_LITERAL, self.budget.unpacked)
        if length > most:
            machine.note("budget:unpacked_bytes", at)
            return found
        step = ("argument", str(at - self.start))
        for index, data in enumerate(decodings(machine.argument(value, most))):
            self.budget.unpacked -= len(data) if index else 0
            if (index or not tried) and begins_like_file(data) and hash(data) not in known:
                known.add(hash(data))
                found.extend(self._unwrapped(machine, data, 0, len(data), step, at))
        return found

    def _unwrapped(
        self, machine: Machine, data: Buffer, begin: int, end: int, step: tuple[str, str], at: int
    ) -> list[Trace]:
        """Streams in ``data[begin:end]``, which the literal at `at` is or stands for."""
        place = (*self.place, step)
        head = bytes(data[begin : min(end, begin + 2)])
        if head not in MAGICS or head[:1] == b"\x80":
            found = _Region(data, begin, end, place, self.budget, self.unwrap).read(raw_tail=True)
            return _noted(machine, found, at, _worth if head[:1] == b"\x80" else _acting)
        if self.unwrap is None:
            return []
        found = self.unwrap(data, begin, end, place)
        if found.model and data is self.data:
            self.models.add(at)
        for oddity in found.oddities:
            if oddity.kind in _UNREAD:
                # what calls of the stream make of it is not known
                machine.note(oddity.kind, at, oddity.detail)
                self.complete = False
        return _noted(machine, found, at, _worth)


def _noted(machine: Machine, found: Found, at: int, wanted: Callable[[Trace], bool]) -> list[Trace]:
    """The wanted streams of a literal; budgets that ran out in it are noted in the stream that has it."""
    for oddity in found.oddities:
        if oddity.kind.startswith("budget:"):
            machine.note(oddity.kind, at)
    return [trace for trace in found.traces if wanted(trace)]


def _plausible(name: str) -> bool:
    """A dotted name as a program would have it."""
    return bool(name) and all(part.isidentifier() for part in name.split("."))


def _credible(trace: Trace) -> bool:
    """Whether a stream found in junk, and damaged, still did something, as any reader of its frames takes it."""
    return any(_plausible(entry.name) for entry in trace.imports) or any(
        _credible(child) for child in trace.children if "frame" in dict(child.place[-1:])
    )


def _worth(trace: Trace) -> bool:
    """Whether a stream in a literal is one: no damage was met in it, or it imports something."""
    return trace.coverage.state != "stopped" or _credible(trace)


def _acting(trace: Trace) -> bool:
    """Whether what may be a text did more than name, before it broke, something that nobody knows."""
    if trace.coverage.state != "stopped":
        return _credible(trace)
    return any(is_stdlib(entry.name) for entry in trace.imports) or any(
        _plausible(call.callee.name) for call in trace.calls
    )


def _limited(trace: Trace) -> bool:
    """Whether a budget ran out in a stream or in what it carries."""
    return trace.coverage.state == "limited" or any(_limited(child) for child in trace.children)
