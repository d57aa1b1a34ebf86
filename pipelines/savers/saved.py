"""One benign file."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

AUTHORS = 6
"""Files of a producer are dealt to so many imagined authors a pool: the groups of splitting and of prevalence."""


class Saved(NamedTuple):
    """A benign file.

    Parameters
    ----------
    variant
        What was saved: an estimator, a kind of object.
    library
        The saver's library.
    data
        The file's bytes.
    stream
        The plain pickle stream inside, where the file has one that code can be spliced into.
    pack
        Puts a changed stream back into the file's container; None where the file is the stream.
    """

    variant: str
    library: str
    data: bytes
    stream: bytes | None = None
    pack: Callable[[bytes], bytes] | None = None


def group_of(producer: str, pool: str, index: int) -> str:
    """The imagined author of a producer's file."""
    return f"{producer}-{pool}-{index % AUTHORS}"
