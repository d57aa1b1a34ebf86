"""Jobs that only one process may do at a time."""

from __future__ import annotations

import time

import sqlalchemy as sa
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
    row = connection.execute(
        sa.select(Lease.holder, Lease.expires_at).where(Lease.job == job).with_for_update()
    ).first()
    moment = time.time()
    if row is None:
        connection.execute(sa.insert(Lease).values(job=job, holder=holder, expires_at=moment + seconds))
        return True
    if row.holder != holder and row.expires_at > moment:
        return False
    connection.execute(sa.update(Lease).where(Lease.job == job).values(holder=holder, expires_at=moment + seconds))
    return True


def release(connection: Connection, job: str, holder: str) -> None:
    """Give the lease up, if it is this holder's."""
    connection.execute(sa.delete(Lease).where(Lease.job == job, Lease.holder == holder))


def is_free(connection: Connection, job: str) -> bool:
    """Whether nobody holds the lease of `job` now."""
    expires_at = connection.execute(sa.select(Lease.expires_at).where(Lease.job == job)).scalar()
    return expires_at is None or expires_at <= time.time()
