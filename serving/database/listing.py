"""Lists of scans, labels and events, the latest first, a page at a time.

A page costs the same however long the table is: it goes on by key, not by counting rows, and looks at rows no longer
than :data:`SECONDS` and at no more than :data:`EXAMINED`. Where few of those pass the filters, a page is short or empty
and still has a next one.
"""

from __future__ import annotations

import dataclasses
import datetime
import time
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.orm import InstrumentedAttribute

from ..labels import DEFAULT_POLICY, LabelPolicy, Standing
from ..learner_job import JOB
from .clock import first_id
from .records import scan_object
from .rows import Texts, among
from .tables import AuditEntry, Checkpoint, Event, Label, Scan, ScanNovelty
from .writer import standing_labels

EXAMINED = 5000
CHUNK = 200
SECONDS = 0.04
SKEW = datetime.timedelta(hours=1)
"""By which the clocks of replicas may differ: labels are numbered in the order in which they came."""

Query = sa.Select[*tuple[Any, ...]]

_SHOWN = (
    Scan.id, Scan.at, Scan.sha256, Scan.size, Scan.name, Scan.container, Scan.verdict, Scan.score, Scan.complete,
    Scan.model_version, Scan.api_key_id, Scan.raised,
)  # fmt: skip

_NOVELTIES = sa.select(ScanNovelty.scan_id, ScanNovelty.novelty).where(
    among(ScanNovelty.scan_id, sa.bindparam("ids", type_=Texts()))
)


@dataclasses.dataclass(frozen=True, slots=True)
class Page:
    """Some rows as JSON objects, and the key after which the next page begins; None at the end."""

    items: list[dict[str, Any]]
    next: str | int | None


@dataclasses.dataclass(frozen=True, slots=True)
class Span:
    """From `since` on and before `until`; None for no bound. Moments count to the millisecond."""

    since: datetime.datetime | None = None
    until: datetime.datetime | None = None


def list_scans(
    connection: Connection,
    equal: dict[str, str | int],
    span: Span,
    before: str | None,
    limit: int,
    policy: LabelPolicy = DEFAULT_POLICY,
) -> Page:
    """Scans, the latest first.

    Parameters
    ----------
    connection
        Of a reading transaction.
    equal
        Values that columns must have. The first one is looked up by its index, so put first what few rows have.
    span
        When they were asked for.
    before
        Only scans older than the one with this id.
    limit
        Rows of a page.
    policy
        By which labels stand.
    """
    query: Query = sa.select(*_SHOWN)
    if span.since is not None:
        query = query.where(Scan.id >= first_id(span.since))
    if span.until is not None:
        query = query.where(Scan.id < first_id(span.until))
    rows, following = _examine(connection, query, Scan.id, equal, before, limit)
    hashes = {row.sha256 for row in rows}
    known = standing_labels(connection, hashes, policy) if hashes else {}
    novelties = _novelties(connection, [row.id for row in rows])
    items = [
        {**scan_object(row, known.get(row.sha256, Standing(None))), "novelty": novelties.get(row.id)} for row in rows
    ]
    return Page(items, following)


def list_labels(
    connection: Connection, equal: dict[str, str | int], span: Span, before: int | None, limit: int
) -> Page:
    """Labels, the latest first; see :func:`list_scans`."""
    query: Query = sa.select(
        Label.id, Label.at, Label.scan_id, Label.sha256, Label.label, Label.author, Label.role, Label.reason,
        Label.model_version, Label.guarded, Label.retracts,
    )  # fmt: skip
    query = _within(_near(connection, query, span), Label.at, span)
    rows, following = _examine(connection, query, Label.id, equal, before, limit)
    items = [{"label_id": row.id, **_dated(row, "id")} for row in rows]
    return Page(items, following)


def list_drift(connection: Connection, span: Span, before: int | None, limit: int) -> Page:
    """Alarms of the drift detectors, the latest first, each with its evidence."""
    query = _within(sa.select(Event.id, Event.at, Event.payload, Event.kind), Event.at, span)
    rows, following = _examine(connection, query, Event.id, {"kind": "drift"}, before, limit)
    return Page([{"alarm_id": row.id, "at": row.at.isoformat(), **row.payload} for row in rows], following)


