"""Where unpacked bytes are kept: few in memory, the others in one temporary file without a name, which is mapped."""

from __future__ import annotations

from mmap import ACCESS_READ

from ..mapped import Mapped
from .source import Source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import IO

    from .contents import Buffer

HELD_BYTES = 8 << 20
"""Unpacked bytes of one file that are kept in memory."""


_LARGEST = 1 << 40


class Store:
    """What one file unpacks to.

    Parameters
    ----------
    capacity
        Bytes that may be kept at the most; the temporary file has this length and takes no more room on the disk
        than was written into it.

    Attributes
    ----------
    held, written
        Bytes in memory and in the temporary file.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = min(capacity, _LARGEST)
        self._file: IO[bytes] | None = None
        self._map: Mapped | None = None
        self.held = 0
        self.written = 0

    def mark(self) -> tuple[int, int]:
        """What :meth:`rewind` takes back to."""
        return self.held, self.written

    def rewind(self, mark: tuple[int, int]) -> None:
        """Forget what was added since; only when nothing refers to it any more."""
        self.held, self.written = mark

    def write(self, data: bytes) -> None:
        """Append to the temporary file.

        Raises
        ------
        OSError
            When there is no room for it.
        """
        if self._file is None:
            from tempfile import TemporaryFile

            self._file = TemporaryFile(buffering=0)  # noqa: SIM115 - lives as long as the store
            self._file.truncate(self._capacity)
        if self.written + len(data) > self._capacity:
            raise OSError(27, "more than its capacity")  # EFBIG
        self._file.seek(self.written)
        rest = memoryview(data)
        while rest:
            rest = rest[self._file.write(rest) :]
        self.written += len(data)

    def close(self) -> None:
        """Nothing is written any more; what was mapped stays as long as it is used."""
        if self._file is not None:
            self._file.close()

    def mapped(self) -> Mapped:
        """The temporary file, read-only; what is written later appears in it.

        Raises
        ------
        OSError
            When it cannot be mapped.
        """
        if self._map is None:
            if self._file is None:
                raise OSError(2, "nothing was written")
            try:
                self._map = Mapped(self._file.fileno(), self._capacity, access=ACCESS_READ)
            except (ValueError, OverflowError) as error:
                raise OSError(12, str(error)) from None  # ENOMEM: more than there are addresses for
        return self._map


class Sink:
    """Collects the bytes of one member, in memory as long as the store's share of that lasts."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._parts: list[bytes] = []
        self._size = 0
        self._begin = -1

    def add(self, part: bytes) -> None:
        """Append bytes.

        Raises
        ------
        OSError
            When they cannot be kept.
        """
        self._size += len(part)
        if self._begin < 0 and self._store.held + self._size > HELD_BYTES:
            self._begin = self._store.written
            for kept in self._parts:
                self._store.write(kept)
            self._parts = []
        if self._begin < 0:
            self._parts.append(part)
        elif part:
            self._store.write(part)

    def source(self, alone: bool = False) -> Source:
        """All that was added.

        Raises
        ------
        OSError
            When it cannot be mapped.
        """
        if self._begin < 0:
            self._store.held += self._size
            data: Buffer = b"".join(self._parts)
            return Source(data, 0, self._size, alone)
        return Source(self._store.mapped(), self._begin, self._begin + self._size, alone)
