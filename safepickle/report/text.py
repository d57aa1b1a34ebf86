"""The report for people: verdict first, then why, where, and what to do."""

from __future__ import annotations

from .advice import SHOWN, TO_DO, gaps
from .colours import paint
from .printable import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..batch import FileObject
    from . import Summary

_VERDICTS = ("malicious", "suspicious", "incomplete", "benign")

_LESSER = ("low", "info")


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
            lines.append(f"    do     {TO_DO[verdict]}")
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
        times = f" ({finding['count']:,} times)" if finding["count"] > 1 else ""
        lines.append(f"    why    [{finding['severity']}] {printable(finding['title'])}{times}")
        if finding["why"]:
            lines.append(f"           {printable(finding['why'], 600)}")
        if finding["steps"]:
            lines.append(f"           Reached by {printable(', '.join(finding['steps']), 600)}.")
        if finding["witness"]:
            lines.append(f"           {printable(' -> '.join(finding['witness']), 600)}")
        lines.append(f"    where  {_where(finding['stream'], finding['offset'])}")
    more, lesser = len(grave[SHOWN:]), len(findings) - len(grave)
    if more or lesser:
        counts = [f"{more:,} more findings" if more else "", f"{lesser:,} lesser ones" if lesser else ""]
        lines.append(f"    also   {' and '.join(filter(None, counts))}; --format json shows them")
    if not scanned["complete"]:
        told = {finding["title"] for finding in grave[:SHOWN]}
        reasons = gaps(scanned, told)
        lines += [f"    {'gap ' if not index else '    '}   {reason}" for index, reason in enumerate(reasons)]
    return lines


def _where(stream: str, offset: int) -> str:
    return f"{printable(stream)}, byte {offset:,}" if stream else f"byte {offset:,}"
