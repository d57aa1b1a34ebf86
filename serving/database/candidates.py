"""Reading the scans that people could be asked about."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ..labels import DEFAULT_POLICY, LabelPolicy, Standing
from ..queue import REASONS, Candidate, Ranked
from .tables import Scan, ScanNovelty
from .writer import standing_labels

WINDOW = 3000
"""Scans that are looked at."""
NEWEST = 400
PRESSING = 200
PAGE = 500

# Ids sort by age.
_RECENT = sa.select(Scan.id, Scan.sha256, Scan.score, Scan.complete).order_by(Scan.id.desc())
_CANDIDATES = (
    sa.select(
        Scan.id, Scan.sha256, Scan.name, Scan.at, Scan.verdict, Scan.model_version, Scan.score, Scan.complete,
        Scan.detectors, Scan.shape, ScanNovelty.novelty,
    )
    .select_from(Scan)
    .outerjoin(ScanNovelty, ScanNovelty.scan_id == Scan.id)
    .where(Scan.id.in_(sa.bindparam("ids", expanding=True)))
)  # fmt: skip


@dataclasses.dataclass(frozen=True, slots=True)
class Shown:
    """What people see of a candidate, by scan id."""

    name: str
    at: str
    verdict: str
    model_version: str


def load_candidates(
    connection: Connection, window: int = WINDOW, policy: LabelPolicy = DEFAULT_POLICY
) -> tuple[list[Candidate], dict[str, Shown]]:
    """The latest scan of contents that no label stands for, among the last `window` scans.

    These are the newest :data:`NEWEST` contents and, of the others, :data:`PRESSING` that were not understood or whose
    score is nearest to one half. Of a content that somebody called ``unsure`` nothing is asked again.
    """
    latest: dict[str, Any] = {}
    for row in connection.execute(_RECENT.limit(window)).all():
        latest.setdefault(row.sha256, row)
    hashes = iter(latest)
    contested = _unlabelled(connection, hashes, NEWEST, policy)
    others = sorted(hashes, key=lambda sha256: _calm(latest[sha256]))
    contested |= _unlabelled(connection, iter(others), PRESSING, policy)
    ids = [latest[sha256].id for sha256 in contested]
    found: list[Candidate] = []
    shown: dict[str, Shown] = {}
    for start in range(0, len(ids), PAGE):
        for row in connection.execute(_CANDIDATES, {"ids": ids[start : start + PAGE]}).all():
            found.append(
                Candidate(
                    row.id, row.sha256, row.score, row.complete, row.detectors, row.novelty, row.shape,
                    contested[row.sha256],
                )
            )  # fmt: skip
            shown[row.id] = Shown(row.name, row.at.isoformat(), row.verdict, row.model_version)
    return found, shown


def _calm(scan: Any) -> tuple[bool, float]:
    """The less, the more a label of this scan is wanted."""
    return bool(scan.complete), 1.0 if scan.score is None else abs(scan.score - 0.5)


def _unlabelled(connection: Connection, hashes: Iterator[str], most: int, policy: LabelPolicy) -> dict[str, bool]:
    """The first `most` contents for which no label stands, and whether people contradict each other about them."""
    found: dict[str, bool] = {}
    while len(found) < most and (page := list(itertools.islice(hashes, min(PAGE, most - len(found))))):
        said = standing_labels(connection, set(page), policy)
        for sha256 in page:
            standing = said.get(sha256, Standing(None))
            contested = bool(standing.conflict or standing.pending)
            if contested or standing.at is None:
                found[sha256] = contested
    return found


def queue_object(ranked: Ranked, shown: Shown) -> dict[str, Any]:
    """One line of the queue as the API shows it."""
    candidate = ranked.candidate
    return {
        "scan_id": candidate.scan_id,
        "sha256": candidate.sha256,
        **dataclasses.asdict(shown),
        "score": candidate.score,
        "novelty": candidate.novelty,
        "priority": ranked.priority,
        "reason": ranked.reason,
        "why": REASONS[ranked.reason],
        "parts": dict(ranked.parts),
        "copies": ranked.copies,
    }
