"""Where each stream of a file lies: its Trace, and the bytes that it was read from."""

from __future__ import annotations

from ..record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    import mmap
    from collections.abc import Mapping

    from ..bytecode.machine import Machine
    from ..bytecode.trace import FileTrace, Place, Trace
    from ..limits import Limits

    Buffer = bytes | mmap.mmap


class Reading(Record):
    """One stream with its bytes.

    Parameters
    ----------
    trace
        What loading it would do.
    data
        Bytes that its place leads to.
    start
        Where the unpickler began: at an earlier stream when it comes to this one with its memo.
    position, end
        First byte of the stream, and the one that it may not reach.
    gaps
        Offsets of raw arrays in `data`, and of what is behind them.
    """

    trace: Trace
    data: Buffer
    start: int
    position: int
    end: int
    gaps: Mapping[int, int]


class Readings:
    """The readings of one file, found by the Traces of its streams."""

    def __init__(self) -> None:
        self._known: dict[tuple[Place, int, int], list[Reading]] = {}

    def add(self, trace: Trace, machine: Machine, position: int, arrays: Mapping[int, int]) -> None:
        """Remember a stream that a machine has executed."""
        reading = Reading(trace, machine.data, machine.start, position, machine.end, arrays)
        self._known.setdefault(_key(trace), []).append(reading)

    def of(self, trace: Trace) -> Reading | None:
        """The reading of a stream."""
        alike = self._known.get(_key(trace), [])
        return next((one for one in alike if one.trace.imports == trace.imports), alike[0] if alike else None)


def read_file(path: str, limits: Limits) -> tuple[FileTrace, Readings]:
    """Trace a regular file, and keep hold of the bytes of its streams.

    Raises
    ------
    UnreadableFile
        When it cannot be opened or read, or is no regular file.
    """
    from ..scan import trace_data, with_file

    readings = Readings()
    return with_file(path, lambda data: trace_data(data, limits, readings.add)), readings


def _key(trace: Trace) -> tuple[Place, int, int]:
    return trace.place, trace.offset, trace.length
