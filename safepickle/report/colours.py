"""Colours of a terminal, for whoever reads along."""

from __future__ import annotations

import os

_CODES = {
    "malicious": "1;31", "suspicious": "1;33", "incomplete": "1;35", "benign": "32", "comment": "2",
    "critical": "1;31", "high": "31", "medium": "33", "low": "36", "info": "2",
}  # fmt: skip


def paint(text: str, kind: str, colour: bool) -> str:
    """`text` in the colour of a verdict, a severity or a ``comment``; as it is without `colour`."""
    return f"\x1b[{_CODES[kind]}m{text}\x1b[0m" if colour and kind in _CODES else text


def wanted(terminal: bool) -> bool:
    """Whether to colour what goes to a terminal; see https://no-color.org."""
    return terminal and not os.environ.get("NO_COLOR")
