"""The tables, as typed SQLAlchemy 2 models. Migrations under ``migrations/`` create the same ones."""

from __future__ import annotations

import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, DateTime, ForeignKey, Index, Integer, LargeBinary, String, Text, false
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

BigId = BigInteger().with_variant(Integer, "sqlite")
"""64-bit key; SQLite counts up only in a column of exactly the type INTEGER."""


class UtcDateTime(TypeDecorator[datetime.datetime]):
    """A moment in UTC, aware in Python whatever the database keeps."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime.datetime | None, dialect: Dialect) -> datetime.datetime | None:
        return None if value is None else value.astimezone(datetime.UTC)

    def process_result_value(self, value: datetime.datetime | None, dialect: Dialect) -> datetime.datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=datetime.UTC) if value.tzinfo is None else value.astimezone(datetime.UTC)


class Base(DeclarativeBase):
    """Base of all tables."""


class Event(Base):
    """One line of the append-only log; `kind` is ``scan``, ``label``, ``drift`` or ``model``."""

    __tablename__ = "events"
    __table_args__ = (Index("ix_events_kind_id", "kind", "id"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    at: Mapped[datetime.datetime] = mapped_column(UtcDateTime)
    kind: Mapped[str] = mapped_column(String(16))
    payload: Mapped[dict[str, Any]] = mapped_column(JSON)


class ApiKey(Base):
    """A key that clients send. Only a hash of it is kept."""

    __tablename__ = "api_keys"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    name: Mapped[str] = mapped_column(String(100))
    role: Mapped[str] = mapped_column(String(16))
    handle: Mapped[str] = mapped_column(String(16), unique=True)
    digest: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime.datetime] = mapped_column(UtcDateTime)
    revoked_at: Mapped[datetime.datetime | None] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime.datetime | None] = mapped_column(UtcDateTime)


class AuditEntry(Base):
    """Who did something that needs explaining later: keys, promotions, restores. Append-only."""

    __tablename__ = "audit"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    at: Mapped[datetime.datetime] = mapped_column(UtcDateTime)
    key_id: Mapped[int | None] = mapped_column(ForeignKey("api_keys.id"))
    actor: Mapped[str] = mapped_column(String(100))
    action: Mapped[str] = mapped_column(String(64))
    subject: Mapped[str] = mapped_column(String(255))
    detail: Mapped[dict[str, Any]] = mapped_column(JSON)


LISTED_BY = ("verdict", "name", "container", "model_version", "api_key_id")
"""Columns of scans by which they are listed, the latest first; ids sort by age."""


class Scan(Base):
    """One answered scan.

    `trace` is the redacted Trace's JSON, compressed with zlib; None if there was none. `floor` is what nothing added to
    the file lowers, `guarded` whether that alone makes it malicious. Files of one `shape` name the same things.
    `raised` tells whether the labels of others raised it, see :mod:`detectors.advice`.
    """

    __tablename__ = "scans"
    __table_args__ = (
        Index("ix_scans_sha256_at", "sha256", "at"),
        *(Index(f"ix_scans_{column}_id", column, "id") for column in LISTED_BY),
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    at: Mapped[datetime.datetime] = mapped_column(UtcDateTime)
    sha256: Mapped[str] = mapped_column(String(64))
    size: Mapped[int] = mapped_column(BigInteger)
    name: Mapped[str] = mapped_column(String(255))
    container: Mapped[str] = mapped_column(String(255))
    verdict: Mapped[str] = mapped_column(String(16))
    score: Mapped[float | None] = mapped_column()
    complete: Mapped[bool] = mapped_column()
    model_version: Mapped[str] = mapped_column(String(64))
    api_key_id: Mapped[int | None] = mapped_column(ForeignKey("api_keys.id"))
    findings: Mapped[list[Any]] = mapped_column(JSON)
    detectors: Mapped[dict[str, Any]] = mapped_column(JSON)
    oddities: Mapped[list[Any]] = mapped_column(JSON)
    trace: Mapped[bytes | None] = mapped_column(LargeBinary)
    floor: Mapped[float | None] = mapped_column()
    guarded: Mapped[bool] = mapped_column(server_default=false())
    shape: Mapped[str | None] = mapped_column(String(16))
    credibility: Mapped[float | None] = mapped_column()
    raised: Mapped[bool] = mapped_column(server_default=false())


class IdempotentScan(Base):
    """An answer that may be asked for again: which scan it told of, and the label that was known then."""

    __tablename__ = "idempotent_scans"
    __table_args__ = (Index("ix_idempotent_scans_at", "at"),)

    api_key_id: Mapped[int] = mapped_column(ForeignKey("api_keys.id"), primary_key=True)
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    fingerprint: Mapped[str] = mapped_column(String(64))
    at: Mapped[datetime.datetime] = mapped_column(UtcDateTime)
    scan_id: Mapped[str] = mapped_column(ForeignKey("scans.id"))
    label: Mapped[dict[str, Any] | None] = mapped_column(JSON)


LABELS_LISTED_BY = ("author", "model_version", "label")
"""Columns of labels by which they are listed, the latest first."""


class Label(Base):
    """What somebody said of a file. Append-only; a later label of the same person replaces his earlier one.

    `evidence` is what the model said and what the person points to; `guarded` is the scan's. A label ``retracted``
    takes back the one numbered `retracts`.
    """

    __tablename__ = "labels"
    __table_args__ = (
        Index("ix_labels_sha256_id", "sha256", "id"),
        Index("ix_labels_author_id_at", "author_id", "at"),
        Index("ix_labels_at", "at"),
        *(Index(f"ix_labels_{column}_id", column, "id") for column in LABELS_LISTED_BY),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    at: Mapped[datetime.datetime] = mapped_column(UtcDateTime)
    scan_id: Mapped[str] = mapped_column(ForeignKey("scans.id"))
    sha256: Mapped[str] = mapped_column(String(64))
    label: Mapped[str] = mapped_column(String(16))
    author_id: Mapped[int] = mapped_column(ForeignKey("api_keys.id"))
    author: Mapped[str] = mapped_column(String(100))
    role: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str] = mapped_column(Text)
    model_version: Mapped[str] = mapped_column(String(64))
    evidence: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    guarded: Mapped[bool] = mapped_column(server_default=false())
    retracts: Mapped[int | None] = mapped_column(BigId)


class ScanNovelty(Base):
    """What the learner made of a scan; `novelty` is None while the model was warming up."""

    __tablename__ = "scan_novelties"

    scan_id: Mapped[str] = mapped_column(ForeignKey("scans.id"), primary_key=True)
    event_id: Mapped[int] = mapped_column(ForeignKey("events.id"))
    novelty: Mapped[float | None] = mapped_column()


class ScanStory(Base):
    """What loading a file would do, as the console shows it: see :mod:`serving.console.story`."""

    __tablename__ = "scan_stories"

    scan_id: Mapped[str] = mapped_column(ForeignKey("scans.id"), primary_key=True)
    story: Mapped[bytes] = mapped_column(LargeBinary)


class ConsoleSession(Base):
    """Somebody who is logged in to the console with a key. Only a hash of the session's token is kept."""

    __tablename__ = "console_sessions"
    __table_args__ = (Index("ix_console_sessions_expires_at", "expires_at"),)

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    api_key_id: Mapped[int] = mapped_column(ForeignKey("api_keys.id"))
    created_at: Mapped[datetime.datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime.datetime] = mapped_column(UtcDateTime)


