"""Receiving a file: streamed, counted, hashed, and kept in memory only while it is small."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from typing import IO

from starlette.requests import ClientDisconnect, Request

from .deadlines import Within
from .multipart import FilePart, MalformedMultipart
from .problems import Problem

WRITE_SIZE = 1 << 20
MAX_NAME = 255
SMALL = 16 * 1024
HASHED_AT_ONCE = 2047
"""Of more bytes hashlib lets other threads run meanwhile: waiting for them takes longer than a small file."""
DISCARD_BYTES = 4 << 20
DISCARD_SECONDS = 1.0


class Spool:
    """The bytes of one file: in memory up to `threshold`, then in an unlinked temporary file.

    Parameters
    ----------
    threshold
        Bytes kept in memory.
    folder
        Where the temporary file is made; empty means the system's folder.
    """

    def __init__(self, threshold: int, folder: str = "") -> None:
        self.size = 0
        self.file: IO[bytes] | None = None
        self._threshold = threshold
        self._folder = folder or None
        self._hash = hashlib.sha256()
        self._pending = bytearray()

    async def write(self, chunk: bytes) -> None:
        """Append `chunk`."""
        self.size += len(chunk)
        if len(chunk) <= SMALL:
            for start in range(0, len(chunk), HASHED_AT_ONCE):
                self._hash.update(chunk[start : start + HASHED_AT_ONCE])
        else:
            self._hash.update(chunk)
        self._pending += chunk
        if len(self._pending) >= WRITE_SIZE and self.size > self._threshold:
            await self._flush()

    async def finish(self) -> None:
        """Call it after the last chunk."""
        if self.file is not None:
            await self._flush()

    @property
    def content(self) -> bytes:
        """All bytes of a file that stayed in memory."""
        assert self.file is None
        return bytes(self._pending)

    def chunks(self, size: int) -> Iterator[bytes]:
        """All bytes, some at a time, from memory or from the file."""
        if self.file is None:
            yield bytes(self._pending)
            return
        offset = 0
        while chunk := os.pread(self.file.fileno(), size, offset):
            offset += len(chunk)
            yield chunk

    @property
    def sha256(self) -> str:
        """Hash of all bytes written so far, in hexadecimal."""
        return self._hash.hexdigest()

    def close(self) -> None:
        """Give up the bytes."""
        if self.file is not None:
            self.file.close()
        self._pending.clear()

    async def _flush(self) -> None:
        try:
            await asyncio.to_thread(self._write_pending)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise Problem(507, "no-space", "the server has no room for this file now", retry_after=60) from error
            raise

    def _write_pending(self) -> None:
        if self.file is None:
            # Not buffered: another process reads the descriptor.
            handle, path = tempfile.mkstemp(prefix="safepickle-", dir=self._folder)
            os.unlink(path)
            self.file = os.fdopen(handle, "w+b", buffering=0)
        written = 0
        # Nothing may refer to the bytes when a write fails: they could not be given up.
        with memoryview(self._pending) as view:
            while written < len(view):
                written += self.file.write(view[written:])
        self._pending.clear()


async def receive(request: Request, spool: Spool, max_body: int, idle: float) -> str:
    """Read the request's body, raw or as multipart/form-data with one file, into `spool`.

    Parameters
    ----------
    request
        Whose body to read.
    spool
        Where to.
    max_body
        Bytes the body may have, counted as they arrive.
    idle
        Seconds without a byte after which the client is given up.

    Returns
    -------
    str
        Name of the file as the client gave it: the part's file name, or the query's ``name``; may be empty.

    Raises
    ------
    Problem
        400 for malformed multipart, 408 for a client that stopped sending, 413 for a body over the limit,
        415 for a compressed body, 507 when the disk is full.
    """
    if request.headers.get("content-encoding", "identity").lower() not in ("", "identity"):
        raise Problem(415, "content-encoding", "send the file as it is, without Content-Encoding")
    _check_announced(request, max_body)
    chunks = chunks_of(request, idle, max_body)
    content_type = request.headers.get("content-type", "")
    if content_type.partition(";")[0].strip().lower() != "multipart/form-data":
        async for chunk in chunks:
            await spool.write(chunk)
        await spool.finish()
        return _named(request)
    try:
        part = FilePart(content_type)
        async for chunk in chunks:
            for piece in part.feed(chunk):
                await spool.write(piece)
        part.finish()
    except MalformedMultipart as error:
        raise Problem(400, "malformed-multipart", f"{error}; send one part with a file") from error
    await spool.finish()
    return plain_name(part.filename) if part.filename else _named(request)


def _named(request: Request) -> str:
    """The query's ``name``, harmless."""
    return plain_name(request.query_params.get("name", ""))


async def discard_rest(request: Request) -> None:
    """Read a little of a body that is not wanted: a client that is still sending would not see the answer."""
    if request.headers.get("expect", "").lower() == "100-continue":
        return
    seen = 0
    try:
        async with asyncio.timeout(DISCARD_SECONDS):
            async for chunk in request.stream():
                seen += len(chunk)
                if seen > DISCARD_BYTES:
                    return
    except (TimeoutError, ClientDisconnect, RuntimeError):
        return


def _check_announced(request: Request, max_body: int) -> None:
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and announced.isascii() and len(announced) < 20 and int(announced) > max_body:
        raise too_large(max_body)


async def chunks_of(request: Request, idle: float, max_body: int | None = None) -> AsyncIterator[bytes]:
    """The request's body as it comes; at most `max_body` bytes, `idle` seconds apart. Raises Problem."""
    received = 0
    more = True
    while more:
        try:
            with Within(idle):
                message = await request.receive()
        except TimeoutError:
            raise Problem(408, "upload-stalled", f"no byte came for {idle:g} seconds; send the file again") from None
        if message["type"] == "http.disconnect":
            raise Problem(400, "upload-broken-off", "the connection ended before the whole file had come")
        more = message.get("more_body", False)
        chunk = message.get("body", b"")
        received += len(chunk)
        if max_body is not None and received > max_body:
            raise too_large(max_body)
        if chunk:
            yield chunk


def too_large(max_body: int) -> Problem:
    """The 413 answer."""
    # Closing the connection keeps the rest of the body from being read as the next request.
    return Problem(
        413,
        "body-too-large",
        f"the body has more than {max_body} bytes, the limit here",
        headers={"Connection": "close"},
    )


def plain_name(name: str) -> str:
    """The last path component, printable and short."""
    last = name.replace("\\", "/").rpartition("/")[2]
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in last)[
        :MAX_NAME
    ]
