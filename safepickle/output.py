"""Where a report goes: standard output, or a file that appears only when the report is whole."""

from __future__ import annotations

import os
import stat
import sys

from .discover import FileId, identity
from .errors import SafePickleError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO


class UnwritableOutput(SafePickleError):
    """The file that the report should go to cannot be written."""


class Output:
    """A text sink; call :meth:`commit` when the report is whole, :meth:`discard` when it never will be.

    Parameters
    ----------
    path
        A file, or None for standard output. A regular file is replaced in one step at the end, so that a stopped
        scan leaves the old one; anything else (``/dev/stderr``, a FIFO) is written to as it is.

    Attributes
    ----------
    terminal : bool
        Whether somebody reads along.

    Raises
    ------
    UnwritableOutput
        At construction, when the file cannot be made.
    """

    def __init__(self, path: str | None) -> None:
        self._path = path
        self._draft = ""
        if path is None:
            if sys.stdout is None:
                raise UnwritableOutput("standard output is closed; open it, or name a file with --output")
            self._stream = sys.stdout
            self.terminal = sys.stdout.isatty()
            return
        try:
            if _is_special(path):
                self._stream = _open(path)
            else:
                self._stream = self._open_draft(path)
        except OSError as error:
            raise UnwritableOutput(f"cannot write the report to {path}: {error.strerror}") from None
        self.terminal = self._stream.isatty()

    def _open_draft(self, path: str) -> TextIO:
        draft = f"{path}.{os.getpid()}.part"
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        self._draft = draft
        return _open(descriptor)

    def files(self) -> frozenset[FileId]:
        """The draft and the report it will replace: a scan of their folder leaves them out."""
        if not self._draft or self._path is None:
            return frozenset()
        return frozenset(found for path in (self._draft, self._path) if (found := identity(path)))

    def write(self, text: str) -> None:
        """Write `text` at once, so that a reader at the other end sees each file when it is done."""
        if text:
            self._stream.write(text)
            self._stream.flush()

    def commit(self) -> None:
        """Put the whole report in its place."""
        if self._path is None:
            return
        try:
            self._stream.close()
            if self._draft:
                os.replace(self._draft, self._path)
        except OSError as error:
            self.discard()
            raise UnwritableOutput(f"cannot write the report to {self._path}: {error.strerror}") from None

    def discard(self) -> None:
        """Leave no half report behind."""
        if self._draft:
            try:
                self._stream.close()
            except OSError:
                pass
            try:
                os.unlink(self._draft)
            except OSError:
                pass


def _open(file: str | int) -> TextIO:
    return open(file, "w", encoding="utf-8", errors="backslashreplace")


def _is_special(path: str) -> bool:
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return False
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(21, "it is a folder")
    return not stat.S_ISREG(mode)
