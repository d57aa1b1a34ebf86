"""Plots as PNG files whose bytes depend on the numbers alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

matplotlib.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from sklearn.metrics import precision_recall_curve, roc_curve

from .judging import ALL, ENSEMBLE, FREQUENCIES, SIZE, VERDICTS, Floats, Judged
from .metrics import Reliability, balanced, reliability
from .sets import EvaluationSet

# Okabe and Ito's colours, which colour-blind readers can tell apart.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#8C6D1F", "#666666")
BENIGN, MALICIOUS = COLOURS[0], COLOURS[5]
DPI = 100
STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "legend.frameon": False,
    "legend.fontsize": 8,
}


def curves(which: EvaluationSet, judged: Sequence[Judged], path: Path) -> None:
    """Precision-recall and ROC curves; all features in the upper row, opcode frequencies and size in the lower."""
    colours = _colours(judged)
    labels = np.repeat([1, 0], [which.malicious.sum(), which.against.sum()])
    rows = (
        ("ensemble and detectors, all features", (ENSEMBLE, ALL)),
        ("opcode frequencies alone, and size alone", (FREQUENCIES, SIZE)),
    )
    figure, grid = _figure(2, 2, (10.5, 8))
    for axes, (title, kinds) in zip(grid, rows, strict=True):
        for one in (method for method in judged if method.kind in kinds):
            scores = np.concatenate([one.scores[which.malicious], one.scores[which.against]])
            precision, recall, _ = precision_recall_curve(labels, scores, drop_intermediate=True)
            fall_out, hit, _ = roc_curve(labels, scores)
            drawn = {"color": colours[one.title], "label": one.name, "lw": 2.2 if one.kind == ENSEMBLE else 1.3}
            drawn["ls"] = ":" if one.kind == SIZE else "-"
            axes[0].step(recall, precision, where="post", **drawn)
            axes[1].step(np.maximum(fall_out, 0.5 / which.against.sum()), hit, where="post", **drawn)
        axes[0].set(xlabel="recall", ylabel="precision", title=f"Precision-recall: {title}", xlim=(0, 1.01))
        axes[1].set(xlabel="false-positive rate (left end: none)", ylabel="true-positive rate", xscale="log")
        axes[1].set(title=f"ROC: {title}", xlim=(0.5 / which.against.sum(), 1))
        for side in axes:
            side.set_ylim(0, 1.02)
            side.minorticks_off()
        axes[0].legend(loc="lower left")
    benign = f"{which.against.sum()} benign" + (" (of other sets: this one has none)" if which.borrowed else "")
    _save(figure, path, f"{which.name}: {which.malicious.sum()} malicious, {benign}")


def confusion(sets: Sequence[EvaluationSet], judged: Judged, path: Path) -> None:
    """Verdicts by label, one panel a set: counts, coloured by the share of the row."""
    columns = min(4, len(sets))
    lines = -(-len(sets) // columns)
    figure, grid = _figure(lines, columns, (3.1 * columns, 0.6 + 1.9 * lines))
    panels = grid.ravel()
    for axes in panels[len(sets) :]:
        axes.remove()
    for axes, which in zip(panels, sets, strict=False):
        labels = (which.benign, which.malicious)
        table = np.array([[(judged.verdicts[rows] == verdict).sum() for verdict in VERDICTS] for rows in labels])
        share = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
        axes.imshow(share, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        for (line, column), value in np.ndenumerate(table):
            dark = share[line, column] > 0.55
            axes.text(column, line, str(value), ha="center", va="center", color="white" if dark else "black")
        axes.set_xticks(range(len(VERDICTS)), VERDICTS, fontsize=7)
        axes.set_yticks((0, 1), ("benign", "malicious"), fontsize=8)
        axes.set_title(which.name)
        axes.grid(visible=False)
    _save(figure, path, "Label (rows) and verdict (columns)")


def calibration(sets: Iterable[EvaluationSet], judged: Judged, path: Path) -> None:
    """Reliability of the calibrated score, both labels weighing the same, on sets that hold both."""
    figure, grid = _figure(1, 2, (10.5, 4.4))
    drawn, mass = grid[0]
    drawn.plot((0, 1), (0, 1), color="black", lw=0.8, ls="--", label="perfect")
    for which, colour in zip(sets, COLOURS, strict=False):
        found = set_reliability(which, judged, weighted=True)
        label = f"{which.name} (ECE {found.ece:.3f}, Brier {found.brier:.3f})"
        drawn.plot(found.score, found.share, marker="o", ms=4, color=colour, label=label)
        mass.plot(found.score, found.weight, marker="o", ms=4, color=colour)
    drawn.set(xlabel="mean score of the bin", ylabel="share of malicious weight", title="Reliability")
    drawn.set(xlim=(0, 1), ylim=(-0.02, 1.02))
    drawn.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14))
    mass.set(xlabel="mean score of the bin", ylabel="share of all weight", title="Weight of the bins", yscale="log")
    mass.set(xlim=(0, 1))
    _save(figure, path, "Calibration of the ensemble, benign and malicious weighing the same")


def set_reliability(which: EvaluationSet, judged: Judged, weighted: bool) -> Reliability:
    """Calibration on a set; `weighted` lets both labels weigh the same."""
    malicious = which.malicious[which.rows]
    return reliability(judged.scores[which.rows], malicious, balanced(malicious) if weighted else None)


def distributions(sets: Sequence[EvaluationSet], judged: Judged, thresholds: dict[str, float], path: Path) -> None:
    """Histogram of the calibrated score by label, on a logit axis."""
    figure, grid = _figure(len(sets), 1, (10, 0.8 + 1.3 * len(sets)))
    bound = 9.2
    edges = np.linspace(-bound, bound, 61)
    marks = (0.0001, 0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999, 0.9999)
    for axes, which in zip(grid.ravel(), sets, strict=True):
        for rows, label, colour in ((which.benign, "benign", BENIGN), (which.malicious, "malicious", MALICIOUS)):
            if rows.any():
                title = f"{rows.sum()} {label}"
                axes.hist(_logit(judged.scores[rows], bound), edges, color=colour, alpha=0.6, label=title)
        for name, style in (("suspicious", "--"), ("malicious", "-")):
            if name in thresholds:
                axes.axvline(_logit(np.array([thresholds[name]]), bound)[0], color="black", lw=1, ls=style, label=name)
        axes.set(yscale="log", xlim=(-bound, bound), ylabel="files", title=which.name)
        axes.set_ylim(0.7, max(20.0, axes.get_ylim()[1]))
        axes.set_xticks(_logit(np.array(marks), bound), [])
        axes.minorticks_off()
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    grid.ravel()[-1].set_xticklabels([f"{mark:g}" for mark in marks])
    grid.ravel()[-1].set_xlabel("calibrated score of the ensemble (lines: thresholds of the final model)")
    _save(figure, path, "Scores by label")


def padding(sets: Sequence[EvaluationSet], judged: Sequence[Judged], path: Path) -> None:
    """Recall at each method's threshold as the host grows: what dilution does to it."""
    colours = _colours(judged)
    figure, grid = _figure(1, 2, (10.5, 4.4))
    parts = ((ENSEMBLE, ALL), (FREQUENCIES, SIZE))
    for axes, kinds, title in zip(grid[0], parts, ("all features", "opcode frequencies and size"), strict=True):
        for one in (method for method in judged if method.kind in kinds):
            recall = [one.flagged[which.malicious].mean() for which in sets]
            wide = 2.2 if one.kind == ENSEMBLE else 1.3
            style = ":" if one.kind == SIZE else "-"
            axes.plot(recall, marker="o", ms=4, lw=wide, ls=style, color=colours[one.title], label=one.name)
        axes.set(ylim=(-0.02, 1.02), ylabel="recall", title=title)
        axes.set_xticks(range(len(sets)), [f"{which.name}\nn={which.malicious.sum()}" for which in sets], fontsize=7)
        axes.legend(loc="best")
    _save(figure, path, "Generated malicious files by the size of what they hide in")


