"""The manifest: what a version is made of and where it came from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safepickle.record import Record

from .errors import RegistryError
from .files import list_files, sha256_file

FORMAT = 1
MANIFEST = "manifest.json"
SIGNATURE = "manifest.sig"
CARD = "card.md"

_NAME = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.")


class Version(Record):
    """One registered version.

    Parameters
    ----------
    number
        Counted from 1 in the order of registration.
    path
        Its folder: ``bundle/``, ``onnx/``, ``manifest.json``, ``card.md``.
    manifest
        The parsed manifest, whose hash was checked.
    """

    number: int
    path: Path
    manifest: Mapping[str, Any]

    @property
    def bundle(self) -> Path:
        """The folder that :func:`safepickle.ensemble.load` reads."""
        return self.path / "bundle"

    @property
    def bundle_hash(self) -> str:
        """SHA-256 of the bundle's content."""
        return str(self.manifest["bundle_hash"])

    @property
    def dataset_hash(self) -> str:
        """Hash of the data it was trained on."""
        return str(self.manifest["dataset_hash"])

    @property
    def metrics(self) -> Mapping[str, Any]:
        """Metrics as the evaluation wrote them."""
        return dict(self.manifest["metrics"])

    @property
    def card(self) -> str:
        """The model card, Markdown. Raises OSError when the file is gone."""
        return (self.path / CARD).read_text(encoding="utf-8")


def check_name(name: str, what: str) -> str:
    """Return ``name`` when it can be one component of a path inside a version.

    Raises
    ------
    RegistryError
        When it could lead elsewhere, or to another file on some system.
    """
    if not name or not _NAME.issuperset(name) or name.startswith((".", "-")) or name.endswith(".") or len(name) > 100:
        raise RegistryError(f"{what} cannot be named {name!r}; use letters, digits, '_', '-' and '.' inside")
    return name


def describe_files(contents: Mapping[str, bytes]) -> dict[str, dict[str, Any]]:
    """Return the manifest's ``files`` mapping: SHA-256 and size in bytes by relative path."""
    return {
        name: {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
        for name, data in sorted(contents.items())
    }


def parse_manifest(data: bytes, number: int, path: Path) -> Version:
    """Read a manifest whose hash was already checked.

    Raises
    ------
    RegistryError
        When it is of another format, belongs to another version, or names files outside its folder.
    """
    try:
        manifest = json.loads(data)
        if manifest["format"] != FORMAT:
            raise RegistryError(f"{path / MANIFEST} has format {manifest['format']!r}; this program reads {FORMAT}")
        if manifest["version"] != number:
            raise RegistryError(f"{path / MANIFEST} belongs to version {manifest['version']}, not {number}")
        for name, entry in manifest["files"].items():
            for part in name.split("/"):
                check_name(part, f"a file of version {number}")
            if not isinstance(entry["sha256"], str) or not isinstance(entry["bytes"], int):
                raise TypeError("hash or size of a file")
        for field in ("bundle_hash", "dataset_hash", "git_commit", "created"):
            if not isinstance(manifest[field], str):
                raise TypeError(field)
        if not isinstance(manifest["metrics"], dict):
            raise TypeError("metrics")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise RegistryError(f"{path / MANIFEST} is damaged ({error!r}); restore the version from a backup") from None
    return Version(number, path, manifest)


def check_files(version: Version) -> list[str]:
    """Compare a version's folder with its manifest.

    Returns
    -------
    list of str
        What is wrong, one line a file: changed, missing, added. Empty when all is as it was registered.
    """
    try:
        present = set(list_files(version.path)) - {MANIFEST, SIGNATURE}
    except RegistryError as error:
        return [str(error)]
    except OSError as error:
        return [f"{version.path} cannot be read: {error.strerror}"]
    expected = version.manifest["files"]
    problems = [f"{name} was added" for name in sorted(present - set(expected))]
    for name, entry in sorted(expected.items()):
        if name not in present:
            problems.append(f"{name} is missing")
            continue
        try:
            digest, size = sha256_file(version.path / name)
        except OSError as error:
            problems.append(f"{name} cannot be read: {error.strerror}")
            continue
        if (digest, size) != (entry["sha256"], entry["bytes"]):
            problems.append(f"{name} was changed: its sha256 is {digest}, registered was {entry['sha256']}")
    return problems
