"""What one worker holds together: database, keys, scan processes, model, learner."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from . import auth, metrics
from .advice import AdviceFollower
from .bodies import Spool
from .database.clock import new_id, now
from .database.engine import Database, DatabaseUnavailable
from .database.idempotency import earlier_answer, forget_answers
from .database.migrate import upgrade
from .database.records import scan_object
from .database.writer import ScanRecord, ScanWriter
from .follower import ModelFollower
from .known_answers import Scanned
from .labels import LabelPolicy, Standing
from .learner_process import LearnerProcess
from .model_source import Champions
from .problems import Problem
from .rates import Rates
from .remote import Fetcher
from .retention import Retention
from .scan_child import File, ScanTimeout
from .scan_pool import SCAN_ERRORS, NoModel, Saturated, ScanPool
from .settings import Settings

logger = logging.getLogger("safepickle.serving")

DATABASE_RETRY = 1.0
BAD_KEYS_A_SECOND = 10.0
BAD_KEYS_AT_ONCE = 100
"""Of one address; more are answered without a look at the database."""
TIDY_INTERVAL = 600.0


Answered = dict[str, Any] | Problem | DatabaseUnavailable
"""The answer for one file, or why there is none."""


class Runtime:
    """The parts of one worker, from :meth:`start` to :meth:`stop`.

    Parameters
    ----------
    settings
        Of the service.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.database = Database(settings.database_url, settings.database_timeout)
        self.authenticator = auth.Authenticator(self.database, settings.key_pepper, settings.key_cache)
        self.fetcher = Fetcher(settings.url_allow.split(), private=settings.url_private, timeout=settings.body_timeout)
        self.retention = Retention(settings.retention, settings.retention_days) if settings.retention else None
        self.rates = Rates(settings.rate, settings.rate_burst)
        self.bad_keys = Rates(BAD_KEYS_A_SECOND, BAD_KEYS_AT_ONCE)
        self.pool = ScanPool(settings)
        champions = Champions(Path(settings.registry).resolve(), settings.spool or None)
        self.registry = champions.registry
        self.follower = ModelFollower(champions, self.pool, self.database, settings.poll_interval)
        self.label_policy = LabelPolicy(settings.label_clearances, settings.label_majority)
        self._writer = ScanWriter(self.database, self.label_policy)
        self.advice = AdviceFollower(self.database, settings.poll_interval)
        self.queue_counted = -math.inf
        self._tasks: list[asyncio.Task[None]] = []
        self._uploads = 0

    async def start(self) -> None:
        """Prepare the database, load the model, begin to follow the champion and to learn.

        A database or model that is not there keeps the worker unready, not dead: it goes on trying.
        """
        prepared = await self._prepare_database()
        await self.follower.start()
        if not prepared:
            self._tasks.append(asyncio.create_task(self._prepare_database_later()))
        self._tasks.append(asyncio.create_task(self.follower.run()))
        self._tasks.append(asyncio.create_task(self.pool.tend()))
        self._tasks.append(asyncio.create_task(self.advice.run()))
        self._tasks.append(asyncio.create_task(self._tidy()))
        if self.settings.learner:
            self._tasks.append(asyncio.create_task(LearnerProcess(self.settings, self.database).run()))

    async def stop(self) -> None:
        """End all parts; scans that were answered are stored."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.pool.close()
        await asyncio.to_thread(self._writer.close)
        self.database.close()

    async def is_ready(self) -> bool:
        """Whether a scan would be answered now: a model is loaded and the database works."""
        if not self.pool.ready:
            return False
        try:
            await asyncio.to_thread(self._touch_database)
        except DatabaseUnavailable:
            return False
        return True

    @contextlib.contextmanager
    def upload(self) -> Any:
        """Hold one of the worker's places for uploads.

        Raises
        ------
        Problem
            429 when none is free, or so many scans wait that this one would be refused after its upload.
        """
        if self._uploads >= self.settings.uploads or self.pool.saturated:
            raise _busy()
        self._uploads += 1
        try:
            yield
        finally:
            self._uploads -= 1

    async def scan_once(
        self, principal: auth.Principal, name: str, spool: Spool, key: str = ""
    ) -> tuple[dict[str, Any], bool]:
        """Scan as :meth:`scan` does, unless `key` was used for this before; return the answer and whether it was.

        Raises
        ------
        AnotherRequest
            When the key was used for another file.
        """
        if not key:
            return await self.scan(principal, name, spool), False

        def look() -> dict[str, Any] | None:
            assert principal.key_id is not None
            with self.database.read() as connection:
                return earlier_answer(connection, principal.key_id, key, spool.sha256, name)

        if (earlier := await asyncio.to_thread(look)) is not None:
            return earlier, True
        try:
            return await self.scan(principal, name, spool, key), False
        except sa.exc.IntegrityError:
            # The same request came twice at once, or the key is a day old and not yet forgotten.
            if (earlier := await asyncio.to_thread(look)) is not None:
                return earlier, True
            await asyncio.to_thread(self._forget_answers)
            return await self.scan(principal, name, spool, key), False

    async def scan(
        self, principal: auth.Principal, name: str, spool: Spool, key: str = "", story: str = "flagged"
    ) -> dict[str, Any]:
        """Scan a received file, store the scan, and return the answer of the API.

        `story` says of which files it is stored what the console shows of what loading would do: ``flagged``, or
        ``always``; of none if the settings say so.

        Raises
        ------
        Problem
            422 when the file crashes the scanner, 429 when saturated, 503 without a model, 504 on timeout.
        DatabaseUnavailable
            When the scan was not stored.
        """
        with self._writer.expecting():
            try:
                scanned = await self.pool.scan(name, spool, self._story(story))
            except SCAN_ERRORS as error:
                raise self._refused(error) from error
            record = self.record(principal, name, spool, scanned, key)
            known = await self._writer.store(record)
            await self._keep(spool, record)
            return answer_of(record, known)

    async def scan_group(
        self, principal: auth.Principal, files: Sequence[File], done: Callable[[int, Answered], None]
    ) -> None:
        """Scan and store small files that are all in memory, quicker than one by one.

        `done` is called with the number of each file and what :meth:`scan` would return or raise.

        Raises
        ------
        Problem
            429 or 503, as :meth:`scan` does; then `done` was not called.
        """

        async def store(found: Mapping[int, Scanned | Exception]) -> None:
            records: dict[int, ScanRecord] = {}
            for number, one in found.items():
                if isinstance(one, Exception):
                    done(number, self._refused(one))
                else:
                    records[number] = self.record(principal, *files[number], one)
            stored = await self._writer.store_all(list(records.values())) if records else []
            for (number, record), known in zip(records.items(), stored, strict=True):
                if isinstance(known, DatabaseUnavailable):
                    done(number, known)
                elif isinstance(known, Exception):
                    raise known
                else:
                    await self._keep(files[number][1], record)
                    done(number, answer_of(record, known))

        refused: Problem | None = None
        with self._writer.expecting(len(files)):
            async with asyncio.TaskGroup() as stores:

                def scanned(found: Mapping[int, Scanned | Exception]) -> None:
                    stores.create_task(store(found))

                try:
                    await self.pool.scan_group(files, self._story("flagged"), scanned)
                except SCAN_ERRORS as error:
                    refused = self._refused(error)
        if refused is not None:
            raise refused

    def _story(self, wish: str) -> str:
        return wish if self.settings.stories else "never"

    def _refused(self, error: Exception) -> Problem:
        """What is said of a file that could not be scanned; counts it."""
        if isinstance(error, Saturated):
            return _busy()
        metrics.SCAN_FAILURES.labels(type(error).__name__).inc()
        return _failed(error, self.settings)

    def record(self, principal: auth.Principal, name: str, spool: Spool, scanned: Scanned, key: str = "") -> ScanRecord:
        """A scan as it is to be stored."""
        answer, trace, model = scanned
        file = answer["file"]
        at = now()
        return ScanRecord(
            id=new_id(at),
            at=at,
            sha256=spool.sha256,
            size=spool.size,
            name=name,
            container=file["container"][:255],
            verdict=file["verdict"],
            score=file["score"],
            credibility=file["credibility"],
            complete=file["complete"],
            model_version=model.version,
            api_key_id=principal.key_id,
            findings=file["findings"],
            detectors=file["detectors"],
            oddities=file["oddities"],
            trace=trace,
            schema=answer["schema"],
            width=answer["width"],
            row=(answer["row"][0], answer["row"][1]),
            floor=answer["floor"],
            guarded=answer["guarded"],
            shape=answer["shape"],
            story=answer["story"],
            raised=self.advice.raises(answer["names"]),
            library=answer["library"],
            names=tuple(answer["names"]),
            idempotency_key=key,
        )

    async def _keep(self, spool: Spool, record: ScanRecord) -> None:
        """Keep the file where the operator wants that; a scan is answered whether or not there is room for it."""
        if self.retention is None:
            return
        try:
            await asyncio.to_thread(self.retention.keep, spool, record.sha256, record.at)
        except Exception as error:  # a driver raises errors of its own kinds
            metrics.NOT_KEPT.inc()
            logger.error("the file %s is not kept: %r", record.sha256, error)

    def _forget_answers(self) -> None:
        with self.database.write() as connection:
            forget_answers(connection)

    async def _tidy(self) -> None:
        """Now and then remove what is too old to be of use."""
        while True:
            await asyncio.sleep(TIDY_INTERVAL)
            try:
                await asyncio.to_thread(self._forget_answers)
                if self.retention is not None and (gone := await asyncio.to_thread(self.retention.expire)):
                    logger.info("files of %s are no longer kept", ", ".join(gone))
            except Exception as error:  # a driver raises errors of its own kinds
                logger.warning("what is old stays for now: %r", error)

    def _touch_database(self) -> None:
        with self.database.read() as connection:
            connection.execute(sa.text("SELECT 1 FROM alembic_version"))

    async def _prepare_database(self) -> bool:
        try:
            await asyncio.to_thread(self._upgrade)
        except DatabaseUnavailable as error:
            logger.error("the database cannot be used: %s", error)
            return False
        return True

    def _upgrade(self) -> None:
        upgrade(self.settings.database_url, self.settings.database_timeout)
        auth.ensure_admin(self.database, self.settings.key_pepper, self.settings.admin_key)

    async def _prepare_database_later(self) -> None:
        while not await self._prepare_database():
            await asyncio.sleep(DATABASE_RETRY)


def answer_of(record: ScanRecord, known: Standing) -> dict[str, Any]:
    """What the API answers of a scan that was stored; counts it."""
    metrics.scanned(record.verdict, record.size, record.score)
    return {
        **scan_object(record, known),
        "credibility": record.credibility,
        "findings": record.findings,
        "detectors": record.detectors,
        "oddities": record.oddities,
    }


def _busy() -> Problem:
    return Problem(429, "busy", "as many scans are waiting as may; try again in a moment", retry_after=1)


def _failed(error: Exception, settings: Settings) -> Problem:
    if isinstance(error, NoModel):
        return Problem(503, "no-model", "no model is loaded; see the service's log", retry_after=5)
    if isinstance(error, ScanTimeout):
        return Problem(
            504, "scan-timeout", f"the scan took more than {settings.scan_timeout:g} seconds; treat the file as hostile"
        )
    return Problem(422, "scan-crashed", f"this file cannot be scanned ({error}); treat it as hostile and report it")
