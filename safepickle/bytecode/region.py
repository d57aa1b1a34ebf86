"""All pickle streams between two offsets, to the last byte.

A region may hold several streams, junk between and behind them, raw arrays inside them (joblib) and pickles
inside their literals. What follows damage is looked at again wherever a stream could begin.
"""

from __future__ import annotations

from time import monotonic

from ..limits import Limits
from ..record import Record
from .arrays import ArrayCarriers, array_layout
from .describe import describe_call, describe_import, describe_oddities
from .folding import FOLDABLE, fold
from .machine import Machine, Stop
from .opcodes import NAMES, PROTOCOLS
from .trace import Coverage, Oddity, Place, Trace

TYPE_CHECKING = False
if TYPE_CHECKING:
    import mmap
    from collections.abc import Callable, Iterator

    Buffer = bytes | mmap.mmap

CARRIERS = ArrayCarriers()
_INST_REACH = 512
_ZEROS = bytes(65_536)  # comparing with these is some twenty times as fast as stripping them off


class Budget:
    """What one file may still use, shared by all its streams."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.deadline = monotonic() + limits.seconds
        self.streams = limits.streams
        self.depth = limits.depth


class Found(Record):
    """Streams of a region and what was odd around them."""

    traces: tuple[Trace, ...]
    oddities: tuple[Oddity, ...]
    complete: bool


def trace_region(
    data: Buffer,
    start: int,
    end: int,
    place: Place,
    budget: Budget,
    raw_tail: bool = False,
    unwrap: Callable[[bytes, Place], tuple[Trace, ...]] | None = None,
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
        Opens a literal that begins like a file and returns the streams in it.

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
        unwrap: Callable[[bytes, Place], tuple[Trace, ...]] | None,
    ) -> None:
        self.data = data
        self.start = start
        self.end = end
        self.place = place
        self.budget = budget
        self.unwrap = unwrap
        self.traces: list[Trace] = []
        self.oddities: list[Oddity] = []
        self.complete = True

    def read(self, raw_tail: bool) -> Found:
        position = self._contiguous(self.start, first=True)
        if position < self.end and not self._blank(position):
            later = len(self.traces)
            for candidate in self._candidates(position):
                if candidate < position:
                    continue
                if monotonic() > self.budget.deadline:
                    self._give_up("budget:seconds", candidate)
                    break
                position = max(self._contiguous(candidate, first=False), position)
            if len(self.traces) > later:
                self.oddities.append(Oddity("stream-after-junk", self.traces[later].offset))
            elif not raw_tail and self.traces and self.traces[-1].coverage.state == "complete":
                self.oddities.append(Oddity("trailing-bytes", position - self.start, self.end - position))
        return Found(tuple(self.traces), tuple(self.oddities), self.complete)

    def _give_up(self, kind: str, position: int) -> None:
        self.complete = False
        self.oddities.append(Oddity(kind, position - self.start))

    def _contiguous(self, position: int, first: bool) -> int:
        """Read streams that follow each other from `position`; return the offset behind the last one."""
        while position < self.end:
            if self.budget.streams <= 0:
                self._give_up("budget:streams", position)
                return self.end
            trace, behind = self._stream(position)
            stopped = trace.coverage.state != "complete"
            if stopped and not first and not _credible(trace):
                return position
            if not stopped and not first and not (trace.imports or trace.calls) and self._inside_junk(position):
                return behind
            self.traces.append(trace)
            self.budget.streams -= 1
            if stopped:
                self.complete = False
                return max(position + 1, self.start + trace.coverage.offset)
            first = False
            position = behind
        return position

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

    def _candidates(self, position: int) -> Iterator[int]:
        """Offsets behind `position` at which a stream could begin, in order."""
        import re

        name = rb"[A-Za-z_][A-Za-z0-9_.]{0,200}"
        pattern = re.compile(
            rb"\x80[\x00-\x05]|c" + name + rb"\r?\n" + name + rb"\r?\n|i" + name + rb"\r?\n" + name + rb"\r?\n"
            rb"|\x8c[\x01-\xff]" + name + rb"[\x94q]?.?\x8c[\x01-\xff]" + name + rb"[\x94q]?.?\x93"
        )
        for match in pattern.finditer(self.data, position, self.end):
            at = match.start()
            if self.data[at] == 0x69:  # INST needs the MARK before its arguments
                mark = self.data.rfind(b"(", max(position, at - _INST_REACH), at)
                while mark >= 0:
                    yield mark
                    mark = self.data.rfind(b"(", max(position, at - _INST_REACH), mark)
            else:
                yield at

    def _stream(self, position: int) -> tuple[Trace, int]:
        """Trace of the stream at `position`, and the offset behind it."""
        spliced: list[tuple[int, int]] = []
        children: list[Trace] = []

        def splice(machine: Machine, node: int, at: int) -> int:
            behind = self._array(machine, node, at, children)
            spliced.append((at, behind))
            return behind

        machine = self._machine(position, splice)
        reason = machine.run()
        if spliced:
            children.extend(self._second_reading(position, spliced[0][0]))
        children.extend(self._children(machine))
        return self._trace(machine, position, reason, tuple(children)), machine.position

    def _machine(self, position: int, splice: Callable[[Machine, int, int], int] | None) -> Machine:
        return Machine(
            self.data, position, self.end, self.budget.limits, self.budget.deadline, splice, fold, FOLDABLE, CARRIERS
        )

    def _trace(self, machine: Machine, position: int, reason: str, children: tuple[Trace, ...]) -> Trace:
        stopped_at = machine.stopped_at
        budgets = sorted(kind for kind in machine.oddities if kind.startswith("budget:"))
        if reason:
            state, offset = "limited" if reason.startswith("budget:") else "stopped", stopped_at - position
        elif budgets:
            state, offset, reason = "limited", machine.oddities[budgets[0]][0] - position, budgets[0]
        else:
            state, offset = "complete", 0
        behind = stopped_at if reason else machine.position
        if state == "limited" or any(_limited(child) for child in children):
            self.complete = False
        counts = machine.opcode_counts
        return Trace(
            place=self.place,
            offset=position - self.start,
            length=behind - position,
            protocol=(machine.declared, max((PROTOCOLS[code] for code in counts if code in PROTOCOLS), default=0)),
            opcodes={NAMES[code]: count for code, count in sorted(counts.items()) if code in NAMES},
            coverage=Coverage(state, reason, offset, behind - position, (self.end if reason else behind) - position),
            imports=tuple(describe_import(entry, position) for entry in machine.imports),
            calls=tuple(describe_call(machine, site, position) for site in machine.calls),
            oddities=describe_oddities(machine, position),
            children=children,
        )  # fmt: skip

    # --- raw arrays ------------------------------------------------------------------------------

    def _array(self, machine: Machine, node: int, position: int, children: list[Trace]) -> int:
        """Offset behind the raw array that follows BUILD on a joblib wrapper."""
        kept = machine.parts(node)[1]
        layout = array_layout(machine.value(kept[3], 6))
        if layout is None:
            raise Stop("joblib array of unknown size", -1)
        size, aligned = layout
        if size < 0:  # joblib pickles object arrays with a plain pickler of their own
            trace, behind = self._stream(position)
            children.append(trace)
            self.budget.streams -= 1
            if trace.coverage.state != "complete":
                raise Stop("damaged object array", -1)
            return behind
        if aligned and position < self.end:
            position += 1 + self.data[position]
        if position + size > self.end:
            raise Stop("truncated", -1)
        return position + size

    def _second_reading(self, position: int, first_array: int) -> tuple[Trace, ...]:
        """What a reader that knows no raw arrays makes of the stream, where it gets behind the first one."""
        machine = self._machine(position, None)
        reason = machine.run()
        later = [entry for entry in machine.imports if entry[3] >= first_array and _plausible(entry[0])]
        if not later:
            return ()
        machine.note("read-differs-without-arrays", first_array)
        return (self._trace(machine, position, reason, ()),)

    # --- pickles in literals ---------------------------------------------------------------------

    def _children(self, machine: Machine) -> list[Trace]:
        """Streams inside the stream's literals."""
        found: list[Trace] = []
        if self.budget.depth <= 0:
            if machine.literals:
                machine.note("budget:depth", machine.literals[0][0])
            return found
        self.budget.depth -= 1
        try:
            for at, length in machine.literals:
                if self.budget.streams <= 0 or monotonic() > self.budget.deadline:
                    machine.note("budget:children", at)
                    break
                found.extend(self._literal(at, length))
            for literal, step in _encoded_arguments(machine):
                found.extend(self._unwrapped(literal, step))
        finally:
            self.budget.depth += 1
        return found

    def _literal(self, at: int, length: int) -> tuple[Trace, ...]:
        if self.data[at] == 0x80:
            place = (*self.place, ("literal", str(at - self.start)))
            region = _Region(self.data, at, at + length, place, self.budget, self.unwrap)
            traces = tuple(trace for trace in region.read(raw_tail=True).traces if _worth(trace))
            return traces
        return self._unwrapped(bytes(self.data[at : at + length]), ("literal", str(at - self.start)))

    def _unwrapped(self, literal: bytes, step: tuple[str, str]) -> tuple[Trace, ...]:
        place = (*self.place, step)
        if literal[:1] == b"\x80":
            region = _Region(literal, 0, len(literal), place, self.budget, self.unwrap)
            return tuple(trace for trace in region.read(raw_tail=True).traces if _worth(trace))
        if self.unwrap is None:
            return ()
        return tuple(trace for trace in self.unwrap(literal, place) if _worth(trace))


