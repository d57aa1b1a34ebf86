"""Stage `train`: one detector, out of fold and final. ``python -m pipelines.train NAME``"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from detectors import Detector, PerCall, create
from detectors.base import Labels
from safepickle.features import SCHEMA

from .dataset import FEEDBACK_ORIGIN
from .featurize import FINAL, load_bags, matrix_path
from .params import load_params
from .paths import DETECTORS, FEATURES, FOLDS
from .split import HELD_OUT

META, ARRAYS, ONNX, SCORES = "meta.json", "arrays.npz", "model.onnx", "scores.npy"


def folder(name: str) -> Path:
    """Where the stage of one detector writes."""
    return DETECTORS / name


def weights(frame: pd.DataFrame, settings: dict[str, Any]) -> NDArray[np.float64]:
    """Weight of each row, by the section `train` of the parameters.

    A group of n files weighs ``n ** size_exponent``, analysts' labels ``feedback_weight`` times that; both labels
    weigh the same in all.
    """
    sizes = frame.groupby(["label", "group"])["sha256"].transform("size").to_numpy(np.float64)
    raw = sizes ** settings["size_exponent"] / sizes
    raw[(frame["origin"] == FEEDBACK_ORIGIN).to_numpy()] *= settings["feedback_weight"]
    for label in frame["label"].unique():
        rows = (frame["label"] == label).to_numpy()
        raw[rows] /= raw[rows].sum()
    return np.asarray(raw * len(frame) / 2, dtype=np.float64)


def columns_of(name: str, groups: Sequence[str]) -> list[int]:
    """Columns that a detector looks at: of a call's row for the one that judges calls, else of the groups named."""
    if name == "per_call":
        return list(range(len(SCHEMA.call_names)))
    return SCHEMA.columns(tuple(groups), monotone=name == "monotone")


def out_of_fold(
    make: Callable[[], Detector], frame: pd.DataFrame, params: dict[str, Any], features: Path = FEATURES
) -> tuple[NDArray[np.float64], Detector]:
    """Scores of every row by models that did not learn from its group, and the final model, from `features`.

    Rows of a fold are scored by the model trained on the other folds; held-out rows by the final model.
    """
    y: Labels = np.asarray(frame["label"] == "malicious", dtype=np.int64)
    folds = frame["fold"].to_numpy()
    scores = np.zeros(len(frame))
    for fold in range(params["split"]["folds"]):
        rows = (folds != fold) & (folds != HELD_OUT)
        scores[folds == fold], _ = fit_and_score(
            make(), fold, rows, folds == fold, y, weights(frame[rows], params["train"]), features
        )
        print(f"fold {fold + 1} of {params['split']['folds']}", file=sys.stderr)
    rows = folds != HELD_OUT
    scores[~rows], final = fit_and_score(make(), FINAL, rows, ~rows, y, weights(frame[rows], params["train"]), features)
    return scores, final


def fit_and_score(
    detector: Detector,
    fold: int | str,
    rows: NDArray[np.bool_],
    judged: NDArray[np.bool_],
    y: NDArray[np.int64],
    weight: NDArray[np.float64],
    features: Path = FEATURES,
) -> tuple[NDArray[np.float64], Detector]:
    """Scores of the files `judged` by a detector fitted on the files `rows`, and that detector."""
    if isinstance(detector, PerCall):
        bags = load_bags(fold, features)
        return detector.fit_bags(bags[rows], y[rows], weight).score_bags(bags[judged]), detector
    X = np.load(matrix_path(fold, features), allow_pickle=False)
    return detector.fit(X[rows], y[rows], weight).score(X[judged]), detector


def main(arguments: list[str] | None = None) -> None:
    """Run the stage for one detector."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.train", description=__doc__)
    parser.add_argument("name")
    name = parser.parse_args(arguments).name
    params = load_params()
    if name not in params["detectors"]:
        raise SystemExit(f"params.yaml has no detector {name!r}; it has {', '.join(params['detectors'])}")
    settings = dict(params["detectors"][name])
    columns = columns_of(name, settings.pop("groups", ()))
    frame = pd.read_parquet(FOLDS)
    scores, final = out_of_fold(lambda: create(name, settings, columns, params["seed"]), frame, params)
    exported = final.export()
    target = folder(name)
    target.mkdir(parents=True, exist_ok=True)
    np.save(target / SCORES, scores, allow_pickle=False)
    np.savez(target / ARRAYS, allow_pickle=False, **dict(exported.arrays))
    (target / META).write_text(json.dumps(exported.meta, sort_keys=True, indent=1), encoding="utf-8")
    (target / ONNX).write_bytes(final.onnx())
    print(f"{name}: {len(columns)} features, {sum(array.nbytes for array in exported.arrays.values()) / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
