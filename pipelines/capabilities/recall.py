"""How much of a list of callables that were found to be dangerous the shipped map tags by itself.

Run ``python -m pipelines.capabilities.recall list.tsv``: the list has columns ``module`` and ``name`` (``*`` for a
whole module). What is itself a root sink is left out, as it proves nothing.
"""

from __future__ import annotations

import csv
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from safepickle.bytecode.folding import RESOLVERS
from safepickle.capabilities.capability import Capability
from safepickle.capabilities.layout import CALL
from safepickle.capabilities.sinks import sink_kind
from safepickle.capabilities.table import PATH, Table, open_table
from safepickle.record import Record

from .listing import briefs, definitions, sections

Kinds = Counter[tuple[str, bool]]
"""(kind, whether what is passed gets there) -> callables."""
_PYTHON_2 = {"__builtin__": "builtins", "httplib": "http.client"}


class Recall(Record):
    """Entries of the list by what is known of them, each with the kinds or the reason.

    Parameters
    ----------
    flowing
        Tagged: what they are passed gets to a sink.
    calling
        Only known to call what they are passed.
    reaching
        Known to reach a sink, but not with what they are passed.
    followed
        Nothing of the kind, and a resolver: the machine follows what it hands out by name, and judges that.
    missed
        Nothing of the kind.
    left_out
        Root sinks, and names that no analysed version has.
    """

    flowing: tuple[tuple[str, str], ...]
    calling: tuple[tuple[str, str], ...]
    reaching: tuple[tuple[str, str], ...]
    followed: tuple[tuple[str, str], ...]
    missed: tuple[tuple[str, str], ...]
    left_out: tuple[tuple[str, str], ...]


def recall(entries: Iterable[tuple[str, str]], table: Table) -> Recall:
    """Look every (module, name) of a list up.

    A module counts as its functions, classes and methods together: it is tagged when one of them is.
    """
    listed = list(dict.fromkeys((_PYTHON_2.get(module, module), name) for module, name in entries))
    modules = [module for module, name in listed if name == "*"]
    whole = dict(zip(modules, _of_modules(modules, table), strict=True))
    found: dict[str, list[tuple[str, str]]] = {name: [] for name in Recall._fields}
    for module, name in listed:
        full = f"{module}.{name}"
        if name != "*" and sink_kind(full):
            found["left_out"].append((full, "is a root sink"))
            continue
        kinds = whole[module] if name == "*" else _of_name(full, table)
        if kinds is None:
            found["left_out"].append((full, "in no analysed version"))
            continue
        flowing = {kind: count for (kind, flows), count in kinds.items() if flows and kind != CALL}
        told = {kind: count for (kind, _), count in kinds.items() if kind != CALL}
        nothing = "followed" if full in RESOLVERS else "missed"
        by = "flowing" if flowing else "calling" if (CALL, True) in kinds else "reaching" if told else nothing
        found[by].append((full, " ".join(f"{kind}:{count}" for kind, count in (flowing or told).items())))
    return Recall(**{name: tuple(told) for name, told in found.items()})


def _of_name(full: str, table: Table) -> Kinds | None:
    found = table.find(full)
    return _kinds(found) if found is not None and found.status != "unresolvable" else None


def _of_modules(modules: Sequence[str], table: Table) -> list[Kinds | None]:
    """What the callables of each module and of those below it do; None of those that are not known."""
    kinds: dict[str, Kinds] = {}
    begins = {module: module + "." for module in modules}
    for name, header, _ in sections(table):
        for module, begin in begins.items():
            if "n" not in header[1] and (name + ".").startswith(begin):
                kinds.setdefault(module, Counter())[CALL, True] += briefs(header)["c"]
    for found in definitions(table):
        for module, begin in begins.items():
            if found.name.startswith(begin):
                kinds.setdefault(module, Counter()).update(_kinds(found))
    return [+kinds[module] if module in kinds else None for module in modules]


def _kinds(found: Capability) -> Kinds:
    told = Counter((reach.kind, reach.flows) for reach in (*found.reaches, *found.derived))
    if found.calls:
        told[CALL, True] += 1
    return told


def main(arguments: list[str]) -> None:
    """Print what of a list is tagged."""
    with Path(arguments[0]).open(encoding="utf-8", newline="") as file:
        entries = [(line["module"], line["name"]) for line in csv.DictReader(file, delimiter="\t")]
    found = recall(entries, open_table(PATH))
    for label, names in found.__dict__.items():
        for full, what in names:
            print(f"{label:8} {full:60} {what}")
    counts = {label: len(names) for label, names in found.__dict__.items() if label != "left_out"}
    print(f"of {sum(counts.values())}: " + ", ".join(f"{count} {label}" for label, count in counts.items()))


if __name__ == "__main__":
    main(sys.argv[1:])
