"""The model card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from safepickle.record import Record

from .judging import Judged
from .metrics import count
from .results import Bar
from .sets import EvaluationSet
from .tables import markdown, overview, rate

CLAIM = 3_000
"""Benign files without a false positive that a claim of 0.1 % takes (rule of three)."""


class Model(Record):
    """What a card says about the model itself.

    Parameters
    ----------
    digest
        Hash of the bundle.
    schema
        Version of the features, and their number.
    thresholds
        Calibrated scores from which on a file is suspicious, and malicious.
    weights
        Of each detector in the stacking.
    raised
        By how much its thresholds were raised after training, and why; empty when they were not.
    """

    digest: str
    schema: str
    thresholds: Mapping[str, float]
    weights: Mapping[str, float]
    raised: str = ""


USE = """\
## Intended use

To say, before it is loaded, whether a pickle-based model file (pickle, joblib, torch, numpy and the archives around
them) would run something that a model has no business running. A scan never loads the file. `malicious` is meant to
stop a file; `suspicious` asks for a person to look at the evidence; `incomplete` means that part of the file was not
understood, and is neither a pass nor an accusation.

## Out of scope

* Files whose harm does not come from unpickling: hostile code in formats of other kinds (templates, ONNX custom
  operators), exhaustion of memory or time by literals alone, poisoned weights.
* Proof of harmlessness. A callable that benign files use as well, with arguments that are data, looks benign here.
* Judging people: a `suspicious` file may well be an unusual library.
"""


def card(
    model: Model,
    frame: pd.DataFrame,
    dataset_hash: str,
    sets: Sequence[EvaluationSet],
    ensemble: Judged,
    bars: Sequence[Bar],
    calibrated: Mapping[str, Mapping[str, float]],
    params: Mapping[str, Any],
) -> str:
    """Write the card as Markdown."""
    detectors = markdown(("detector", "weight in the stacking"), [(k, f"{v:.3f}") for k, v in model.weights.items()])
    rates = params["ensemble"]["false_positive_rates"]
    thresholds = markdown(
        ("tier", "calibrated score from", "set at a false-positive rate of"),
        [(tier, f"{model.thresholds[tier]:.6f}", f"{rates[tier]:.2%}") for tier in ("suspicious", "malicious")],
    )
    scored = overview(sets, ensemble, frame["group"].to_numpy())
    return "\n".join(
        (
            f"# Model card: bundle {model.digest[:12]}\n",
            f"Ensemble of {len(model.weights)} detectors over {model.schema}. Bundle sha256 `{model.digest}`.\n",
            detectors,
            "## Thresholds\n",
            "The score is a probability calibrated as if half of all files were malicious (both labels weigh the same "
            "in training); where few are, it is too high. The tiers, not the score, carry the promise.\n",
            thresholds,
            *((f"Raised after training: {model.raised}.\n",) if model.raised else ()),
            USE,
            "## Data\n",
            f"{len(frame)} files, dataset sha256 `{dataset_hash}`. Files are kept as Traces without their literals. "
            "Groups (authors, repositories, variant families, generated packages) never straddle folds.\n",
            _counts(frame),
            "## Results\n",
            "Each file is judged by models, a stacking and thresholds that learned nothing from its group; the set "
            "`unseen-callables` by the final model, which learned from no file of it. A file is caught or a false "
            "positive when it is `suspicious` or `malicious`; `incomplete` counts as neither. Brackets: Wilson 95 % "
            "intervals. Macro: each group weighs the same. Sets with * hold no benign files; their rank measures are "
            "against all benign files scored out of fold.\n",
            scored,
            *(f"* `{which.name}`: {which.title}" for which in sets),
            "\n### Bars\n",
            bars_table(bars),
            "### Calibration\n",
            calibration_table(calibrated),
            "## Limits\n",
            _limits(frame, sets, ensemble),
        )
    )


def bars_table(bars: Sequence[Bar]) -> str:
    """What must hold, and whether it does."""
    return markdown(
        ("bar", "goal", "measured", "result"),
        [(bar.name, bar.goal, bar.measured, "pass" if bar.passed else "FAIL") for bar in bars],
    )


def calibration_table(calibrated: Mapping[str, Mapping[str, float]]) -> str:
    """Brier score and expected calibration error by set."""
    return markdown(
        ("set", "Brier", "ECE", "Brier, labels balanced", "ECE, labels balanced"),
        [(name, *(f"{value:.4f}" for value in found.values())) for name, found in calibrated.items()],
    )


def _counts(frame: pd.DataFrame) -> str:
    origin = frame["origin"].where(frame["origin"] != "", "-")
    lines = []
    for (name, label), part in frame.groupby([origin, "label"], sort=True):
        lines.append((name, label, len(part), part["group"].nunique(), int((part["pool"] == "test").sum())))
    return markdown(("origin", "label", "files", "groups", "of them held out for testing"), lines)


def _limits(frame: pd.DataFrame, sets: Sequence[EvaluationSet], ensemble: Judged) -> str:
    named = {which.name: which for which in sets}
    points = []
    for name in ("unseen-callables", "padded-over-10k", "generated"):
        if name in named and named[name].malicious.any():
            found = count(ensemble.verdicts[named[name].malicious], named[name].malicious[named[name].malicious])
            points.append(f"Recall on `{name}` is {rate(found.tp, found.positives)} ({named[name].title}).")
    if "public" in named:
        rows = named["public"].benign
        found = count(ensemble.verdicts[rows], named["public"].malicious[rows])
        points.append(
            f"The false-positive rate on public files, {rate(found.fp, found.negatives)}, rests on {found.negatives} "
            f"files from {frame['group'][rows].nunique()} authors. A rate of 0.1 % could be claimed only from {CLAIM} "
            "files without one."
        )
    points += [
        "Public files are what people put on public repositories; a company's own libraries look new to the model "
        "until files that use them have been labelled benign.",
        "Part of the malicious files comes from scanners' own test suites: variants of few ideas, hence the macro "
        "recall. Generated files hold what their generator can express.",
        "Names decide much. A callable that benign files call, turned to harm by its data alone, can pass.",
        "Malicious files whose effect is not among "
        "those learned (inert, exhaustion, other formats) are reported in the tables, not promised.",
    ]
    return "".join(f"* {point}\n" for point in points)
