"""Moments and identifiers of rows."""

from __future__ import annotations

import datetime
import os
import threading
import time

DRAWN_BYTES = 4096
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
    return f"{milliseconds:012x}{random_hex(10)}"


class _Drawn(threading.local):
    """Random bytes that a thread has drawn and not used."""

    left = b""

    def forget(self) -> None:
        self.left = b""


_drawn = _Drawn()
os.register_at_fork(after_in_child=_drawn.forget)


def random_hex(size: int) -> str:
    """Hexadecimal digits of `size` random bytes, for names and not for secrets.

    The kernel is asked for many at once: each time that it is, other threads run.
    """
    if len(_drawn.left) < size:
        _drawn.left = os.urandom(DRAWN_BYTES)
    taken, _drawn.left = _drawn.left[:size], _drawn.left[size:]
    return taken.hex()


def first_id(at: datetime.datetime) -> str:
    """The least id of any row of that millisecond."""
    return f"{epoch_milliseconds(at):012x}" + "0" * 20


def moment_of(row_id: str) -> datetime.datetime:
    """When the row with this id was made, to the millisecond."""
    return EPOCH + datetime.timedelta(milliseconds=int(row_id[:12], 16))


def epoch_milliseconds(at: datetime.datetime) -> int:
    """Whole milliseconds since 1970."""
    return int((at - EPOCH) // datetime.timedelta(milliseconds=1))
