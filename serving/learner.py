"""The process that learns from the event log: one at a time, each event once, the same after every crash."""

from __future__ import annotations

import json
import logging
import os
import signal
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from detectors.online import LabelEvent, Lesson, OnlineLearner, ScanEvent

from . import metrics
from .database import leases
from .database.clock import now
from .database.engine import Database, DatabaseUnavailable
from .database.tables import Checkpoint, Event, ScanNovelty
from .learner_job import ADVICE, JOB
from .logs import configure
from .settings import Settings
from .shadow import BATCH as SHADOW_BATCH
from .shadow import Shadow

logger = logging.getLogger("safepickle.learner")

BATCH = 256


class LeaseLost(Exception):
    """Another process is the learner now."""


class Learner:
    """Reads scan events in the order of their ids and stores what they teach.

    Novelty, drift events and the state after a batch are stored in one transaction that also holds the
    lease. So a learner that is killed has either stored a batch with its checkpoint or nothing of it.

    Parameters
    ----------
    database
        With the log.
    lease_seconds
        See :class:`~serving.settings.Settings`.
    holder
        Under which name to hold the lease.
    """

    def __init__(self, database: Database, lease_seconds: float, holder: str) -> None:
        self._database = database
        self._lease_seconds = lease_seconds
        self._holder = holder
        self._model: OnlineLearner | None = None
        self._last = 0

    def step(self) -> int:
        """Learn from the next events, at most :data:`BATCH`; return how many of the log were read.

        Raises
        ------
        LeaseLost
            When another process holds the lease.
        DatabaseUnavailable
            When the database fails; the next step goes on from the last checkpoint.
        """
        with self._database.write() as connection:
            self._hold(connection)
        if self._model is None:
            with self._database.read() as connection:
                self._model, self._last = restore(connection)
        with self._database.read() as connection:
            events = _read(connection, self._last, BATCH)
            newest = connection.execute(sa.select(sa.func.max(Event.id))).scalar() or 0
        metrics.LEARNER_LAG.set(max(newest - self._last, 0))
        if not events:
            return 0
        model, self._model = self._model, None  # forgotten unless it is stored with the events it has seen
        with self._database.read() as connection:
            lessons = list(teach(model, events, lambda scan: _scanned(connection, scan)))
        last = events[-1].id
        with self._database.write() as connection:
            self._hold(connection)
            _store(connection, lessons, model, last)
        self._model, self._last = model, last
        _count(lessons)
        metrics.LEARNER_LAG.set(max(newest - last, 0))
        return len(events)

    def release(self) -> None:
        """Let another process be the learner at once."""
        with self._database.write() as connection:
            leases.release(connection, JOB, self._holder)

    def _hold(self, connection: Connection) -> None:
        if not leases.acquire(connection, JOB, self._holder, self._lease_seconds):
            raise LeaseLost


def teach(
    model: OnlineLearner, events: Sequence[sa.Row[Any]], earlier: Callable[[str], dict[str, Any] | None]
) -> Iterator[tuple[int, str, Lesson | None]]:
    """Feed events to `model`: (event id, scan id, lesson) of each scan, None for one that it cannot use.

    `earlier` gives the payload of a scan's event that was learned before these.
    """
    learned: dict[str, dict[str, Any]] = {}
    for event in events:
        try:
            if event.kind == "label":
                _learn_label(model, event.payload, learned.get, earlier)
            if event.kind != "scan":
                continue
            scan = _scan_event(event.payload)
            yield event.id, scan.scan, model.learn(scan)
            learned[scan.scan] = event.payload
        except (ValueError, KeyError, TypeError, IndexError) as error:
            logger.error("the learner cannot use event %d: %r", event.id, error)
            yield event.id, "", None


def restore(connection: Connection) -> tuple[OnlineLearner, int]:
    """The model as of the checkpoint and the last event it has seen.

    A checkpoint that this version cannot read is made anew from the log, without repeating its alarms.
    """
    row = connection.execute(sa.select(Checkpoint.event_id, Checkpoint.state).where(Checkpoint.reader == JOB)).first()
    if row is None:
        return OnlineLearner(), 0
    try:
        return OnlineLearner.from_state(json.loads(zlib.decompress(row.state))), row.event_id
    except (ValueError, zlib.error) as error:
        logger.warning("reading the log again up to event %d: %s", row.event_id, error)
        return replay(connection, row.event_id), row.event_id


def replay(connection: Connection, until: int) -> OnlineLearner:
    """The model that the log up to the event `until` gives."""
    model = OnlineLearner()
    last = 0
    while last < until and (events := _read(connection, last, BATCH, until)):
        for _ in teach(model, events, lambda scan: _scanned(connection, scan)):
            pass
        last = events[-1].id
    return model


def check(connection: Connection) -> bool:
    """Whether the checkpoint equals a replay of the whole log, to the last bit; True without a checkpoint."""
    row = connection.execute(sa.select(Checkpoint.event_id, Checkpoint.state).where(Checkpoint.reader == JOB)).first()
    return row is None or zlib.decompress(row.state) == _dump(replay(connection, row.event_id).to_state())


