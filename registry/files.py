"""Files and folders that survive a crash: written in full, flushed to disk, then moved into place in one step."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from .errors import RegistryError

_BLOCK = 1 << 20


def canonical_json(value: object) -> bytes:
    """Return one fixed UTF-8 form of a JSON value: sorted keys, two blanks of indent, newline at the end.

    Raises
    ------
    RegistryError
        When the value holds something that JSON cannot say, NaN and infinities included.
    """
    try:
        text = json.dumps(value, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise RegistryError(f"cannot be written as JSON: {error}; give plain values, and null instead of NaN") from None
    return text.encode() + b"\n"


def read_bytes(path: Path) -> bytes:
    """Return the content of a regular file, links not followed. Raises OSError."""
    with _open_regular(path) as file:
        return file.read()


def sha256_file(path: Path) -> tuple[str, int]:
    """Return the SHA-256 in hex and the size in bytes of a regular file, links not followed. Raises OSError."""
    digest, size = hashlib.sha256(), 0
    with _open_regular(path) as file:
        while block := file.read(_BLOCK):
            digest.update(block)
            size += len(block)
    return digest.hexdigest(), size


def _open_regular(path: Path) -> BinaryIO:
    # Without O_NONBLOCK, opening a FIFO would wait for a writer.
    file = open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb")  # noqa: SIM115
    if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        return file
    file.close()
    raise OSError(errno.EINVAL, "not a regular file", str(path))


def sync_folder(folder: Path) -> None:
    """Flush a folder's entries to disk, so that a rename in it outlives a power cut."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_new(path: Path, data: bytes) -> None:
    """Write a file that must not exist yet, and flush it to disk."""
    with open(path, "xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def replace_file(path: Path, data: bytes, temporary: Path) -> None:
    """Replace a file's content in one step: a reader, or a crash, sees the old content or the new.

    Parameters
    ----------
    path, data
        The file and its new content.
    temporary
        Where the content is written first, on the same file system. The caller holds the store's lock, so a fixed
        name will do, and what a dead writer left there is overwritten.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    with open(os.open(temporary, flags, 0o644), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync_folder(path.parent)


def write_folder(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Make a new folder with files named by relative POSIX paths, everything flushed to disk."""
    folder.mkdir(parents=True)
    folders = {folder}
    for name, data in contents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_new(path, data)
        folders.update(parent for parent in path.parents if parent.is_relative_to(folder))
    for parent in sorted(folders, reverse=True):
        sync_folder(parent)


def discard(path: Path) -> None:
    """Remove a file, a link or a whole folder; nothing when it is not there. Raises OSError."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def list_files(folder: Path) -> list[str]:
    """Return the relative POSIX paths of all files below a folder, sorted; an empty folder is listed as ``name/``.

    Raises
    ------
    RegistryError
        When anything there is neither a regular file nor a folder: a link, a FIFO, a device.
    OSError
        When the folder cannot be read.
    """
    if not stat.S_ISDIR(folder.lstat().st_mode):
        raise RegistryError(f"{folder} is not a folder (links are refused)")
    return sorted(_walk(folder, ""))


def _walk(folder: Path, prefix: str) -> Iterator[str]:
    empty = True
    with os.scandir(folder) as entries:
        for entry in entries:
            empty = False
            name = prefix + entry.name
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(Path(entry.path), name + "/")
            elif entry.is_file(follow_symlinks=False):
                yield name
            else:
                kind = "a symbolic link" if entry.is_symlink() else "not a regular file"
                raise RegistryError(f"{name} in {folder} is {kind}: only regular files are allowed there")
    if empty and prefix:
        yield prefix


@contextlib.contextmanager
def explained(what: str, advice: str) -> Iterator[None]:
    """Turn an ``OSError`` into a :class:`RegistryError` that says what failed, on which file, and what to do."""
    try:
        yield
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        raise RegistryError(f"{what}: {error.strerror or error}{where}; {advice}") from error
