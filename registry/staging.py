"""A version in the making: its files gathered and flushed to disk in a folder that nobody reads yet."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from safepickle.ensemble import load
from safepickle.errors import BundleError
from safepickle.record import Record

from .errors import RegistryError
from .files import canonical_json, list_files, read_bytes, sync_folder, write_folder, write_new
from .gate import Decision
from .manifest import CARD, FORMAT, MANIFEST, SIGNATURE, check_name, describe_files, parse_manifest
from .signing import sign

KIND = "manifest"


class Lineage(Record):
    """Where a version came from, as JSON values.

    Parameters
    ----------
    dataset_hash, params, git_commit
        The data, the parameters and the code it was trained with.
    schema
        The feature schema.
    metrics
        What the evaluation measured.
    parent
        The version that was champion when this one was trained, or None.
    decision
        What the gate said before registration, or None.
    """

    dataset_hash: str
    params: Mapping[str, Any]
    git_commit: str
    schema: Any
    metrics: Mapping[str, Any]
    parent: int | None
    decision: Decision | None


def stage_files(staged: Path, bundle: Path, onnx: Mapping[str, bytes], card: str) -> str:
    """Copy a version's files to the new folder ``staged`` and return the hash of the bundle there.

    Raises
    ------
    RegistryError
        When a name is unfit, the bundle has a link or a special file in it, or the scanner cannot load it.
    OSError
        When something cannot be read or written.
    """
    contents = {CARD: card.encode()}
    for name in list_files(bundle):
        for part in name.split("/"):
            check_name(part, f"{name!r} in {bundle}: a bundle's file")
        contents[f"bundle/{name}"] = read_bytes(bundle / name)
    for name, model in onnx.items():
        contents[f"onnx/{check_name(name, 'an ONNX model')}.onnx"] = model
    write_folder(staged, contents)
    try:
        return load(staged / "bundle").hash
    except BundleError as error:
        reason = str(error).replace(str(staged / "bundle"), str(bundle))
        raise RegistryError(f"the bundle {bundle} cannot be registered: {reason}") from error


def stage_manifest(staged: Path, number: int, found: str, lineage: Lineage, key: bytes | None) -> bytes:
    """Write the manifest of the files in ``staged``, with a signature when there is a key, and return its content.

    Raises
    ------
    RegistryError
        When a value is no JSON.
    OSError
        When something cannot be read or written.
    """
    decision = lineage.decision
    manifest = canonical_json(
        {
            **lineage.__dict__,
            "format": FORMAT,
            "version": number,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "bundle_hash": found,
            "decision": None if decision is None else decision.to_json(),
            "files": describe_files({name: read_bytes(staged / name) for name in list_files(staged)}),
        }
    )
    parse_manifest(manifest, number, staged)
    write_new(staged / MANIFEST, manifest)
    if key is not None:
        write_new(staged / SIGNATURE, sign(key, KIND, manifest).encode())
    sync_folder(staged)
    return manifest