class ShadowScore(Base):
    """What the challenger numbered `version` says of a scan that the champion answered. It is never shown as a verdict.

    `model_version` is the champion's that answered, `seconds` what the challenger took to judge.
    """

    __tablename__ = "shadow_scores"

    scan_id: Mapped[str] = mapped_column(ForeignKey("scans.id"), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    model_version: Mapped[str] = mapped_column(String(64))
    verdict: Mapped[str] = mapped_column(String(16))
    score: Mapped[float | None] = mapped_column()
    seconds: Mapped[float] = mapped_column()


class Checkpoint(Base):
    """State of a reader of the log after the event `event_id`: JSON, compressed with zlib."""

    __tablename__ = "checkpoints"

    reader: Mapped[str] = mapped_column(String(32), primary_key=True)
    event_id: Mapped[int] = mapped_column(BigInteger)
    at: Mapped[datetime.datetime] = mapped_column(UtcDateTime)
    state: Mapped[bytes] = mapped_column(LargeBinary)


class Lease(Base):
    """Who may do a job that only one process at a time may do, until `expires_at` (seconds of the epoch)."""

    __tablename__ = "leases"

    job: Mapped[str] = mapped_column(String(32), primary_key=True)
    holder: Mapped[str] = mapped_column(String(64))
    expires_at: Mapped[float] = mapped_column()
