"""The figures as nested numbers, and the bars they have to clear."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from registry.gate import CAUGHT, CLEARED, FLAGGED, MISSED, SetResult
from registry.intervals import wilson

from .judging import ENSEMBLE, Flags, Judged
from .judging import FLAGGED as FLAGGED_VERDICTS
from .metrics import count
from .plots import set_reliability
from .sets import EvaluationSet, digest, is_real
from .tables import measure, rate

PLACES = 6
BAR_RECALL, BAR_FALSE_POSITIVES = 0.95, 0.01


@dataclass(frozen=True)
class Bar:
    """Something that must hold, and what was measured."""

    name: str
    goal: str
    measured: str
    passed: bool


def figures(sets: Iterable[EvaluationSet], judged: Sequence[Judged], frame: pd.DataFrame) -> dict[str, Any]:
    """Every figure: kind of method -> method -> set -> name -> number. What has no meaning is left out."""
    groups = frame["group"].to_numpy()
    found: dict[str, Any] = {}
    for which in sets:
        for one in judged:
            counts, named = measure(one, which, groups)
            entry: dict[str, float] = {**counts.__dict__, **named}
            for name in ("precision", "recall", "f1", "false_positive_rate", "review_burden"):
                value = getattr(counts, name)
                if value is not None:
                    entry[name] = value
            bounds = (
                ("precision", counts.tp, counts.tp + counts.fp if counts.mixed else 0),
                ("recall", counts.tp, counts.positives),
                ("false_positive_rate", counts.fp, counts.negatives),
            )
            for name, part, whole in bounds:
                if whole:
                    entry[f"{name}_low"], entry[f"{name}_high"] = wilson(part, whole)
            place = found.setdefault(one.kind, {})
            if one.kind != ENSEMBLE:
                place = place.setdefault(one.name, {})
            place[which.name] = entry
    return found


def calibration(sets: Iterable[EvaluationSet], ensemble: Judged) -> dict[str, dict[str, float]]:
    """Brier score and ECE on sets with both labels: as the files are, and with both labels weighing the same."""
    found = {}
    for which in sets:
        if which.malicious.any() and which.benign.any():
            plain, even = (set_reliability(which, ensemble, weighted) for weighted in (False, True))
            found[which.name] = {
                "brier": plain.brier, "ece": plain.ece, "brier_balanced": even.brier, "ece_balanced": even.ece,
            }  # fmt: skip
    return found


def bars(frame: pd.DataFrame, ensemble: Judged) -> list[Bar]:
    """The first bar: recall on real files that execute, false positives on public ones, joblib read to its end."""
    real = is_real(frame)
    malicious = real & ((frame["label"] == "malicious") & (frame["effect"] == "exec")).to_numpy(bool)
    public = ((frame["origin"] == "public") & (frame["label"] == "benign")).to_numpy(bool)
    read = frame["label"].isin(("benign", "malicious")) & frame["container"].str.contains("joblib")
    joblib = real & read.to_numpy(bool)
    caught = count(ensemble.verdicts[malicious], malicious[malicious])
    alarms = count(ensemble.verdicts[public], malicious[public])
    whole, total = int(frame["complete"][joblib].sum()), int(joblib.sum())
    return [
        Bar(
            "recall on real malicious files whose effect is exec", f">= {BAR_RECALL}",
            f"{caught.tp} of {caught.positives}: {rate(caught.tp, caught.positives)}",
            caught.positives > 0 and caught.tp >= BAR_RECALL * caught.positives,
        ),
        Bar(
            "false positives on public benign files", f"<= {BAR_FALSE_POSITIVES}",
            f"{alarms.fp} of {alarms.negatives}: {rate(alarms.fp, alarms.negatives)}",
            alarms.negatives > 0 and alarms.fp <= BAR_FALSE_POSITIVES * alarms.negatives,
        ),
        Bar("real joblib files read to their end", "all", f"{whole} of {total}", 0 < total == whole),
    ]  # fmt: skip


def set_results(
    sets: Iterable[EvaluationSet], ensemble: Judged, frame: pd.DataFrame, frozen: Flags
) -> dict[str, SetResult]:
    """Results on sets for the promotion gate, over `frozen` rows alone."""
    found = {}
    for which in sets:
        rows = which.rows & frozen
        if not rows.any():
            continue
        flagged = np.isin(ensemble.verdicts[rows], FLAGGED_VERDICTS)
        letters = np.where(
            which.malicious[rows], np.where(flagged, CAUGHT, MISSED), np.where(flagged, FLAGGED, CLEARED)
        )
        outcomes = {str(key)[:12]: str(letter) for key, letter in zip(frame["sha256"][rows], letters, strict=True)}
        found[which.name] = SetResult.of_files(outcomes, digest(frame[rows]))
    return found


def rounded(value: Any) -> Any:
    """Plain numbers, rounded, so that the same figures give the same text."""
    if isinstance(value, Mapping):
        return {str(key): rounded(item) for key, item in value.items()}
    return round(float(value), PLACES) if isinstance(value, float) else int(value)
