"""Storing scans: many requests share one transaction, and each learns whether it was stored."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import dataclasses
import datetime
import hashlib
import itertools
import operator
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ..labels import DEFAULT_POLICY, LabelPolicy, Said, Standing, standing
from .engine import Database, DatabaseUnavailable
from .rows import Rows, Texts, among, execute_among
from .tables import Base, IdempotentScan, Label, Scan

BATCH = 128
GATHER_SECONDS = 0.003
"""How long a transaction waits for scans that are under way: each costs as much as some scans in it."""

_SCAN_COLUMNS = tuple(column.key for column in sa.inspect(Scan).columns)
_SCANS = Rows(Base.metadata.tables["scans"], _SCAN_COLUMNS)
_EVENTS = Rows(Base.metadata.tables["events"], ("at", "kind", "payload"))
_STORIES = Rows(Base.metadata.tables["scan_stories"], ("scan_id", "story"))
_scan_values = operator.attrgetter(*_SCAN_COLUMNS)
# Built once: building a statement takes longer than running it.
_LABELS = sa.select(
    Label.id, Label.at, Label.sha256, Label.label, Label.author_id, Label.role, Label.author, Label.guarded,
    Label.retracts,
).where(among(Label.sha256, sa.bindparam("hashes", type_=Texts())))  # fmt: skip


@dataclasses.dataclass(frozen=True, slots=True)
class ScanRecord:
    """One scan as it is stored.

    `trace` is the compressed redacted Trace or None. `schema` names the feature schema of `row`, which is
    given as two lists, the indices and the values of the features that are not zero, and `width`, their
    number with the zeros; the row is what the online learner reads from the log. `floor`, `guarded`, `shape`
    and `raised` are those of :class:`~.tables.Scan`; `library` and `names` are for the learner alone. `story` is what
    the console shows of what loading would do, compressed; None where nobody is to read it.
    With an `idempotency_key` the answer can be given again to the same request.
    """

    id: str
    at: datetime.datetime
    sha256: str
    size: int
    name: str
    container: str
    verdict: str
    score: float | None
    complete: bool
    model_version: str
    api_key_id: int | None
    findings: list[Any]
    detectors: dict[str, Any]
    oddities: list[Any]
    trace: bytes | None
    schema: str
    width: int
    row: tuple[list[int], list[float]]
    floor: float | None = None
    guarded: bool = False
    shape: str | None = None
    story: bytes | None = None
    raised: bool = False
    credibility: float | None = None
    library: str = ""
    names: tuple[int, ...] = ()
    idempotency_key: str = ""

    def payload(self) -> dict[str, Any]:
        """Payload of the scan event."""
        return {
            "scan_id": self.id,
            "sha256": self.sha256,
            "container": self.container,
            "verdict": self.verdict,
            "score": self.score,
            "complete": self.complete,
            "model_version": self.model_version,
            "shape": self.shape,
            "library": self.library,
            "names": self.names,
            "schema": self.schema,
            "width": self.width,
            "row": [self.row[0], self.row[1]],
        }


Stored = Standing | Exception
"""What is known by label of a file whose scan was stored, or why it was not."""

_Job = tuple[Sequence[ScanRecord], "asyncio.Future[list[Stored]]", asyncio.AbstractEventLoop]


class ScanWriter:
    """A thread that stores scans, as many as are waiting in one transaction.

    Parameters
    ----------
    database
        Where to store.
    policy
        By which labels stand.
    """

    def __init__(self, database: Database, policy: LabelPolicy = DEFAULT_POLICY) -> None:
        self._database = database
        self._policy = policy
        # A queue of the standard library would wake the thread for each job, and take the event loop's turn.
        self._jobs: collections.deque[_Job] = collections.deque()
        self._news = threading.Event()
        self._closing = False
        self._under_way = 0
        # Of records; each is counted by one thread.
        self._given = self._taken = 0
        self._thread = threading.Thread(target=self._run, name="scan-writer", daemon=True)
        self._thread.start()

    @contextlib.contextmanager
    def expecting(self, scans: int = 1) -> Iterator[None]:
        """Hold it from the beginning of scans until they are stored: others may wait for them a moment."""
        self._under_way += scans
        try:
            yield
        finally:
            self._under_way -= scans

    async def store(self, record: ScanRecord) -> Standing:
        """Store a scan and its event; return what is known of the file by label.

        Raises
        ------
        DatabaseUnavailable
            When it was not stored.
        """
        (stored,) = await self.store_all([record])
        if isinstance(stored, Exception):
            raise stored
        return stored

    async def store_all(self, records: Sequence[ScanRecord]) -> list[Stored]:
        """Store scans with their events; return of each, in the same order, what :meth:`store` returns or raises."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[list[Stored]] = loop.create_future()
        self._given += len(records)
        self._jobs.append((records, future, loop))
        if not self._news.is_set():
            self._news.set()
        return await future

    def close(self) -> None:
        """Store what is waiting, then end."""
        self._closing = True
        self._news.set()
        self._thread.join()

    def _run(self) -> None:
        while True:
            self._news.wait()
            self._news.clear()
            closing = self._closing
            while self._jobs:
                self._gather()
                self._store(self._next())
            if closing:
                return

    def _gather(self) -> None:
        """Give scans that are under way a moment to come along."""
        until = time.monotonic() + GATHER_SECONDS
        while self._given - self._taken < min(BATCH, self._under_way) and time.monotonic() < until:
            time.sleep(GATHER_SECONDS / 4)

    def _next(self) -> list[_Job]:
        """Jobs of one transaction."""
        jobs = [self._jobs.popleft()]
        records = len(jobs[0][0])
        while self._jobs and records + len(self._jobs[0][0]) <= BATCH:
            jobs.append(self._jobs.popleft())
            records += len(jobs[-1][0])
        self._taken += records
        return jobs

    def _store(self, jobs: Sequence[_Job]) -> None:
        stored = iter(self._stored([record for records, _, _ in jobs for record in records]))
        _tell(jobs, [list(itertools.islice(stored, len(records))) for records, _, _ in jobs])

    def _stored(self, records: Sequence[ScanRecord]) -> Sequence[Stored]:
        try:
            with self._database.write() as connection:
                return store_scans(connection, records, self._policy)
        except Exception as error:
            if len(records) > 1 and not isinstance(error, DatabaseUnavailable):
                # One record that the database refuses must not take the others with it.
                return [stored for record in records for stored in self._stored([record])]
            return [error] * len(records)


