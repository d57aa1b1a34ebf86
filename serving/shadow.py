"""The challenger judges what the champion answered: scores are stored and compared, and never shown as a verdict.

It reads the stored Traces of live scans behind the answers, in the learner's process, so no request waits for it.
"""

from __future__ import annotations

import dataclasses
import logging
import time
from collections import Counter
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from registry import Registry
from registry.errors import RegistryError
from safepickle.errors import SafePickleError
from safepickle.scan import Scanner

from .database import leases
from .database.clock import now
from .database.engine import Database
from .database.tables import Checkpoint, Event, Scan, ShadowScore
from .database.writer import standing_labels
from .labels import FLAGGED
from .learner_job import JOB
from .scan_process import read_trace

logger = logging.getLogger("safepickle.learner")

BATCH = 64
EXAMPLES = 10


@dataclasses.dataclass(frozen=True, slots=True)
class _Seen:
    """A scan event with what was stored of the file; `trace` is None when that expired."""

    id: int
    scan_id: str
    trace: bytes | None
    model_version: str


class Shadow:
    """Scores live scans with the challenger, from the moment on at which it first sees it.

    Parameters
    ----------
    database
        With the log, the scans and the lease.
    store
        Folder of the registry's store.
    lease_seconds, holder
        As the learner's: only who holds its lease stores scores.
    """

    def __init__(self, database: Database, store: Path, lease_seconds: float, holder: str) -> None:
        self._database = database
        self._registry = Registry(store)
        self._lease_seconds = lease_seconds
        self._holder = holder
        self._version = 0
        self._refused = 0
        self._scanner: Scanner | None = None

    def step(self) -> int:
        """Score the next scans, at most :data:`BATCH`; return how many events were read.

        Raises
        ------
        DatabaseUnavailable
            When the database fails; nothing was stored.
        """
        version = self._challenger()
        if not version or self._scanner is None:
            return 0
        reader = f"shadow-{version}"
        with self._database.read() as connection:
            last = connection.execute(sa.select(Checkpoint.event_id).where(Checkpoint.reader == reader)).scalar()
            newest = connection.execute(sa.select(sa.func.max(Event.id))).scalar() or 0
            events = [] if last is None else _scans(connection, last)
        if last is None:
            self._store(reader, newest, [])
            return 0
        if not events:
            return 0
        scores = [self._score(event, version) for event in events]
        self._store(reader, events[-1].id, [score for score in scores if score is not None])
        return len(events)

    def _challenger(self) -> int:
        """Number of the challenger that is loaded; 0 for none."""
        try:
            aliases = self._registry.aliases()
            number = aliases.challenger if aliases.challenger != aliases.champion else None
            if number is None or number == self._refused:
                return 0
            if number != self._version:
                version, _bundle = self._registry.load(number)
                self._scanner, self._version = Scanner(version.bundle), number
                logger.info("version %d judges in shadow from now on", number)
        except (RegistryError, SafePickleError, OSError) as error:
            logger.error("the challenger cannot judge in shadow: %s", error)
            self._refused = self._registry_challenger()
            return 0
        return self._version

    def _registry_challenger(self) -> int:
        try:
            return self._registry.aliases().challenger or 0
        except RegistryError:
            return 0

    def _score(self, event: _Seen, version: int) -> dict[str, Any] | None:
        if self._scanner is None or event.trace is None:
            return None
        try:
            trace = read_trace(event.trace)
            started = time.perf_counter()
            verdict = self._scanner.judge(trace)
        except (ValueError, SafePickleError) as error:
            logger.error("version %d cannot judge scan %s: %s", version, event.scan_id, error)
            return None
        return {
            "scan_id": event.scan_id,
            "version": version,
            "model_version": event.model_version,
            "verdict": verdict.verdict,
            "score": verdict.score,
            "seconds": time.perf_counter() - started,
        }

    def _store(self, reader: str, event: int, scores: list[dict[str, Any]]) -> None:
        with self._database.write() as connection:
            if not leases.acquire(connection, JOB, self._holder, self._lease_seconds):
                return
            values = {"event_id": event, "at": now(), "state": b""}
            if not connection.execute(
                sa.update(Checkpoint).where(Checkpoint.reader == reader).values(**values)
            ).rowcount:
                connection.execute(sa.insert(Checkpoint).values(reader=reader, **values))
            if scores:
                connection.execute(sa.insert(ShadowScore), scores)


@dataclasses.dataclass(frozen=True, slots=True)
class ShadowReport:
    """A challenger's verdicts beside the champion's, on the scans that both judged.

    Parameters
    ----------
    version
        Of the challenger.
    scans, same
        Judged by both, and with the same verdict.
    cleared
        Files that the champion cleared.
    flagged_more, flagged_less
        Contents that only the challenger flags, and those that only the champion does, without those whose standing
        label says that the challenger is right.
    verdicts
        ``champion's > challenger's`` -> number of scans.
    slowest
        Seconds that the slowest judgement took.
    examples
        Scans of which the verdicts differ, the latest first.
    """

    version: int
    scans: int
    same: int
    cleared: int
    flagged_more: int
    flagged_less: int
    verdicts: dict[str, int]
    slowest: float
    examples: list[dict[str, Any]]


def report(connection: Connection, version: int) -> ShadowReport:
    """Compare what `version` said in shadow with what was answered."""
    query = (
        sa.select(
            Scan.id, Scan.sha256, Scan.name, Scan.verdict, ShadowScore.verdict.label("other"), ShadowScore.seconds
        )
        .join(ShadowScore, ShadowScore.scan_id == Scan.id)
        .where(ShadowScore.version == version)
        .order_by(Scan.at.desc(), Scan.id.desc())
    )
    rows = connection.execute(query).all()
    differ = [row for row in rows if (row.verdict in FLAGGED) != (row.other in FLAGGED)]
    known = standing_labels(connection, {row.sha256 for row in differ})
    wrong = {row.sha256: row.other in FLAGGED for row in differ if not _is_right(known.get(row.sha256), row.other)}
    return ShadowReport(
        version=version,
        scans=len(rows),
        same=sum(row.verdict == row.other for row in rows),
        cleared=len({row.sha256 for row in rows if row.verdict not in FLAGGED}),
        flagged_more=sum(wrong.values()),
        flagged_less=len(wrong) - sum(wrong.values()),
        verdicts=dict(sorted(Counter(f"{row.verdict} > {row.other}" for row in rows).items())),
        slowest=max((row.seconds for row in rows), default=0.0),
        examples=[
            {"scan_id": row.id, "path": row.name, "champion": row.verdict, "challenger": row.other}
            for row in differ[:EXAMPLES]
        ],
    )


def _is_right(known: Any, verdict: str) -> bool:
    return known is not None and known.label is not None and (known.label == "malicious") == (verdict in FLAGGED)


def _scans(connection: Connection, after: int) -> list[_Seen]:
    """The next scan events with what was stored of the files."""
    events = connection.execute(
        sa.select(Event.id, Event.payload).where(Event.kind == "scan", Event.id > after).order_by(Event.id).limit(BATCH)
    ).all()
    found = {
        row.scan_id: row
        for row in connection.execute(
            sa.select(Scan.id.label("scan_id"), Scan.trace, Scan.model_version).where(
                Scan.id.in_([event.payload["scan_id"] for event in events])
            )
        )
    }
    rows = []
    for event in events:
        scan = found.get(event.payload["scan_id"])
        trace, model = (None, "") if scan is None else (scan.trace, scan.model_version)
        rows.append(_Seen(event.id, event.payload["scan_id"], trace, model))
    return rows
