"""How much of a list of callables that were found to be dangerous the shipped map tags by itself.

Run ``python -m pipelines.capabilities.recall list.tsv``: the list has columns ``module`` and ``name`` (``*`` for a
whole module). What is itself a root sink is left out, as it proves nothing.
"""

from __future__ import annotations

import csv
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from safepickle.capabilities.capability import Capability
from safepickle.capabilities.sinks import sink_kind
from safepickle.capabilities.table import PATH, Table, open_table
from safepickle.record import Record

from .listing import definitions

_PYTHON_2 = {"__builtin__": "builtins", "httplib": "http.client"}


class Recall(Record):
    """Entries of the list: tagged with a flowing kind, tagged without flow, missed, and left out with the reason."""

    flowing: tuple[tuple[str, str], ...]
    reaching: tuple[tuple[str, str], ...]
    missed: tuple[tuple[str, str], ...]
    left_out: tuple[tuple[str, str], ...]


def recall(entries: Iterable[tuple[str, str]], table: Table) -> Recall:
    """Look every (module, name) of a list up.

    A module counts as its functions, classes and methods together: it is tagged when one of them is.
    """
    listed = [(_PYTHON_2.get(module, module), name) for module, name in dict.fromkeys(entries)]
    whole = tuple({module + "." for module, name in listed if name == "*"})
    within = [found for found in definitions(table) if (found.name + ".").startswith(whole)] if whole else []
    flowing, reaching, missed, left_out = [], [], [], []
    for module, name in dict.fromkeys(listed):
        full = f"{module}.{name}"
        if name == "*":
            found = [item for item in within if item.name.startswith(module + ".")]
        elif sink_kind(full):
            left_out.append((full, "is a root sink"))
            continue
        else:
            one = table.find(full)
            found = [one] if one is not None and one.status != "unresolvable" else []
        if not found:
            left_out.append((full, "in no analysed version"))
            continue
        kinds = Counter(kind for item in found for kind, flows in _kinds(item) if flows)
        other = Counter(kind for item in found for kind, _ in _kinds(item))
        if kinds:
            flowing.append((full, " ".join(f"{kind}:{count}" for kind, count in kinds.most_common())))
        elif other:
            reaching.append((full, " ".join(other)))
        else:
            missed.append((full, "inert" if all(item.inert for item in found) else "not clear"))
    return Recall(tuple(flowing), tuple(reaching), tuple(missed), tuple(left_out))


def _kinds(found: Capability) -> list[tuple[str, bool]]:
    told = [(reach.kind, reach.flows) for reach in (*found.reaches, *found.derived)]
    return [*told, ("call", True)] if found.calls else told


def main(arguments: list[str]) -> None:
    """Print what of a list is tagged."""
    with Path(arguments[0]).open(encoding="utf-8", newline="") as file:
        entries = [(line["module"], line["name"]) for line in csv.DictReader(file, delimiter="\t")]
    found = recall(entries, open_table(PATH))
    for label, names in (("flows", found.flowing), ("reaches", found.reaching), ("missed", found.missed),
                         ("left out", found.left_out)):  # fmt: skip
        for full, what in names:
            print(f"{label:8} {full:60} {what}")
    tagged, without, missed = len(found.flowing), len(found.reaching), len(found.missed)
    total = tagged + without + missed
    print(f"{tagged} of {total} tagged with a flow, {without} without, {missed} missed")


if __name__ == "__main__":
    main(sys.argv[1:])
