"""JSON of what the service writes and reads often."""

from __future__ import annotations

import json
from typing import Any

import orjson


def dump(value: Any) -> bytes:
    """Compact JSON in UTF-8.

    Names out of a hostile file may hold halves of surrogate pairs and numbers of any length, which orjson refuses:
    then it is ASCII. NaN and infinities, which nothing here makes, are ``null`` or refused.

    Raises
    ------
    ValueError, TypeError
        When it cannot be written as JSON.
    """
    try:
        return orjson.dumps(value)
    except TypeError:
        return json.dumps(value, separators=(",", ":"), allow_nan=False).encode("ascii")


def load(text: bytes | bytearray | str) -> Any:
    """What :func:`dump` wrote. Raises ValueError."""
    try:
        return orjson.loads(text)
    except ValueError:
        return json.loads(text)
