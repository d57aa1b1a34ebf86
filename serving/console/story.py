"""What loading a file would do, as the console shows it: pseudo-Python and opcodes, in bounded size and time.

It is told by the scan process, which alone has the bytes of the file, and needs nothing but the scanner.
"""

from __future__ import annotations

import json
import zlib
from collections import deque
from collections.abc import Iterator
from time import monotonic
from typing import Any

from safepickle.decompile.reading import Readings
from safepickle.findings import place_text
from safepickle.report.disasm import Instruction, Stretch, disassemble
from safepickle.report.explain import explain
from safepickle.report.printable import printable
from safepickle.scan import FileReport

FORMAT = 1
LINES = 200
"""Lines of pseudo-Python of one stream."""
BEGINNING = 150
"""Opcodes at the beginning of a stream that are listed."""
AROUND = 25
"""Opcodes listed before and after each one that a finding is about."""
READ = 1_000_000
"""Opcodes that are looked at to find those."""
CHARACTERS = 200_000
"""Size of a whole story as JSON, about."""
SECONDS = 1.0
"""Wall time for each of the two views."""
_TEXT = 1_000
_ARGUMENT = 200
_OVERHEAD = 75
_HEADING = 220

Plain = dict[str, Any]


def tell(report: FileReport, readings: Readings, seconds: float = SECONDS) -> Plain:
    """The story of a file.

    Parameters
    ----------
    report
        Of a scan of the file.
    readings
        The bytes of its streams.
    seconds
        Wall time for each view.

    Returns
    -------
    dict
        ``streams``: for each its `place`, `offset`, `length`, `protocol`, `state`, `reason`, `depth` (streams around
        it), `lines` of pseudo-Python (`offset`, `text`, `count`, `last`) with `lines_left_out`, and `code`, opcodes
        (`offset`, `opcode`, `argument`, `note`; None where some are left out). ``shortened``: whether anything was
        left out for its size.
    """
    room = _Room(CHARACTERS)
    told = explain(report, readings, LINES, seconds)
    streams: list[Plain] = []
    for depth, stream in _walk(told["streams"], 0):
        lines = [line for line in stream.get("lines", ()) if room.takes(len(line["text"][:_TEXT]))]
        if not room.takes(_HEADING + len(stream["place"])):
            break
        streams.append(
            {
                **{name: stream[name] for name in ("offset", "length", "protocol", "state")},
                "place": printable(stream["place"], _TEXT),
                "reason": printable(stream["reason"]),
                "depth": depth,
                "lines": [
                    {
                        "offset": line["offset"],
                        "text": printable(line["text"], _TEXT),
                        "count": line["count"],
                        "last": line["last"],
                    }
                    for line in lines
                ],
                "lines_left_out": stream.get("lines_left_out", 0) + len(stream.get("lines", ())) - len(lines),
                "code": [],
            }
        )
    _add_code(streams, report, readings, room, monotonic() + seconds)
    return {"format": FORMAT, "streams": streams, "shortened": room.full or bool(told["streams_left_out"])}


def pack(story: Plain) -> bytes:
    """A story as it is stored."""
    return zlib.compress(json.dumps(story, separators=(",", ":")).encode(), 6)


def unpack(stored: bytes | None) -> Plain | None:
    """Read what :func:`pack` wrote; None for nothing, or what another version wrote."""
    if stored is None:
        return None
    story: Plain = json.loads(zlib.decompress(stored))
    return story if story.get("format") == FORMAT else None


class _Room:
    def __init__(self, characters: int) -> None:
        self.left = characters
        self.full = False

    def takes(self, size: int) -> bool:
        """Whether one more entry of `size` characters fits; it is then counted."""
        if self.left < size + _OVERHEAD:
            self.full = True
            return False
        self.left -= size + _OVERHEAD
        return True


def _walk(streams: list[Plain], depth: int) -> Iterator[tuple[int, Plain]]:
    for stream in streams:
        yield depth, stream
        yield from _walk(stream["streams"], depth + 1)


def _add_code(streams: list[Plain], report: FileReport, readings: Readings, room: _Room, deadline: float) -> None:
    """List the beginning of each stream, and what is around its findings."""
    known = {(stream["place"], stream["offset"]): stream for stream in streams}
    code: list[Plain | None] = []
    before: deque[Instruction] = deque(maxlen=AROUND)
    listed = following = 0
    for read, piece in enumerate(disassemble(report, readings, Stretch())):
        if read > READ or (read & 0xFF == 0 and monotonic() > deadline):
            return
        if not isinstance(piece, Instruction):
            stream = known.get((printable(place_text(piece.place), _TEXT), piece.offset))
            code = [] if stream is None else stream["code"]
            before.clear()
            listed = following = 0
            continue
        if piece.findings:
            following = AROUND + 1
        if listed >= BEGINNING and not following:
            if len(before) == AROUND and code[-1] is not None:
                code.append(None)
            before.append(piece)
            continue
        for instruction in (*before, piece):
            if not room.takes(len(instruction.argument) + len(instruction.note)):
                return
            code.append(_plain(instruction))
        before.clear()
        listed += 1
        following = max(0, following - 1)


def _plain(instruction: Instruction) -> Plain:
    return {
        "offset": instruction.offset,
        "opcode": instruction.opcode,
        "argument": printable(instruction.argument, _ARGUMENT),
        "note": printable(instruction.note),
    }
