"""A line on a terminal's standard error that says how far a long scan is. Elsewhere, nothing."""

from __future__ import annotations

import sys
from time import monotonic

from .report.printable import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .report import Summary

_EVERY = 0.1
_WIDTH = 78


class Progress:
    """Shown when standard error is a terminal, at most ten times a second."""

    def __init__(self) -> None:
        self._on = sys.stderr is not None and sys.stderr.isatty()
        self._shown = False
        self._next = monotonic() + _EVERY

    def show(self, summary: Summary, path: str) -> None:
        """Say that the file `path` is done."""
        if self._on and monotonic() >= self._next:
            self._next = monotonic() + _EVERY
            bad = summary.malicious + summary.suspicious
            text = f"{summary.files:,} files, {bad:,} bad: {printable(path)}"
            sys.stderr.write(f"\r\x1b[K{text[:_WIDTH]}")
            sys.stderr.flush()
            self._shown = True

    def clear(self) -> None:
        """Make room for a line of the report."""
        if self._shown:
            self._shown = False
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
