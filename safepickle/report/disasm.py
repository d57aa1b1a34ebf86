"""The opcodes of a file's streams one by one, with what each pushes, fetches or gives away; in constant memory."""

from __future__ import annotations

from ..bytecode.arguments import argument_span, text_at
from ..bytecode.opcodes import ARGUMENTS, NAMES
from ..bytecode.values import Stop
from ..containers.pickle_walk import height_after
from ..findings import place_text
from ..record import Record
from .colours import paint
from .printable import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..bytecode.trace import Trace
    from ..decompile.reading import Reading, Readings
    from ..findings import Finding
    from ..scan import FileReport

_MEMO = 65_536
"""Memo entries of one stream of which is known where they were put."""
_LITERAL = 60
_FETCHING = ("GET", "BINGET", "LONG_BINGET")
_STORING = ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE")
_GRAVE = ("critical", "high", "medium")


class Instruction(Record):
    """One opcode.

    Parameters
    ----------
    offset
        Of the opcode, in what the place of the stream leads to.
    opcode
        Its name; ``raw`` for an array in the stream, ``stop`` for where it cannot be read on.
    argument
        As it is read, shortened.
    height
        Items on the stack afterwards; -1 from where they cannot be told.
    note
        Memo entries, and where they come from.
    findings
        Evidence at this opcode.
    """

    offset: int
    opcode: str
    argument: str = ""
    height: int = -1
    note: str = ""
    findings: tuple[Finding, ...] = ()


class Stretch(Record):
    """What to list: offsets from `first` on and below `last`, of members whose place has `member` in it."""

    member: str = ""
    first: int = 0
    last: int = 1 << 63


def disassemble(report: FileReport, readings: Readings, stretch: Stretch) -> Iterator[Trace | Instruction]:
    """Each stream of a file, followed by its opcodes.

    Parameters
    ----------
    report
        Of a scan of the file.
    readings
        The bytes of its streams.
    stretch
        What of it to list.
    """
    for trace in report.trace.walk():
        place = place_text(trace.place)
        reading = readings.of(trace)
        again = any(oddity.kind == "read-differs-without-arrays" for oddity in trace.oddities)
        if reading is None or again or stretch.member not in place:
            continue
        if trace.offset >= stretch.last or trace.offset + trace.length < stretch.first:
            continue
        marks: dict[int, list[Finding]] = {}
        for finding in report.findings:
            if finding.stream == place:
                marks.setdefault(finding.offset, []).append(finding)
        yield trace
        for instruction in _Lister(reading).instructions():
            if instruction.offset >= stretch.last:
                break
            if instruction.offset >= stretch.first:
                found = marks.get(instruction.offset, ())
                yield instruction.replace(findings=tuple(found)) if found else instruction