def draw_all(
    sets: Sequence[EvaluationSet], judged: Sequence[Judged], thresholds: dict[str, float], folder: Path
) -> list[Path]:
    """Every plot; returns the files in the order in which they are read best."""
    folder.mkdir(parents=True, exist_ok=True)
    ensemble = next(one for one in judged if one.kind == ENSEMBLE)
    both = [which for which in sets if which.malicious.any() and which.benign.any()]
    ladder = [which for which in sets if which.name == "bare" or which.name.startswith("padded")]
    work: list[tuple[str, Callable[[Path], None]]] = [
        ("confusion.png", partial(confusion, sets, ensemble)),
        ("scores.png", partial(distributions, sets, ensemble, thresholds)),
    ]
    if both:
        work.append(("reliability.png", partial(calibration, both, ensemble)))
    if len(ladder) > 1:
        work.append(("padding.png", partial(padding, ladder, judged)))
    for which in sets:
        if which.malicious.any() and which.against.any():
            work.append((f"curves-{which.name}.png", partial(curves, which, judged)))
    with plt.rc_context(STYLE):
        for name, draw in work:
            draw(folder / name)
    return [folder / name for name, _draw in work]


def _figure(rows: int, columns: int, size: tuple[float, float]) -> tuple[Figure, np.ndarray[Any, Any]]:
    layout = ConstrainedLayoutEngine(wspace=0.04)
    figure, grid = plt.subplots(rows, columns, figsize=size, squeeze=False, layout=layout)
    return figure, grid


def _save(figure: Figure, path: Path, title: str) -> None:
    figure.suptitle(title, fontsize=11)
    figure.savefig(path, dpi=DPI, metadata={"Software": None})
    plt.close(figure)


def _colours(judged: Iterable[Judged]) -> dict[str, str]:
    """Black for the ensemble; one colour a detector, the same for both of its rows."""
    names = sorted({one.name for one in judged if one.kind in (ALL, FREQUENCIES)})
    by_name = dict(zip(names, COLOURS, strict=False))
    return {one.title: by_name.get(one.name, "black") for one in judged}


def _logit(scores: Floats, bound: float) -> Floats:
    with np.errstate(divide="ignore"):
        return np.asarray(np.clip(np.log(scores) - np.log1p(-scores), -bound, bound), dtype=np.float64)
