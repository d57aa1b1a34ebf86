"""All that a capability table lists, for those who measure it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from safepickle.capabilities.capability import Capability, Reach
from safepickle.capabilities.layout import BRIEF
from safepickle.capabilities.table import Table


def sections(table: Table) -> Iterator[tuple[str, list[str], list[tuple[str, str]]]]:
    """Every section of a table: module, fields of its header, and what it lists as (qualified name, entry)."""
    for text in table.texts():
        for section in text.rstrip("\n").split("\n:")[1:]:
            first, *lines = section.split("\n")
            header = first.split("\t")
            yield header[0], header, [(name, entry) for name, _, entry in (line.partition("\t") for line in lines)]


def briefs(header: list[str]) -> Counter[str]:
    """How many names of a section are told by fingerprints alone, by each letter of what these say; all by ``""``."""
    counts: Counter[str] = Counter()
    for (flags, _), count in zip(BRIEF, header[5].split(",") if header[5] else (), strict=False):
        counts.update(dict.fromkeys((*flags, ""), int(count)))
    return counts


def definitions(table: Table) -> Iterator[Capability]:
    """What is known of every callable that is listed where it is defined; told by fingerprints alone are no names."""
    for module, _, entries in sections(table):
        for qualname, entry in entries:
            if entry[:1] not in "=v":
                found = table.find(f"{module}.{qualname}")
                if found is not None and found.status in ("analysed", "native"):
                    yield found


def flowing(found: Capability, kinds: Iterable[str]) -> list[Reach]:
    """The ways in which the caller's argument gets to one of some kinds of sinks."""
    return [reach for reach in found.reaches if reach.flows and reach.kind in kinds]


def path_text(table: Table, reach: Reach) -> str:
    """A reach on one line, with its witness path."""
    steps = " > ".join(f"{step.name}:{step.line}" if step.line else step.name for step in table.follow(reach))
    return f"{reach.kind}{' implicit' if reach.implicit else ''} {reach.depth}: {steps}"
