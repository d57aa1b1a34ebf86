"""How much of a list of callables that were found to be dangerous the derived map tags by itself.

Run ``python -m pipelines.capabilities.recall list.tsv rows.jsonl``: the list has columns ``module`` and ``name``
(``*`` for a whole module), the rows are those of :func:`pipelines.capabilities.link.link`. What is itself a root sink
is left out, as it proves nothing.
"""

from __future__ import annotations

import csv
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from safepickle.capabilities.sinks import sink_kind
from safepickle.record import Record

from .records import Row
from .stored import read_rows

_PYTHON_2 = {"__builtin__": "builtins", "httplib": "http.client"}


class Recall(Record):
    """Entries of the list: tagged with a flowing kind, tagged without flow, missed, and left out with the reason."""

    flowing: tuple[tuple[str, str], ...]
    reaching: tuple[tuple[str, str], ...]
    missed: tuple[str, ...]
    left_out: tuple[tuple[str, str], ...]


def recall(entries: Iterable[tuple[str, str]], rows: Mapping[str, Row]) -> Recall:
    """Look every (module, name) of a list up in the rows.

    A module counts as its functions, classes and methods together: it is tagged when one of them is.
    """
    flowing, reaching, missed, left_out = [], [], [], []
    for module, name in dict.fromkeys(entries):
        module = _PYTHON_2.get(module, module)
        full = f"{module}.{name}"
        if name != "*" and sink_kind(full):
            left_out.append((full, "is a root sink"))
            continue
        found = _of_module(module, rows) if name == "*" else [row for row in (rows.get(full),) if row]
        if not found:
            left_out.append((full, "in no analysed version"))
            continue
        kinds = Counter(reach.kind for row in found for reach in row.reaches if reach.flows)
        other = Counter(reach.kind for row in found for reach in row.reaches)
        if kinds:
            flowing.append((full, " ".join(f"{kind}:{count}" for kind, count in kinds.most_common())))
        elif other:
            reaching.append((full, " ".join(other)))
        else:
            missed.append(full)
    return Recall(tuple(flowing), tuple(reaching), tuple(missed), tuple(left_out))


def _of_module(module: str, rows: Mapping[str, Row]) -> list[Row]:
    begin = module + "."
    return [row for name, row in rows.items() if name.startswith(begin) and row.kind != "module" and row.target == name]


def main(arguments: list[str]) -> None:
    """Print what of a list is tagged."""
    listed, stored = (Path(argument) for argument in arguments)
    with listed.open(encoding="utf-8", newline="") as file:
        entries = [(line["module"], line["name"]) for line in csv.DictReader(file, delimiter="\t")]
    begins = tuple({_PYTHON_2.get(module, module) + "." for module, _ in entries})
    found = recall(entries, {row.name: row for row in read_rows(stored) if row.name.startswith(begins)})
    for full, kinds in found.flowing:
        print(f"flows    {full:60} {kinds}")
    for full, kinds in found.reaching:
        print(f"reaches  {full:60} {kinds}")
    for full in found.missed:
        print(f"missed   {full}")
    for full, reason in found.left_out:
        print(f"left out {full:60} {reason}")
    total = len(found.flowing) + len(found.reaching) + len(found.missed)
    print(
        f"{len(found.flowing)} of {total} tagged with a flow, {len(found.reaching)} without, {len(found.missed)} missed"
    )


if __name__ == "__main__":
    main(sys.argv[1:])
