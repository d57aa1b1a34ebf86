"""Counts, rates and rank measures of one set."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

from registry.intervals import wilson

from .judging import FLAGGED, Flags, Floats, Names

RATES = {"fpr_0": 0.0, "fpr_0.1%": 0.001, "fpr_1%": 0.01, "fpr_10%": 0.1}
"""False-positive rates at which the true-positive rate is read off."""

BINS = 10


@dataclass(frozen=True)
class Counts:
    """Confusion counts. A file left `incomplete` is neither caught nor a false positive nor a clean pass."""

    tp: int
    fp: int
    tn: int
    fn: int
    incomplete_malicious: int
    incomplete_benign: int
    suspicious_benign: int

    @property
    def positives(self) -> int:
        """Malicious files."""
        return self.tp + self.fn + self.incomplete_malicious

    @property
    def negatives(self) -> int:
        """Benign files."""
        return self.fp + self.tn + self.incomplete_benign

    @property
    def mixed(self) -> bool:
        """Whether there are both malicious and benign files."""
        return bool(self.positives and self.negatives)

    @property
    def precision(self) -> float | None:
        """Share of malicious files among the flagged ones; None where none was flagged or a label is missing."""
        return _share(self.tp, self.tp + self.fp) if self.mixed else None

    @property
    def recall(self) -> float | None:
        """Share of the malicious files that was flagged; an incomplete one was not."""
        return _share(self.tp, self.positives)

    @property
    def f1(self) -> float | None:
        """Harmonic mean of precision and recall; None where a label is missing."""
        return _share(2 * self.tp, self.tp + self.fp + self.positives) if self.mixed else None

    @property
    def false_positive_rate(self) -> float | None:
        """Share of the benign files that was flagged."""
        return _share(self.fp, self.negatives)

    @property
    def review_burden(self) -> float | None:
        """Benign files called suspicious, per 1,000: what analysts look at for nothing."""
        share = _share(self.suspicious_benign, self.negatives)
        return None if share is None else 1000 * share


def count(verdicts: Names, malicious: Flags) -> Counts:
    """Count the verdicts of files that are malicious or benign."""
    flagged = np.isin(verdicts, FLAGGED)
    incomplete = verdicts == "incomplete"
    return Counts(
        tp=int((flagged & malicious).sum()),
        fp=int((flagged & ~malicious).sum()),
        tn=int((~flagged & ~incomplete & ~malicious).sum()),
        fn=int((~flagged & ~incomplete & malicious).sum()),
        incomplete_malicious=int((incomplete & malicious).sum()),
        incomplete_benign=int((incomplete & ~malicious).sum()),
        suspicious_benign=int(((verdicts == "suspicious") & ~malicious).sum()),
    )


def caught_at(positive: Floats, negative: Floats, rate: float) -> int:
    """Malicious files above the lowest threshold that at most `rate` of the benign files exceed.

    >>> caught_at(np.array([0.5, 0.9]), np.array([0.1, 0.7]), 0.0)
    1
    """
    allowed = int(rate * len(negative) + 1e-9)
    if allowed >= len(negative):
        return len(positive)
    return int((positive > np.sort(negative)[::-1][allowed]).sum())


def rank_measures(positive: Floats, negative: Floats) -> dict[str, float]:
    """TPR at each of :data:`RATES` with its interval, and the area under the precision-recall curve.

    Empty when either side is: a rank needs both. PR-AUC is the average precision (no interpolation).
    """
    if not len(positive) or not len(negative):
        return {}
    measures: dict[str, float] = {}
    for name, rate in RATES.items():
        caught = caught_at(positive, negative, rate)
        low, high = wilson(caught, len(positive))
        measures |= {f"tpr_at_{name}": caught / len(positive), f"tpr_at_{name}_low": low, f"tpr_at_{name}_high": high}
    labels = np.repeat([1, 0], [len(positive), len(negative)])
    measures["pr_auc"] = float(average_precision_score(labels, np.concatenate([positive, negative])))
    return measures


def macro(flags: Flags, groups: Names) -> float | None:
    """Mean over groups of the share flagged in each, so that fifty variants of one file count once."""
    if not len(flags):
        return None
    _, place = np.unique(groups.astype(str), return_inverse=True)
    return float((np.bincount(place, weights=flags) / np.bincount(place)).mean())


@dataclass(frozen=True)
class Reliability:
    """Calibration by bins of equal width: mean score, share of malicious weight and weight of each filled bin."""

    brier: float
    ece: float
    score: Floats
    share: Floats
    weight: Floats


def reliability(scores: Floats, malicious: Flags, weight: Floats | None = None, bins: int = BINS) -> Reliability:
    """Brier score and expected calibration error (Naeini et al. 2015) of probabilities.

    Raises
    ------
    ValueError
        When there is no file.
    """
    if not len(scores):
        raise ValueError("no file to measure calibration on")
    share = np.full(len(scores), 1 / len(scores)) if weight is None else weight / weight.sum()
    brier = float((share * (scores - malicious) ** 2).sum())
    place = np.minimum((scores * bins).astype(int), bins - 1)
    mass: Floats = np.bincount(place, weights=share, minlength=bins).astype(np.float64)
    filled = mass > 0
    mean = np.bincount(place, weights=share * scores, minlength=bins)[filled] / mass[filled]
    hits = np.bincount(place, weights=share * malicious, minlength=bins)[filled] / mass[filled]
    ece = float((mass[filled] * np.abs(mean - hits)).sum())
    return Reliability(brier, ece, mean, hits, mass[filled])


def balanced(malicious: Flags) -> NDArray[np.float64]:
    """Weights under which either label weighs half, as in training."""
    weight = np.ones(len(malicious))
    for label in (malicious, ~malicious):
        if label.any():
            weight[label] = 0.5 / label.sum()
    return weight


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
