"""A window on a buffer: what a reader is given to read."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .contents import Buffer


class Source:
    """Bytes ``data[start:end]``, read through small slices; offsets of the methods count from `start`.

    Parameters
    ----------
    data, start, end
        The buffer and the window in it; the window never leaves the buffer.
    alone
        The file itself, or all that it unpacks to. Then unknown content makes the file incomplete, which an
        unknown member beside others does not.
    partial
        Only the head of something longer was unpacked so far.

    Attributes
    ----------
    size
        Length of the window in bytes.
    """

    __slots__ = ("alone", "data", "end", "partial", "size", "start")

    def __init__(self, data: Buffer, start: int, end: int, alone: bool = False, partial: bool = False) -> None:
        self.data = data
        self.start = start
        self.end = end
        self.alone = alone
        self.partial = partial
        self.size = end - start

    def read(self, offset: int, size: int) -> bytes:
        """Copy at most `size` bytes from `offset`; fewer, or none, at the end of the window."""
        begin = self.start + (offset if offset > 0 else 0)
        stop = begin + size
        return self.data[begin : stop if stop < self.end else self.end] if begin < self.end else b""

    def find(self, needle: bytes, offset: int, end: int) -> int:
        """Offset of the first `needle` that lies within ``[offset, end)``, or -1."""
        found = self.data.find(needle, self.start + offset, min(self.start + end, self.end))
        return found - self.start if found >= 0 else -1

    def rfind(self, needle: bytes, offset: int, end: int) -> int:
        """Offset of the last `needle` that lies within ``[offset, end)``, or -1."""
        found = self.data.rfind(needle, self.start + max(offset, 0), min(self.start + end, self.end))
        return found - self.start if found >= 0 else -1

    def window(self, offset: int, end: int) -> Source:
        """The part ``[offset, end)``, cut to what is there, as a member."""
        begin = min(self.start + max(offset, 0), self.end)
        return Source(self.data, begin, max(begin, min(self.start + end, self.end)))