def store_scans(
    connection: Connection, records: Sequence[ScanRecord], policy: LabelPolicy = DEFAULT_POLICY
) -> list[Standing]:
    """Insert scans with their events; return the standing label of each file, in the same order."""
    _SCANS.insert(connection, [_scan_values(record) for record in records])
    _EVENTS.insert(connection, [(record.at, "scan", record.payload()) for record in records])
    _STORIES.insert(connection, [(record.id, record.story) for record in records if record.story is not None])
    known = standing_labels(connection, {record.sha256 for record in records}, policy)
    answers = [known.get(record.sha256, Standing(None)) for record in records]
    repeatable = [
        {
            "api_key_id": record.api_key_id,
            "key": record.idempotency_key,
            "fingerprint": fingerprint(record.sha256, record.name),
            "at": record.at,
            "scan_id": record.id,
            "label": None if answer.at is None else answer.to_json_dict(),
        }
        for record, answer in zip(records, answers, strict=True)
        if record.idempotency_key
    ]
    if repeatable:
        connection.execute(sa.insert(IdempotentScan), repeatable)
    return answers


def _labelled(connection: Connection, hashes: set[str]) -> list[str]:
    """Those of the files that somebody said anything of: mostly none, which is soon found out."""
    if not hashes:
        return []
    found = execute_among(connection, "SELECT DISTINCT sha256 FROM labels", "sha256", sorted(hashes))
    return [row[0] for row in found]


def fingerprint(sha256: str, name: str) -> str:
    """What must be the same for a request with the same idempotency key to be the same."""
    return hashlib.sha256(f"{sha256}\n{name}".encode("utf-8", "surrogatepass")).hexdigest()


def standing_labels(
    connection: Connection,
    hashes: set[str],
    policy: LabelPolicy = DEFAULT_POLICY,
    without: frozenset[str] = frozenset(),
) -> dict[str, Standing]:
    """What stands for each of these files that has any label; those of the persons `without` do not count."""
    labelled = _labelled(connection, hashes)
    rows = connection.execute(_LABELS, {"hashes": labelled}).all() if labelled else []
    said: dict[str, list[Said]] = {}
    for row in rows:
        if row.author.casefold() in without:
            said.setdefault(row.sha256, [])
            continue
        said.setdefault(row.sha256, []).append(
            Said(row.id, row.at, row.label, row.author_id, row.role, row.author, bool(row.guarded), row.retracts)
        )
    return {sha256: standing(labels, policy) for sha256, labels in said.items()}


def _tell(jobs: Sequence[_Job], answers: Sequence[list[Stored]]) -> None:
    """Answer all jobs, waking each loop that waits once."""
    loops: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[list[Stored]], list[Stored]]]] = {}
    for (_, future, loop), answer in zip(jobs, answers, strict=True):
        loops.setdefault(loop, []).append((future, answer))
    for loop, answered in loops.items():
        loop.call_soon_threadsafe(_finish, answered)


def _finish(answered: Sequence[tuple[asyncio.Future[list[Stored]], list[Stored]]]) -> None:
    for future, answer in answered:
        if not future.done():
            future.set_result(answer)
