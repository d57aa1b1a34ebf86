"""Draw callables that the map tags, to be read, and tell how many were tagged rightly.

Run ``python -m pipelines.capabilities.sample --count 200 --without numpy,torch`` to print a sample with witness
paths, and with ``--read verdicts.tsv`` (columns ``name`` and ``right``: yes or no) for the precision, of all that were
read and of those among them that the table tags.
"""

from __future__ import annotations

import argparse
import csv
import random
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from registry.intervals import wilson
from safepickle.capabilities.capability import Capability
from safepickle.capabilities.table import PATH, Table, open_table

from .listing import definitions, flowing, path_text

KINDS = ("exec", "process")


def sample(known: Iterable[Capability], count: int, without: Sequence[str], seed: int) -> list[Capability]:
    """Analysed callables at random with a flow to code or a process, none of some packages."""
    tagged = [found for found in known if found.status == "analysed" and found.package not in without
              and flowing(found, KINDS)]  # fmt: skip
    tagged.sort(key=lambda found: found.name)
    return random.Random(seed).sample(tagged, min(count, len(tagged)))


def still_tagged(verdicts: Mapping[str, bool], table: Table) -> list[bool]:
    """The verdicts on those callables that a table tags."""
    found = {name: table.find(name) for name in verdicts}
    return [right for name, right in verdicts.items() if (known := found[name]) is not None and flowing(known, KINDS)]


def _precision(verdicts: Sequence[bool]) -> str:
    if not verdicts:
        return "none"
    right, count = sum(verdicts), len(verdicts)
    low, high = wilson(right, count)
    return f"{right} of {count} tagged rightly: {right / count:.3f} [{low:.3f}, {high:.3f}]"


def main() -> None:
    """Print a sample, or what reading it gave."""
    parser = argparse.ArgumentParser(description="Draw callables that the capability map tags, to be read.")
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--without", default="python", help="packages to leave out, separated by commas")
    parser.add_argument("--table", default=PATH, help="the table to draw from, if not the shipped one")
    parser.add_argument("--read", type=Path, help="TSV with the columns name and right (yes or no)")
    options = parser.parse_args()
    table = open_table(options.table)
    if options.read:
        with options.read.open(encoding="utf-8", newline="") as file:
            verdicts = {line["name"]: line["right"] == "yes" for line in csv.DictReader(file, delimiter="\t")}
        print(f"when they were read {_precision(list(verdicts.values()))}")
        print(f"of those that the table tags {_precision(still_tagged(verdicts, table))}")
        return
    for found in sample(definitions(table), options.count, options.without.split(","), options.seed):
        print(f"{found.name}  ({found.package} {found.versions[-1]} {found.path}:{found.line})")
        for reach in flowing(found, KINDS):
            print(f"    {path_text(table, reach)}")


if __name__ == "__main__":
    main()
