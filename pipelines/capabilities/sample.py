"""Draw callables that the map tags, to be read, and tell how many were tagged rightly.

Run ``python -m pipelines.capabilities.sample rows.jsonl --count 200 --without numpy,torch`` to print a sample with
witness paths, and with ``--read verdicts.tsv`` (columns ``name`` and ``right``: yes or no) for the precision.
"""

from __future__ import annotations

import argparse
import csv
import random
from collections.abc import Iterable, Sequence
from pathlib import Path

from registry.intervals import wilson

from .precision import flowing, path_text
from .records import Row
from .stored import read_rows

KINDS = ("exec", "process")


def sample(rows: Iterable[Row], count: int, without: Sequence[str], seed: int) -> list[Row]:
    """Analysed callables at random with a flow to code or a process, none of some packages.

    What is the same definition under several names is drawn once.
    """
    tagged = [
        row
        for row in rows
        if row.target == row.name and row.status == "analysed" and row.package not in without and flowing(row, KINDS)
    ]
    tagged.sort(key=lambda row: row.name)
    return random.Random(seed).sample(tagged, min(count, len(tagged)))


def main() -> None:
    """Print a sample, or what reading it gave."""
    parser = argparse.ArgumentParser(description="Draw callables that the capability map tags, to be read.")
    parser.add_argument("rows", type=Path)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--without", default="python", help="packages to leave out, separated by commas")
    parser.add_argument("--read", type=Path, help="TSV with the columns name and right (yes or no)")
    options = parser.parse_args()
    if options.read:
        with options.read.open(encoding="utf-8", newline="") as file:
            verdicts = [line["right"] == "yes" for line in csv.DictReader(file, delimiter="\t")]
        low, high = wilson(sum(verdicts), len(verdicts))
        right = sum(verdicts)
        print(f"{right} of {len(verdicts)} tagged rightly: {right / len(verdicts):.3f} [{low:.3f}, {high:.3f}]")
        return
    for row in sample(read_rows(options.rows), options.count, options.without.split(","), options.seed):
        print(f"{row.name}  ({row.package} {row.path}:{row.line})")
        for reach in flowing(row, KINDS):
            print(f"    {path_text(reach)}")


if __name__ == "__main__":
    main()
