"""Reads the files of a model bundle: whole, verified, and never more than they may be.

Arrays lie in the safetensors layout (https://huggingface.co/docs/safetensors: 8 bytes little-endian header length,
JSON header, data), read here without a copy and more strictly than the format asks: no gap, no overlap, aligned.
"""

from __future__ import annotations

import os
import stat
import sys
from hashlib import sha256

from .errors import BundleError
from .json_text import parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MANIFEST = "bundle.json"
ARRAYS = "arrays.safetensors"
PREVALENCE = "prevalence.json"
NAMES = (ARRAYS, MANIFEST, PREVALENCE)
"""The files of a bundle; there are no others."""

LARGEST_FILE = 256 << 20
"""Bytes; no larger file is read."""

LARGEST_HEADER = 1 << 20
"""Bytes of the header of the arrays."""

FORMATS = {"U16": ("H", 2), "U32": ("I", 4), "F32": ("f", 4), "F64": ("d", 8)}
"""Array type by its safetensors name: :mod:`array` code and bytes."""


def read_folder(path: str | os.PathLike[str]) -> dict[str, bytes]:
    """Read the three files of the bundle in the folder `path`.

    Raises
    ------
    BundleError
        When the folder or a file is missing, unreadable, not a regular file or too large, or there are others.
    """
    folder = os.fspath(path)
    try:
        present = sorted(os.listdir(folder))
    except OSError as error:
        raise BundleError(f"no model bundle at {folder}: {error.strerror}; name a folder with {MANIFEST}") from None
    missing = [name for name in NAMES if name not in present]
    extra = [name for name in present if name not in NAMES]
    if missing:
        raise BundleError(f"the model bundle {folder} lacks {', '.join(missing)}; restore or register it again")
    if extra:
        raise BundleError(f"the model bundle {folder} holds what does not belong there: {', '.join(extra)}; remove it")
    return {name: _read(os.path.join(folder, name)) for name in NAMES}


def _read(path: str) -> bytes:
    try:
        # not O_NOFOLLOW on purpose: file systems that deduplicate or mount data serve it through links
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with open(handle, "rb", buffering=0) as file:
            status = os.fstat(handle)
            if not stat.S_ISREG(status.st_mode):
                raise BundleError(f"{path} is not a regular file; restore the model bundle")
            if status.st_size > LARGEST_FILE:
                raise BundleError(f"{path} has {status.st_size} bytes, more than the {LARGEST_FILE} that are read")
            return file.readall()
    except OSError as error:
        raise BundleError(f"cannot read {path}: {error.strerror}; restore the model bundle") from None


def hash_files(digests: dict[str, str]) -> str:
    """Return the hash of a bundle: the sha256 over its files' sorted (name, sha256)."""
    return sha256("".join(f"{name} {digests[name]}\n" for name in sorted(digests)).encode()).hexdigest()


def parse_object(data: bytes, path: str) -> dict[str, Any]:
    """Parse a JSON object, without duplicate keys, NaN or infinity.

    Raises
    ------
    BundleError
        When `data` is not such an object; `path` is named.
    """
    try:
        value = parse(data.decode("utf-8"), _unique)
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{path} is damaged: {error}; restore the model bundle") from None
    if not isinstance(value, dict):
        raise BundleError(f"{path} is damaged: not a JSON object; restore the model bundle")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands there twice")
    return found


def read_arrays(data: bytes, path: str) -> dict[str, memoryview[Any]]:
    """Map the names in a file of the safetensors layout to flat views of `data`.

    Parameters
    ----------
    data
        The whole file.
    path
        Named in errors.

    Raises
    ------
    BundleError
        When anything about the layout is not exactly right.
    """
    if sys.byteorder != "little":
        raise BundleError(f"{path} can be read on little-endian machines only")
    if len(data) < 8:
        raise BundleError(f"{path} is damaged: shorter than its header; restore the model bundle")
    length = int.from_bytes(data[:8], "little")
    if length > min(LARGEST_HEADER, len(data) - 8):
        raise BundleError(f"{path} is damaged: its header cannot have {length} bytes; restore the model bundle")
    header = parse_object(data[8 : 8 + length], path)
    header.pop("__metadata__", None)
    body = memoryview(data)[8 + length :]
    views: dict[str, memoryview[Any]] = {}
    spans: list[tuple[int, int]] = []
    for name, entry in header.items():
        code, start, end = _span(name, entry, len(body), path)
        spans.append((start, end))
        views[name] = body[start:end].cast(code)  # type: ignore[call-overload]  # the code is one of four
    at = 0
    for start, end in sorted(spans):
        if start != at:
            raise BundleError(f"{path} is damaged: a gap or an overlap at byte {at} of its data")
        at = end
    if at != len(body):
        raise BundleError(f"{path} is damaged: {len(body) - at} bytes of its data belong to no array")
    return views


def _span(name: str, entry: object, size: int, path: str) -> tuple[str, int, int]:
    """Check one header entry; return its array code and where it starts and ends in the data."""
    fault = f"{path} is damaged: the header of the array {name!r}"
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise BundleError(f"{fault} does not say dtype, shape and data_offsets")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in FORMATS:
        raise BundleError(f"{fault} names the unknown type {dtype!r}")
    code, width = FORMATS[dtype]
    if not _whole_numbers(shape) or not _whole_numbers(offsets) or len(offsets) != 2:
        raise BundleError(f"{fault} has sizes that are not whole numbers")
    start, end = offsets
    if not start <= end <= size or start % width:
        raise BundleError(f"{fault} points outside the data or between two values")
    count = 1
    for extent in shape:
        count *= extent
        if count > size:
            break
    if count * width != end - start:
        raise BundleError(f"{fault} has a shape that does not fit its bytes")
    return code, start, end


def _whole_numbers(values: object) -> bool:
    return isinstance(values, list) and len(values) <= 8 and all(type(value) is int and value >= 0 for value in values)
