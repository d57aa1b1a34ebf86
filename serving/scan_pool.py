"""Scan processes of one worker: hand files to them, kill the ones that take too long, replace them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import socket
from collections import deque
from collections.abc import Sequence
from typing import Any

from . import children, metrics
from .bodies import Spool
from .model_source import ModelInfo, ModelRefused, ModelSource
from .scan_process import LENGTHS
from .settings import Settings

logger = logging.getLogger("safepickle.serving")

START_TIMEOUT = 30.0
RESTART_DELAY = 1.0
TEND_INTERVAL = 0.5


class Saturated(Exception):
    """All scan processes are busy and as many scans wait as may."""


class ScanTimeout(Exception):
    """A scan did not end in time; its process was killed."""


class ScanCrashed(Exception):
    """The process died while it read this file, or gave it up."""


class NoModel(Exception):
    """No model is loaded."""


class ScanProcess:
    """One child process with one model. Not shared: one scan at a time."""

    def __init__(self, source: ModelSource, settings: Settings) -> None:
        self.source = source
        self.info: ModelInfo | None = None
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        self._wire = ours
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

    async def scan(self, name: str, spool: Spool, timeout: float, story: str) -> tuple[dict[str, Any], bytes]:
        """Scan one file; see :func:`serving.scan_process.describe_report` for the answer, which also has the packed
        `story`, or None.

        Raises
        ------
        ScanTimeout, ScanCrashed
            The process is then of no more use; :meth:`kill` it.
        """
        try:
            async with asyncio.timeout(timeout):
                await self._send(name, spool, story)
                header, body = await self._receive()
        except TimeoutError:
            raise ScanTimeout(f"not done after {timeout:g} seconds") from None
        except (EOFError, OSError) as error:
            raise ScanCrashed(f"the scan process died: {error!r}") from error
        if "error" in header:
            raise ScanCrashed(header["error"])
        end = len(body) - header.pop("story_bytes", 0)
        header["story"] = body[end:] or None
        return header, body[:end]

    def alive(self) -> bool:
        """Whether the process still runs."""
        return self._process.poll() is None

    def kill(self) -> None:
        """End the process now."""
        self._wire.close()
        self._process.kill()
        self._process.wait()

    async def _send(self, name: str, spool: Spool, story: str) -> None:
        text = json.dumps({"name": name, "sha256": spool.sha256, "story": story}).encode()
        loop = asyncio.get_running_loop()
        if spool.file is None:
            body = spool.content
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
        data = bytearray(size)
        view = memoryview(data)
        while view:
            count = await loop.sock_recv_into(self._wire, view)
            if not count:
                raise EOFError("connection closed")
            view = view[count:]
        return bytes(data)


class ScanPool:
    """As many scan processes as the settings say, all with the same model, which can be exchanged.

    Parameters
    ----------
    settings
        ``scan_processes``, ``scan_queue``, ``scan_timeout``, ``scan_memory``.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._source: ModelSource | None = None
        self._members: set[ScanProcess] = set()
        self._idle: list[ScanProcess] = []
        self._waiting: deque[asyncio.Future[ScanProcess]] = deque()
        self._repairs: set[asyncio.Task[None]] = set()
        self.info: ModelInfo | None = None

    @property
    def saturated(self) -> bool:
        """Whether one more scan would be refused."""
        return len(self._waiting) >= self._settings.scan_queue

    @property
    def ready(self) -> bool:
        """Whether a process with a model is there."""
        return any(process.alive() for process in self._members)

    async def exchange(self, source: ModelSource) -> ModelInfo:
        """Start processes with another model; when all are ready they take over from the present ones.

        Scans that run keep their process to the end; none is lost.

        Raises
        ------
        ModelRefused
            When the model cannot be loaded; the present processes stay.
        """
        fresh = [ScanProcess(source, self._settings) for _ in range(self._settings.scan_processes)]
        try:
            info = await _all_ready(fresh)
        except BaseException:
            for process in fresh:
                process.kill()
            source.discard()
            raise
        retired, self._idle = self._idle, []
        previous, self._source, self.info = self._source, source, info
        for process in retired:
            self._members.discard(process)
            process.kill()
        for process in fresh:
            self._members.add(process)
            self._release(process)
        self._drop_if_unused(previous)
        return info

    async def scan(self, name: str, spool: Spool, story: str = "never") -> tuple[dict[str, Any], bytes, ModelInfo]:
        """Scan one file with the model that is current when a process takes it.

        Parameters
        ----------
        name, spool
            The file.
        story
            Of which files the answer has a ``story`` (:mod:`serving.console.story`): ``always``, ``flagged`` or
            ``never``.

        Raises
        ------
        Saturated, NoModel, ScanTimeout, ScanCrashed
            See there. A file whose process died is tried once more in another one.
        """
        for attempt in (1, 2):
            process = await self._acquire()
            try:
                header, trace = await process.scan(name, spool, self._settings.scan_timeout, story)
            except ScanCrashed as error:
                self._lose(process)
                logger.warning("scan of %s crashed, attempt %d: %s", spool.sha256, attempt, error)
                if attempt == 2:
                    raise
            except BaseException:
                self._lose(process)
                raise
            else:
                assert process.info is not None
                self._release(process)
                return header, trace, process.info
        raise AssertionError("unreachable")

    async def tend(self) -> None:
        """Replace processes that died while they were idle, until cancelled."""
        while True:
            await asyncio.sleep(TEND_INTERVAL)
            for process in [process for process in self._idle if not process.alive()]:
                self._idle.remove(process)
                self._lose(process)

    async def close(self) -> None:
        """End all processes."""
        for task in list(self._repairs):
            task.cancel()
        await asyncio.gather(*self._repairs, return_exceptions=True)
        for process in list(self._members):
            process.kill()
        self._members.clear()
        self._idle.clear()
        last, self._source = self._source, None
        self._drop_if_unused(last)

    async def _acquire(self) -> ScanProcess:
        while self._idle:
            process = self._idle.pop()
            if process.alive():
                return process
            self._lose(process)
        if not self._members and not self._repairs:
            raise NoModel("no model is loaded")
        if self.saturated:
            raise Saturated(f"{len(self._waiting)} scans are waiting")
        future: asyncio.Future[ScanProcess] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        metrics.QUEUE.inc()
        try:
            async with asyncio.timeout(self._settings.scan_timeout):
                return await future
        except BaseException as error:
            if future.done() and not future.cancelled():
                self._release(future.result())
            else:
                with contextlib.suppress(ValueError):
                    self._waiting.remove(future)
            if isinstance(error, TimeoutError):
                raise Saturated("no process became free in time") from None
            raise
        finally:
            metrics.QUEUE.dec()

    def _release(self, process: ScanProcess) -> None:
        if process.source is not self._source:
            self._members.discard(process)
            process.kill()
            self._drop_if_unused(process.source)
            return
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_result(process)
                return
        self._idle.append(process)

    def _lose(self, process: ScanProcess) -> None:
        """Kill a process and, if it had the current model, start another in its place."""
        self._members.discard(process)
        process.kill()
        if process.source is self._source:
            task = asyncio.create_task(self._replace(process.source))
            self._repairs.add(task)
            task.add_done_callback(self._repairs.discard)
        else:
            self._drop_if_unused(process.source)

    async def _replace(self, source: ModelSource) -> None:
        while source is self._source:
            process = ScanProcess(source, self._settings)
            try:
                await process.ready()
            except ModelRefused as error:
                process.kill()
                logger.error("cannot replace a scan process: %s", error)
                await asyncio.sleep(RESTART_DELAY)
            except BaseException:
                process.kill()
                raise
            else:
                self._members.add(process)
                self._release(process)
                return

    def _drop_if_unused(self, source: ModelSource | None) -> None:
        if source is None or source is self._source:
            return
        if not any(process.source is source for process in self._members):
            source.discard()


async def _all_ready(processes: Sequence[ScanProcess]) -> ModelInfo:
    """Wait for all, also when one fails: a socket must not be closed while another task reads from it."""
    results = await asyncio.gather(*(process.ready() for process in processes), return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    first = results[0]
    assert isinstance(first, ModelInfo)
    return first
