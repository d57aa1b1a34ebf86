"""Connections to the database: pragmas, transactions, and one error for "not available now"."""

from __future__ import annotations

import contextlib
import math
import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sqlalchemy
from sqlalchemy import event, exc
from sqlalchemy.engine import Connection, Engine, make_url

from ..json_text import dump, load

WRITE = {"safepickle_write": True}
SNAPSHOT = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
STATEMENT_SECONDS = 60
LOCK_SECONDS = 0.001
"""Between two looks at a locked SQLite."""

EVENTS_LOCK = 0x5AFE9C72
"""Advisory lock of PostgreSQL that a trigger takes for whoever appends to the log, until his transaction ends: so
ids become visible in their order, and a reader that has seen one has seen all before it."""
KEYS_LOCK = 0x5AFE9C73
"""Advisory lock under which the first key is made."""


class DatabaseUnavailable(Exception):
    """The database cannot be used now: locked, gone, full or damaged. The work was not stored."""


class Database:
    """One database, with short transactions.

    SQLite runs in WAL mode with foreign keys on; a writer takes its lock at the beginning, so that two
    writers wait for each other instead of failing half way. The file is opened but never created here
    (:func:`~serving.database.migrate.upgrade` does that): a file that was removed or replaced under the
    running service is an error, not a new empty database.

    PostgreSQL is reached through psycopg 3, whichever driver the address names. Readers see one snapshot;
    writers that append to the log follow one another (:data:`EVENTS_LOCK`).

    Parameters
    ----------
    url
        SQLAlchemy address.
    timeout
        Seconds to wait for another writer, and to connect.
    create
        For migrations: a missing SQLite file may be created, and PostgreSQL may work as long as it needs.

    Raises
    ------
    ValueError
        When the address is of no use, or its driver is not installed.
    """

    def __init__(self, url: str, timeout: float = 5.0, *, create: bool = False) -> None:
        self.url = make_url(url)
        self._timeout = timeout
        self.file: Path | None = None
        options: dict[str, Any] = {
            "pool_timeout": timeout,
            "json_serializer": lambda value: dump(value).decode(),
            "json_deserializer": load,
        }
        if self.url.get_backend_name() == "sqlite":
            if not self.url.database or self.url.database == ":memory:":
                raise ValueError(f"{url}: several processes share the database, so SQLite needs a file")
            self.file = Path(self.url.database).resolve()
            options["creator"] = lambda: _connect_sqlite(self.file, timeout, create)
        elif self.url.get_backend_name() == "postgresql":
            self.url = self.url.set(drivername="postgresql+psycopg")
            options.update(_postgresql_options(timeout, patient=create))
        else:
            raise ValueError(f"{self.url.get_backend_name()} is not supported; use sqlite or postgresql")
        try:
            self.engine: Engine = sqlalchemy.create_engine(self.url, **options)
        except ModuleNotFoundError as error:
            raise ValueError(
                f"the driver of PostgreSQL is missing ({error}); install safepickle-ml[postgres]"
            ) from None
        self._writing = self.engine.execution_options(**WRITE)
        self._reading = self.engine if self.file is not None else self.engine.execution_options(**SNAPSHOT)
        if self.file is not None:
            event.listen(self.engine, "connect", self._remember_inode)
            event.listen(self.engine, "checkout", self._check_inode)
            event.listen(self.engine, "begin", self._begin_sqlite)

    @contextlib.contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that only reads and sees one moment.

        Raises
        ------
        DatabaseUnavailable
            When the database fails.
        """
        with translated(), self._reading.begin() as connection:
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

    def _begin_sqlite(self, connection: Connection) -> None:
        driver: Any = connection.connection.driver_connection
        writes = connection.get_execution_options().get("safepickle_write", False)
        # SQLite's own waiting sleeps longer each time, up to a tenth of a second: whoever comes anew goes first.
        wait = 0 if writes else math.ceil(self._timeout * 1000)
        if connection.info.get("wait") != wait:
            driver.execute(f"PRAGMA busy_timeout = {wait}")
            connection.info["wait"] = wait
        if not writes:
            driver.execute("BEGIN")
            return
        until = time.monotonic() + self._timeout
        while True:
            try:
                driver.execute("BEGIN IMMEDIATE")
                return
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() >= until:
                    raise
            time.sleep(LOCK_SECONDS)

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


def alone(connection: Connection, lock: int) -> None:
    """Wait until no other transaction holds `lock`, and hold it until this one ends.

    SQLite's writing transactions are alone from their beginning.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(sqlalchemy.select(sqlalchemy.func.pg_advisory_xact_lock(lock)))


def _postgresql_options(timeout: float, *, patient: bool) -> dict[str, Any]:
    lock, statement = (0, 0) if patient else (math.ceil(timeout * 1000), STATEMENT_SECONDS * 1000)
    return {
        # A connection that the server closed is noticed before a request is lost to it.
        "pool_pre_ping": True,
        "connect_args": {
            "connect_timeout": max(1, math.ceil(timeout)),
            "options": f"-c lock_timeout={lock} -c statement_timeout={statement} -c timezone=UTC",
            "application_name": "safepickle",
        },
    }


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


def _inode(file: Path | None) -> tuple[int, int] | None:
    assert file is not None
    try:
        status = os.stat(file)
    except OSError:
        return None
    return status.st_dev, status.st_ino
