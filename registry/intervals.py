"""Confidence intervals of a proportion."""

from __future__ import annotations

import math


def wilson(successes: int, n: int, z: float = 1.96) -> tuple[float, float]:
    """Return the Wilson score interval of a proportion.

    Parameters
    ----------
    successes, n
        Successes among ``n`` independent trials.
    z
        Quantile of the standard normal distribution; 1.96 gives 95 %.

    Returns
    -------
    low, high
        Bounds within [0, 1]; (0, 1) when there was no trial.

    Raises
    ------
    ValueError
        When the counts are impossible or ``z`` is negative.

    References
    ----------
    E. B. Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22 (1927).

    Examples
    --------
    >>> [round(bound, 4) for bound in wilson(8, 10)]
    [0.4902, 0.9433]
    """
    if not 0 <= successes <= n or not z >= 0:
        raise ValueError(f"no interval for {successes} successes in {n} trials with z={z}")
    if n == 0:
        return 0.0, 1.0
    rate, square = successes / n, z * z
    centre = rate + square / (2 * n)
    spread = z * math.sqrt(rate * (1 - rate) / n + square / (4 * n * n))
    # The formula is exact at the ends, its rounding is not.
    low = 0.0 if successes == 0 else max(0.0, (centre - spread) / (1 + square / n))
    high = 1.0 if successes == n else min(1.0, (centre + spread) / (1 + square / n))
    return low, high