def list_audit(connection: Connection, equal: dict[str, str | int], span: Span, before: int | None, limit: int) -> Page:
    """Entries of the audit log, the latest first."""
    query = _within(
        sa.select(
            AuditEntry.id, AuditEntry.at, AuditEntry.key_id, AuditEntry.actor, AuditEntry.action, AuditEntry.subject,
            AuditEntry.detail,
        ),
        AuditEntry.at,
        span,
    )  # fmt: skip
    rows, following = _examine(connection, query, AuditEntry.id, equal, before, limit)
    return Page([{"entry_id": row.id, **_dated(row, "id")} for row in rows], following)


def learned_until(connection: Connection) -> dict[str, Any]:
    """How far the learner has read the log: ``event_id``, ``at`` (None before its first batch), ``lag`` in events."""
    row = connection.execute(sa.select(Checkpoint.event_id, Checkpoint.at).where(Checkpoint.reader == JOB)).first()
    newest = connection.execute(sa.select(sa.func.max(Event.id))).scalar() or 0
    read = 0 if row is None else row.event_id
    return {
        "event_id": None if row is None else read,
        "at": None if row is None else row.at.isoformat(),
        "lag": max(newest - read, 0),
    }


def _examine(
    connection: Connection,
    query: Query,
    key: InstrumentedAttribute[Any],
    equal: dict[str, str | int],
    before: str | int | None,
    limit: int,
) -> tuple[Sequence[sa.Row[Any]], str | int | None]:
    """(rows of a page, key after which to go on).

    The first of `equal` is looked up by its index; rows are then looked at until a page is full.
    """
    table = key.class_
    names = list(equal)
    if names:
        query = query.where(getattr(table, names[0]) == equal[names[0]])
    query = query.order_by(key.desc())
    rest = {name: equal[name] for name in names[1:]}
    if not rest:
        rows = connection.execute(_after(query, key, before).limit(limit + 1)).all()
        return rows[:limit], rows[limit - 1].id if len(rows) > limit else None
    passing: list[sa.Row[Any]] = []
    deadline = time.monotonic() + SECONDS
    for _ in range(EXAMINED // CHUNK):
        rows = connection.execute(_after(query, key, before).limit(CHUNK)).all()
        for row in rows:
            if all(row._mapping[name] == value for name, value in rest.items()):
                passing.append(row)
                if len(passing) == limit:
                    return passing, row.id
        if len(rows) < CHUNK:
            return passing, None
        before = rows[-1].id
        if time.monotonic() > deadline:
            break
    return passing, before


def _after(query: Query, key: InstrumentedAttribute[Any], before: str | int | None) -> Query:
    return query if before is None else query.where(key < before)


def _near(connection: Connection, query: Query, span: Span) -> Query:
    """Only labels whose ids are near those of a span, or in it: otherwise all later ones would be walked through."""
    if span.since is not None:
        last = sa.select(Label.id).where(Label.at < span.since - SKEW).order_by(Label.at.desc()).limit(1)
        if (number := connection.execute(last).scalar()) is not None:
            query = query.where(Label.id > number)
    if span.until is not None:
        first = sa.select(Label.id).where(Label.at >= span.until + SKEW).order_by(Label.at).limit(1)
        if (number := connection.execute(first).scalar()) is not None:
            query = query.where(Label.id < number)
    return query


def _within(query: Query, column: Any, span: Span) -> Query:
    if span.since is not None:
        query = query.where(column >= span.since)
    return query if span.until is None else query.where(column < span.until)


def _dated(row: sa.Row[Any], without: str) -> dict[str, Any]:
    values = dict(row._mapping)
    del values[without]
    values["at"] = row.at.isoformat()
    return values


def _novelties(connection: Connection, ids: list[str]) -> dict[str, float | None]:
    if not ids:
        return {}
    return {row.scan_id: row.novelty for row in connection.execute(_NOVELTIES, {"ids": ids})}