class _Lister:
    def __init__(self, reading: Reading) -> None:
        self.reading = reading
        self.shift = reading.trace.offset - reading.position
        self.marks: list[int] = []
        self.memo: dict[int, int] = {}
        self.stored = 0

    def instructions(self) -> Iterator[Instruction]:
        reading = self.reading
        at, end, height = reading.position, reading.end, 0
        last = reading.position + reading.trace.length
        while at < end:
            try:
                begin, behind, following = argument_span(reading.data, at, end)
            except Stop as stop:
                yield Instruction(at + self.shift, "stop", stop.reason)
                return
            name = NAMES[reading.data[at]]
            known = height_after(name, height, self.marks) if height >= 0 else None
            height = -1 if known is None else known
            yield Instruction(
                at + self.shift, name, self._argument(at, begin, behind), height, self._note(name, at, begin, behind)
            )
            if name == "STOP" or at > last:
                return
            at = following
            if name == "BUILD" and at in reading.gaps:
                size = reading.gaps[at] - at
                yield Instruction(at + self.shift, "raw", f"an array of {size:,} bytes", height)
                at += size
                if not size:
                    return
        yield Instruction(end + self.shift, "stop", "truncated")

    def _argument(self, at: int, begin: int, behind: int) -> str:
        data, kind = self.reading.data, ARGUMENTS[self.reading.data[at]]
        name = NAMES[data[at]]
        if not kind or name == "PROTO":
            return str(data[begin]) if kind else ""
        if kind in ("u1", "u2", "u4", "u8", "i4"):
            return str(int.from_bytes(data[begin:behind], "little", signed=kind == "i4"))
        if kind == "f8":
            from struct import unpack

            return repr(unpack(">d", data[begin:behind])[0])
        if kind == "line2":
            module, _, attribute = bytes(data[begin : min(behind, begin + 400)]).partition(b"\n")
            return " ".join(ascii(part.decode("utf-8", "replace"))[1:-1] for part in (module, attribute))
        if kind == "line" and name not in ("STRING", "UNICODE"):
            return ascii(bytes(data[begin : min(behind, begin + _LITERAL)]).decode("latin-1"))[1:-1]
        if name in ("LONG1", "LONG4"):
            return str(int.from_bytes(data[begin:behind], "little", signed=True)) if behind - begin <= 16 else "<long>"
        text, length = text_at(data, at, self.reading.end, 4 * _LITERAL)
        more = f"... <{length:,} bytes>" if len(text) > _LITERAL else ""
        return f"{text[:_LITERAL]!r}{more}"

    def _note(self, name: str, at: int, begin: int, behind: int) -> str:
        if name not in _FETCHING and name not in _STORING:
            return ""
        if name == "MEMOIZE":
            key = self.stored
        else:
            raw = bytes(self.reading.data[begin : min(behind, begin + 20)])
            if name in ("GET", "PUT"):
                if not raw.isdigit():
                    return ""
                key = int(raw)
            else:
                key = int.from_bytes(raw, "little")
        if name in _STORING:
            if key not in self.memo:
                self.stored += 1
            if key in self.memo or len(self.memo) < _MEMO:
                self.memo[key] = at
            return f"as memo {key}" if name == "MEMOIZE" else ""
        put = self.memo.get(key)
        return f"put at {put + self.shift}" if put is not None else ""


# --- for people and for programs -----------------------------------------------------------------


def disassembly_text(pieces: Iterator[Trace | Instruction], file: str, colour: bool = False) -> Iterator[str]:
    """The lines that people read."""
    name = printable(file.rsplit("/", 1)[-1], 4096)
    for piece in pieces:
        if not isinstance(piece, Instruction):
            place = printable(place_text(piece.place), 4096)
            where = f"{place} in {name}" if place else name
            begin, behind = piece.offset, piece.offset + piece.length
            yield paint(f"# {where}, bytes {begin:,} to {behind:,}", "comment", colour)
        else:
            yield _line(piece, colour)


def _line(piece: Instruction, colour: bool) -> str:
    height = f"{piece.height:>4}" if piece.height >= 0 else "   ?"
    code = f"{piece.offset:>10} {height}  {piece.opcode:<16} {printable(piece.argument, 400)}".rstrip()
    note = f"  {paint(f'; {piece.note}', 'comment', colour)}" if piece.note else ""
    marks = [
        "  " + paint(f"\u2190 {printable(finding.title)} [{finding.severity}]", finding.severity, colour)
        for finding in piece.findings
    ]
    grave = any(finding.severity in _GRAVE for finding in piece.findings)
    return (paint(code, piece.findings[0].severity, colour) if grave else code) + note + "".join(marks)


def disassembly_json(pieces: Iterator[Trace | Instruction]) -> Iterator[str]:
    """A JSON object for each stream and each opcode."""
    from json import dumps

    for piece in pieces:
        if isinstance(piece, Instruction):
            found = [{"rule": one.rule, "severity": one.severity, "title": one.title} for one in piece.findings]
            plain: dict[str, object] = {**piece.__dict__, "findings": found}
        else:
            plain = {"stream": place_text(piece.place), "offset": piece.offset, "length": piece.length}
        yield dumps(plain).replace("\x7f", "\\u007f")


def limited(pieces: Iterator[Trace | Instruction], most: int | None) -> Iterator[Trace | Instruction]:
    """The pieces up to and with the opcode number `most`; all without it."""
    listed = 0
    for piece in pieces:
        if isinstance(piece, Instruction):
            listed += 1
        if most is not None and listed > most:
            return
        yield piece
