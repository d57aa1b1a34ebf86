"""What the reports say of a file as a whole: what to do, and why it was not read to its end."""

from __future__ import annotations

from .printable import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

    from ..batch import FileObject

SHOWN = 5
"""Findings and oddities shown of one file; the JSON formats have all."""

TO_DO = {
    "malicious": "do not load it. Remove it, and get the model from a source you trust, best as safetensors",
    "suspicious": "do not load it before someone has read what it does: safepickle explain FILE",
    "incomplete": "do not take it for safe: it was not read to its end",
}
"""Advice for each verdict but benign."""

_GAP_RULES = ("not-understood", "odd-budget")
_REASONS = {
    "unreadable": "it could not be read",
    "unknown-format": "its format is not one this version reads",
    "internal-error": "safepickle failed on it",
}


def gaps(scanned: FileObject, told: Collection[str] = ()) -> list[str]:
    """Why a file was not read to its end, as far as findings and oddities say; titles in `told` are left out."""
    missed = [finding for finding in scanned["findings"] if finding["rule"] in _GAP_RULES]
    reasons = [
        f"{printable(finding['title'])}, {f'{printable(stream)}, ' if stream else ''}at byte {finding['offset']:,}"
        for finding in missed
        if finding["title"] not in told and (stream := finding["stream"]) is not None
    ][:SHOWN]
    oddities = [one for one in scanned["oddities"] if not one["kind"].startswith("budget:")]
    for oddity in oddities[:SHOWN]:
        reason = _REASONS.get(oddity["kind"], printable(oddity["kind"].replace("-", " ")))
        detail = f": {printable(oddity['detail'])}" if oddity["detail"] else ""
        at = f" (at byte {oddity['offset']:,})" if oddity["offset"] else ""
        reasons.append(f"{reason}{detail}{at}")
    if len(oddities) > SHOWN:
        reasons.append(f"and {len(oddities) - SHOWN:,} more; --format json shows all")
    if not reasons and not missed:
        known = scanned["container"] not in ("unknown", "")
        reasons.append("not all of it was understood" if known else "its format is not one this version reads")
    return reasons
