"""The containers a stream is put into, all by our own hand so that the same stream gives the same bytes."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from random import Random

from .stream import Assembler

Wrap = Callable[[bytes, Random], bytes]
_EPOCH = (1980, 1, 1, 0, 0, 0)


def zipped(members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    """A zip with fixed dates."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), data, compression)
    return out.getvalue()


def tarred(members: dict[str, bytes]) -> bytes:
    """An uncompressed tar with fixed dates and owners."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def torch_zip(data: bytes, rng: Random, storages: dict[str, bytes] | None = None) -> bytes:
    """The layout of ``torch.save`` since 1.6: a folder with ``data.pkl``, the storages and two marker files."""
    folder = rng.choice(("archive", "model", "checkpoint", "best"))
    members = {f"{folder}/data.pkl": data, f"{folder}/byteorder": b"little"}
    for key, raw in (storages or {"0": struct.pack("<4f", 0.5, 1.0, -0.25, 2.0)}).items():
        members[f"{folder}/data/{key}"] = raw
    members[f"{folder}/version"] = b"3\n"
    return zipped(members)


def torch_legacy(data: bytes, rng: Random) -> bytes:
    """The five streams of ``torch.save`` before 1.6: magic, protocol, system, the object, the storage keys."""
    magic = Assembler(2).long1(0x1950A86A20F9469CFC6C).assemble()
    version = Assembler(2).binint2(1001).assemble()
    system = Assembler(2).empty_dict().store("system").mark()
    system.text("protocol_version").store("a").binint2(1001).text("little_endian").store("b").newtrue()
    system.text("type_sizes").store("c").empty_dict().store("d").mark()
    for key, size in (("short", 2), ("int", 4), ("long", 4)):
        system.text(key).store(key).binint1(size)
    system.setitems().setitems()
    keys = Assembler(2).empty_list().store("keys").mark().text("94000000001").appends()
    raw = struct.pack("<q4f", 4, 0.5, 1.0, -0.25, 2.0)
    return magic + version + system.assemble() + data + keys.assemble() + raw


def _odd_zip(data: bytes, rng: Random) -> bytes:
    name = rng.choice(("weights.dat", "model.bin", "archive/extra/part", "config.json", "readme.txt", "a/b/c.p"))
    compression = rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
    return zipped({"info.txt": b"model archive\n", name: data}, compression)


def _prefixed_zip(data: bytes, rng: Random) -> bytes:
    return rng.choice((b"#!/usr/bin/env python\n", b"\0" * 16, b"PREFIX--")) + _odd_zip(data, rng)


def _gzip(data: bytes, rng: Random) -> bytes:
    return gzip.compress(data, 6, mtime=0)


def _bz2(data: bytes, rng: Random) -> bytes:
    return bz2.compress(data)


def _xz(data: bytes, rng: Random) -> bytes:
    return lzma.compress(data, lzma.FORMAT_ALONE if rng.random() < 0.4 else lzma.FORMAT_XZ)


def _zlib(data: bytes, rng: Random) -> bytes:
    return zlib.compress(data, rng.choice((1, 3, 6, 9)))


def npy_object(data: bytes, rng: Random) -> bytes:
    """An ``.npy`` of object dtype (format 1.0), whose body is a pickle."""
    header = b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }"
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data


def _npz(data: bytes, rng: Random) -> bytes:
    return zipped({f"{rng.choice(('arr_0', 'x', 'labels'))}.npy": npy_object(data, rng)})


def _tar(data: bytes, rng: Random) -> bytes:
    return tarred({"info.txt": b"model archive\n", rng.choice(("model.pkl", "data/weights", "pickle")): data})


def _raw(data: bytes, rng: Random) -> bytes:
    return data


WRAPS: dict[str, Wrap] = {
    "raw": _raw,
    "torch_zip": lambda data, rng: torch_zip(data, rng),
    "torch_legacy": torch_legacy,
    "odd_zip": _odd_zip,
    "prefixed_zip": _prefixed_zip,
    "gzip": _gzip,
    "bz2": _bz2,
    "xz": _xz,
    "zlib": _zlib,
    "npy": npy_object,
    "npz": _npz,
    "tar": _tar,
}
"""joblib's compressed files are a plain zlib, gzip, bz2, xz or lzma layer around the stream: the same bytes."""

WEIGHTS = {"raw": 60, "torch_zip": 8, "torch_legacy": 3, "odd_zip": 3, "prefixed_zip": 2, "gzip": 5, "bz2": 2, "xz": 3,
           "zlib": 5, "npy": 3, "npz": 3, "tar": 3}  # fmt: skip


def draw(rng: Random) -> str:
    """A container's name, by :data:`WEIGHTS`; the same for benign and malicious content."""
    return rng.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
