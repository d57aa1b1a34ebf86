"""Labels as the service uses them: which stands is told by :mod:`detectors.labelling`."""

from __future__ import annotations

from detectors.labelling import DEFAULT_POLICY, LABELS, RETRACTED, LabelPolicy, Said, Standing, standing

__all__ = [
    "DEFAULT_POLICY",
    "FLAGGED",
    "LABELS",
    "RETRACTED",
    "LabelPolicy",
    "Said",
    "Standing",
    "decision",
    "standing",
]

FLAGGED = ("malicious", "suspicious")
"""Verdicts that accuse a file."""


def decision(verdict: str, known: Standing, raised: bool = False) -> tuple[str, str]:
    """What holds for a file, and by whom.

    A standing label's word (``label``); else ``suspicious`` where the verdict is benign and what the labels of others
    taught raised it (``online``); else the ``model``'s verdict.
    """
    if known.label is not None:
        return known.label, "label"
    return ("suspicious", "online") if raised and verdict == "benign" else (verdict, "model")
