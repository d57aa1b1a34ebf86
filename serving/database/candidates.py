"""Reading the scans that people could be asked about."""

from __future__ import annotations

import dataclasses
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ..labels import DEFAULT_POLICY, LabelPolicy
from ..queue import REASONS, Candidate, Ranked
from .tables import Scan, ScanNovelty
from .writer import standing_labels

PAGE = 500


@dataclasses.dataclass(frozen=True, slots=True)
class Shown:
    """What people see of a candidate, by scan id."""

    name: str
    at: str
    verdict: str
    model_version: str


def load_candidates(
    connection: Connection, window: int, policy: LabelPolicy = DEFAULT_POLICY
) -> tuple[list[Candidate], dict[str, Shown]]:
    """The latest scan of each content among the last `window` scans that no label stands for.

    Of a content that somebody called ``unsure`` nothing is asked again.
    """
    query = (
        sa.select(
            Scan.id, Scan.sha256, Scan.name, Scan.at, Scan.verdict, Scan.model_version, Scan.score, Scan.complete,
            Scan.detectors, Scan.shape, ScanNovelty.novelty,
        )
        .select_from(Scan)
        .outerjoin(ScanNovelty, ScanNovelty.scan_id == Scan.id)
        .order_by(Scan.at.desc(), Scan.id.desc())
        .limit(window)
    )  # fmt: skip
    latest: dict[str, sa.Row[Any]] = {}
    for row in connection.execute(query):
        latest.setdefault(row.sha256, row)
    seen = sorted(latest)
    contested = set()
    for start in range(0, len(seen), PAGE):
        for sha256, said in standing_labels(connection, set(seen[start : start + PAGE]), policy).items():
            if said.conflict or said.pending:
                contested.add(sha256)
            elif said.at is not None:
                del latest[sha256]
    found = [
        Candidate(
            row.id, sha256, row.score, row.complete, row.detectors, row.novelty, row.shape, sha256 in contested
        )
        for sha256, row in latest.items()
    ]  # fmt: skip
    shown = {row.id: Shown(row.name, row.at.isoformat(), row.verdict, row.model_version) for row in latest.values()}
    return found, shown


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
