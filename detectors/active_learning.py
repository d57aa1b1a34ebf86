"""Which files to ask people about first: those from which a label teaches most.

A file is worth asking about when the model is unsure of it, when it is unlike what was seen before, or when the
detectors contradict each other. Near copies are asked about once.

References
----------
Settles, B. (2009). Active learning literature survey. Computer Sciences Technical Report 1648, University of
Wisconsin-Madison: uncertainty sampling, query by committee, density and diversity.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

WEIGHTS = {"uncertainty": 0.9, "novelty": 0.7, "disagreement": 0.6}
"""How much each reason counts at the most; they are joined like independent chances."""

REASONS = {
    "contested": "people contradict each other or a second person has to agree",
    "unread": "not all of it was understood",
    "uncertainty": "the score is near a threshold",
    "novelty": "it is unlike what was seen before",
    "disagreement": "the detectors contradict each other",
}
"""What each reason means, worded for people."""

_BOUND = 1e-6
_TAIL = 3.0


@dataclasses.dataclass(frozen=True, slots=True)
class Candidate:
    """A scan that people could be asked about.

    Parameters
    ----------
    scan_id, sha256
        Which one.
    score
        Calibrated probability of malicious, None without one.
    complete
        Whether all of it was understood.
    detectors
        Raw scores by detector, on scales of their own.
    novelty
        From the online learner; None while it warms up.
    shape
        Near copies have the same; None counts as the content alone.
    contested
        Whether labels contradict each other or one waits for a second person.
    """

    scan_id: str
    sha256: str
    score: float | None
    complete: bool
    detectors: Mapping[str, float]
    novelty: float | None = None
    shape: str | None = None
    contested: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Ranked:
    """A candidate with its `priority` (0 to 1), the strongest `reason`, all `parts`, and how many `copies` it stands
    for."""

    candidate: Candidate
    priority: float
    reason: str
    parts: Mapping[str, float]
    copies: int


def rank(candidates: Sequence[Candidate], thresholds: Mapping[str, float], budget: int) -> list[Ranked]:
    """The `budget` candidates to ask about first, the most telling one first.

    Parameters
    ----------
    candidates
        In any order; the result does not depend on it.
    thresholds
        Of the model: scores from which on a file is suspicious and malicious.
    budget
        How many people have time for.
    """
    if not candidates or budget <= 0:
        return []
    parts = {
        "uncertainty": _uncertainty(candidates, thresholds),
        "novelty": _tail([candidate.novelty for candidate in candidates]),
        "disagreement": _disagreement(candidates),
    }
    left = np.ones(len(candidates))
    for name, values in parts.items():
        left *= 1.0 - WEIGHTS[name] * values
    priority = 1.0 - left
    priority[[index for index, candidate in enumerate(candidates) if not candidate.complete]] += 0.5
    priority[[index for index, candidate in enumerate(candidates) if candidate.contested]] += 1.0
    order = sorted(range(len(candidates)), key=lambda index: (-priority[index], candidates[index].scan_id))
    first: dict[str, int] = {}
    copies: dict[str, int] = {}
    for index in order:
        key = candidates[index].shape or candidates[index].sha256
        first.setdefault(key, index)
        copies[key] = copies.get(key, 0) + 1
    highest = 2.5
    return [
        _ranked(candidates[index], float(priority[index]) / highest, index, parts, copies[key])
        for key, index in list(first.items())[:budget]
    ]


def _ranked(candidate: Candidate, priority: float, index: int, parts: Mapping[str, Floats], copies: int) -> Ranked:
    own = {name: round(float(values[index]), 4) for name, values in parts.items()}
    if candidate.contested:
        reason = "contested"
    elif not candidate.complete:
        reason = "unread"
    else:
        reason = max(own, key=lambda name: (WEIGHTS[name] * own[name], name))
    return Ranked(candidate, round(priority, 6), reason, own, copies)


def _uncertainty(candidates: Sequence[Candidate], thresholds: Mapping[str, float]) -> Floats:
    """1 at a threshold, falling with the distance in log odds; 0 without a score."""
    scores = np.array([np.nan if candidate.score is None else candidate.score for candidate in candidates])
    odds = _log_odds(scores)
    distance = np.full(len(candidates), np.inf)
    for threshold in thresholds.values():
        distance = np.minimum(distance, np.abs(odds - _log_odds(np.array([threshold]))[0]))
    return np.asarray(np.nan_to_num(np.exp(-distance), nan=0.0), dtype=np.float64)


def _log_odds(probabilities: Floats) -> Floats:
    clipped = np.clip(probabilities, _BOUND, 1.0 - _BOUND)
    return np.asarray(np.log(clipped) - np.log1p(-clipped), dtype=np.float64)


def _disagreement(candidates: Sequence[Candidate]) -> Floats:
    """How far the detectors' ranks of a file lie apart, compared with the other files."""
    names = sorted({name for candidate in candidates for name in candidate.detectors})
    if len(names) < 2:
        return np.zeros(len(candidates))
    table = np.array([[candidate.detectors.get(name, np.nan) for name in names] for candidate in candidates])
    ranks = np.column_stack([_shares(table[:, column]) for column in range(len(names))])
    spread = np.nanstd(np.where(np.isnan(table).all(axis=1, keepdims=True), 0.0, ranks), axis=1)
    return _tail([float(value) if value > 0 else None for value in spread])


def _tail(values: Sequence[float | None]) -> Floats:
    """How rare so high a value is: 0 for what is usual, 1/3 for one in ten, 1 for one in a thousand."""
    table = np.array([np.nan if value is None else value for value in values], dtype=np.float64)
    count = int(np.isfinite(table).sum())
    if count < 2:
        return np.zeros(len(values))
    rarity = -np.log10(1.0 - _shares(table) + 0.5 / count) / _TAIL
    return np.asarray(np.clip(np.nan_to_num(rarity, nan=0.0), 0.0, 1.0), dtype=np.float64)


def _shares(values: Floats) -> Floats:
    """Share of the known values that each lies above, ties counted half; NaN stays."""
    known = np.sort(values[np.isfinite(values)])
    if not len(known):
        return np.full(len(values), np.nan)
    below, upto = np.searchsorted(known, values, "left"), np.searchsorted(known, values, "right")
    return np.where(np.isfinite(values), (below + upto) / (2.0 * len(known)), np.nan)
