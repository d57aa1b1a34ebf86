"""HDF5 files for the tests, made by h5py in memory. What they hold is data of ours and is never loaded."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import h5py
import numpy as np

VERSIONS: dict[str, Any] = {
    "earliest": "earliest",
    "v108": ("v108", "v108"),
    "v110": ("v110", "v110"),
    "latest": "latest",
}
"""Versions of the library whose structures a file is written with: the first are the default."""

Build = Callable[[Any], object]


def hdf5_of(build: Build, version: str = "earliest", **options: Any) -> bytes:
    """A file that `build` has filled."""
    target = io.BytesIO()
    with h5py.File(target, "w", libver=VERSIONS[version], **options) as file:
        build(file)
    return target.getvalue()


def _many(file: Any, value: bytes, name: str) -> None:
    for index in range(20):
        file.attrs[f"a{index}"] = "words"
    file.attrs[name] = np.bytes_(value)


def _subgroup(file: Any, value: bytes, name: str) -> None:
    for index in range(40):
        file.create_group(f"g{index}").create_group("inner")
    file["g27/inner"].attrs[name] = np.bytes_(value)


def _typed(file: Any, value: bytes, name: str) -> None:
    file["kind"] = np.dtype(f"S{len(value)}")
    file.attrs.create(name, np.bytes_(value), dtype=file["kind"])
    file["kind"].attrs[name] = "words"


def _long_vlen(file: Any, value: bytes, name: str) -> None:
    file.attrs.create(name, ["words", value, ""], dtype=h5py.string_dtype("ascii"))


TEXTS: dict[str, Callable[[Any, bytes, str], object]] = {
    "text of variable length": lambda file, value, name: file.attrs.create(
        name, value, dtype=h5py.string_dtype("utf-8")
    ),
    "bytes": lambda file, value, name: file.attrs.create(name, np.bytes_(value)),
    "bytes with padding": lambda file, value, name: file.attrs.create(name, value, dtype=f"S{len(value) + 9}"),
    "array of texts": lambda file, value, name: file.attrs.create(name, np.array([b"words", value], dtype="S")),
    "array of texts of variable length": _long_vlen,
    "among many attributes": _many,
    "in a group of many": _subgroup,
    "of a committed type": _typed,
    "of a dataset": lambda file, value, name: file.create_dataset("d", (3,), "f4").attrs.create(name, np.bytes_(value)),
}  # fmt: skip
"""Ways of writing a text without NUL as an attribute of a name."""


def _chunked(dtype: str = "u1", **options: Any) -> Callable[[Any, bytes], object]:
    def build(file: Any, value: bytes) -> object:
        data = np.frombuffer(value, "u1") if dtype == "u1" else np.array([value + b"-"], f"S{len(value) + 1}")
        return file.create_dataset("d", data=data, chunks=data.shape, **options)

    return build


def _rows(file: Any, value: bytes, **options: Any) -> None:
    rows = file.create_dataset("d", (3,), dtype=h5py.vlen_dtype(np.uint8), **options)
    rows[1] = np.frombuffer(value, "u1")


def _field(file: Any, value: bytes) -> None:
    row = np.zeros(2, [("number", "f8"), ("object", f"V{len(value)}")])
    row["object"][1] = np.void(value)
    file.attrs["rows"] = row


def _vlen_attribute(file: Any, value: bytes) -> None:
    cell = np.empty((), dtype=object)
    cell[()] = np.frombuffer(value, "u1")
    file.attrs.create("p", cell, dtype=h5py.vlen_dtype(np.uint8))


OBJECTS: dict[str, Callable[[Any, bytes], object]] = {
    "opaque attribute": lambda file, value: file.attrs.create("p", np.void(value)),
    "attribute of bytes": lambda file, value: file.attrs.create("p", np.frombuffer(value, "u1")),
    "attribute of bytes of variable length": _vlen_attribute,
    "field of an attribute": _field,
    "opaque dataset": lambda file, value: file.create_dataset("d", data=np.void(value)),
    "dataset of bytes": lambda file, value: file.create_dataset("d", data=np.frombuffer(value, "u1")),
    "dataset of text": lambda file, value: file.create_dataset("d", data=np.bytes_(value + b"-")),
    "rows of variable length": _rows,
    "packed rows of variable length": lambda file, value: _rows(file, value, chunks=(3,), compression="gzip"),
    "chunk": _chunked(),
    "chunk of text": _chunked("S"),
    "packed chunk": _chunked(compression="gzip", shuffle=True, fletcher32=True),
    "packed chunk of text": _chunked("S", compression="gzip", shuffle=True),
    "chunk of a growing dataset": _chunked(maxshape=(None,)),
    "packed chunk of a growing dataset": _chunked(maxshape=(None,), compression="gzip"),
}  # fmt: skip
"""Ways of writing bytes that a program would unpickle."""
