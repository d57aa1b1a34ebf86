"""Draw callables that the map tags, to be read, and tell how many were tagged rightly.

Run ``python -m pipelines.capabilities.sample --count 200 --without numpy,torch`` to print a sample with witness
paths, and with ``--read verdicts.tsv`` (columns ``name`` and ``right``: yes or no) for the precision.
"""

from __future__ import annotations

import argparse
import csv
import random
from collections.abc import Iterable, Sequence
from pathlib import Path

from registry.intervals import wilson
from safepickle.capabilities.capability import Capability
from safepickle.capabilities.table import PATH, open_table

from .listing import definitions, flowing, path_text

KINDS = ("exec", "process")


def sample(known: Iterable[Capability], count: int, without: Sequence[str], seed: int) -> list[Capability]:
    """Analysed callables at random with a flow to code or a process, none of some packages."""
    tagged = [found for found in known if found.status == "analysed" and found.package not in without
              and flowing(found, KINDS)]  # fmt: skip
    tagged.sort(key=lambda found: found.name)
    return random.Random(seed).sample(tagged, min(count, len(tagged)))


def main() -> None:
    """Print a sample, or what reading it gave."""
    parser = argparse.ArgumentParser(description="Draw callables that the capability map tags, to be read.")
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--without", default="python", help="packages to leave out, separated by commas")
    parser.add_argument("--table", default=PATH, help="the table to draw from, if not the shipped one")
    parser.add_argument("--read", type=Path, help="TSV with the columns name and right (yes or no)")
    options = parser.parse_args()
    if options.read:
        with options.read.open(encoding="utf-8", newline="") as file:
            verdicts = [line["right"] == "yes" for line in csv.DictReader(file, delimiter="\t")]
        low, high = wilson(sum(verdicts), len(verdicts))
        right = sum(verdicts)
        print(f"{right} of {len(verdicts)} tagged rightly: {right / len(verdicts):.3f} [{low:.3f}, {high:.3f}]")
        return
    table = open_table(options.table)
    for found in sample(definitions(table), options.count, options.without.split(","), options.seed):
        print(f"{found.name}  ({found.package} {found.versions[-1]} {found.path}:{found.line})")
        for reach in flowing(found, KINDS):
            print(f"    {path_text(table, reach)}")


if __name__ == "__main__":
    main()
