"""Stage `ensemble`: stack the detectors, calibrate, set thresholds, write the bundle.

Besides the final bundle it writes a score for every file that no part of the model was fitted on: the stacking, the
calibration and the thresholds that judge a fold come from the other folds.
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
from safepickle.ensemble import load
from safepickle.features import SCHEMA

from . import train
from .dataset import FEEDBACK_ORIGIN
from .featurize import FINAL, PREVALENCE, matrix_path
from .params import load_params
from .paths import BUNDLE, ENSEMBLE_SCORES, FOLDS
from .split import HELD_OUT

TIERS = ("benign", "suspicious", "malicious")

Scores = dict[str, NDArray[np.float64]]


def detector_scores(names: list[str]) -> Scores:
    """Out-of-fold scores of each detector, in the order of :data:`~.paths.FOLDS`."""
    return {name: np.load(train.folder(name) / train.SCORES, allow_pickle=False) for name in names}


def exported(name: str) -> Exported:
    """A trained detector as its stage left it."""
    with np.load(train.folder(name) / train.ARRAYS, allow_pickle=False) as arrays:
        meta = json.loads((train.folder(name) / train.META).read_text(encoding="utf-8"))
        return Exported(meta, {key: arrays[key] for key in arrays.files})


def tiers(scores: NDArray[np.float64], credibility: NDArray[np.float64], stacking: Stacking) -> NDArray[np.str_]:
    """Tier of each calibrated score, as :meth:`safepickle.ensemble.Bundle.tier` has it."""
    levels = stacking.thresholds
    doubtful = (scores >= levels["suspicious"]) | (credibility < stacking.least_credibility)
    return np.select([scores >= levels["malicious"], doubtful], ["malicious", "suspicious"], "benign")


def fit(scores: Scores, frame: pd.DataFrame, rows: NDArray[np.bool_], params: dict[str, Any]) -> Stacking:
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


def say_nothing() -> NDArray[np.bool_]:
    """Which files name nothing and call nothing: their score is 0, as it is in a scan."""
    X = np.load(matrix_path(FINAL), mmap_mode="r", allow_pickle=False)
    return np.asarray(X[:, [SCHEMA.names.index("log_imports"), SCHEMA.names.index("log_calls")]].max(axis=1) == 0)


def judged(
    stacking: Stacking, scores: Scores, rows: NDArray[Any], silent: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.str_]]:
    """Combined scores and credibilities of some rows, 0 and 1 for those that are `silent`, and their tiers."""
    chosen = {name: values[rows] for name, values in scores.items()}
    combined, credibility = stacking.score(chosen), stacking.credibility(chosen)
    combined[silent[rows]], credibility[silent[rows]] = 0.0, 1.0
    return combined, credibility, tiers(combined, credibility, stacking)


def cross_fitted(scores: Scores, frame: pd.DataFrame, params: dict[str, Any]) -> pd.DataFrame:
    """Score, credibility and tier of each row by what did not learn from its fold; held-out rows are left empty."""
    folds, silent = frame["fold"].to_numpy(), say_nothing()
    combined, credibility = np.full(len(frame), np.nan), np.full(len(frame), np.nan)
    verdicts = np.full(len(frame), "", dtype=object)
    for fold in range(params["split"]["folds"]):
        stacking = fit(scores, frame, (folds != fold) & (folds != HELD_OUT), params)
        rows = folds == fold
        combined[rows], credibility[rows], verdicts[rows] = judged(stacking, scores, rows, silent)
    return pd.DataFrame({"ensemble": combined, "credibility": credibility, "tier": verdicts}, index=frame.index)


def main() -> None:
    """Run the stage."""
    params = load_params()
    frame = pd.read_parquet(FOLDS)
    names = list(params["detectors"])
    scores = detector_scores(names)
    held_out = (frame["fold"] == HELD_OUT).to_numpy()
    final = fit(scores, frame, ~held_out, params)
    shutil.rmtree(BUNDLE, ignore_errors=True)
    digest = save(
        BUNDLE,
        detectors={name: exported(name) for name in names},
        stacking=final.export(),
        schema_version=SCHEMA.version,
        names=SCHEMA.names,
        call_names=SCHEMA.call_names,
        prevalence=json.loads(PREVALENCE.read_text(encoding="utf-8")),
    )
    result = pd.concat([frame, cross_fitted(scores, frame, params)], axis=1).assign(**scores)
    bundle = load(BUNDLE, SCHEMA.version)
    rows = np.flatnonzero(held_out)
    columns = ["ensemble", "credibility", "tier"]
    for column, values in zip(columns, judged(final, scores, rows, say_nothing()), strict=True):
        result.loc[rows, column] = values
    result.to_parquet(ENSEMBLE_SCORES, compression="zstd", index=False)
    weights = ", ".join(f"{name} {weight:.2f}" for name, weight in final.weights.items())
    print(f"bundle {digest[:12]}; weights: {weights}; thresholds: {bundle.thresholds}", file=sys.stderr)


if __name__ == "__main__":
    main()
