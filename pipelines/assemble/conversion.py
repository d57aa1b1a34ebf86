"""The same object in every protocol: how protocol conversion looks when it is honest."""

from __future__ import annotations

import io
import pickle
import pickletools


def dumps(value: object, protocol: int, *, python: bool = False, optimize: bool = False) -> bytes:
    """Pickle one of our own objects with a protocol from 0 to 5.

    Parameters
    ----------
    python
        By the pickler written in Python, which numbers its memo differently and frames as it goes.
    optimize
        Without memo writes that are never read (``pickletools.optimize``).
    """
    if python:
        out = io.BytesIO()
        pickle._Pickler(out, protocol).dump(value)
        data = out.getvalue()
    else:
        data = pickle.dumps(value, protocol)
    return pickletools.optimize(data) if optimize else data


def in_every_protocol(value: object) -> dict[int, bytes]:
    """Pickles of one of our own objects by protocol, 0 to 5."""
    return {protocol: dumps(value, protocol) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)}
