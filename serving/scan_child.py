"""A scan process as the worker sees it: hand it files, read its answers, kill it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any, cast

from . import children
from .bodies import Spool
from .deadlines import Within
from .json_text import dump, load
from .model_source import ModelInfo, ModelRefused, ModelSource
from .scan_process import LENGTHS
from .settings import Settings

START_TIMEOUT = 30.0


class ScanTimeout(Exception):
    """A scan did not end in time; its process was killed."""


class ScanCrashed(Exception):
    """The process died while it read this file, or gave it up."""


File = tuple[str, Spool]
"""Name and bytes."""
Answer = tuple[dict[str, Any], bytes]
"""What :func:`serving.scan_process.describe_report` says of one file, with the packed `story` or None."""


class ScanProcess:
    """One child process with one model. Not shared: one request at a time, of one file or some."""

    def __init__(self, source: ModelSource, settings: Settings) -> None:
        self.source = source
        self.info: ModelInfo | None = None
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        self._socket = ours
        self._wire = _Wire()
        options = {
            "model": None if source.folder is None else str(source.folder),
            "seconds": settings.scan_timeout * 0.8,
            "memory": settings.scan_memory,
        }
        with theirs:
            self._process = children.start(
                "serving.scan_process",
                "serve",
                [theirs.fileno(), os.getpid(), options],
                {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C.UTF-8"},
                [theirs.fileno()],
            )

    async def ready(self) -> ModelInfo:
        """Wait until the model is loaded.

        Raises
        ------
        ModelRefused
            When it cannot be.
        """
        try:
            with Within(START_TIMEOUT):
                # From now on the connection closes the socket.
                await asyncio.get_running_loop().create_unix_connection(lambda: self._wire, sock=self._socket)
                header, _ = await self._wire.message()
        except (TimeoutError, EOFError, OSError) as error:
            raise ModelRefused(f"{self.source}: the scan process did not start ({error!r})") from error
        if "refused" in header:
            raise ModelRefused(f"{self.source}: {header['refused']}")
        self.info = self.source.describe(header)
        return self.info

    def begin(self, files: Sequence[File], story: str) -> None:
        """Hand files over; their answers come by :meth:`answers`. A file that lies on disk goes alone.

        Raises
        ------
        ScanCrashed
            The process is then of no more use; :meth:`kill` it.
        """
        with _translated(0):
            self._send(files, story)

    async def answers(self, timeout: float) -> list[Answer]:
        """The next answers, in the order of the files: one or more of them.

        Raises
        ------
        ScanTimeout, ScanCrashed
            As :meth:`begin` does.
        """
        with _translated(timeout), Within(timeout):
            header, body = await self._wire.message()
        if "error" in header:
            raise ScanCrashed(header["error"])
        found = []
        start = 0
        for answer in header["answers"]:
            middle = start + answer.pop("trace_bytes")
            end = middle + answer.pop("story_bytes")
            answer["story"] = body[middle:end] or None
            found.append((answer, body[start:middle]))
            start = end
        return found

    def alive(self) -> bool:
        """Whether the process still runs."""
        return self._process.poll() is None

    def kill(self) -> None:
        """End the process now."""
        self._wire.close()
        self._socket.close()
        self._process.kill()
        self._process.wait()

    def _send(self, files: Sequence[File], story: str) -> None:
        named = [(name, spool.sha256, spool.size) for name, spool in files]
        text = dump({"story": story, "files": named})
        spool = files[0][1]
        if spool.file is None:
            contents = [spool.content for _, spool in files]
            self._wire.write(b"".join([LENGTHS.pack(len(text), sum(map(len, contents))), text, *contents]))
            return
        prefix = LENGTHS.pack(len(text), 0)
        # A few bytes into an empty buffer: this does not block.
        sent = socket.send_fds(self._socket, [prefix], [spool.file.fileno()])
        self._wire.write(prefix[sent:] + text)


class _Wire(asyncio.Protocol):
    """Messages to and from the process."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._received = bytearray()
        self._messages: deque[tuple[bytes, bytes]] = deque()
        self._lost = False
        self._waiter: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none of asyncio's classes

    def data_received(self, data: bytes) -> None:
        self._received += data
        while len(self._received) >= LENGTHS.size:
            header, body = LENGTHS.unpack_from(self._received)
            middle = LENGTHS.size + header
            end = middle + body
            if len(self._received) < end:
                return
            self._messages.append((bytes(self._received[LENGTHS.size : middle]), bytes(self._received[middle:end])))
            del self._received[:end]
            self._wake()

    def connection_lost(self, error: Exception | None) -> None:
        self._lost = True
        self._wake()

    async def message(self) -> tuple[dict[str, Any], bytes]:
        """The next message: header and bytes. Raises EOFError when the connection has ended before it."""
        while not self._messages:
            if self._lost:
                raise EOFError("connection closed")
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        header, body = self._messages.popleft()
        return load(header), body

    def write(self, data: bytes) -> None:
        """Send bytes. Raises EOFError when the connection has ended."""
        if self._transport is None or self._lost:
            raise EOFError("connection closed")
        self._transport.write(data)

    def close(self) -> None:
        """End the connection now."""
        if self._transport is not None:
            self._transport.abort()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


@contextlib.contextmanager
def _translated(timeout: float) -> Iterator[None]:
    try:
        yield
    except TimeoutError:
        raise ScanTimeout(f"not done after {timeout:g} seconds") from None
    except (EOFError, OSError) as error:
        raise ScanCrashed(f"the scan process died: {error!r}") from error
