"""Lines on their way to a client who may not read them yet."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections import deque
from collections.abc import AsyncIterator
from typing import IO

READ = 256 * 1024


class Outbox:
    """A queue of lines that is never full: what a slow reader leaves goes to an unlinked temporary file.

    So whoever uploads a batch and reads the answer only afterwards does not wait for himself.

    Parameters
    ----------
    threshold
        Bytes kept in memory.
    folder
        Where the file is made; empty means the system's folder.
    """

    def __init__(self, threshold: int, folder: str = "") -> None:
        self._threshold = threshold
        self._folder = folder or None
        self._memory: deque[bytes] = deque()
        self._size = 0
        self._file: IO[bytes] | None = None
        self._read_at = self._write_at = 0
        self._closed = False
        self._news = asyncio.Event()

    def put(self, line: bytes) -> None:
        """Add a line. Raises OSError when the disk is full."""
        if self._write_at > self._read_at or self._size + len(line) > self._threshold:
            if self._file is None:
                handle, path = tempfile.mkstemp(prefix="safepickle-", dir=self._folder)
                os.unlink(path)
                self._file = os.fdopen(handle, "w+b", buffering=0)
            # Into the page cache: too short a while to leave the event loop for.
            self._write_at += os.pwrite(self._file.fileno(), line, self._write_at)
        else:
            self._memory.append(line)
            self._size += len(line)
        self._news.set()

    def close(self) -> None:
        """No further line comes."""
        self._closed = True
        self._news.set()

    async def chunks(self) -> AsyncIterator[bytes]:
        """All lines in their order, some at a time, until :meth:`close`."""
        try:
            while True:
                if self._memory:
                    chunk = b"".join(self._memory)
                    self._memory.clear()
                    self._size = 0
                    yield chunk
                elif self._file is not None and self._write_at > self._read_at:
                    chunk = os.pread(self._file.fileno(), READ, self._read_at)
                    self._read_at += len(chunk)
                    if self._read_at == self._write_at:
                        self._read_at = self._write_at = 0
                        os.ftruncate(self._file.fileno(), 0)
                    yield chunk
                elif self._closed:
                    return
                else:
                    self._news.clear()
                    await self._news.wait()
        finally:
            if self._file is not None:
                self._file.close()
                self._file = None
