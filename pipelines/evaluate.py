"""Stage `evaluate`: what the model is worth, on files that it did not learn from.

Reads the scores of the stages before it and writes ``data/work/report`` (tables, plots, errors, model card) and the
figures as ``data/work/metrics.json``. The bars and the main tables are printed.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from detectors.settling import told
from registry.gate import SetResult
from safepickle.ensemble import Bundle, load
from safepickle.features import SCHEMA

from . import dataset
from .evaluation import plots, results, tables
from .evaluation.card import Model, bars_table, calibration_table, card
from .evaluation.judging import ALL, ENSEMBLE, FREQUENCIES, SIZE, Judged, judge_alone, verdicts
from .evaluation.misjudged import misjudged
from .evaluation.sets import EvaluationSet, evaluation_sets, is_real, not_learned, with_facts
from .featurize import FINAL, matrix_path
from .params import load_params
from .paths import BASELINE, BUNDLE, ENSEMBLE_SCORES, METRICS, REPORT
from .split import HELD_OUT, load_all


def ensemble_of(frame: pd.DataFrame) -> Judged:
    """The ensemble's verdicts, from its scores, tiers and `complete`."""
    found = verdicts(frame["tier"].to_numpy(object), frame["complete"].to_numpy(bool))
    return Judged("ensemble", ENSEMBLE, frame["ensemble"].to_numpy(np.float64), found)


def judge_all(frame: pd.DataFrame, baseline: pd.DataFrame, params: dict[str, Any]) -> list[Judged]:
    """Every method: the paper's detectors on frequencies, size alone, each detector, the ensemble."""
    benign, folds = (frame["label"] == "benign").to_numpy(bool), frame["fold"].to_numpy(np.int64)
    complete, rate = frame["complete"].to_numpy(bool), float(params["evaluate"]["false_positive_rate"])

    def alone(name: str, kind: str, scores: pd.Series) -> Judged:
        return judge_alone(name, kind, scores.to_numpy(np.float64), benign, folds, complete, rate)

    return [
        *(alone(name, FREQUENCIES, baseline[name]) for name in baseline.columns),
        alone("size alone", SIZE, -frame["opcodes"]),
        *(alone(name, ALL, frame[name]) for name in params["detectors"]),
        ensemble_of(frame),
    ]


def gate_sets(scores: pd.DataFrame, files: pd.DataFrame, effects: Sequence[str] | None = None) -> dict[str, SetResult]:
    """Results of the ensemble on the frozen evaluation sets, for the promotion gate.

    Parameters
    ----------
    scores
        Rows of :data:`~.paths.ENSEMBLE_SCORES`.
    files
        Rows of :func:`~.split.load_all`, in the same order.
    effects
        Effects that are learned; by default those of params.yaml.

    Returns
    -------
    dict
        By name of the set. Files that analysts labelled belong to no frozen set: they come with every retraining.
    """
    effects = load_params()["train"]["effects"] if effects is None else effects
    frame = with_facts(_checked(scores, files), dataset.traces(files))
    frozen = (frame["origin"] != dataset.FEEDBACK_ORIGIN).to_numpy(bool)
    return results.set_results(evaluation_sets(frame, list(effects)), ensemble_of(frame), frame, frozen)


def tables_text(
    frame: pd.DataFrame,
    sets: Sequence[EvaluationSet],
    judged: Sequence[Judged],
    effects: list[str],
    calibrated: dict[str, dict[str, float]],
) -> str:
    """All tables as one Markdown document."""
    groups, ensemble = frame["group"].to_numpy(), judged[-1]
    real_malicious = is_real(frame) & ((frame["label"] == "malicious") & frame["effect"].isin(effects)).to_numpy(bool)
    parts = [
        "# Evaluation\n\n`docs/evaluation.md` says how to read the columns.\n",
        "\n## The ensemble on every set\n\n",
        tables.overview(sets, ensemble, groups),
        "\n\\* no benign files of its own; ranked against all that were scored out of fold\n",
    ]
    for which in sets:
        parts += [f"\n## {which.name}: {which.title}\n\n", tables.methods(which, judged, groups)]
    rest = not_learned(frame, effects)
    parts += ["\n## Calibration of the ensemble\n\n", calibration_table(calibrated)]
    parts += ["\n## Files that are not learned from: verdicts by label and effect\n\n"]
    parts += [tables.verdict_counts(frame, rest, ("origin", "label", "effect"), ensemble.verdicts)]
    parts += ["\n## Real malicious files by technique\n\n"]
    parts += [tables.caught_by(frame, real_malicious, "technique", ensemble)]
    parts += ["\n## Real malicious files by container\n\n"]
    parts += [tables.caught_by(frame, real_malicious, "container", ensemble)]
    return "".join(parts)


