"""Tables as Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import pandas as pd

from registry.intervals import wilson

from .judging import VERDICTS, Flags, Judged, Names
from .metrics import RATES, Counts, count, macro, rank_measures
from .sets import EvaluationSet

METHOD_COLUMNS = (
    "method", "TP", "FP", "TN", "FN", "incomplete malicious", "incomplete benign", "precision", "recall", "F1",
    "macro recall", "false positives", "macro false positives", "TPR at FPR 0", "at 0.1 %", "at 1 %", "at 10 %",
    "PR-AUC",
)  # fmt: skip
_TAG = re.compile(r"<(?=[A-Za-z/!?])")


def markdown(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table; numbers to the right."""
    body = [[_cell(value) for value in row] for row in rows]
    rule = ["---:" if all(_numeric(row[i]) for row in body) else "---" for i in range(len(columns))]
    return "".join(f"| {' | '.join(line)} |\n" for line in ([_cell(name) for name in columns], rule, *body))


def rate(part: int, whole: int) -> str:
    """A proportion with its Wilson 95 % interval."""
    if not whole:
        return "-"
    low, high = wilson(part, whole)
    return f"{part / whole:.3f} [{low:.3f}, {high:.3f}]"


def measure(judged: Judged, which: EvaluationSet, groups: Names) -> tuple[Counts, dict[str, float]]:
    """Counts of a method on a set, and its other figures by name (absent where they have no meaning)."""
    counts = count(judged.verdicts[which.rows], which.malicious[which.rows])
    figures = rank_measures(judged.scores[which.malicious], judged.scores[which.against])
    for name, rows in (("macro_recall", which.malicious), ("macro_false_positive_rate", which.benign)):
        mean = macro(judged.flagged[rows], groups[rows])
        if mean is not None:
            figures[name] = mean
    return counts, figures


def methods(which: EvaluationSet, judged: Iterable[Judged], groups: Names) -> str:
    """One set, one row a method: the table of the paper with what it leaves out."""
    return markdown(METHOD_COLUMNS, [_method(one.title, *measure(one, which, groups)) for one in judged])


def overview(sets: Iterable[EvaluationSet], judged: Judged, groups: Names) -> str:
    """One method, one row a set."""
    columns = ("set", "malicious", "benign", *METHOD_COLUMNS[1:], "suspicious per 1,000 benign")
    rows = []
    for which in sets:
        counts, figures = measure(judged, which, groups)
        line = _method(which.name + (" *" if which.borrowed else ""), counts, figures)
        rows.append([line[0], counts.positives, counts.negatives, *line[1:], _figure(counts.review_burden, 1)])
    return markdown(columns, rows)


def verdict_counts(frame: pd.DataFrame, rows: Flags, by: Sequence[str], verdicts: Names) -> str:
    """How many of some files got which verdict, by one or more columns of the frame."""
    chosen = frame[rows].assign(_verdict=verdicts[rows])
    lines: list[list[object]] = []
    for key, part in chosen.groupby(list(by), sort=True):
        counted = part["_verdict"].value_counts()
        lines.append([*key, len(part), *(int(counted.get(verdict, 0)) for verdict in VERDICTS)])
    return markdown((*by, "files", *VERDICTS), lines)


def caught_by(frame: pd.DataFrame, rows: Flags, by: str, judged: Judged) -> str:
    """Recall by a column of the frame, most files first."""
    chosen = frame[rows].assign(_caught=judged.flagged[rows], _incomplete=judged.verdicts[rows] == "incomplete")
    parts = sorted(chosen.groupby(by), key=lambda item: (-len(item[1]), str(item[0])))
    lines = [
        (str(key) or "-", len(part), int(part["_caught"].sum()), int(part["_incomplete"].sum()),
         rate(int(part["_caught"].sum()), len(part)))
        for key, part in parts
    ]  # fmt: skip
    return markdown((by, "files", "caught", "incomplete", "recall"), lines)


def _method(title: str, counts: Counts, figures: dict[str, float]) -> list[object]:
    return [
        title, counts.tp, counts.fp, counts.tn, counts.fn, counts.incomplete_malicious, counts.incomplete_benign,
        "-" if counts.precision is None else rate(counts.tp, counts.tp + counts.fp), rate(counts.tp, counts.positives),
        _figure(counts.f1), _figure(figures.get("macro_recall")),
        rate(counts.fp, counts.negatives), _figure(figures.get("macro_false_positive_rate")),
        *(_figure(figures.get(name)) for name in (*(f"tpr_at_{name}" for name in RATES), "pr_auc")),
    ]  # fmt: skip


def _figure(value: float | None, places: int = 3) -> str:
    return "-" if value is None else f"{value:.{places}f}"


def _cell(value: object) -> str:
    """Names come from files of strangers: nothing in them may end a cell, a line, or write to a terminal."""
    text = "".join(character if character.isprintable() else "\ufffd" for character in str(value))
    return _TAG.sub("&lt;", text.replace("\\", "\\\\").replace("|", "\\|").replace("`", "\\`"))


def _numeric(text: str) -> bool:
    return text[:1].isdigit() or text == "-"
