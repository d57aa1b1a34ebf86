"""The report for people: verdict first, then why, where, and what to do."""

from __future__ import annotations

from .colours import paint
from .printable import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..batch import FileObject
    from . import Summary

SHOWN = 5
"""Findings and oddities shown of one file; the JSON formats have all."""

_VERDICTS = ("malicious", "suspicious", "incomplete", "benign")

_TO_DO = {
    "malicious": "do not load it. Remove it, and get the model from a source you trust, best as safetensors",
    "suspicious": "do not load it before someone has read what it does: safepickle explain FILE",
    "incomplete": "do not take it for safe: it was not read to its end",
}

_LESSER = ("low", "info")
_GAP_RULES = ("not-understood",)

_REASONS = {
    "unreadable": "it could not be read",
    "internal-error": "safepickle failed on it",
}


class Text:
    """One line for a benign file, a short block for any other, a count of each verdict at the end."""

    def __init__(self, colour: bool = False) -> None:
        self._colour = colour

    def begin(self, model: str) -> str:
        return ""

    def file(self, scanned: FileObject) -> str:
        verdict = scanned["verdict"]
        shown = paint(f"{verdict.upper():<10}", verdict, self._colour)
        lines = [f"{shown}  {printable(scanned['path'], 4096)}{_kind(scanned)}"]
        if verdict != "benign":
            lines += _evidence(scanned)
            lines.append(f"    do     {_TO_DO[verdict]}")
        return "\n".join(lines) + "\n"

    def end(self, summary: Summary) -> str:
        counts = [
            paint(f"{count:,} {verdict}", verdict, self._colour)
            for verdict in _VERDICTS
            if (count := getattr(summary, verdict))
        ]
        return f"{summary.files:,} {'file' if summary.files == 1 else 'files'}: {', '.join(counts)}\n"


def _kind(scanned: FileObject) -> str:
    if scanned["container"] == "unread":
        return ""
    score = scanned["score"]
    shown = f", score {score:.3f}" if score is not None and scanned["verdict"] != "benign" else ""
    return f"  ({printable(scanned['container'])}{shown})"


def _evidence(scanned: FileObject) -> list[str]:
    """The findings that matter, worst first, as they come; then what was not read."""
    findings = scanned["findings"]
    grave = [finding for finding in findings if finding["severity"] not in _LESSER]
    lines = []
    for finding in grave[:SHOWN]:
        lines.append(f"    why    [{finding['severity']}] {printable(finding['title'])}")
        if finding["why"]:
            lines.append(f"           {printable(finding['why'], 600)}")
        lines.append(f"    where  {_where(finding['stream'], finding['offset'])}")
    more, lesser = len(grave[SHOWN:]), len(findings) - len(grave)
    if more or lesser:
        counts = [f"{more:,} more findings" if more else "", f"{lesser:,} lesser ones" if lesser else ""]
        lines.append(f"    also   {' and '.join(filter(None, counts))}; --format json shows them")
    if not scanned["complete"] and not any(finding["rule"] in _GAP_RULES for finding in grave):
        lines += _gaps(scanned)
    return lines


def _gaps(scanned: FileObject) -> list[str]:
    """Why a file was not read to its end, as far as its oddities say."""
    oddities = scanned["oddities"]
    lines = []
    for oddity in oddities[:SHOWN]:
        reason = _REASONS.get(oddity["kind"], printable(oddity["kind"]))
        detail = f": {printable(oddity['detail'])}" if oddity["detail"] else ""
        at = f" (at byte {oddity['offset']:,})" if oddity["offset"] else ""
        lines.append(f"    gap    {reason}{detail}{at}")
    if len(oddities) > SHOWN:
        lines.append(f"           and {len(oddities) - SHOWN:,} more; --format json shows all")
    if not oddities:
        known = scanned["container"] not in ("unknown", "")
        lines.append(
            f"    gap    {'not all of it was understood' if known else 'its format is not one this version reads'}"
        )
    return lines


def _where(stream: str, offset: int) -> str:
    return f"{printable(stream)}, byte {offset:,}" if stream else f"byte {offset:,}"
