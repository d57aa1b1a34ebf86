"""What the shipped map says of the callables that benign model files call.

Run ``python -m pipelines.capabilities.precision [dataset.parquet ...]``; without datasets, those of ``data/seed``.
Every tagged callable is printed with its witness path, to be read: it truly does so, or is an error.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from pipelines.dataset import read, traces
from safepickle.bytecode.trace import FileTrace
from safepickle.capabilities.table import PATH, Table, open_table
from safepickle.record import Record

from .listing import flowing, path_text

KINDS = ("exec", "process", "native", "network", "file")


class Precision(Record):
    """Callables by what is known of them: name -> files that call it."""

    tagged: dict[str, int]
    inert: dict[str, int]
    other: dict[str, int]
    unknown: dict[str, int]


def called(files: Iterable[FileTrace]) -> Counter[str]:
    """Names that files call, with how many files do."""
    found: Counter[str] = Counter()
    for file in files:
        names = {call.callee.name for stream in file.streams for call in stream.calls if call.callee.kind == "global"}
        found.update(name for name in names if name)
    return found


def precision(names: Mapping[str, int], table: Table) -> Precision:
    """Sort names by what the table says of them."""
    tagged, inert, other, unknown = {}, {}, {}, {}
    for name, files in names.items():
        found = table.find(name)
        if found is None or found.status not in ("root", "analysed", "native"):
            unknown[name] = files
        elif flowing(found, KINDS):
            tagged[name] = files
        elif found.inert:
            inert[name] = files
        else:
            other[name] = files
    return Precision(tagged, inert, other, unknown)


def main(arguments: list[str]) -> None:
    """Print what is known of the callables of benign files."""
    datasets = [Path(argument) for argument in arguments] or sorted(Path("data/seed").glob("*.parquet"))
    names: Counter[str] = Counter()
    for path in datasets:
        frame = read(path)
        names += called(traces(frame[frame["label"] == "benign"]))
    table = open_table(PATH)
    found = precision(names, table)
    for name, files in sorted(found.tagged.items(), key=lambda item: -item[1]):
        print(f"tagged {files:5} {name}")
        capability = table.find(name)
        for reach in flowing(capability, KINDS) if capability is not None else ():
            print(f"             {path_text(table, reach)}")
    for name, files in sorted(found.other.items(), key=lambda item: -item[1]):
        print(f"other  {files:5} {name}")
    print(
        f"{len(names)} callables: {len(found.tagged)} tagged, {len(found.inert)} inert, {len(found.other)} neither, "
        f"{len(found.unknown)} not analysed"
    )
    calls = sum(names.values())
    print(f"by uses ({calls}): " + ", ".join(
        f"{sum(part.values())} {label}"
        for label, part in (("tagged", found.tagged), ("inert", found.inert), ("neither", found.other))
    ))  # fmt: skip


if __name__ == "__main__":
    main(sys.argv[1:])
