"""Writes a model bundle, the folder that :func:`safepickle.ensemble.load` reads. Same input, same bytes."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from safepickle import ensemble
from safepickle.bundle_io import ARRAYS, FORMATS, MANIFEST, PREVALENCE
from safepickle.errors import BundleError

from .base import Exported

_DTYPES = {np.dtype(code): name for name, (code, _) in FORMATS.items()}


def save(
    path: str | os.PathLike[str],
    *,
    detectors: Mapping[str, Exported],
    stacking: Exported,
    schema_version: int | str,
    names: Sequence[str],
    call_names: Sequence[str] = (),
    prevalence: Mapping[str, Any],
) -> str:
    """Write a bundle to the folder `path`, which appears whole or not at all.

    Parameters
    ----------
    path
        Folder to make; it must not exist, or be empty.
    detectors
        Exported detectors by name.
    stacking
        Export of :class:`detectors.stacking.Stacking` over the same names, with its thresholds.
    schema_version, names, call_names
        Of the features: version, and the columns of a file's row and of a call's in order.
    prevalence
        JSON object that the features need at scan time; kept as it is.

    Returns
    -------
    str
        The bundle's hash, see :func:`safepickle.ensemble.bundle_hash`.

    Raises
    ------
    ValueError
        When what is given cannot be stored; nothing is left behind then.
    FileExistsError
        When `path` holds something.
    """
    target = _unused(path)
    groups = {**detectors, ensemble.STACKING: stacking}
    if len(groups) != len(detectors) + 1 or any("/" in name or not name for name in detectors):
        raise ValueError("a detector has a name that a bundle cannot keep")
    arrays = {f"{group}/{name}": array for group, part in groups.items() for name, array in part.arrays.items()}
    combination = {key: value for key, value in stacking.meta.items() if key != "thresholds"}
    files = {ARRAYS: safetensors_bytes(arrays), PREVALENCE: _json(prevalence)}
    files[MANIFEST] = _json(
        {
            "format": ensemble.FORMAT,
            "schema": {"version": schema_version, "names": list(names), "calls": list(call_names)},
            "detectors": {name: dict(part.meta) for name, part in detectors.items()},
            "stacking": combination,
            "thresholds": stacking.meta["thresholds"],
            "files": {
                name: {"bytes": len(data), "sha256": sha256(data).hexdigest()} for name, data in sorted(files.items())
            },
        }
    )
    return _publish(target, files, schema_version)


def save_with_thresholds(
    path: str | os.PathLike[str],
    source: str | os.PathLike[str],
    thresholds: Mapping[str, float],
    raised: Mapping[str, Any],
) -> str:
    """Write a bundle that differs from another in its thresholds alone, and in why.

    Parameters
    ----------
    path
        Folder to make, as of :func:`save`.
    source
        The other bundle.
    thresholds
        Those that the new one has: ``suspicious``, ``malicious`` and ``credible``.
    raised
        JSON object that is kept as ``raised`` in the manifest.

    Returns
    -------
    str
        The bundle's hash.

    Raises
    ------
    ValueError, FileExistsError
        As of :func:`save`.
    BundleError
        When `source` is no bundle.
    """
    target = _unused(path)
    manifest = ensemble.load(source).manifest
    files = {name: Path(source, name).read_bytes() for name in (ARRAYS, PREVALENCE)}
    files[MANIFEST] = _json({**manifest, "thresholds": dict(thresholds), "raised": dict(raised)})
    return _publish(target, files, manifest["schema"]["version"])


def _unused(path: str | os.PathLike[str]) -> Path:
    target = Path(path)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise FileExistsError(f"{target} exists; a bundle is written once, choose another folder")
    return target


def _publish(target: Path, files: Mapping[str, bytes], schema_version: int | str) -> str:
    """Write a bundle's files to a folder that appears whole or not at all; return its hash."""
    target.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        for name, data in files.items():
            made.joinpath(name).write_bytes(data)
        try:
            digest = ensemble.load(made, schema_version).hash
        except BundleError as error:
            raise ValueError(f"this bundle could not be read back: {error}") from error
        made.chmod(0o755)
        made.replace(target)
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise
    return digest


def safetensors_bytes(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Lay arrays out as safetensors does: widest type first, so that each is aligned, then by name.

    Raises
    ------
    ValueError
        When an array is of a type that bundles do not hold.
    """
    for name, array in arrays.items():
        if array.dtype not in _DTYPES:
            raise ValueError(f"the array {name} is of type {array.dtype}; bundles hold {', '.join(map(str, _DTYPES))}")
    order = sorted(arrays, key=lambda name: (-arrays[name].dtype.itemsize, name))
    header: dict[str, Any] = {}
    body = bytearray()
    for name in order:
        array = arrays[name]
        start = len(body)
        body += np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<")).tobytes()
        header[name] = {
            "dtype": _DTYPES[array.dtype],
            "shape": list(array.shape),
            "data_offsets": [start, len(body)],
        }
    text = json.dumps(header, separators=(",", ":"), allow_nan=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + bytes(body)


def _json(value: Mapping[str, Any], indent: int | None = None) -> bytes:
    return (json.dumps(value, sort_keys=True, indent=indent, separators=(",", ":"), allow_nan=False) + "\n").encode()
