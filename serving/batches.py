"""Many files in one request: scanned as they come, answered as they are done."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from . import metrics
from .auth import Principal
from .bodies import Spool, chunks_of, plain_name
from .database.engine import DatabaseUnavailable
from .multipart import FileParts
from .outbox import Outbox
from .pieces import Closed, MalformedArchive, Opened, Skipped
from .problems import Problem
from .runtime import Runtime
from .tar_stream import TarStream

logger = logging.getLogger("safepickle.serving")

TAR_TYPES = ("application/x-tar", "application/tar")
RETRY = 0.02
OUTBOX_BYTES = 1 << 20


class Batch(Response):
    """Answers a batch with a line for each file (NDJSON) and one at the end that says whether that was all.

    Memory is bounded: as many files are held as there are scan processes and some more, each as one upload is.

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
        window = runtime.settings.scan_processes + 4
        self._places = asyncio.Semaphore(window)
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
            self._reader.finish()
        except MalformedArchive as error:
            raise Problem(400, "malformed-body", str(error)) from error
        except OSError as error:
            raise Problem(507, "no-space", f"the server has no room for the answer ({error.strerror})") from error

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
            await self._places.acquire()
            self._current = self._files - 1, plain_name(piece.name), Spool(settings.memory_body, settings.spool)
        elif isinstance(piece, Skipped):
            self._count()
            self._problem(self._files - 1, plain_name(piece.name), Problem(422, "not-a-file", piece.why))
        elif self._current is not None:
            index, name, spool = self._current
            self._current = None
            await spool.finish()
            scans.create_task(self._scan(index, name, spool))

    def _count(self) -> None:
        if self._files >= self._runtime.settings.batch_files:
            limit = self._runtime.settings.batch_files
            raise Problem(413, "too-many-files", f"a batch has at most {limit} files; send the others in another one")
        self._files += 1

    def _give_up(self) -> None:
        assert self._current is not None
        self._current[2].close()
        self._current = None
        self._places.release()

    async def _scan(self, index: int, name: str, spool: Spool) -> None:
        try:
            scan = await self._patiently(name, spool)
        except Problem as problem:
            self._problem(index, name, problem)
        except DatabaseUnavailable as error:
            metrics.DATABASE_FAILURES.inc()
            logger.error("database: %s", error)
            self._problem(index, name, Problem(503, "database-unavailable", "the database is not available"))
        else:
            self._scanned += 1
            self._line({"index": index, "path": name, "status": 200, "scan": scan})
        finally:
            spool.close()
            self._places.release()

    async def _patiently(self, name: str, spool: Spool) -> dict[str, Any]:
        """Scan, waiting for a free process: the rest of the batch waits meanwhile."""
        deadline = time.monotonic() + self._runtime.settings.scan_timeout
        while True:
            try:
                return await self._runtime.scan(self._principal, name, spool)
            except Problem as problem:
                if problem.kind != "busy" or time.monotonic() > deadline:
                    raise
            await asyncio.sleep(RETRY)

    def _problem(self, index: int, name: str, problem: Problem) -> None:
        self._line({"index": index, "path": name, "status": problem.status, "problem": problem.describe()})

    def _line(self, value: dict[str, Any]) -> None:
        self._outbox.put(json.dumps(value, separators=(",", ":"), allow_nan=False).encode("ascii") + b"\n")


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
