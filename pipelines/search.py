"""Hyper-parameters of one detector: ``python -m pipelines.search DETECTOR [--trials N]``.

Optuna's tree-structured Parzen estimator, seeded, over the grouped folds: each trial trains out of fold, as the stage
does, and is worth its mean recall at low false-positive rates on real files and on generated ones whose groups it did
not see. Held-out files have no say. Trials are kept under ``data/work/search``, and a search that was stopped goes on.
What is found is printed; whoever believes it writes it into params.yaml.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

import numpy as np
import optuna
import pandas as pd
from numpy.typing import NDArray

from detectors import create

from . import train
from .dataset import GENERATED_ORIGIN, LIBRARY_ORIGIN
from .evaluation.metrics import caught_at
from .params import load_params
from .paths import FOLDS, SEARCH
from .split import HELD_OUT

RATES = (0.002, 0.005, 0.01, 0.02)
"""False-positive rates at which recall is read off."""
SPACES: dict[str, dict[str, tuple[str, float, float]]] = {
    "random_forest": {"trees": ("int", 100, 300), "depth": ("int", 6, 20)},
    "catboost": {"trees": ("int", 100, 500), "depth": ("int", 4, 8)},
    "monotone": {"trees": ("int", 100, 400), "depth": ("int", 3, 7)},
    "per_call": {"trees": ("int", 100, 500), "depth": ("int", 4, 8)},
}
"""What is searched: kind and bounds by parameter. The novelty detectors have nothing that recall could be sought by."""


def worth(scores: NDArray[np.float64], frame: pd.DataFrame) -> float:
    """Mean recall at :data:`RATES`, real and generated malicious files counting alike, against all benign ones."""
    learned = (frame["fold"] != HELD_OUT).to_numpy(bool)
    malicious = (frame["label"] == "malicious").to_numpy(bool) & learned
    made = frame["origin"].isin((GENERATED_ORIGIN, LIBRARY_ORIGIN)).to_numpy(bool)
    benign = scores[learned & ~malicious]
    parts = [scores[malicious & made], scores[malicious & ~made]]
    return float(np.mean([caught_at(part, benign, rate) / max(1, len(part)) for part in parts for rate in RATES]))


def suggested(trial: optuna.Trial, space: dict[str, tuple[str, float, float]]) -> dict[str, Any]:
    """Parameters that a trial proposes."""
    return {
        name: trial.suggest_int(name, int(low), int(high)) if kind == "int" else trial.suggest_float(name, low, high)
        for name, (kind, low, high) in space.items()
    }


def search(name: str, trials: int, params: dict[str, Any]) -> optuna.Study:
    """Run until there are `trials` of them; those of earlier runs on the same folds count."""
    frame, settings = pd.read_parquet(FOLDS), dict(params["detectors"][name])
    columns = train.columns_of(name, settings.pop("groups", ()))

    def objective(trial: optuna.Trial) -> float:
        proposed = {**settings, **suggested(trial, SPACES[name])}
        scores, _ = train.out_of_fold(lambda: create(name, proposed, columns, params["seed"]), frame, params)
        return worth(scores, frame)

    SEARCH.mkdir(parents=True, exist_ok=True)
    study = optuna.create_study(
        study_name=name, direction="maximize", load_if_exists=True, storage=f"sqlite:///{SEARCH}/{name}.db",
        sampler=optuna.samplers.TPESampler(seed=params["seed"]),
    )  # fmt: skip
    if not study.trials:
        study.enqueue_trial({key: settings[key] for key in SPACES[name]})
    study.optimize(objective, n_trials=max(0, trials - len(study.trials)))
    return study


def main(arguments: list[str] | None = None) -> None:
    """Command line; see the module's docstring."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.search", description=__doc__)
    parser.add_argument("detector", choices=SPACES)
    parser.add_argument("--trials", type=int, default=20)
    options = parser.parse_args(arguments)
    study = search(options.detector, options.trials, load_params())
    now = study.trials[0]
    print(f"as in params.yaml  {now.value:.4f}  {json.dumps(now.params)}")
    print(f"best of {len(study.trials):<11d} {study.best_value:.4f}  {json.dumps(study.best_params)}", file=sys.stdout)


if __name__ == "__main__":
    main()
