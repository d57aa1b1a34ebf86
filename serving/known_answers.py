"""What the current model said of contents that came before: the same bytes are not scanned again at once."""

from __future__ import annotations

from typing import Any

from .model_source import ModelInfo

LARGEST = 16 * 1024
"""Bytes of a compressed Trace and a story that are kept of one content."""
MOST_FINDINGS = 20

Scanned = tuple[dict[str, Any], bytes, ModelInfo]
"""An answer and the model that it comes from."""


class KnownAnswers:
    """Answers of one model by content, the latest used of them.

    A scan depends on the bytes and the model alone, so an answer may be given again; not one that was cut short by
    time or memory, which another try may improve. Every request is stored as a scan of its own all the same.

    Parameters
    ----------
    most
        Answers that are kept; 0 for none.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._known: dict[tuple[str, str], Scanned] = {}

    def get(self, name: str, sha256: str, story: str) -> Scanned | None:
        """The answer for a file of this content under this name; None when it has to be scanned."""
        known = self._known.pop((sha256, story), None)
        if known is None:
            return None
        self._known[sha256, story] = known
        header, trace, model = known
        if header["file"]["path"] == name:
            return known
        return {**header, "file": {**header["file"], "path": name}}, trace, model

    def put(self, sha256: str, story: str, scanned: Scanned) -> None:
        """Keep an answer if it is final and small."""
        header, trace, _ = scanned
        if not self._most or not header["file"]["complete"] or len(header["file"]["findings"]) > MOST_FINDINGS:
            return
        if len(trace) + len(header["story"] or b"") > LARGEST:
            return
        if len(self._known) >= self._most:
            del self._known[next(iter(self._known))]
        self._known[sha256, story] = scanned

    def clear(self) -> None:
        """Forget all: another model answers."""
        self._known.clear()
