"""Many files in one request: scanned as they come, answered as they are done."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from . import metrics
from .auth import Principal
from .bodies import Spool, chunks_of, plain_name
from .database.engine import DatabaseUnavailable
from .json_text import dump
from .multipart import FileParts
from .outbox import Outbox
from .pieces import Closed, MalformedArchive, Opened, Skipped
from .problems import Problem
from .runtime import Answered, Runtime
from .tar_stream import TarStream

logger = logging.getLogger("safepickle.serving")

T = TypeVar("T")

TAR_TYPES = ("application/x-tar", "application/tar")
RETRY = 0.02
OUTBOX_BYTES = 1 << 20
HELD_FILES = 96
HELD_BYTES = 8 << 20
HELD_ON_DISK = 6
GROUP = 24
"""Small files that one request to a scan process has at most."""
GROUPED_BYTES = 64 * 1024
"""Bytes of a file that is scanned with others."""

Member = tuple[int, str, Spool]
"""Number, name and bytes of a file."""


class Held:
    """Files that are held in memory: so many and, but for one, so many bytes of them."""

    def __init__(self, files: int, size: int) -> None:
        self._files = files
        self._bytes = size
        self._freed = asyncio.Event()

    @property
    def free(self) -> bool:
        """Whether one more may be held."""
        return self._files > 0 and self._bytes > 0

    async def wait(self) -> None:
        """Until :attr:`free`."""
        while not self.free:
            self._freed.clear()
            await self._freed.wait()

    def add(self, size: int) -> None:
        """Hold a file."""
        self._files -= 1
        self._bytes -= size

    def remove(self, size: int) -> None:
        """Let go of it."""
        self._files += 1
        self._bytes += size
        self._freed.set()


class Batch(Response):
    """Answers a batch with a line for each file (NDJSON) and one at the end that says whether that was all.

    Memory is bounded: no more files are held than :data:`HELD_FILES` and :data:`HELD_BYTES` allow, and one more, each
    as one upload is. Small files that come together are scanned together.

    Parameters
    ----------
    request, runtime, principal
        Of the operation.

    Raises
    ------
    Problem
        429 when there is no place for an upload, 415 when the body is neither multipart/form-data nor a tar
        archive, 400 when its boundary is missing.
    """

    media_type = "application/x-ndjson"

    def __init__(self, request: Request, runtime: Runtime, principal: Principal) -> None:
        super().__init__()
        del self.headers["content-length"]
        self._request = request
        self._runtime = runtime
        self._principal = principal
        self._slot = contextlib.ExitStack()
        self._reader = _reader(request)
        self._held = Held(HELD_FILES, HELD_BYTES)
        self._group: list[Member] = []
        self._outbox = Outbox(OUTBOX_BYTES, runtime.settings.spool)
        self._files = self._scanned = 0
        self._current: tuple[int, str, Spool] | None = None
        self._begun = asyncio.Event()
        self._slot.enter_context(runtime.upload())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read, scan and answer at the same time."""
        with self._slot:
            reading = asyncio.create_task(self._read())
            try:
                # A client that waits for 100 Continue gets it when its body is first asked for.
                await self._begun.wait()
                await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
                async for chunk in self._outbox.chunks():
                    async with asyncio.timeout(self._runtime.settings.body_timeout):
                        await send({"type": "http.response.body", "body": chunk, "more_body": True})
                await send({"type": "http.response.body", "body": b"", "more_body": False})
            except (TimeoutError, OSError) as error:
                logger.warning("the client of a batch does not read its answer: %r", error)
            finally:
                reading.cancel()
                await asyncio.gather(reading, return_exceptions=True)

    async def _read(self) -> None:
        """Read the body to its end, then say how it ended."""
        ending: dict[str, Any] = {"done": True}
        try:
            async with asyncio.TaskGroup() as scans:
                try:
                    await self._read_files(scans)
                except Problem as problem:
                    ending = {"done": False, "problem": problem.describe()}
        except Exception:
            logger.exception("a batch failed")
            ending = {"done": False, "problem": Problem(500, "internal-error", "a fault of the service").describe()}
        finally:
            if self._current is not None:
                self._current[2].close()
            self._begun.set()
            failed = self._files - self._scanned
            with contextlib.suppress(OSError):
                self._line({**ending, "files": self._files, "scanned": self._scanned, "failed": failed})
            self._outbox.close()

    async def _read_files(self, scans: asyncio.TaskGroup) -> None:
        settings = self._runtime.settings
        try:
            async for chunk in chunks_of(self._request, settings.body_timeout):
                self._begun.set()
                for piece in self._reader.feed(chunk):
                    await self._take(piece, scans)
                self._dispatch(scans)
            self._reader.finish()
        except MalformedArchive as error:
            raise Problem(400, "malformed-body", str(error)) from error
        except OSError as error:
            raise Problem(507, "no-space", f"the server has no room for the answer ({error.strerror})") from error
        finally:
            self._dispatch(scans)

    async def _take(self, piece: Opened | Closed | Skipped | bytes, scans: asyncio.TaskGroup) -> None:
        settings = self._runtime.settings
        if isinstance(piece, bytes):
            if self._current is not None:
                index, name, spool = self._current
                if spool.size + len(piece) > settings.max_body:
                    self._give_up()
                    self._problem(
                        index, name, Problem(413, "body-too-large", f"the file has more than {settings.max_body} bytes")
                    )
                else:
                    await spool.write(piece)
        elif isinstance(piece, Opened):
            self._count()
            if not self._held.free:
                # What is gathered has to be scanned before there is room for more.
                self._dispatch(scans)
                await self._held.wait()
            self._current = self._files - 1, plain_name(piece.name), Spool(settings.memory_body, settings.spool)
        elif isinstance(piece, Skipped):
            self._count()
            self._problem(self._files - 1, plain_name(piece.name), Problem(422, "not-a-file", piece.why))
        elif self._current is not None:
            index, name, spool = self._current
            self._current = None
            await spool.finish()
            self._held.add(_weight(spool))
            if spool.file is not None or spool.size > GROUPED_BYTES:
                scans.create_task(self._scan(index, name, spool))
                return
            self._group.append((index, name, spool))
            if len(self._group) == GROUP:
                self._dispatch(scans)

    def _dispatch(self, scans: asyncio.TaskGroup) -> None:
        """Scan what has been gathered."""
        if self._group:
            scans.create_task(self._scan_group(self._group))
            self._group = []

    def _count(self) -> None:
        if self._files >= self._runtime.settings.batch_files:
            limit = self._runtime.settings.batch_files
            raise Problem(413, "too-many-files", f"a batch has at most {limit} files; send the others in another one")
        self._files += 1

    def _give_up(self) -> None:
        assert self._current is not None
        self._current[2].close()
        self._current = None

    async def _scan(self, index: int, name: str, spool: Spool) -> None:
        member = index, name, spool
        try:
            self._answer(member, await self._patiently(lambda: self._runtime.scan(self._principal, name, spool)))
        except (Problem, DatabaseUnavailable) as error:
            self._answer(member, error)
        finally:
            spool.close()

    async def _scan_group(self, members: Sequence[Member]) -> None:
        files = [(name, spool) for _, name, spool in members]

        def done(number: int, answered: Answered) -> None:
            self._answer(members[number], answered)

        try:
            await self._patiently(lambda: self._runtime.scan_group(self._principal, files, done))
        except Problem as problem:
            for member in members:
                self._answer(member, problem)

    async def _patiently(self, scan: Callable[[], Awaitable[T]]) -> T:
        """Scan, waiting for a free process: the rest of the batch waits meanwhile."""
        deadline = time.monotonic() + self._runtime.settings.scan_timeout
        while True:
            try:
                return await scan()
            except Problem as problem:
                if problem.kind != "busy" or time.monotonic() > deadline:
                    raise
            await asyncio.sleep(RETRY)

    def _answer(self, member: Member, answered: Answered) -> None:
        """Write the line of a file and let go of it."""
        index, name, spool = member
        self._held.remove(_weight(spool))
        spool.close()
        if isinstance(answered, dict):
            self._scanned += 1
            self._line({"index": index, "path": name, "status": 200, "scan": answered})
        elif isinstance(answered, Problem):
            self._problem(index, name, answered)
        else:
            metrics.DATABASE_FAILURES.inc()
            logger.error("database: %s", answered)
            self._problem(index, name, Problem(503, "database-unavailable", "the database is not available"))

    def _problem(self, index: int, name: str, problem: Problem) -> None:
        self._line({"index": index, "path": name, "status": problem.status, "problem": problem.describe()})

    def _line(self, value: dict[str, Any]) -> None:
        self._outbox.put(dump(value) + b"\n")


def _weight(spool: Spool) -> int:
    """Bytes that a file counts for: those in memory, and a good part of all that there may be when it is on disk."""
    return spool.size if spool.file is None else HELD_BYTES // HELD_ON_DISK


def _reader(request: Request) -> FileParts | TarStream:
    content_type = request.headers.get("content-type", "")
    kind = content_type.partition(";")[0].strip().lower()
    if request.headers.get("content-encoding", "identity").lower() not in ("", "identity"):
        raise Problem(415, "content-encoding", "send the body as it is, without Content-Encoding")
    if kind in TAR_TYPES:
        return TarStream()
    if kind != "multipart/form-data":
        raise Problem(415, "not-a-batch", "send multipart/form-data, or a tar archive as application/x-tar")
    try:
        return FileParts(content_type)
    except MalformedArchive as error:
        raise Problem(400, "malformed-multipart", str(error)) from error
