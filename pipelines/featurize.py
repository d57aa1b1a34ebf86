"""Stage `featurize`: one feature matrix a fold, and one for the final models.

What is usual is counted on the training files of the fold alone, and a training file does not count for itself;
unless an analyst labelled it: it then counts as several groups, and for itself, as it will once it is served.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from safepickle.bytecode.trace import FileTrace
from safepickle.features import SCHEMA, Prevalence, extract

from . import dataset
from .params import load_params
from .paths import FEATURES
from .split import FEEDBACK_ORIGIN, HELD_OUT, load_folds

FINAL = "final"
PREVALENCE = FEATURES / "prevalence.json"


def matrix_path(fold: int | str) -> Path:
    """File of the matrix whose prevalence leaves `fold` out; ``final`` leaves none out."""
    return FEATURES / f"{fold}.npy"


def matrix(files: Iterable[FileTrace], groups: Iterable[str], prevalence: Prevalence) -> np.ndarray:
    """float32[n, d] rows in the order of :data:`safepickle.features.SCHEMA`."""
    rows = [extract(file, prevalence, group) for file, group in zip(files, groups, strict=True)]
    return np.asarray(rows, dtype=np.float32).reshape(len(rows), len(SCHEMA.names))


def count(frame: pd.DataFrame, files: list[FileTrace], without: int | None, feedback_groups: int) -> Prevalence:
    """Prevalence over the benign rows that may be learned from, without one fold."""
    rows = (frame["label"] == "benign") & (frame["fold"] != HELD_OUT)
    if without is not None:
        rows &= frame["fold"] != without
    return Prevalence.count(_counted(frame, files, np.flatnonzero(rows), feedback_groups))


def _counted(
    frame: pd.DataFrame, files: list[FileTrace], rows: NDArray[np.intp], feedback_groups: int
) -> Iterator[tuple[str, FileTrace]]:
    for row in rows:
        copies = feedback_groups if frame["origin"][row] == FEEDBACK_ORIGIN else 1
        for copy in range(copies):
            yield (frame["group"][row] + (f"#{copy}" if copies > 1 else ""), files[row])


def main() -> None:
    """Run the stage."""
    params = load_params()
    frame = load_folds()
    files = dataset.traces(frame)
    copies = params["train"]["feedback_groups"]
    FEATURES.mkdir(parents=True, exist_ok=True)
    for fold in range(params["split"]["folds"]):
        np.save(matrix_path(fold), matrix(files, frame["group"], count(frame, files, fold, copies)), allow_pickle=False)
        print(f"features for fold {fold + 1} of {params['split']['folds']}", file=sys.stderr)
    final = count(frame, files, None, copies)
    np.save(matrix_path(FINAL), matrix(files, frame["group"], final), allow_pickle=False)
    PREVALENCE.write_text(json.dumps(final.to_json(), sort_keys=True, separators=(",", ":")), encoding="utf-8")
    print(f"{len(frame)} rows of {len(SCHEMA.names)} features; {len(final.counts)} names from {final.groups} groups")


if __name__ == "__main__":
    main()
