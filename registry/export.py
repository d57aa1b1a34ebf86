"""A bundle copied out of the store, for example into the package as its champion."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from .errors import RegistryError
from .files import discard, explained, list_files, read_bytes, sync_folder, write_folder
from .manifest import Version, describe_files


def copy_bundle(version: Version, folder: Path) -> None:
    """Copy a version's bundle, and nothing else, to ``folder``, each byte checked against the manifest on the way.

    Parameters
    ----------
    version
        A verified version.
    folder
        Where to; may be missing, empty, or hold an earlier bundle, which is replaced as a whole.

    Raises
    ------
    RegistryError
        When the bundle changed since it was verified, or ``folder`` holds something else than a bundle.
    """
    target = folder.absolute()
    with explained(f"cannot export version {version.number} to {target}", "check the folder and its permissions"):
        if (target.exists() or target.is_symlink()) and not _may_be_replaced(target):
            raise RegistryError(f"{target} exists and is not a bundle; name a new or an empty folder")
        contents = {name: read_bytes(version.bundle / name) for name in list_files(version.bundle)}
        registered = {name: entry for name, entry in version.manifest["files"].items() if name.startswith("bundle/")}
        if describe_files({f"bundle/{name}": data for name, data in contents.items()}) != registered:
            raise RegistryError(f"{version.bundle} was changed while it was being exported; verify the store")
        target.parent.mkdir(parents=True, exist_ok=True)
        _swap(target, contents)


def _swap(target: Path, contents: Mapping[str, bytes]) -> None:
    fresh, old = (target.with_name(f".{target.name}.{kind}") for kind in ("new", "old"))
    discard(fresh)
    try:
        write_folder(fresh, contents)
        if target.exists():
            discard(old)
            target.rename(old)
        fresh.rename(target)
    except OSError:
        discard(fresh)
        if not target.exists() and old.exists():
            old.rename(target)
        raise
    sync_folder(target.parent)
    discard(old)


def _may_be_replaced(target: Path) -> bool:
    if target.is_symlink() or not target.is_dir():
        return False
    return (target / "bundle.json").is_file() or not any(target.iterdir())
