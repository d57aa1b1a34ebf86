"""What :func:`~safepickle.containers.open_file` returns: where the pickles of a file lie, and what was odd."""

from __future__ import annotations

import mmap

from ..bytecode.trace import Oddity, Place
from ..record import Record

Buffer = bytes | mmap.mmap
"""Bytes of a file or of an unpacked member. Slicing copies, so only small slices are ever taken."""


class Region(Record):
    """A span of bytes in which a loader may read pickle streams.

    Parameters
    ----------
    place
        Steps from the file to `data`.
    data
        The file itself, or what a member of it unpacked to.
    start, end
        The span in `data`, in bytes.
    role
        ``pickle`` (streams with anything between them), or ``legacy-torch``, ``joblib``, ``npy`` where raw
        bytes follow or interrupt the streams.
    """

    place: Place
    data: Buffer
    start: int
    end: int
    role: str


class Contents(Record):
    """What a file holds.

    Parameters
    ----------
    container
        Kind found by content, layers from the outside in: ``pickle``, ``torch-zip``, ``gzip(joblib)``;
        formats that accept the same bytes are joined by ``+``: ``pickle+zip``.
    regions
        Where pickle streams may be, in the order found.
    oddities
        What a well-formed file would not have; `detail` names the member.
    complete
        Whether every part that a loader could execute is in `regions` or cannot hold anything executable.
    unpacked
        Bytes that were unpacked to find it.
    """

    container: str
    regions: tuple[Region, ...]
    oddities: tuple[Oddity, ...]
    complete: bool
    unpacked: int = 0
