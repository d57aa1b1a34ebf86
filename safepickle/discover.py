"""Which files a command line names: files as they are, folders recursively, ``-`` for standard input.

Nothing is opened here. What cannot be scanned (a FIFO, a folder without permission, a link that leads out of
the folder) is not passed over in silence: it comes out as a target with its problem.
"""

from __future__ import annotations

import os
import stat

from .record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

STDIN = "-"


class Target(Record):
    """One file to scan, or, with a `problem`, the reason why it is not scanned."""

    path: str
    problem: str = ""


class FileId(Record):
    """What makes a file the same file under two names."""

    device: int
    inode: int


def discover(paths: Iterable[str], skip: frozenset[FileId] = frozenset()) -> Iterator[Target]:
    """Every file that `paths` name, in the order given, folders sorted by name, files before subfolders.

    Parameters
    ----------
    paths
        Files, folders, ``-`` for standard input.
    skip
        Files to leave out wherever they lie in a folder: the report that is being written.
    """
    for path in paths:
        if path == STDIN:
            yield Target(STDIN)
            continue
        if os.path.isdir(path):
            yield from _walk(path, skip)
        else:
            yield Target(path, problem_of(path))


def problem_of(path: str) -> str:
    """Why the file at `path`, or the one that a link there leads to, cannot be scanned; empty if it can."""
    try:
        return _why_not(os.stat(path).st_mode)
    except OSError as error:
        return _reason(error)


def _walk(root: str, skip: frozenset[FileId]) -> Iterator[Target]:
    inside = os.path.join(os.path.realpath(root), "")
    inodes = {file.inode for file in skip}
    pending = [root]
    while pending:
        folder = pending.pop()
        try:
            with os.scandir(folder) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            yield Target(folder, f"the folder cannot be listed: {_reason(error)}")
            continue
        folders = []
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.path)
            elif entry.is_symlink():
                yield from _link(entry.path, inside)
            elif entry.inode() not in inodes or identity(entry.path) not in skip:
                # a plain file costs no system call here; the rest is asked what it is
                yield Target(entry.path, "" if entry.is_file(follow_symlinks=False) else problem_of(entry.path))
        pending.extend(reversed(folders))


def _link(path: str, inside: str) -> Iterator[Target]:
    """A symbolic link: to a file it is that file; to a folder it is followed by nobody.

    A folder inside the scanned one is met under its own name, so that loops end; one outside was not asked
    for and may be the whole disk, so that it is reported instead.
    """
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        yield Target(path, f"a symbolic link that leads nowhere: {_reason(error)}")
        return
    if not stat.S_ISDIR(mode):
        yield Target(path, _why_not(mode))
    elif not os.path.join(os.path.realpath(path), "").startswith(inside):
        yield Target(path, "a symbolic link to a folder outside the scanned one; scan that folder by its own name")


def identity(path: str) -> FileId | None:
    """The identity of the file itself, not of what a link points to; None when there is none."""
    try:
        info = os.lstat(path)
    except OSError:
        return None
    return FileId(info.st_dev, info.st_ino)


def _why_not(mode: int) -> str:
    """Why a file of this mode is not opened; empty for a regular file."""
    if stat.S_ISREG(mode):
        return ""
    for test, name in (
        (stat.S_ISDIR, "a folder"),
        (stat.S_ISFIFO, "a FIFO"),
        (stat.S_ISSOCK, "a socket"),
        (stat.S_ISCHR, "a character device"),
        (stat.S_ISBLK, "a block device"),
    ):
        if test(mode):
            return f"{name}, not a regular file; it was not opened"
    return "not a regular file; it was not opened"


def _reason(error: OSError) -> str:
    return error.strerror or str(error)
