"""The whole database in one file, which restores into SQLite and PostgreSQL alike.

The file is gzip over JSON lines: a head with the revision of the tables, a line for each row, and an end that counts
them, so that a file which was cut off is noticed. It holds what analysts see and the keyed hashes of keys.
"""

from __future__ import annotations

import base64
import datetime
import gzip
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic.runtime.migration import MigrationContext
from sqlalchemy.engine import Connection

from .database.audit import record
from .database.clock import now
from .database.engine import Database
from .database.tables import Base, UtcDateTime

FORMAT = 1
PAGE = 500
MAX_LINE = 256 << 20
TRANSIENT = ("leases", "console_sessions")
"""Tables that mean nothing to another database."""


class BadBackup(ValueError):
    """The file is not a backup, was damaged, or fits no database of this version."""


def back_up(database: Database, out: Path) -> dict[str, int]:
    """Write all tables as they are at one moment, while the service runs; return the rows of each.

    The file appears whole or not at all, and only its owner may read it.

    Raises
    ------
    DatabaseUnavailable, OSError
        Nothing was written.
    """
    part = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as raw, database.read() as connection:
            with gzip.GzipFile("", "wb", 6, raw, 0) as file:
                counts = _write(connection, file)
            raw.flush()
            os.fsync(raw.fileno())
        os.replace(part, out)
    finally:
        part.unlink(missing_ok=True)
    return counts


def restore(database: Database, source: Path) -> dict[str, int]:
    """Read a backup into a database that has this version's tables and no rows; return the rows of each table.

    All of it is stored, or nothing.

    Raises
    ------
    BadBackup
        When the file is no good, or the database is not empty.
    DatabaseUnavailable, OSError
    """
    try:
        with gzip.open(source, "rb") as file, database.write() as connection:
            counts = _read(connection, _lines(file))
            record(connection, "database.restore", source.name[:255], {"rows": counts})
    except (gzip.BadGzipFile, EOFError, ValueError, KeyError, TypeError, sa.exc.IntegrityError) as error:
        if isinstance(error, BadBackup):
            raise
        raise BadBackup(f"{source} is damaged or no backup of this service: {error}") from error
    return counts


def _tables() -> list[sa.Table]:
    return [table for table in Base.metadata.sorted_tables if table.name not in TRANSIENT]


def _revision(connection: Connection) -> str:
    return str(MigrationContext.configure(connection).get_current_revision())


def _write(connection: Connection, file: gzip.GzipFile) -> dict[str, int]:
    counts: dict[str, int] = {}
    _line(file, {"format": FORMAT, "revision": _revision(connection), "at": now().isoformat()})
    streaming = connection.execution_options(yield_per=PAGE)
    for table in _tables():
        counts[table.name] = 0
        _line(file, {"table": table.name, "columns": [column.name for column in table.columns]})
        for row in streaming.execute(sa.select(table).order_by(*table.primary_key)):
            _line(file, [_outward(value) for value in row])
            counts[table.name] += 1
    _line(file, {"end": counts})
    return counts


def _read(connection: Connection, lines: Iterator[Any]) -> dict[str, int]:
    head = next(lines, None)
    if not isinstance(head, dict) or head.get("format") != FORMAT:
        raise BadBackup("this is no backup of this service, or one of another version")
    if head["revision"] != _revision(connection):
        raise BadBackup(
            f"the backup has tables of revision {head['revision']}, the database of {_revision(connection)}; restore "
            "it with the version of the service that made it, then migrate"
        )
    tables = {table.name: table for table in _tables()}
    for table in tables.values():
        if connection.execute(sa.select(sa.literal(1)).select_from(table).limit(1)).first():
            raise BadBackup(f"the database has rows in {table.name}; restore into an empty one")
    counts: dict[str, int] = {}
    current: sa.Table | None = None
    columns: list[sa.Column[Any]] = []
    rows: list[dict[str, Any]] = []
    for line in lines:
        if isinstance(line, list):
            rows.append({c.name: _inward(c, value) for c, value in zip(columns, line, strict=True)})
            if len(rows) < PAGE:
                continue
        if current is not None and rows:
            connection.execute(sa.insert(current), rows)
            counts[current.name] += len(rows)
            rows = []
        if isinstance(line, dict) and "table" in line:
            current = tables[line["table"]]
            columns = [current.columns[name] for name in line["columns"]]
            counts[current.name] = 0
        elif isinstance(line, dict):
            if line.get("end") != counts:
                raise BadBackup(f"the backup counts {line.get('end')} rows, read were {counts}")
            _go_on_counting(connection, tables.values())
            return counts
    raise BadBackup("the backup has no end; it was cut off")


def _go_on_counting(connection: Connection, tables: Any) -> None:
    """Let PostgreSQL give the next ids after those that were restored; SQLite does so itself."""
    if connection.dialect.name != "postgresql":
        return
    for table in tables:
        key = next(iter(table.primary_key))
        if isinstance(key.type, sa.BigInteger) and len(table.primary_key) == 1:
            highest = connection.execute(sa.select(sa.func.max(key))).scalar()
            if highest is not None:
                sequence = sa.func.pg_get_serial_sequence(table.name, key.name)
                connection.execute(sa.select(sa.func.setval(sequence, highest)))


def _outward(value: Any) -> Any:
    if isinstance(value, datetime.datetime):
        return value.isoformat()
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value


def _inward(column: sa.Column[Any], value: Any) -> Any:
    if value is None:
        return None
    if isinstance(column.type, UtcDateTime):
        return datetime.datetime.fromisoformat(value)
    return base64.b64decode(value, validate=True) if isinstance(column.type, sa.LargeBinary) else value


def _line(file: gzip.GzipFile, value: Any) -> None:
    file.write(json.dumps(value, separators=(",", ":"), allow_nan=False).encode() + b"\n")


def _lines(file: gzip.GzipFile) -> Iterator[Any]:
    while line := file.readline(MAX_LINE):
        yield json.loads(line)
