"""Bytes for the tests of the containers. The pickles name inert callables and are never loaded."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import struct
import zipfile
import zlib
from collections.abc import Callable

from safepickle.containers import Contents, open_file
from safepickle.limits import DEFAULT_LIMITS, Limits

CALLING_0 = b"cbuiltins\nlen\n(S'inert'\ntR."
CALLING_2 = b"\x80\x02cbuiltins\nlen\nX\x05\x00\x00\x00inert\x85R."
CALLING_4 = b"\x80\x04\x8c\x08builtins\x94\x8c\x03len\x94\x93\x8c\x05inert\x85R."
PLAIN_0 = b"(lp0\nI1\naI2\na."
PLAIN_4 = b"\x80\x04]\x94(K\x01K\x02e."
LEGACY_MAGIC = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."
TEXT = b"The cat sat on (the mat].\nNothing here is a pickle.\n" * 20
PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))


def scan(data: bytes, limits: Limits = DEFAULT_LIMITS) -> Contents:
    return open_file(data, limits)


def found(contents: Contents) -> list[bytes]:
    """The bytes of each region."""
    return [bytes(region.data[region.start : region.end]) for region in contents.regions]


def kinds(contents: Contents) -> set[str]:
    return {oddity.kind for oddity in contents.oddities}


def names(contents: Contents) -> list[str]:
    """The last step of each region's place."""
    return [region.place[-1][1] if region.place else "" for region in contents.regions]


def zip_of(members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data, method)
    return target.getvalue()


def local_member(name: bytes, data: bytes, flags: int = 0, method: int = 0, size: int | None = None) -> bytes:
    """A local header and its data, in no directory. `size` may lie."""
    size = len(data) if size is None else size
    crc = zlib.crc32(data)
    return struct.pack("<4s5H3I2H", b"PK\x03\x04", 20, flags, method, 0, 0, crc, size, size, len(name), 0) + name + data


def tar_header(name: bytes, size: int, kind: bytes = b"0") -> bytes:
    block = bytearray(512)
    block[: len(name)] = name
    block[100:108] = b"0000644\0"
    block[124:136] = b"%011o\0" % size
    block[156:157] = kind
    block[257:265] = b"ustar\x0000"
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def tar_of(members: dict[str, bytes]) -> bytes:
    parts = [tar_header(name.encode(), len(data)) + data + bytes(-len(data) % 512) for name, data in members.items()]
    return b"".join(parts) + bytes(1024)


def npy_of(descr: str, shape: str, data: bytes, version: int = 1) -> bytes:
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    length = struct.pack("<H" if version == 1 else "<I", len(header))
    return b"\x93NUMPY" + bytes([version, 0]) + length + header + data


def lz4(data: bytes) -> bytes:
    from lz4.frame import compress

    return bytes(compress(data, content_checksum=True))


def zstd(data: bytes) -> bytes:
    from zstandard import ZstdCompressor

    return bytes(ZstdCompressor(write_checksum=True).compress(data))


def zf_of(data: bytes) -> bytes:
    """As joblib < 0.10 compressed."""
    return b"ZF" + hex(len(data)).encode().ljust(19) + zlib.compress(data)


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "bz2": lambda data: bz2.compress(data, 1),
    "xz": lzma.compress,
    "lzma": lambda data: lzma.compress(data, lzma.FORMAT_ALONE),
    "zlib": zlib.compress,
    "lz4": lz4,
    "zstd": zstd,
}


def skippable(data: bytes, kind: int = 0x50) -> bytes:
    return bytes([kind]) + b"\x2a\x4d\x18" + len(data).to_bytes(4, "little") + data


def patched(data: bytes, signature: bytes, offset: int, value: bytes, which: int = 0) -> bytes:
    """Overwrite a field of the `which`-th header with a signature."""
    at = -1
    for _ in range(which + 1):
        at = data.index(signature, at + 1)
    return data[: at + offset] + value + data[at + offset + len(value) :]
