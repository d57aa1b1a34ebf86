"""Stage `featurize`: one feature matrix a fold, and one for the final models.

What is usual is counted on the training files of the fold alone, and no training file sees counts of the part of the
groups that its own is in; what an analyst labelled counts as several groups, which are in several parts.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from detectors import Bags
from safepickle.bytecode.trace import FileTrace
from safepickle.features import SCHEMA, Knowledge, Prevalence, extract, part_of
from safepickle.features.prevalence import PARTS

from . import dataset
from .dataset import FEEDBACK_ORIGIN
from .params import load_params
from .paths import FEATURES
from .split import HELD_OUT, load_folds

FINAL = "final"
PREVALENCE = FEATURES / "prevalence.json"


def matrix_path(fold: int | str, folder: Path = FEATURES) -> Path:
    """File of the matrix whose prevalence leaves `fold` out; ``final`` leaves none out."""
    return folder / f"{fold}.npy"


def bags_path(fold: int | str, folder: Path = FEATURES) -> Path:
    """File of the calls' rows that go with :func:`matrix_path`."""
    return folder / f"{fold}.calls.npz"


def load_bags(fold: int | str, folder: Path = FEATURES) -> Bags:
    """Rows of the calls of all files."""
    with np.load(bags_path(fold, folder), allow_pickle=False) as arrays:
        return _bags(arrays["rows"], arrays["owner"], int(arrays["files"]))


def matrices(
    files: Iterable[FileTrace],
    groups: Iterable[str | None],
    prevalence: Prevalence,
    knowledge: type[Knowledge] = Knowledge,
) -> tuple[np.ndarray, Bags]:
    """float32[n, d] rows of the files (``SCHEMA.names``) and those of their calls (``SCHEMA.call_names``).

    `groups` has None for files that are not learned from: they see all counts, as a scanned file does.
    """
    known = {part: knowledge(prevalence, part) for part in (None, *range(PARTS))}
    rows, calls, owner = [], [], []
    for number, (file, group) in enumerate(zip(files, groups, strict=True)):
        row, own = extract(file, known[None if group is None else part_of(group)])
        rows.append(np.asarray(row, dtype=np.float32))
        calls.append(np.asarray(own, dtype=np.float32).reshape(len(own), len(SCHEMA.call_names)))
        owner += [number] * len(own)
    return np.stack(rows), _bags(np.concatenate(calls), np.asarray(owner, dtype=np.int64), len(rows))


def _bags(rows: NDArray[np.float32], owner: NDArray[np.int64], files: int) -> Bags:
    return Bags(rows, owner, files, rows[:, SCHEMA.call_names.index("is_import")] > 0)


def save(fold: int | str, X: np.ndarray, bags: Bags, folder: Path = FEATURES) -> None:
    """Write both."""
    np.save(matrix_path(fold, folder), X, allow_pickle=False)
    np.savez(
        bags_path(fold, folder), rows=bags.rows, owner=bags.owner, files=np.asarray(bags.files), allow_pickle=False
    )


def learned(frame: pd.DataFrame, without: int | None) -> list[str | None]:
    """Group of each row that may be learned from without one fold, None for the others."""
    rows = frame["fold"] != HELD_OUT
    if without is not None:
        rows &= frame["fold"] != without
    return [group if may else None for group, may in zip(frame["group"], rows, strict=True)]


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
        save(fold, *matrices(files, learned(frame, fold), count(frame, files, fold, copies)))
        print(f"features for fold {fold + 1} of {params['split']['folds']}", file=sys.stderr)
    final = count(frame, files, None, copies)
    X, bags = matrices(files, learned(frame, None), final)
    save(FINAL, X, bags)
    PREVALENCE.write_text(json.dumps(final.to_json(), sort_keys=True, separators=(",", ":")), encoding="utf-8")
    print(f"{len(bags.rows)} rows of {len(SCHEMA.call_names)} for calls")
    print(f"{len(frame)} rows of {len(SCHEMA.names)} features; {len(final.counts)} names from {final.groups} groups")


if __name__ == "__main__":
    main()
