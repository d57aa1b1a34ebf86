"""Moments and identifiers of rows."""

from __future__ import annotations

import datetime
import secrets
import time


def now() -> datetime.datetime:
    """This moment, in UTC."""
    return datetime.datetime.now(datetime.UTC)


def new_id() -> str:
    """32 hexadecimal digits: 48 bits of time in milliseconds, then 80 random bits, so that rows sort by age."""
    return f"{time.time_ns() // 1_000_000:012x}{secrets.token_hex(10)}"
