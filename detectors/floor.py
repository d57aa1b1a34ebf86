"""The floor: detectors that content added to a file can only raise, combined and put on the scale of the ensemble."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .base import Floats, Labels

DISCOUNT = 4.0
"""A floor that so many benign rows exceed counts as a probability that this many times as many exceed."""

_LEVELS = 0.25 * 2.0 ** -np.arange(16)


@dataclass(frozen=True)
class Floor:
    """Probability that the ensemble's is never less than: ``curve(sum(weight * log odds))``, rising in each.

    Parameters
    ----------
    weights
        By name of the detector, none negative.
    margin, probability
        Knots of the curve, float64[k].
    """

    weights: dict[str, float]
    margin: Floats
    probability: Floats

    def __call__(self, odds: dict[str, Floats]) -> Floats:
        """Probabilities float64[n] for float64[n] log odds by detector."""
        return np.asarray(np.interp(weighted_sum(self.weights, odds), self.margin, self.probability), dtype=np.float64)


def weighted_sum(weights: dict[str, float], odds: dict[str, Floats]) -> Floats:
    """Weighted sums, in the order of `weights`."""
    return np.asarray(np.sum([weight * odds[name] for name, weight in weights.items()], axis=0), dtype=np.float64)


def fit_floor(weights: dict[str, float], odds: dict[str, Floats], combined: Floats, y: Labels, weight: Floats) -> Floor:
    """Put a floor on the scale of the ensemble by what benign rows exceed, not by what it says of itself.

    Two scales that are each calibrated do not make one when the higher counts: the weaker of them would claim what
    the stronger knows better. Where a share q of the benign weight reaches a margin, the floor's probability is the
    one that ``DISCOUNT * q`` reaches in the ensemble; beyond all benign rows it goes on to half way to 1.

    Parameters
    ----------
    weights
        By name of the detector, none negative.
    odds
        float64[n] log odds by detector: of rows that it was not fitted on.
    combined
        float64[n]: the ensemble's probabilities without the floor.
    y, weight
        int[n] (1 malicious), float64[n].
    """
    x = weighted_sum(weights, odds)
    benign, shares = y == 0, weight[y == 0]
    least = shares.min() / shares.sum()
    levels = _LEVELS[least <= _LEVELS]
    knots = [_reached_by(x[benign], shares, level) for level in levels]
    heights = [_reached_by(combined[benign], shares, min(1.0, DISCOUNT * level)) for level in levels]
    top = max(float(x[benign].max()), knots[-1])
    end = max(float(x.max()), top + 1.0)
    knots += [float(np.nextafter(top, end)), end]
    heights += [heights[-1], (1.0 + float(combined[benign].max())) / 2.0]
    margin, first = np.unique(np.asarray(knots), return_index=True)
    return Floor(dict(weights), margin, np.maximum.accumulate(np.asarray(heights)[first]))


def _reached_by(values: Floats, shares: Floats, level: float) -> float:
    """The highest value that rows of at least `level` of the weight reach."""
    order = np.argsort(-values, kind="stable")
    reached = np.searchsorted(np.cumsum(shares[order]), level * shares.sum() * (1 - 1e-12))
    return float(values[order[min(reached, len(order) - 1)]])
