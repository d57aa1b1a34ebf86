"""Stage `ensemble`: stack the detectors, calibrate, set thresholds, write the bundle as it was trained.

Besides the bundle it writes a score for every file that no part of the model was fitted on: the stacking, the
calibration and the thresholds that judge a fold come from the other folds. Stage `settle` makes the final bundle of it.
"""

from __future__ import annotations

import json
import shutil
import sys
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from detectors import Exported, Stacking, save
from safepickle.features import SCHEMA

from . import train
from .dataset import FEEDBACK_ORIGIN
from .featurize import FINAL, PREVALENCE, matrix_path
from .params import load_params
from .paths import FOLDS, STACKED, TRAINED
from .split import HELD_OUT

LEVELS = ("suspicious", "malicious")
"""Thresholds on the score."""

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Scores = dict[str, Floats]


def detector_scores(names: list[str]) -> Scores:
    """Out-of-fold scores of each detector, in the order of :data:`~.paths.FOLDS`."""
    return {name: np.load(train.folder(name) / train.SCORES, allow_pickle=False) for name in names}


def exported(name: str) -> Exported:
    """A trained detector as its stage left it."""
    with np.load(train.folder(name) / train.ARRAYS, allow_pickle=False) as arrays:
        meta = json.loads((train.folder(name) / train.META).read_text(encoding="utf-8"))
        return Exported(meta, {key: arrays[key] for key in arrays.files})


def tiers(
    scores: Floats, credibility: Floats, suspicious: Floats | float, malicious: Floats | float, credible: float
) -> NDArray[np.str_]:
    """Tier of each calibrated score, as :meth:`safepickle.ensemble.Bundle.tier` has it."""
    doubtful = (scores >= suspicious) | (credibility < credible)
    return np.select([scores >= malicious, doubtful], ["malicious", "suspicious"], "benign")


def fit(scores: Scores, frame: pd.DataFrame, rows: Flags, params: dict[str, Any]) -> Stacking:
    """Stacking learned from some rows, less those that analysts labelled.

    They are asked about what was flagged: counted as benign files among others, they would move the thresholds.
    """
    rows = rows & (frame["origin"] != FEEDBACK_ORIGIN).to_numpy(bool)
    y = np.asarray(frame["label"][rows] == "malicious", dtype=np.int64)
    weight = train.weights(frame[rows], params["train"])
    rates = params["ensemble"]["false_positive_rates"]
    chosen: Scores = {name: values[rows] for name, values in scores.items()}
    settings = {name: params["ensemble"][name] for name in ("shrink", "least_credibility")}
    return Stacking(seed=params["seed"], **settings).fit(chosen, y, weight, rates)


def say_nothing() -> Flags:
    """Which files name nothing and call nothing: their score is 0, as it is in a scan."""
    X = np.load(matrix_path(FINAL), mmap_mode="r", allow_pickle=False)
    return np.asarray(X[:, [SCHEMA.names.index("log_imports"), SCHEMA.names.index("log_calls")]].max(axis=1) == 0)


def judged(stacking: Stacking, scores: Scores, rows: NDArray[Any], silent: Flags) -> dict[str, Any]:
    """Columns of some rows: combined score and credibility, 0 and 1 for those that are `silent`, tier, thresholds."""
    chosen = {name: values[rows] for name, values in scores.items()}
    combined, credibility = stacking.score(chosen), stacking.credibility(chosen)
    combined[silent[rows]], credibility[silent[rows]] = 0.0, 1.0
    levels = stacking.thresholds
    tier = tiers(combined, credibility, levels["suspicious"], levels["malicious"], stacking.least_credibility)
    return {"ensemble": combined, "credibility": credibility, "tier": tier, **levels}


def cross_fitted(scores: Scores, frame: pd.DataFrame, final: Stacking, params: dict[str, Any]) -> pd.DataFrame:
    """Columns of :func:`judged` for each row, by what did not learn from its fold; by `final` where it is held out."""
    folds, silent = frame["fold"].to_numpy(), say_nothing()
    result = pd.DataFrame(index=frame.index, columns=["ensemble", "credibility", "tier", *LEVELS])
    result = result.astype({name: object if name == "tier" else np.float64 for name in result.columns})
    for fold in (*range(params["split"]["folds"]), HELD_OUT):
        held_out = fold == HELD_OUT
        stacking = final if held_out else fit(scores, frame, (folds != fold) & (folds != HELD_OUT), params)
        for column, values in judged(stacking, scores, folds == fold, silent).items():
            result.loc[folds == fold, column] = values
    return result


def main() -> None:
    """Run the stage."""
    params = load_params()
    frame = pd.read_parquet(FOLDS)
    names = list(params["detectors"])
    scores = detector_scores(names)
    final = fit(scores, frame, (frame["fold"] != HELD_OUT).to_numpy(), params)
    shutil.rmtree(TRAINED, ignore_errors=True)
    digest = save(
        TRAINED,
        detectors={name: exported(name) for name in names},
        stacking=final.export(),
        schema_version=SCHEMA.version,
        names=SCHEMA.names,
        call_names=SCHEMA.call_names,
        prevalence=json.loads(PREVALENCE.read_text(encoding="utf-8")),
    )
    found = cross_fitted(scores, frame, final, params)
    judgements, levels = found.drop(columns=list(LEVELS)), found[list(LEVELS)]
    result = pd.concat([frame, judgements.assign(**scores), levels], axis=1)
    result.to_parquet(STACKED, compression="zstd", index=False)
    weights = ", ".join(f"{name} {weight:.2f}" for name, weight in final.weights.items())
    print(f"trained {digest[:12]}; weights: {weights}; thresholds: {final.thresholds}", file=sys.stderr)


if __name__ == "__main__":
    main()
