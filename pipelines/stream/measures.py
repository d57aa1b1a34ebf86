"""What is measured in each period, and over all of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

SHARES = (0.01, 0.05, 0.11)
"""Shares of malicious files for which F1 is stated; periods hold more, for the rates to be measured well."""


@dataclass(frozen=True)
class Period:
    """Rates in one period, before its files were learned from."""

    recall: float
    false_positive_rate: float
    recall_at_1_percent: float

    def f1(self, share: float) -> float:
        """F1 among files of which `share` are malicious."""
        caught = share * self.recall
        flagged = caught + (1.0 - share) * self.false_positive_rate
        return 2.0 * caught / (flagged + share) if caught else 0.0


def measure(scores: Floats, flagged: Flags, malicious: Flags) -> Period:
    """Rates of one period's files."""
    good = np.sort(scores[~malicious])
    # The highest benign scores that may be flagged are one in a hundred, at least one file.
    allowed = max(1, len(good) // 100)
    bound = good[-allowed - 1] if len(good) > allowed else -np.inf
    return Period(
        recall=float(flagged[malicious].mean()),
        false_positive_rate=float(flagged[~malicious].mean()),
        recall_at_1_percent=float((scores[malicious] > bound).mean()),
    )


def area(values: list[float]) -> float:
    """Area under a curve over the periods, as a share of the largest there can be (AUT)."""
    if len(values) < 2:
        return values[0]
    table = np.asarray(values)
    return float(((table[1:] + table[:-1]) / 2.0).mean())


def interval(values: list[float], seed: int = 0, draws: int = 2000) -> tuple[float, float, float]:
    """Mean over the seeds with its 95 % bootstrap interval."""
    table = np.asarray(values, dtype=np.float64)
    chance = np.random.default_rng(seed)
    means = table[chance.integers(0, len(table), (draws, len(table)))].mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(table.mean()), float(low), float(high)
