"""Scan processes of one worker: give files to idle ones, give up those that take too long, replace them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from . import metrics
from .bodies import Spool
from .deadlines import Within
from .known_answers import KnownAnswers, Scanned
from .model_source import ModelInfo, ModelRefused, ModelSource
from .scan_child import File, ScanCrashed, ScanProcess, ScanTimeout
from .settings import Settings

logger = logging.getLogger("safepickle.serving")

RESTART_DELAY = 1.0
RETRY_DELAY = 0.1
"""What ends one process may be ending others, which are not to be taken for alive."""
TEND_INTERVAL = 0.5


class Saturated(Exception):
    """All scan processes are busy and as many scans wait as may."""


class NoModel(Exception):
    """No model is loaded."""


SCAN_ERRORS = (Saturated, NoModel, ScanTimeout, ScanCrashed)
"""Why there is no answer for a file."""


class ScanPool:
    """As many scan processes as the settings say, all with the same model, which can be exchanged.

    Parameters
    ----------
    settings
        ``scan_processes``, ``scan_queue``, ``scan_timeout``, ``scan_memory``, ``known_answers``.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._source: ModelSource | None = None
        self._members: set[ScanProcess] = set()
        self._idle: list[ScanProcess] = []
        self._waiting: deque[asyncio.Future[ScanProcess]] = deque()
        self._repairs: set[asyncio.Task[None]] = set()
        self._known = KnownAnswers(settings.known_answers)
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
        self._known.clear()
        for process in retired:
            self._members.discard(process)
            process.kill()
        for process in fresh:
            self._members.add(process)
            self._release(process)
        self._drop_if_unused(previous)
        return info

    async def scan(self, name: str, spool: Spool, story: str = "never") -> Scanned:
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
        if (known := self._recall(name, spool, story)) is not None:
            return known
        for attempt in (1, 2):
            process = await self._acquire()
            try:
                process.begin([(name, spool)], story)
                ((header, trace),) = await process.answers(self._settings.scan_timeout)
            except ScanCrashed as error:
                self._lose(process)
                logger.warning("scan of %s crashed, attempt %d: %s", spool.sha256, attempt, error)
                if attempt == 2:
                    raise
                await asyncio.sleep(RETRY_DELAY)
            except BaseException:
                self._lose(process)
                raise
            else:
                self._release(process)
                return self._keep(process, spool, story, header, trace)
        raise AssertionError("unreachable")

    async def scan_group(
        self, files: Sequence[File], story: str, done: Callable[[Mapping[int, Scanned | Exception]], None]
    ) -> None:
        """Scan small files that are all in memory, in one process and one request.

        Where the process dies or takes too long, those that it has not answered are scanned one by one: no file takes
        others with it.

        Parameters
        ----------
        files, story
            As :meth:`scan` takes them.
        done
            Called with the numbers of files and what :meth:`scan` would return or raise, as soon as some are known.

        Raises
        ------
        Saturated, NoModel
            See there; then `done` was not called.
        """
        left: deque[int] = deque()
        process = await self._acquire()
        try:
            known: dict[int, Scanned | Exception] = {}
            for number, file in enumerate(files):
                if (scanned := self._recall(*file, story)) is None:
                    left.append(number)
                else:
                    known[number] = scanned
            if known:
                done(known)
            if left:
                process.begin([files[number] for number in left], story)
            while left:
                found: dict[int, Scanned | Exception] = {}
                for header, trace in await process.answers(self._settings.scan_timeout):
                    number = left.popleft()
                    found[number] = self._keep(process, files[number][1], story, header, trace)
                done(found)
        except (ScanCrashed, ScanTimeout) as error:
            self._lose(process)
            logger.warning("%d files are scanned again, one by one: %s", len(left), error)
        except BaseException:
            self._lose(process)
            raise
        else:
            self._release(process)
        for number in left:
            try:
                done({number: await self.scan(*files[number], story)})
            except SCAN_ERRORS as error:
                done({number: error})

    def _recall(self, name: str, spool: Spool, story: str) -> Scanned | None:
        """What is known of this content by the current model, while there are processes that could scan it."""
        return self._known.get(name, spool.sha256, story) if self._members else None

    def _keep(self, process: ScanProcess, spool: Spool, story: str, header: dict[str, Any], trace: bytes) -> Scanned:
        assert process.info is not None
        scanned = header, trace, process.info
        if process.source is self._source:
            self._known.put(spool.sha256, story, scanned)
        return scanned

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
            with Within(self._settings.scan_timeout):
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
