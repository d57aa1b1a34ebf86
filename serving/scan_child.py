"""A scan process as the worker sees it: hand it files, read its answers, kill it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
from collections.abc import Iterator, Sequence
from typing import Any

from . import children
from .bodies import Spool
from .model_source import ModelInfo, ModelRefused, ModelSource
from .scan_process import LENGTHS
from .settings import Settings

START_TIMEOUT = 30.0
RECEIVED_BYTES = 64 * 1024


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
        self._wire = ours
        self._received = bytearray()
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
            async with asyncio.timeout(START_TIMEOUT):
                header, _ = await self._receive()
        except (TimeoutError, EOFError, OSError) as error:
            raise ModelRefused(f"{self.source}: the scan process did not start ({error!r})") from error
        if "refused" in header:
            raise ModelRefused(f"{self.source}: {header['refused']}")
        self.info = self.source.describe(header)
        return self.info

    async def begin(self, files: Sequence[File], timeout: float, story: str) -> None:
        """Hand files over; their answers come by :meth:`answers`. A file that lies on disk goes alone.

        Raises
        ------
        ScanTimeout, ScanCrashed
            The process is then of no more use; :meth:`kill` it.
        """
        with _translated(timeout):
            async with asyncio.timeout(timeout):
                await self._send(files, story)

    async def answers(self, timeout: float) -> list[Answer]:
        """The next answers, in the order of the files: one or more of them.

        Raises
        ------
        ScanTimeout, ScanCrashed
            As :meth:`begin` does.
        """
        with _translated(timeout):
            async with asyncio.timeout(timeout):
                header, body = await self._receive()
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
        self._process.kill()
        self._process.wait()

    async def _send(self, files: Sequence[File], story: str) -> None:
        named = [(name, spool.sha256, spool.size) for name, spool in files]
        text = json.dumps({"story": story, "files": named}).encode()
        loop = asyncio.get_running_loop()
        spool = files[0][1]
        if spool.file is None:
            body = b"".join([spool.content for _, spool in files])
            await loop.sock_sendall(self._wire, LENGTHS.pack(len(text), len(body)) + text + body)
            return
        prefix = LENGTHS.pack(len(text), 0)
        # A few bytes into an empty buffer: this does not block.
        sent = socket.send_fds(self._wire, [prefix], [spool.file.fileno()])
        await loop.sock_sendall(self._wire, prefix[sent:] + text)

    async def _receive(self) -> tuple[dict[str, Any], bytes]:
        header_length, body_length = LENGTHS.unpack(await self._exactly(LENGTHS.size))
        data = await self._exactly(header_length + body_length)
        return json.loads(data[:header_length]), data[header_length:]

    async def _exactly(self, size: int) -> bytes:
        loop = asyncio.get_running_loop()
        while len(self._received) < size:
            data = await loop.sock_recv(self._wire, max(RECEIVED_BYTES, size - len(self._received)))
            if not data:
                raise EOFError("connection closed")
            self._received += data
        taken = bytes(self._received[:size])
        del self._received[:size]
        return taken


@contextlib.contextmanager
def _translated(timeout: float) -> Iterator[None]:
    try:
        yield
    except TimeoutError:
        raise ScanTimeout(f"not done after {timeout:g} seconds") from None
    except (EOFError, OSError) as error:
        raise ScanCrashed(f"the scan process died: {error!r}") from error
