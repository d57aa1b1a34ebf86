"""Bring the database to this version's tables, by one process at a time."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path

import sqlalchemy
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError

from .engine import Database, DatabaseUnavailable, translated

LOCK_NUMBER = 0x5AFE9C71
"""Advisory lock of PostgreSQL under which migrations run."""


def upgrade(url: str, timeout: float = 5.0) -> None:
    """Create the database if it does not exist and run the migrations it lacks.

    Safe to call from several processes at once: the others wait, then find nothing to do.

    Raises
    ------
    DatabaseUnavailable
        When the database cannot be opened, or was written by a newer version of this service.
    """
    database = Database(url, timeout, create=True)
    try:
        if database.file is not None:
            try:
                database.file.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise DatabaseUnavailable(f"cannot create {database.file.parent}: {error}") from error
        with _alone(database), translated(), database.engine.connect() as connection:
            config = alembic_config()
            head = ScriptDirectory.from_config(config).get_current_head()
            if MigrationContext.configure(connection).get_current_revision() == head:
                return
            connection.rollback()
            config.attributes["connection"] = connection
            try:
                command.upgrade(config, "head")
            except CommandError as error:
                raise DatabaseUnavailable(
                    f"{url}: {error}. The database was written by another version of this service; "
                    "run that version or restore a backup"
                ) from error
    finally:
        database.close()


def alembic_config() -> Config:
    """Where the migrations are; they run on the connection in ``attributes["connection"]``."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    return config


@contextlib.contextmanager
def _alone(database: Database) -> Iterator[None]:
    if database.file is not None:
        lock = database.file.with_name(database.file.name + ".lock")
        try:
            handle = lock.open("a")
        except OSError as error:
            raise DatabaseUnavailable(f"cannot open {lock}: {error}") from error
        with handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
    else:
        with translated(), database.engine.connect() as connection:
            connection.execute(sqlalchemy.select(sqlalchemy.func.pg_advisory_lock(LOCK_NUMBER)))
            yield
