"""Moments and identifiers of rows."""

from __future__ import annotations

import datetime
import secrets
import time

EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


def now() -> datetime.datetime:
    """This moment, in UTC."""
    return datetime.datetime.now(datetime.UTC)


def new_id(at: datetime.datetime | None = None) -> str:
    """32 hexadecimal digits: 48 bits of time in milliseconds, then 80 random bits, so that rows sort by age.

    Parameters
    ----------
    at
        The moment that the row has; None means this one.
    """
    milliseconds = time.time_ns() // 1_000_000 if at is None else epoch_milliseconds(at)
    return f"{milliseconds:012x}{secrets.token_hex(10)}"


def first_id(at: datetime.datetime) -> str:
    """The least id of any row of that millisecond."""
    return f"{epoch_milliseconds(at):012x}" + "0" * 20


def epoch_milliseconds(at: datetime.datetime) -> int:
    """Whole milliseconds since 1970."""
    return int((at - EPOCH) // datetime.timedelta(milliseconds=1))
