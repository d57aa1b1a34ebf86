"""Reading the scans that people could be asked about."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ..json_text import load
from ..labels import DEFAULT_POLICY, LabelPolicy, Standing
from ..queue import REASONS, Candidate, Ranked
from .rows import Texts, among, execute, execute_among
from .tables import Scan
from .writer import standing_labels

WINDOW = 3000
"""Scans that are looked at."""
NEWEST = 400
PRESSING = 200
PAGE = 500

# Ids sort by age. Thousands of rows of which little is wanted come quicker as the driver has them.
_RECENT = "SELECT sha256, id, score, complete FROM scans ORDER BY id DESC LIMIT {:d}"
_CANDIDATES = (
    "SELECT scans.id, sha256, name, verdict, score, complete, detectors, shape, novelty "
    "FROM scans LEFT JOIN scan_novelties ON scan_id = scans.id"
)
_TOLD = sa.select(Scan.id, Scan.at, Scan.model_version).where(among(Scan.id, sa.bindparam("ids", type_=Texts())))


_Latest = Sequence[Any]
"""Content, id, score and completeness of its latest scan."""


@dataclasses.dataclass(frozen=True, slots=True)
class Shown:
    """What candidates can be chosen by."""

    name: str
    verdict: str


def load_candidates(
    connection: Connection, window: int = WINDOW, policy: LabelPolicy = DEFAULT_POLICY
) -> tuple[list[Candidate], dict[str, Shown]]:
    """The latest scan of contents that no label stands for, among the last `window` scans.

    These are the newest :data:`NEWEST` contents and, of the others, :data:`PRESSING` that were not understood or whose
    score is nearest to one half. Of a content that somebody called ``unsure`` nothing is asked again.
    """
    contested, scan_ids = _asked(connection, window, policy)
    found: list[Candidate] = []
    shown: dict[str, Shown] = {}
    for row in execute_among(connection, _CANDIDATES, "scans.id", scan_ids.values()):
        scan_id, sha256, name, verdict, score, complete, detectors, shape, novelty = row
        scores = load(detectors) if isinstance(detectors, str) else detectors
        found.append(Candidate(scan_id, sha256, score, bool(complete), scores, novelty, shape, contested[sha256]))
        shown[scan_id] = Shown(name, verdict)
    return found, shown


def count_candidates(
    connection: Connection, window: int = WINDOW, policy: LabelPolicy = DEFAULT_POLICY
) -> tuple[int, int]:
    """How many candidates :func:`load_candidates` finds, and of how many people contradict each other."""
    contested, _ = _asked(connection, window, policy)
    return len(contested), sum(contested.values())


def _asked(connection: Connection, window: int, policy: LabelPolicy) -> tuple[dict[str, bool], dict[str, str]]:
    """Of the contents to ask about: whether people contradict each other, and the latest scan."""
    latest: dict[str, _Latest] = {}
    for row in execute(connection, _RECENT.format(window), ()).fetchall():
        latest.setdefault(row[0], row)
    labels = _Labels(connection, policy)
    contested = labels.unlabelled(list(latest), NEWEST)
    others = sorted(latest.keys() - contested.keys(), key=lambda sha256: _urgency(latest[sha256]))
    contested |= labels.unlabelled(others, PRESSING)
    return contested, {sha256: latest[sha256][1] for sha256 in contested}


def _urgency(scan: _Latest) -> tuple[bool, float, str]:
    """The less, the more a label of this scan is wanted; of the others, those of lower ids first."""
    _, scan_id, score, complete = scan
    return bool(complete), 1.0 if score is None else abs(score - 0.5), scan_id


class _Labels:
    """What labels say of contents, each looked up once."""

    def __init__(self, connection: Connection, policy: LabelPolicy) -> None:
        self._connection = connection
        self._policy = policy
        self._contested: dict[str, bool | None] = {}

    def unlabelled(self, hashes: Sequence[str], most: int) -> dict[str, bool]:
        """The first `most` contents for which no label stands, and whether people contradict each other about them."""
        found: dict[str, bool] = {}
        for start in range(0, len(hashes), PAGE):
            page = hashes[start : start + PAGE]
            self._look_up({sha256 for sha256 in page if sha256 not in self._contested})
            for sha256 in page:
                if (contested := self._contested[sha256]) is not None:
                    found[sha256] = contested
                    if len(found) == most:
                        return found
        return found

    def _look_up(self, hashes: set[str]) -> None:
        said = standing_labels(self._connection, hashes, self._policy)
        for sha256 in hashes:
            standing = said.get(sha256, Standing(None))
            contested = bool(standing.conflict or standing.pending)
            self._contested[sha256] = contested if contested or standing.at is None else None


def queue_objects(connection: Connection, found: Sequence[Ranked], shown: Mapping[str, Shown]) -> list[dict[str, Any]]:
    """Lines of the queue as the API shows them."""
    rows = connection.execute(_TOLD, {"ids": [ranked.candidate.scan_id for ranked in found]})
    told = {row.id: {"at": row.at.isoformat(), "model_version": row.model_version} for row in rows}
    return [_queue_object(ranked, shown[ranked.candidate.scan_id], told[ranked.candidate.scan_id]) for ranked in found]


def _queue_object(ranked: Ranked, shown: Shown, told: dict[str, str]) -> dict[str, Any]:
    candidate = ranked.candidate
    return {
        "scan_id": candidate.scan_id,
        "sha256": candidate.sha256,
        **dataclasses.asdict(shown),
        **told,
        "score": candidate.score,
        "novelty": candidate.novelty,
        "priority": ranked.priority,
        "reason": ranked.reason,
        "why": REASONS[ranked.reason],
        "parts": dict(ranked.parts),
        "copies": ranked.copies,
    }
