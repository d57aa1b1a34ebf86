"""Jobs that only one process may do at a time."""

from __future__ import annotations

import time

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from .tables import Lease


def acquire(connection: Connection, job: str, holder: str, seconds: float) -> bool:
    """Take or prolong the lease of `job` for `seconds`; False when another holder's has not expired.

    Parameters
    ----------
    connection
        Of a writing transaction: whoever writes as the holder does so in this same transaction, so that a
        process that slept past its lease cannot write.
    job, holder
        What is to be done, and by whom.
    seconds
        Until the lease expires unless it is prolonged.
    """
    moment = _moment(connection)
    if _insert(connection, job, holder, moment + seconds):
        return True
    row = connection.execute(
        sa.select(Lease.holder, Lease.expires_at).where(Lease.job == job).with_for_update()
    ).first()
    if row is None or (row.holder != holder and row.expires_at > moment):
        return False
    connection.execute(sa.update(Lease).where(Lease.job == job).values(holder=holder, expires_at=moment + seconds))
    return True


def release(connection: Connection, job: str, holder: str) -> None:
    """Give the lease up, if it is this holder's."""
    connection.execute(sa.delete(Lease).where(Lease.job == job, Lease.holder == holder))


def is_free(connection: Connection, job: str) -> bool:
    """Whether nobody holds the lease of `job` now."""
    expires_at = connection.execute(sa.select(Lease.expires_at).where(Lease.job == job)).scalar()
    return expires_at is None or expires_at <= _moment(connection)


def _insert(connection: Connection, job: str, holder: str, expires_at: float) -> bool:
    """Make the row if there is none; two that try at once do not fail."""
    values = {"job": job, "holder": holder, "expires_at": expires_at}
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    return connection.execute(insert(Lease).values(values).on_conflict_do_nothing()).rowcount == 1


def _moment(connection: Connection) -> float:
    """Seconds of the epoch by one clock for all: the server's, or that of the one machine SQLite is used on."""
    if connection.dialect.name == "postgresql":
        return float(connection.execute(sa.text("SELECT extract(epoch FROM clock_timestamp())")).scalar_one())
    return time.time()
