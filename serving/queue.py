"""The queue of files to label: see :mod:`detectors.active_learning`."""

from __future__ import annotations

from detectors.active_learning import REASONS, WEIGHTS, Candidate, Ranked, rank

__all__ = ["REASONS", "WEIGHTS", "Candidate", "Ranked", "rank"]
