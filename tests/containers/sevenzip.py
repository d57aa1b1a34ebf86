"""7z archives written field by field, so that any field can lie."""

from __future__ import annotations

import bz2
import lzma
import struct
import zlib
from collections.abc import Mapping, Sequence

LZMA1 = [{"id": lzma.FILTER_LZMA1, "dict_size": 1 << 16}]
LZMA2 = [{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 16}]
_LZMA1_PROPERTIES = b"\x5d" + struct.pack("<I", 1 << 16)


def deflated(data: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()


def raw(data: bytes, filters: Sequence[Mapping[str, int]]) -> bytes:
    return lzma.compress(data, lzma.FORMAT_RAW, filters=list(filters))


METHODS = {
    "copy": (b"\x01\x00", lambda data: data),
    "lzma": (b"\x23\x03\x01\x01\x05" + _LZMA1_PROPERTIES, lambda data: raw(data, LZMA1)),
    "lzma2": (b"\x21\x21\x01\x08", lambda data: raw(data, LZMA2)),
    "deflate": (b"\x03\x04\x01\x08", deflated),
    "bzip2": (b"\x03\x04\x02\x02", bz2.compress),
    "delta and lzma2": (
        b"\x21\x03\x01\x03\x21\x21\x01\x08\x00\x01",
        lambda data: raw(data, [{"id": lzma.FILTER_DELTA, "dist": 4}, *LZMA2]),
    ),
    "x86 and lzma2": (
        b"\x04\x03\x03\x01\x03\x21\x21\x01\x08\x00\x01",
        lambda data: raw(data, [{"id": lzma.FILTER_X86}, *LZMA2]),
    ),
}
"""Method: its coders as a folder lists them, and what packs."""


def number(value: int) -> bytes:
    return bytes((value,)) if value < 0x80 else b"\xff" + struct.pack("<Q", value)


def archive(packed: bytes, header: bytes) -> bytes:
    start = struct.pack("<QQI", len(packed), len(header), zlib.crc32(header))
    return b"7z\xbc\xaf\x27\x1c\x00\x04" + struct.pack("<I", zlib.crc32(start)) + start + packed + header


def folder_of(coders: bytes, count: int, packed: int, sizes: Sequence[int], offset: int = 0) -> bytes:
    """The streams of one folder: where its packed bytes lie, its coders, and what each gives."""
    return (
        b"\x06" + number(offset) + b"\x01\x09" + number(packed) + b"\x00"
        + b"\x07\x0b\x01\x00" + number(count) + coders + b"\x0c" + b"".join(map(number, sizes)) + b"\x00"
    )  # fmt: skip


def listing_of(names: Sequence[str], attributes: Sequence[int] = ()) -> bytes:
    text = b"\x00" + "".join(f"{name}\0" for name in names).encode("utf-16-le")
    listing = b"\x05" + number(len(names)) + b"\x11" + number(len(text)) + text
    if attributes:
        listing += b"\x15" + number(2 + 4 * len(attributes)) + b"\x01\x00"
        listing += b"".join(struct.pack("<I", one) for one in attributes)
    return listing + b"\x00"


def sevenzip_of(members: Mapping[str, bytes], method: str = "lzma2", attributes: Sequence[int] = ()) -> bytes:
    """All members in one folder."""
    coders, pack = METHODS[method]
    whole = b"".join(members.values())
    packed = pack(whole)
    count = 2 if " and " in method else 1
    sizes = [len(data) for data in members.values()]
    within = b"\x08\x0d" + number(len(sizes)) + b"\x09" + b"".join(map(number, sizes[:-1])) + b"\x00"
    streams = folder_of(coders, count, len(packed), [len(whole)] * count) + within + b"\x00"
    return archive(packed, b"\x01\x04" + streams + listing_of(list(members), attributes) + b"\x00")


def with_packed_header(members: Mapping[str, bytes], layers: int = 1) -> bytes:
    """The same with its header packed, as most writers do it, or several times over."""
    data = sevenzip_of(members)
    size = int.from_bytes(data[20:28], "little")
    packed, header = data[32:-size], data[-size:]
    for _ in range(layers):
        inner = raw(header, LZMA2)
        header = b"\x17" + folder_of(METHODS["lzma2"][0], 1, len(inner), [len(header)], len(packed)) + b"\x00"
        packed += inner
    return archive(packed, header)
