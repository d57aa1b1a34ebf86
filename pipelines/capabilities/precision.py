"""What the derived map says of the callables that benign model files call.

Run ``python -m pipelines.capabilities.precision rows.jsonl [dataset.parquet ...]``; without datasets, those of
``data/seed``. Every tagged callable is printed with its witness path, to be read: it truly does so, or is an error.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from pipelines.dataset import read, traces
from safepickle.bytecode.trace import FileTrace
from safepickle.record import Record

from .records import Reach, Row
from .stored import read_rows

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


def flowing(row: Row, kinds: Iterable[str] = KINDS) -> list[Reach]:
    """The ways in which the caller's argument gets to one of some kinds of sinks."""
    return [reach for reach in row.reaches if reach.flows and reach.kind in kinds]


def precision(names: Mapping[str, int], rows: Mapping[str, Row]) -> Precision:
    """Sort names by what the rows say of them."""
    tagged, inert, other, unknown = {}, {}, {}, {}
    for name, files in names.items():
        row = rows.get(name)
        if row is None:
            unknown[name] = files
        elif flowing(row):
            tagged[name] = files
        elif row.inert:
            inert[name] = files
        else:
            other[name] = files
    return Precision(tagged, inert, other, unknown)


def path_text(reach: Reach) -> str:
    """A reach on one line, with its witness path."""
    steps = " > ".join(f"{step.name}:{step.line}" if step.line else step.name for step in reach.witness)
    return f"{reach.kind}{' implicit' if reach.implicit else ''} {reach.depth}: {steps}"


def main(arguments: list[str]) -> None:
    """Print what is known of the callables of benign files."""
    datasets = [Path(argument) for argument in arguments[1:]] or sorted(Path("data/seed").glob("*.parquet"))
    names: Counter[str] = Counter()
    for path in datasets:
        frame = read(path)
        names += called(traces(frame[frame["label"] == "benign"]))
    rows = {row.name: row for row in read_rows(Path(arguments[0])) if row.name in names}
    found = precision(names, rows)
    for name, files in sorted(found.tagged.items(), key=lambda item: -item[1]):
        print(f"tagged {files:5} {name}")
        for reach in flowing(rows[name]):
            print(f"             {path_text(reach)}")
    for name, files in sorted(found.other.items(), key=lambda item: -item[1]):
        kinds = " ".join(f"{reach.kind}{'*' if reach.flows else ''}" for reach in rows[name].reaches)
        print(f"other  {files:5} {name} unknown={rows[name].unknown} {kinds}")
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
