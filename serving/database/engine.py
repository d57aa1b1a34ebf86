"""Connections to the database: pragmas, transactions, and one error for "not available now"."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sqlalchemy
from sqlalchemy import event, exc
from sqlalchemy.engine import Connection, Engine, make_url

WRITE = {"safepickle_write": True}


class DatabaseUnavailable(Exception):
    """The database cannot be used now: locked, gone, full or damaged. The work was not stored."""


class Database:
    """One database, with short transactions.

    SQLite runs in WAL mode with foreign keys on; a writer takes its lock at the beginning, so that two
    writers wait for each other instead of failing half way. The file is opened but never created here
    (:func:`~serving.database.migrate.upgrade` does that): a file that was removed or replaced under the
    running service is an error, not a new empty database.

    Parameters
    ----------
    url
        SQLAlchemy address.
    timeout
        Seconds to wait for another writer.
    create
        Whether a missing SQLite file may be created.
    """

    def __init__(self, url: str, timeout: float = 5.0, *, create: bool = False) -> None:
        self.url = make_url(url)
        self.file: Path | None = None
        options: dict[str, Any] = {"pool_timeout": timeout, "json_serializer": _compact_json}
        if self.url.get_backend_name() == "sqlite":
            if not self.url.database or self.url.database == ":memory:":
                raise ValueError(f"{url}: several processes share the database, so SQLite needs a file")
            self.file = Path(self.url.database).resolve()
            options["creator"] = lambda: _connect_sqlite(self.file, timeout, create)
        self.engine: Engine = sqlalchemy.create_engine(self.url, **options)
        self._writing = self.engine.execution_options(**WRITE)
        if self.file is not None:
            event.listen(self.engine, "connect", self._remember_inode)
            event.listen(self.engine, "checkout", self._check_inode)
            event.listen(self.engine, "begin", _begin_sqlite)

    @contextlib.contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that only reads and sees one moment.

        Raises
        ------
        DatabaseUnavailable
            When the database fails.
        """
        with translated(), self.engine.begin() as connection:
            yield connection

    @contextlib.contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that writes: all of it is stored when the block ends, or none.

        Raises
        ------
        DatabaseUnavailable
            When the database fails; nothing was stored.
        """
        with translated(), self._writing.begin() as connection:
            yield connection

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    def _remember_inode(self, connection: Any, record: Any) -> None:
        record.info["inode"] = _inode(self.file)

    def _check_inode(self, connection: Any, record: Any, proxy: Any) -> None:
        # A removed file stays writable through open connections, and what is written to it is lost.
        if record.info["inode"] != _inode(self.file):
            raise exc.DisconnectionError(f"the database file {self.file} was removed or replaced")


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Turn the database's own failures into :class:`DatabaseUnavailable`; broken constraints pass."""
    try:
        yield
    except (exc.IntegrityError, exc.ProgrammingError):
        raise
    except (exc.DBAPIError, exc.TimeoutError, exc.DisconnectionError) as error:
        cause = getattr(error, "orig", None) or error
        raise DatabaseUnavailable(str(cause)) from error
    except sqlite3.Error as error:
        raise DatabaseUnavailable(str(error)) from error


def _compact_json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def _connect_sqlite(file: Path | None, timeout: float, create: bool) -> sqlite3.Connection:
    assert file is not None
    mode = "rwc" if create else "rw"
    connection = sqlite3.connect(
        f"{file.as_uri()}?mode={mode}", uri=True, timeout=timeout, isolation_level=None, check_same_thread=False
    )
    try:
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", "temp_store=MEMORY"):
            connection.execute(f"PRAGMA {pragma}")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _begin_sqlite(connection: Connection) -> None:
    writing = connection.get_execution_options().get("safepickle_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")


def _inode(file: Path | None) -> tuple[int, int] | None:
    assert file is not None
    try:
        status = os.stat(file)
    except OSError:
        return None
    return status.st_dev, status.st_ino
