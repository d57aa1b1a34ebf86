"""A file in memory without its bytes in memory: a read-only map that gives back the pages it has been read from."""

from __future__ import annotations

import mmap

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

STEP_BYTES = 4 << 20
"""Bytes that one search goes over before its pages are given back."""

KEPT_BYTES = 12 << 20
"""Bytes that may have been read, as counted here, before their pages are given back."""

AROUND_BYTES = 1 << 16
"""Bytes that the kernel maps around a byte that is read, at the most."""

_GIVE_BACK = getattr(mmap, "MADV_DONTNEED", None)


class Mapped(mmap.mmap):
    """A map of which at most some :data:`KEPT_BYTES` stay in memory, however much of it is read.

    What is read through a memoryview of it is not seen here, and is told by :meth:`touched`.
    """

    _read = 0

    def touched(self, size: int) -> None:
        """Count that `size` bytes in a row were read; now and then, let go of all pages."""
        self._read += size + AROUND_BYTES
        if self._read >= KEPT_BYTES and _GIVE_BACK is not None:
            self._read = 0
            self.madvise(_GIVE_BACK)  # they stay in the page cache, so that what is read again costs little

    def __getitem__(self, key: Any) -> Any:
        taken = super().__getitem__(key)
        if isinstance(taken, bytes):  # single bytes are read beside those of slices and searches
            self.touched(len(taken))
        return taken

    def find(self, needle: bytes, start: int = 0, end: int | None = None) -> int:  # type: ignore[override]
        """Offset of the first `needle` within ``[start, end)``, or -1."""
        end = len(self) if end is None else min(end, len(self))
        overlap = len(needle) - 1
        while end - start > STEP_BYTES:
            stop = start + STEP_BYTES
            found = super().find(needle, start, stop)
            self.touched((found if found >= 0 else stop) - start)
            if found >= 0:
                return found
            start = stop - overlap
        found = super().find(needle, start, end)
        self.touched((found if found >= 0 else max(start, end)) - start)
        return found

    def rfind(self, needle: bytes, start: int = 0, end: int | None = None) -> int:  # type: ignore[override]
        """Offset of the last `needle` within ``[start, end)``, or -1."""
        end = len(self) if end is None else min(end, len(self))
        overlap = len(needle) - 1
        while end - start > STEP_BYTES:
            stop = end - STEP_BYTES
            found = super().rfind(needle, stop, end)
            self.touched(end - max(found, stop))
            if found >= 0:
                return found
            end = stop + overlap
        found = super().rfind(needle, start, end)
        self.touched(max(0, end - max(found, start)))
        return found
