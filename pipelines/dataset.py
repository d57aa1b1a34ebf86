"""The dataset: one row a file, the file itself reduced to its redacted Trace."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from hashlib import sha256
from pathlib import Path

import pandas as pd

from safepickle.bytecode.trace import FileTrace

COLUMNS = (
    "sha256", "name", "label", "origin", "group", "library", "technique", "effect", "container", "note", "pool",
    "trace",
)  # fmt: skip
"""`label` is ``benign``, ``malicious``, ``broken`` or ``unclear``; `group` is the unit of splitting; `pool` is
``train``, or ``test`` for generated files whose callables no training file uses; `trace` is canonical JSON."""

FEEDBACK_ORIGIN = "feedback"
"""Origin of rows that analysts labelled."""
GENERATED_ORIGIN = "generated"
"""Origin of rows that :mod:`~.synthesize` makes."""
LIBRARY_ORIGIN = "library"
"""Origin of rows that :mod:`~.libraries` had libraries save."""


def write(rows: Iterable[Mapping[str, str]], path: Path) -> pd.DataFrame:
    """Write rows in an order that depends on nothing but the rows; the file appears when it is whole."""
    frame = pd.DataFrame(list(rows), columns=list(COLUMNS)).fillna("").astype(str)
    frame = frame.sort_values(["sha256", "origin", "name"], kind="stable").reset_index(drop=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    frame.to_parquet(part, compression="zstd", index=False)
    os.replace(part, path)
    return frame


def read(path: Path) -> pd.DataFrame:
    """Read a dataset.

    Raises
    ------
    SystemExit
        When the file is missing or has other columns.
    """
    try:
        frame = pd.read_parquet(path)
    except FileNotFoundError:
        raise SystemExit(f"{path} is missing; run `dvc repro`, which makes it") from None
    missing = [column for column in COLUMNS if column not in frame.columns]
    if missing:
        raise SystemExit(f"{path} lacks the columns {', '.join(missing)}")
    return frame[list(COLUMNS)]


def traces(frame: pd.DataFrame) -> list[FileTrace]:
    """Parsed Traces in row order."""
    return [FileTrace.from_json(text) for text in frame["trace"]]


def dataset_hash(frame: pd.DataFrame) -> str:
    """sha256 over the rows, whatever file format or order they came in."""
    digest = sha256()
    for line in sorted("\x1f".join(map(str, row)) for row in frame[list(COLUMNS)].itertuples(index=False)):
        digest.update(line.encode("utf-8", "surrogatepass") + b"\n")
    return digest.hexdigest()