def run(settings: Settings, stop: threading.Event, holder: str) -> None:
    """Be the learner until `stop` is set or another process is; wait while the database is away."""
    database = Database(settings.database_url, settings.database_timeout)
    learner = Learner(database, settings.lease_seconds, holder)
    shadow = Shadow(database, Path(settings.registry).resolve(), settings.lease_seconds, holder)
    try:
        while not stop.is_set():
            started = time.monotonic()
            try:
                read = max(learner.step(), shadow.step())
            except DatabaseUnavailable as error:
                logger.warning("the learner waits for the database: %s", error)
                read = 0
            # At most half of a core while it catches up: requests come first.
            stop.wait(time.monotonic() - started if read >= SHADOW_BATCH else settings.learner_interval)
        learner.release()
    except LeaseLost:
        logger.info("another process is the learner")
    except DatabaseUnavailable as error:
        logger.warning("the learner's lease was not given back, it expires: %s", error)
    finally:
        database.close()


def main(parent: int, holder: str, begun: int) -> int:
    """Entry of the process that a worker starts and has taken the lease for; it ends with the worker."""
    from .scan_process import die_with

    settings = Settings.from_environment()
    configure(settings.log_format)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    die_with(parent)
    # From now on the lease is prolonged here.
    os.close(begun)
    run(settings, stop, holder)
    return 0


def _scan_event(payload: dict[str, Any]) -> ScanEvent:
    row = [0.0] * payload["width"]
    indices, values = payload["row"]
    for index, value in zip(indices, values, strict=True):
        row[index] = float(value)
    return ScanEvent(
        scan=payload["scan_id"],
        verdict=payload["verdict"],
        schema=payload["schema"],
        row=row,
        score=payload.get("score"),
        sha256=payload.get("sha256", ""),
        container=payload.get("container", ""),
        library=payload.get("library", ""),
        names=payload.get("names", ()),
    )


def _learn_label(
    model: OnlineLearner, payload: dict[str, Any], *lookups: Callable[[str], dict[str, Any] | None]
) -> None:
    """Learn what stands for a file; a label of a scan that could not be learned teaches nothing."""
    found = next((scan for lookup in lookups if (scan := lookup(payload["scan_id"])) is not None), None)
    if found is not None and "standing" in payload:
        label = payload["standing"]["label"]
        model.label(LabelEvent(payload["sha256"], label, payload["author"], _scan_event(found)))


def _scanned(connection: Connection, scan_id: str) -> dict[str, Any] | None:
    """Payload of the event of a scan that was learned."""
    query = sa.select(Event.payload).join(ScanNovelty, ScanNovelty.event_id == Event.id)
    return connection.execute(query.where(ScanNovelty.scan_id == scan_id)).scalar()


def _read(connection: Connection, after: int, limit: int, until: int | None = None) -> Sequence[sa.Row[Any]]:
    query = sa.select(Event.id, Event.kind, Event.payload).where(Event.id > after).order_by(Event.id).limit(limit)
    return connection.execute(query if until is None else query.where(Event.id <= until)).all()


def _dump(state: dict[str, Any]) -> bytes:
    return json.dumps(state, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def _store(
    connection: Connection, lessons: Sequence[tuple[int, str, Lesson | None]], model: OnlineLearner, last: int
) -> None:
    learned = [(event, scan, lesson) for event, scan, lesson in lessons if lesson is not None]
    at = now()
    novelties = [{"scan_id": scan, "event_id": event, "novelty": lesson.novelty} for event, scan, lesson in learned]
    if novelties:
        connection.execute(sa.insert(ScanNovelty), novelties)
    alarms = [
        {"at": at, "kind": "drift", "payload": _alarm_payload(event, lesson, number)}
        for event, _, lesson in learned
        for number in range(len(lesson.alarms))
    ]
    if alarms:
        connection.execute(sa.insert(Event), alarms)
    _store_state(connection, JOB, last, _dump(model.to_state()))
    advice = zlib.compress(_dump(model.advice.to_state()), 1)
    known = connection.execute(sa.select(Checkpoint.state).where(Checkpoint.reader == ADVICE)).scalar()
    if known != advice:
        _store_state(connection, ADVICE, last, _dump(model.advice.to_state()))


def _store_state(connection: Connection, reader: str, last: int, state: bytes) -> None:
    values = {"event_id": last, "at": now(), "state": zlib.compress(state, 1)}
    updated = connection.execute(sa.update(Checkpoint).where(Checkpoint.reader == reader).values(**values))
    if not updated.rowcount:
        connection.execute(sa.insert(Checkpoint).values(reader=reader, **values))


def _alarm_payload(event: int, lesson: Lesson, number: int) -> dict[str, Any]:
    alarm = lesson.alarms[number]
    return {
        "event_id": event,
        "stream": alarm.stream,
        "test": alarm.kind,
        "before": alarm.before,
        "after": alarm.after,
        "past": alarm.past,
        "recent": alarm.recent,
        "examples": list(lesson.examples[number]),
    }


def _count(lessons: Sequence[tuple[int, str, Lesson | None]]) -> None:
    for _, _, lesson in lessons:
        if lesson is None:
            metrics.LEARNER_SKIPPED.inc()
            continue
        metrics.LEARNED.inc()
        if lesson.novelty is not None:
            metrics.NOVELTY.observe(lesson.novelty)
        for alarm in lesson.alarms:
            metrics.DRIFT_ALARMS.labels(alarm.stream.partition(":")[0]).inc()
            logger.warning("drift in %s: mean %.4f -> %.4f", alarm.stream, alarm.before, alarm.after)