def described(bundle: Bundle) -> Model:
    """What the card says about a bundle."""
    parts = bundle.manifest["stacking"]["detectors"]
    return Model(
        digest=bundle.hash,
        schema=f"{len(bundle.names)} features of schema {bundle.schema_version}",
        thresholds=bundle.thresholds,
        weights={name: float(part["weight"]) for name, part in sorted(parts.items())},
        raised=told(bundle.manifest),
    )


def features_of(fold: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """The matrix by which files of a fold were judged."""
    return np.asarray(np.load(matrix_path(FINAL if fold == HELD_OUT else fold), allow_pickle=False), dtype=np.float32)


def _checked(scores: pd.DataFrame, files: pd.DataFrame) -> pd.DataFrame:
    if len(scores) != len(files) or not (scores["sha256"].to_numpy() == files["sha256"].to_numpy()).all():
        raise SystemExit(f"{ENSEMBLE_SCORES} and the collected files are not of one run; run `dvc repro`")
    if not np.isfinite(scores["ensemble"].to_numpy(np.float64)).all():
        raise SystemExit(f"{ENSEMBLE_SCORES} has files without a score; run `dvc repro`")
    return scores


def _read(path: Any) -> pd.DataFrame:
    try:
        return pd.read_parquet(path)
    except FileNotFoundError:
        raise SystemExit(f"{path} is missing; run `dvc repro`, which makes it") from None


def main() -> None:
    """Run the stage."""
    params = load_params()
    effects = list(params["train"]["effects"])
    files, baseline = load_all(), _read(BASELINE)
    frame = with_facts(_checked(_read(ENSEMBLE_SCORES), files), dataset.traces(files))
    if len(baseline) != len(frame):
        raise SystemExit(f"{BASELINE} has {len(baseline)} rows, not {len(frame)}; run `dvc repro`")
    sets, judged = evaluation_sets(frame, effects), judge_all(frame, baseline, params)
    ensemble, bundle = judged[-1], load(BUNDLE, SCHEMA.version)
    bars, calibrated = results.bars(frame, ensemble), results.calibration(sets, ensemble)
    numbers = results.figures(sets, judged, frame)
    numbers |= {"calibration": calibrated, "bars_failed": sum(not bar.passed for bar in bars), "files": len(frame)}
    metrics = json.dumps(results.rounded(numbers), indent=1, sort_keys=True) + "\n"
    malicious = ((frame["label"] == "malicious") & frame["effect"].isin(effects)).to_numpy(bool)
    digest = dataset.dataset_hash(files)
    REPORT.mkdir(parents=True, exist_ok=True)
    for path, text in (
        (METRICS, metrics),
        (REPORT / "metrics.json", metrics),
        (REPORT / "tables.md", tables_text(frame, sets, judged, effects, calibrated)),
        (REPORT / "errors.md", misjudged(frame, ensemble, malicious, features_of)),
        (REPORT / "card.md", card(described(bundle), frame, digest, sets, ensemble, bars, calibrated, params)),
    ):
        path.write_text(text, encoding="utf-8")
    drawn = plots.draw_all(sets, judged, dict(bundle.thresholds), REPORT / "plots")
    groups = frame["group"].to_numpy()
    print(tables.overview(sets, ensemble, groups))
    print(tables.methods(sets[0], judged, groups))
    print(bars_table(bars))
    print(f"{len(drawn)} plots, tables, errors and the model card are in {REPORT}", file=sys.stderr)


if __name__ == "__main__":
    main()
