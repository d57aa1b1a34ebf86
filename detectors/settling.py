"""Thresholds raised as far as it takes not to flag what was cleared before, and no further than recall allows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from .base import Floats

EPSILON = 1e-9
"""How far above a score a threshold is set so as not to flag it."""


def raised(threshold: float, cleared: Floats, holds: Callable[[float], bool]) -> float:
    """Raise a threshold above scores that it must not flag, as far as something else holds.

    Parameters
    ----------
    threshold
        Flags every score that is not below it.
    cleared
        float64[n] scores that are not to be flagged.
    holds
        Whether a threshold is low enough; what holds at one holds at every lower one.

    Returns
    -------
    float
        The lowest threshold that flags none of them, or the highest above one of them at which `holds` is true; as
        it was when there is none.
    """
    levels = np.unique(cleared[cleared >= threshold]) + EPSILON
    allowed, beyond = 0, len(levels)
    while allowed < beyond:
        tried = (allowed + beyond + 1) // 2
        if holds(float(levels[tried - 1])):
            allowed = tried
        else:
            beyond = tried - 1
    return float(levels[allowed - 1]) if allowed else threshold


def lowest(scores: Floats, spared: int) -> Floats:
    """All scores but the highest few, which may stay flagged."""
    return np.sort(scores)[: len(scores) - max(0, spared)]


def told(manifest: Mapping[str, Any]) -> str:
    """Say in a line by how much a bundle's thresholds were raised and why; empty when they were not.

    Parameters
    ----------
    manifest
        Of the bundle; what ``raised`` holds is written by :mod:`pipelines.settle`.
    """
    record = manifest.get("raised")
    if record is None:
        return ""
    moved = ", ".join(
        f"{name} {before:.6f} -> {after:.6f}" for name, (before, after) in record["levels"].items() if before != after
    )
    before, after = record["flagged"]
    text = (
        f"{moved}: of {record['old_benign']} benign files that version {record['version']} clears, {after} are flagged "
        f"instead of {before}"
    )
    return text + ("; recall and canaries allowed no more" if record["limited"] else "")
