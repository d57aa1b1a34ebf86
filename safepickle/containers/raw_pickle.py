"""Pickle streams as such, with anything between and after them: by trying, as no magic is needed to be loaded."""

from __future__ import annotations

from .pickle_walk import looks_like_pickle, may_be_pickle, walk
from .source import Source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..bytecode.trace import Place
    from .survey import Survey

JOBLIB_MARK = b"joblib.numpy_pickle"
"""Module of the wrapper classes that joblib pickles before the raw bytes of an array."""

_JOBLIB_SEARCHED = 8 << 20
_EMBEDDED_SEARCHED = 16 << 20
_EMBEDDED_TRIED = 4096

_LEGACY_MAGICS = (b"\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", b"119547037146038801333356")
"""torch.serialization.MAGIC_NUMBER, in binary and as digits."""
_LEGACY_SEARCHED = 256


def sniff(source: Source) -> bool:
    """The first opcodes are those of a pickle."""
    return looks_like_pickle(source.data, source.start, source.end, source.partial)


def sniff_lax(source: Source) -> bool:
    """An unpickler would get past the first opcode: for bytes that nothing else explains."""
    return may_be_pickle(source.data, source.start, source.end)


def names_global(source: Source) -> bool:
    """An unpickler would get as far as importing something: for text, which most opcodes are."""
    return walk(source.data, source.start, source.end).named


def read(source: Source, place: Place, survey: Survey) -> str:
    """The whole source is a region; its role says what else than streams may be in it."""
    head = source.read(0, _LEGACY_SEARCHED)
    if any(magic in head for magic in _LEGACY_MAGICS):
        survey.region(source, place, "legacy-torch")
        return "torch-legacy"
    if source.find(JOBLIB_MARK, 0, min(source.size, _JOBLIB_SEARCHED)) >= 0:
        survey.region(source, place, "joblib")
        return "joblib"
    survey.region(source, place, "pickle")
    return "pickle"


def read_embedded(source: Source, place: Place, survey: Survey) -> bool:
    """Add a region from the first pickle on that lies within bytes of no known format; whether there is one.

    Evidence only: such bytes are incomplete either way, so a bounded search does no harm.
    """
    limit = min(source.size, _EMBEDDED_SEARCHED)
    starts = []
    for protocol in (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"):
        offset = source.find(protocol, 0, limit)
        for _ in range(_EMBEDDED_TRIED):
            if offset < 0:
                break
            if looks_like_pickle(source.data, source.start + offset, source.end):
                starts.append(offset)
                break
            offset = source.find(protocol, offset + 1, limit)
    if not starts:
        return False
    survey.odd("embedded-pickle", place, min(starts))
    survey.region(source, place, "pickle", min(starts))
    return True