def _encoded_arguments(machine: Machine) -> Iterator[tuple[bytes, tuple[str, str]]]:
    """String arguments of calls that decode to something that begins like a file."""
    from .literals import looks_like

    for site in machine.calls:
        arguments = machine.value(site.arguments, 2)
        for argument in arguments if isinstance(arguments, tuple) else ():
            if isinstance(argument, bytes) and len(argument) >= 16 and argument[:1] not in (b"\x80",):
                argument = argument.decode("latin-1")
            if not isinstance(argument, str) or len(argument) < 16:
                continue
            step = ("argument", str(site.offset - machine.start))
            decoded = _decode(argument, looks_like(argument))
            if decoded is not None:
                yield decoded, step


def _decode(text: str, looks: str) -> bytes | None:
    """Bytes behind a latin-1, hex or base64 text, when they begin like a file."""
    from binascii import a2b_base64

    try:
        if looks == "pickle":
            return text.encode("latin-1")
        if looks == "hex":
            raw = bytes.fromhex(text)
        elif looks in ("base64", "identifier", "path", "text"):
            raw = a2b_base64(text.replace("-", "+").replace("_", "/"), strict_mode=False)
        else:
            return None
    except ValueError:
        return None
    return raw if raw[:2] in _MAGICS else None


_MAGICS = frozenset((b"PK", b"\x1f\x8b", b"x\x01", b"x\x5e", b"x\x9c", b"x\xda", b"BZ", b"\xfd7")) | frozenset(
    bytes((0x80, protocol)) for protocol in range(6)
)


def _plausible(name: str) -> bool:
    """A dotted name as a program would have it."""
    return bool(name) and all(part.isidentifier() for part in name.split("."))


def _credible(trace: Trace) -> bool:
    """Whether a stream found in junk, and damaged, still did something."""
    return any(_plausible(entry.name) for entry in trace.imports)


def _worth(trace: Trace) -> bool:
    """Whether a stream in a literal is one: no damage was met in it, or it imports something."""
    return trace.coverage.state != "stopped" or _credible(trace)


def _limited(trace: Trace) -> bool:
    """Whether a budget ran out in a stream or in what it carries."""
    return trace.coverage.state == "limited" or any(_limited(child) for child in trace.children)
