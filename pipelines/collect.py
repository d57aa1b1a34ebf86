"""Stage `collect`: real labelled files -> Traces.

``python -m pipelines.collect trace FOLDER OUT`` reads a folder with a ``manifest.csv`` (columns ``sha256, file, label,
origin, group, technique, effect, note``) and writes one redacted Trace a file: how the seed data was made.

``python -m pipelines.collect`` is the stage: seed data, analysts' labels and ``data/incoming`` (a folder of the former
kind, not versioned) become one dataset. An analyst's label replaces what the seed says of the same file.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pandas as pd

from safepickle.errors import SafePickleError
from safepickle.features.library import library_of
from safepickle.limits import Limits
from safepickle.scan import trace_path

from . import dataset
from .paths import COLLECTED, FEEDBACK, INCOMING, SEED

LIMITS = Limits(seconds=60.0)
MANIFEST = "manifest.csv"
_FIELD_LIMIT = 1 << 24


def trace_folder(folder: Path, jobs: int = 2) -> Iterator[dict[str, str]]:
    """Rows for the files of a folder with a manifest, in manifest order, with progress on stderr.

    Raises
    ------
    SystemExit
        When there is no manifest, or a listed file cannot be read.
    """
    csv.field_size_limit(_FIELD_LIMIT)
    try:
        with open(folder / MANIFEST, encoding="utf-8", newline="") as source:
            entries = list(csv.DictReader(source))
    except FileNotFoundError:
        raise SystemExit(f"{folder / MANIFEST} is missing; see the docstring of pipelines.collect") from None
    with ProcessPoolExecutor(jobs) as pool:
        work = pool.map(_row, [str(folder)] * len(entries), entries, chunksize=8)
        for done, row in enumerate(work, 1):
            if done % 100 == 0 or done == len(entries):
                print(f"traced {done} of {len(entries)} files", file=sys.stderr)
            yield row


def _row(folder: str, entry: dict[str, str]) -> dict[str, str]:
    try:
        trace = trace_path(str(Path(folder) / entry["file"]), LIMITS).redacted()
    except SafePickleError as error:
        raise SystemExit(f"collect: {error}") from None
    return {
        "sha256": entry["sha256"],
        "name": Path(entry["file"]).name.partition("__")[2] or Path(entry["file"]).name,
        "label": entry["label"],
        "origin": entry.get("origin", ""),
        "group": entry["group"],
        "library": library_of(trace),
        "technique": entry.get("technique", ""),
        "effect": entry.get("effect", ""),
        "container": trace.container,
        "note": entry.get("note", ""),
        "pool": "train",
        "trace": trace.to_json(),
    }


def collect() -> pd.DataFrame:
    """Merge seed, feedback and incoming files; later ones win for the same content."""
    rows: dict[str, dict[str, str]] = {}
    for path in sorted(SEED.glob("*.parquet")) + sorted(FEEDBACK.glob("*.parquet")):
        for values in dataset.read(path).itertuples(index=False):
            row = dict(zip(dataset.COLUMNS, map(str, values), strict=True))
            rows[row["sha256"]] = row
    if (INCOMING / MANIFEST).exists():
        for row in trace_folder(INCOMING):
            rows[row["sha256"]] = row
    if not rows:
        raise SystemExit(f"nothing to learn from: {SEED} holds no dataset")
    return dataset.write(rows.values(), COLLECTED)


def main(arguments: list[str] | None = None) -> None:
    """Command line; see the module's docstring."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.collect", description=__doc__)
    commands = parser.add_subparsers(dest="command")
    trace = commands.add_parser("trace", help="trace a folder with a manifest")
    trace.add_argument("folder", type=Path)
    trace.add_argument("out", type=Path)
    trace.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args(arguments)
    if options.command == "trace":
        frame = dataset.write(trace_folder(options.folder, options.jobs), options.out)
    else:
        frame = collect()
    counts = ", ".join(f"{count} {label}" for label, count in frame["label"].value_counts().sort_index().items())
    print(f"{len(frame)} files ({counts}), dataset {dataset.dataset_hash(frame)[:12]}")


if __name__ == "__main__":
    main()
