"""npy: a header, then raw numbers or, for object dtypes, a pickle; several may follow each other."""

from __future__ import annotations

from .npy_header import MAGIC, HeaderError, NpyHeader, parse, text_span
from .pickle_walk import looks_like_pickle
from .source import Source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..bytecode.trace import Place
    from .survey import Survey

_HEADER_BYTES = 1 << 18
"""Longest header text that is parsed; numpy itself refuses more than 10,000 bytes unless pickles are allowed."""


def sniff(source: Source) -> bool:
    """Magic."""
    return source.read(0, 6) == MAGIC


def needs_all(source: Source) -> bool:
    """Whether more than the head is needed: for raw numbers it is not."""
    try:
        return not _header(source, 0).plain
    except HeaderError:
        return True


def read(source: Source, place: Place, survey: Survey) -> str:
    """Step over raw arrays; what follows the header of an object array is a region."""
    offset = 0
    while True:
        try:
            header = _header(source, offset)
        except HeaderError as error:
            survey.fail("npy-header", place, offset, str(error))
            survey.region(source, place, "npy", _after_header(source, offset))
            break
        if not header.plain:
            survey.region(source, place, "npy", header.data_offset)
            break
        offset = header.data_offset + header.data_size
        if source.partial or offset == source.size:
            break
        if offset > source.size:
            survey.odd("truncated-array", place, source.size, f"{offset - source.size} bytes are missing")
            break
        if source.read(offset, 6) != MAGIC:
            survey.odd("trailing-bytes", place, offset, f"{source.size - offset} bytes after the array")
            if looks_like_pickle(source.data, source.start + offset, source.end):
                survey.region(source, place, "npy", offset)
            break
        if not survey.take_member(place) or survey.overdue(place):
            break
    return "npy"


def _header(source: Source, offset: int) -> NpyHeader:
    start, length = text_span(source.read(offset, 12))
    if length > _HEADER_BYTES:
        raise HeaderError(f"a header of {length} bytes")
    text = source.read(offset + start, length)
    if len(text) < length:
        raise HeaderError("the file ends in its header")
    return parse(text, offset + start + length)


def _after_header(source: Source, offset: int) -> int:
    """Where a pickle would begin after a header that does not parse."""
    try:
        start, length = text_span(source.read(offset, 12))
    except HeaderError:
        return offset
    return offset + start + length if offset + start + length < source.size else offset
