"""Scores without a scale of their own, ranked among the rows of one label."""

from __future__ import annotations

import numpy as np

from .base import Floats, Labels
from .calibration import thin

_KNOTS = 128


def benign_ranks(values: Floats, weight: Floats) -> tuple[Floats, Floats]:
    """Knots from a raw score to ``-log10`` of the benign share that scores at least as high.

    One more knot lies as far beyond the highest benign score as that lies above the median: what is farther out than
    any benign row counts for more, up to there.

    Returns
    -------
    tuple
        float64[k] raw scores, rising, and float64[k] ranks, not falling.
    """
    raw, place = np.unique(values, return_inverse=True)
    shares = np.bincount(place.ravel(), weights=weight)
    mean = float(weight.mean())
    at_least = np.cumsum(shares[::-1])[::-1]
    ranks = -np.log10(at_least / (float(weight.sum()) + mean))
    kept = np.unique(np.concatenate([thin(raw, _KNOTS // 2), _evenly(ranks, _KNOTS // 2)]))
    beyond = float(raw[-1] - np.median(raw)) or max(1.0, abs(float(raw[-1])))
    return np.append(raw[kept], raw[-1] + beyond), np.append(ranks[kept], ranks[-1] + 0.5)


def _evenly(ranks: Floats, most: int) -> Labels:
    """Indices of knots evenly spaced in rank, which are dense among the highest scores."""
    return np.searchsorted(ranks, np.linspace(ranks[0], ranks[-1], most)).clip(0, len(ranks) - 1)
