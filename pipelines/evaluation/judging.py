"""Verdicts: of the ensemble, and of a single detector at a threshold that its own fold had no part in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Names = NDArray[Any]

VERDICTS = ("benign", "incomplete", "suspicious", "malicious")
FLAGGED = ("suspicious", "malicious")

ENSEMBLE, ALL, FREQUENCIES, SIZE = "ensemble", "detectors", "frequencies", "size"


@dataclass(frozen=True)
class Judged:
    """What one method says of every file.

    Parameters
    ----------
    name
        Of the method.
    kind
        ``ensemble``, ``detectors`` (one detector, all its features), ``frequencies`` (one detector, the paper's
        opcode frequencies alone) or ``size`` (no detector at all: fewer opcodes, more suspicious).
    scores
        float64[n], higher is more malicious.
    verdicts
        One of :data:`VERDICTS` a file.
    """

    name: str
    kind: str
    scores: Floats
    verdicts: Names

    @property
    def title(self) -> str:
        """Name that tells the kinds apart."""
        return f"{self.name} (frequencies)" if self.kind == FREQUENCIES else self.name

    @property
    def flagged(self) -> Flags:
        """Files that would be stopped."""
        return np.isin(self.verdicts, FLAGGED)


def verdicts(tiers: Names, complete: Flags) -> Names:
    """The rule of :meth:`safepickle.scan.Scanner.judge`: evidence first, then what was not understood."""
    tiers = np.asarray(tiers, dtype=object)
    return np.where((tiers == "benign") & ~complete, "incomplete", tiers)


def threshold(benign: Floats, rate: float) -> float:
    """Score above which no more than `rate` of the benign scores lie; equal scores stay together below it.

    >>> threshold(np.array([0.0, 1.0, 2.0, 3.0]), 0.25)
    2.0
    """
    if not len(benign):
        return float("inf")
    allowed = int(rate * len(benign) + 1e-9)
    return float(np.sort(benign)[::-1][allowed]) if allowed < len(benign) else float("-inf")


def cross_fitted(scores: Floats, benign: Flags, folds: NDArray[np.int64], rate: float) -> Flags:
    """Files above the threshold that the benign files of the *other* folds give.

    Parameters
    ----------
    scores
        float64[n] out-of-fold scores.
    benign
        bool[n].
    folds
        int[n], -1 for held-out rows: they set no threshold and are judged by that of all folds.
    rate
        False-positive rate among those benign files.
    """
    flagged = np.zeros(len(scores), dtype=bool)
    for fold in np.unique(folds):
        rows = folds == fold
        flagged[rows] = scores[rows] > threshold(scores[benign & ~rows & (folds >= 0)], rate)
    return flagged


def judge_alone(
    name: str, kind: str, scores: Floats, benign: Flags, folds: NDArray[np.int64], complete: Flags, rate: float
) -> Judged:
    """A method that only ranks files, given the threshold of :func:`cross_fitted`."""
    tiers = np.where(cross_fitted(scores, benign, folds, rate), "malicious", "benign")
    return Judged(name, kind, scores, verdicts(tiers, complete))
