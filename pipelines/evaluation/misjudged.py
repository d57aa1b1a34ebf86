"""The files that the ensemble gets wrong, one by one, with what stood out in them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from safepickle.features import SCHEMA

from .judging import Flags, Judged
from .sets import is_real
from .tables import markdown

COLUMNS = ("file", "group", "technique", "container", "fold", "score", "verdict", "call features that stand out")
TELLING = 3

Rows = NDArray[np.float32]


def standing_out(row: Rows, benign: Rows, most: int = TELLING) -> str:
    """Call features of a row, those first that the fewest benign rows reach.

    Parameters
    ----------
    row, benign
        float32[d] and float32[n, d] in the order of the schema.
    """
    columns = SCHEMA.columns(("calls",))
    present = [column for column in columns if row[column] > 0]
    reached = {column: float((benign[:, column] >= row[column]).mean()) if len(benign) else 1.0 for column in present}
    chosen = sorted(present, key=lambda column: (reached[column], -float(row[column]), column))[:most]
    return ", ".join(f"{SCHEMA.names[column]} {row[column]:.2f} ({reached[column]:.1%})" for column in chosen) or "none"


def misjudged(frame: pd.DataFrame, judged: Judged, malicious: Flags, features: Callable[[int], Rows]) -> str:
    """Every false positive and every miss among real files, as Markdown.

    Parameters
    ----------
    malicious
        bool[n]: malicious files that ought to be caught.
    features
        The matrix that files of a fold were judged by.
    """
    real, benign = is_real(frame), (frame["label"] == "benign").to_numpy(bool)
    alarms, missed = judged.flagged & benign & real, ~judged.flagged & malicious & real
    parts = [
        "# Files that the ensemble gets wrong\n\nReal files alone, each judged by a model that did not learn from its "
        "group. The last column names the call features that the fewest benign files reach: value, and the share of "
        "the real benign files with at least that much.\n"
    ]
    for title, rows in (("False positives", alarms), ("Misses (incomplete ones among them)", missed)):
        parts.append(f"\n## {title}: {int(rows.sum())}\n")
        if rows.any():
            parts.append("\n" + markdown(COLUMNS, _lines(frame, judged, rows, benign & real, features)))
    return "".join(parts)


def _lines(
    frame: pd.DataFrame, judged: Judged, rows: Flags, benign: Flags, features: Callable[[int], Rows]
) -> list[tuple[object, ...]]:
    folds = frame["fold"].to_numpy()
    lines: list[tuple[float, int, tuple[object, ...]]] = []
    for fold in np.unique(folds[rows]):
        matrix = features(int(fold))
        reference = matrix[benign]
        for index in np.flatnonzero(rows & (folds == fold)):
            row = frame.iloc[index]
            line = (
                row["name"], row["group"], row["technique"] or "-", row["container"], int(fold),
                f"{judged.scores[index]:.4f}", judged.verdicts[index], standing_out(matrix[index], reference),
            )  # fmt: skip
            lines.append((-float(judged.scores[index]), int(index), line))
    return [line for _score, _index, line in sorted(lines, key=lambda item: item[:2])]
