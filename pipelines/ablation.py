"""What each part is worth: ``python -m pipelines.ablation`` trains the ensemble again without it.

Without a detector: the stacking is fitted anew. Without a feature group: the detectors that use it are. Without what is
known of names (the capability map, or how usual names are): the features are counted and all detectors trained anew.
Written to ``data/work/ablation/ablation.{md,json}``; what was trained is kept under ``data/work/ablation`` and not
trained again while the features are the same.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from detectors import create
from safepickle.capabilities.capability import Capability
from safepickle.features import SCHEMA, Knowledge
from safepickle.features.knowledge import TAME

from . import dataset, ensemble, featurize, train
from .evaluate import ensemble_of
from .evaluation.metrics import count, rank_measures
from .evaluation.sets import EvaluationSet, evaluation_sets, with_facts
from .evaluation.tables import markdown, rate
from .params import load_params
from .paths import ABLATION, FEATURES, FOLDS
from .split import HELD_OUT, load_folds

WHOLE = "the whole ensemble"
CAUGHT = ("public", "bare", "padded-under-1k", "padded-1k-10k", "padded-over-10k", "unseen-callables")
ALARMS = ("public", "hard-negatives", "libraries", "unseen-callables")

Scores = dict[str, NDArray[np.float64]]


class WithoutMap(Knowledge):
    """Knows how usual names are, and nothing of what they can reach."""

    def capability(self, name: str) -> Capability | None:
        """Nothing."""
        return None


class WithoutPrevalence(Knowledge):
    """Knows what names can reach, and of none that benign files use it."""

    def novelty(self, name: str) -> float:
        """1, but for what is tame."""
        return TAME if name and self.is_tame(name) else 1.0

    def novelty_of_call(self, call: Any) -> float:
        """1, but for what is tame."""
        return self.novelty(call.callee.name)

    def usual(self, name: str) -> int:
        """None."""
        return 0


KNOWING: dict[str, type[Knowledge]] = {
    "without the capability map": WithoutMap,
    "without how usual names are": WithoutPrevalence,
}


def without_group(group: str, frame: pd.DataFrame, params: dict[str, Any], scores: Scores) -> Scores:
    """Scores of all detectors, those that use the group trained without it; one that has nothing left is left out."""
    found = {}
    for name, settings in params["detectors"].items():
        groups = settings.get("groups", ())
        if group not in groups:
            found[name] = scores[name]
        elif left := [other for other in groups if other != group]:
            found[name] = _trained(name, {**settings, "groups": left}, frame, params, f"without-{group}", FEATURES)
    return found


def with_knowledge(
    label: str, knowledge: type[Knowledge], frame: pd.DataFrame, files: pd.DataFrame, params: dict[str, Any]
) -> Scores:
    """Scores of all detectors on features by another knowledge."""
    folder = ABLATION / label.replace(" ", "-") / _digest(FEATURES / "prevalence.json")
    if not featurize.matrix_path(featurize.FINAL, folder).exists():
        folder.mkdir(parents=True, exist_ok=True)
        traces, copies = dataset.traces(files), params["train"]["feedback_groups"]
        for fold in (*range(params["split"]["folds"]), None):
            groups, counted = featurize.learned(files, fold), featurize.count(files, traces, fold, copies)
            made = featurize.matrices(traces, groups, counted, knowledge)
            featurize.save(featurize.FINAL if fold is None else fold, *made, folder)
            print(f"{label}: features {'of all' if fold is None else fold}", file=sys.stderr)
    return {
        name: _trained(name, settings, frame, params, label.replace(" ", "-"), folder)
        for name, settings in params["detectors"].items()
    }


def _trained(
    name: str, settings: dict[str, Any], frame: pd.DataFrame, params: dict[str, Any], label: str, features: Path
) -> NDArray[np.float64]:
    """Out-of-fold scores, from disk if the same was trained before."""
    about = json.dumps([settings, params["train"], params["seed"]], sort_keys=True)
    key = sha256((about + _digest(featurize.matrix_path(featurize.FINAL, features))).encode()).hexdigest()[:16]
    path = ABLATION / f"{label}-{name}-{key}.npy"
    if not path.exists():
        own = dict(settings)
        columns = train.columns_of(name, own.pop("groups", ()))
        scores, _ = train.out_of_fold(lambda: create(name, own, columns, params["seed"]), frame, params, features)
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, scores, allow_pickle=False)
        print(f"{label}: {name}", file=sys.stderr)
    return np.asarray(np.load(path, allow_pickle=False), dtype=np.float64)


def _digest(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest()[:16]


def judged(scores: Scores, frame: pd.DataFrame, params: dict[str, Any]) -> pd.DataFrame:
    """Score, credibility and tier of each row by a stacking of these detectors, as the stage `ensemble` makes them."""
    final = ensemble.fit(scores, frame, (frame["fold"] != HELD_OUT).to_numpy(), params)
    return ensemble.cross_fitted(scores, frame, final, params)


def figures(frame: pd.DataFrame, sets: Sequence[EvaluationSet]) -> dict[str, Any]:
    """Recall, false positives and ranking on the sets that show the difference."""
    said, by_name = ensemble_of(frame), {which.name: which for which in sets}
    found: dict[str, Any] = {}
    for name in (*CAUGHT, *ALARMS):
        if name in by_name:
            which = by_name[name]
            counts = count(said.verdicts[which.rows], which.malicious[which.rows])
            found[name] = {
                "caught": counts.tp, "malicious": counts.positives, "flagged": counts.fp, "benign": counts.negatives,
                **rank_measures(said.scores[which.malicious], said.scores[which.against]),
            }  # fmt: skip
    return found


def as_markdown(found: dict[str, dict[str, Any]]) -> str:
    """One row a variant."""
    columns = (
        "variant", *(f"recall {name}" for name in CAUGHT), *(f"false positives {name}" for name in ALARMS),
        "public TPR at FPR 0", "unseen TPR at FPR 0",
    )  # fmt: skip
    rows = []
    for label, sets in found.items():
        row: list[object] = [label]
        row += [rate(sets[name]["caught"], sets[name]["malicious"]) if name in sets else "-" for name in CAUGHT]
        row += [rate(sets[name]["flagged"], sets[name]["benign"]) if name in sets else "-" for name in ALARMS]
        row += [
            f"{sets[name]['tpr_at_0']:.3f}" if "tpr_at_0" in sets.get(name, {}) else "-"
            for name in ("public", "unseen-callables")
        ]
        rows.append(row)
    return (
        "# What each part is worth\n\n<!-- written by python -m pipelines.ablation -->\n\n"
        "Each row is an ensemble that was trained like the first, on the same folds, without one part; thresholds are "
        "set at the same false-positive rates. `docs/evaluation.md` says what is in the sets. Brackets: Wilson 95 % "
        "intervals.\n\n" + markdown(columns, rows)
    )


def main() -> None:
    """Train and judge every variant."""
    params, files, frame = load_params(), load_folds(), pd.read_parquet(FOLDS)
    facts = with_facts(frame, dataset.traces(files))
    sets = evaluation_sets(facts, list(params["train"]["effects"]))
    names = list(params["detectors"])
    scores = ensemble.detector_scores(names)
    groups = [group for group, _names in SCHEMA.groups]
    variants: dict[str, Callable[[], Scores]] = {WHOLE: lambda: scores}
    for name in names:
        variants[f"without {name}"] = lambda gone=name: {key: scores[key] for key in names if key != gone}  # type: ignore[misc]
    for group in groups:
        variants[f"without {group} features"] = lambda gone=group: without_group(gone, frame, params, scores)  # type: ignore[misc]
    for label, knowledge in KNOWING.items():
        variants[label] = lambda label=label, kind=knowledge: with_knowledge(label, kind, frame, files, params)  # type: ignore[misc]
    found = {}
    for label, make in variants.items():
        said = judged(make(), frame, params)
        found[label] = figures(facts.assign(**{column: said[column] for column in said.columns}), sets)
        print(f"{label}: done", file=sys.stderr)
    ABLATION.mkdir(parents=True, exist_ok=True)
    text = as_markdown(found)
    (ABLATION / "ablation.md").write_text(text, encoding="utf-8")
    (ABLATION / "ablation.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
