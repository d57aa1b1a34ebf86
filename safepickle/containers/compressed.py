"""gzip, bz2, xz, lzma, zlib, lz4, zstd, and joblib's old ``ZF`` header before zlib: one layer around one thing.

Sources: RFC 1950, RFC 1952, RFC 8878; https://tukaani.org/xz/xz-file-format.txt; joblib/numpy_pickle_compat.py;
https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md.
"""

from __future__ import annotations

from .decoders import LZ4_LEGACY_MAGIC, LZ4_MAGIC, SKIPPABLE_MAGICS, ZSTD_MAGIC
from .pickle_walk import looks_like_pickle
from .source import Source
from .unpack import Unpacker, drain, note_end

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..bytecode.trace import Place
    from .survey import Survey

_TRIED_BYTES = 512
_SKIPPED_FRAMES = 64
_WEAK_MAGICS = ("zlib", "lzma")
"""Formats that raw numbers may begin like by chance."""
_ZF_LENGTHS = (21, 22)
"""``ZF`` and 19 characters of a hexadecimal length; a blank more where the writer was Python 2."""


def sniff_gzip(source: Source) -> bool:
    """Magic, the one method there is, and no reserved flag."""
    head = source.read(0, 4)
    return head[:3] == b"\x1f\x8b\x08" and (len(head) < 4 or head[3] < 0x20)


def sniff_bz2(source: Source) -> bool:
    """Magic, level, and the magic of a block or of the end."""
    head = source.read(0, 10)
    if head[:3] != b"BZh" or not b"1" <= head[3:4] <= b"9":
        return False
    return any(magic.startswith(head[4:]) for magic in (b"1AY&SY", b"\x17rE8P\x90"))


def sniff_xz(source: Source) -> bool:
    """Magic."""
    return source.read(0, 6) == b"\xfd7zXZ\x00"


def sniff_lzma(source: Source) -> bool:
    """The header of every common writer (lc=3, lp=0, pb=2), and something comes out."""
    head = source.read(0, 13)
    if head[:1] != b"\x5d" or len(head) < 13:
        return False
    dictionary, size = int.from_bytes(head[1:5], "little"), int.from_bytes(head[5:], "little")
    lowest_bit = dictionary & -dictionary
    if dictionary < 4096 or dictionary not in (lowest_bit, lowest_bit * 3):
        return False
    return (size == (1 << 64) - 1 or size < 1 << 40) and _something_comes_out(source, "lzma")


def sniff_zlib(source: Source) -> bool:
    """A header that adds up, and something comes out."""
    head = source.read(0, 2)
    if len(head) < 2 or head[0] & 0x0F != 8 or head[0] >> 4 > 7 or (head[0] << 8 | head[1]) % 31 or head[1] & 0x20:
        return False
    return _something_comes_out(source, "zlib")


def sniff_lz4(source: Source) -> bool:
    """Magic of a frame or of the old format."""
    return _first_frame(source) in (LZ4_MAGIC, LZ4_LEGACY_MAGIC)


def sniff_zstd(source: Source) -> bool:
    """Magic of a frame."""
    return _first_frame(source) == ZSTD_MAGIC


def _first_frame(source: Source) -> bytes:
    """Magic of the first frame that decoders do not step over; of zstd, where none is at hand."""
    at = 0
    for _ in range(_SKIPPED_FRAMES):
        magic = source.read(at, 4)
        if at and len(magic) < 4:
            break
        if magic not in SKIPPABLE_MAGICS:
            return magic
        at += 8 + int.from_bytes(source.read(at + 4, 4), "little")
    return ZSTD_MAGIC


def _something_comes_out(source: Source, codec: str) -> bool:
    unpacker = Unpacker(source.window(0, _TRIED_BYTES), codec)
    return bool(unpacker.read(1)) or unpacker.state in ("ended", "missing")


def _zf_start(source: Source) -> int:
    """Where the zlib stream begins after joblib's old header, or 0."""
    head = source.read(0, 24)
    if head[:4] != b"ZF0x":
        return 0
    for start in _ZF_LENGTHS:
        if sniff_zlib(source.window(start, source.size)):
            return start
    return 0


def sniff_zf(source: Source) -> bool:
    """joblib's old header and a zlib stream."""
    return _zf_start(source) > 0


def read_gzip(source: Source, place: Place, survey: Survey) -> str:
    """Unpack gzip members, one after the other."""
    return _read(source, place, survey, "gzip")


def read_bz2(source: Source, place: Place, survey: Survey) -> str:
    """Unpack bz2 streams, one after the other."""
    return _read(source, place, survey, "bz2")


def read_xz(source: Source, place: Place, survey: Survey) -> str:
    """Unpack xz streams, one after the other."""
    return _read(source, place, survey, "xz")


def read_lzma(source: Source, place: Place, survey: Survey) -> str:
    """Unpack the older format of LZMA."""
    return _read(source, place, survey, "lzma")


def read_zlib(source: Source, place: Place, survey: Survey) -> str:
    """Unpack a zlib stream."""
    return _read(source, place, survey, "zlib")


def read_lz4(source: Source, place: Place, survey: Survey) -> str:
    """Unpack lz4 frames, one after the other, or blocks of the old format."""
    legacy = source.read(0, 4) == LZ4_LEGACY_MAGIC
    return _read(source, place, survey, "lz4-legacy" if legacy else "lz4")


def read_zstd(source: Source, place: Place, survey: Survey) -> str:
    """Unpack zstd frames, one after the other."""
    return _read(source, place, survey, "zstd")


def read_zf(source: Source, place: Place, survey: Survey) -> str:
    """Unpack what joblib < 0.10 compressed."""
    start = _zf_start(source)
    return _read(Source(source.data, source.start + start, source.end, source.alone), place, survey, "zlib")


def _read(source: Source, place: Place, survey: Survey, codec: str) -> str:
    inside = (*place, (codec, ""))
    unpacker = Unpacker(source, codec)
    data = drain(unpacker, survey, inside, alone=source.alone)
    # nothing out of something damaged is not the same as nothing in it
    empty = not data.size and unpacker.state != "ended"
    within = "" if empty else survey.explore(data, inside)
    note_end(unpacker, survey, inside, bool(within) or source.alone or codec not in _WEAK_MAGICS)
    if unpacker.state == "ended" and unpacker.consumed < source.size:
        _read_after(source, place, survey, unpacker.consumed)
    return f"{codec}({within})" if within else codec


def _read_after(source: Source, place: Place, survey: Survey, offset: int) -> None:
    """Bytes after the compressed data: readers ignore them or read on, so a pickle there is read too."""
    survey.odd("trailing-bytes", place, offset, f"{source.size - offset} bytes after the compressed data")
    if looks_like_pickle(source.data, source.start + offset, source.end):
        survey.region(source, place, "pickle", offset)
