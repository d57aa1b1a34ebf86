"""``python -m pipelines.capabilities.figures`` counts what the shipped table holds; ``--write`` tells the docs."""

from __future__ import annotations

import argparse
import json
import random
import statistics
import time
from collections import Counter
from pathlib import Path

from pipelines.dataset import read, traces
from safepickle.capabilities.layout import CALL
from safepickle.capabilities.table import PATH, Table, open_table
from safepickle.features.prevalence import CALL as CALLED
from safepickle.features.prevalence import names_of

from .fetch import LOCK
from .listing import briefs, sections
from .sources import STANDARD_LIBRARY

PAGE = Path("docs/capabilities.md")
SEED = Path("data/seed")
LOOKUPS = 5000
BEGIN, END = "<!-- figures -->", "<!-- end of figures -->"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m pipelines.capabilities.figures", description=__doc__)
    parser.add_argument("--write", action="store_true", help=f"write them into {PAGE}")
    text = "\n".join(figures())
    if parser.parse_args().write:
        before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
        _, _, after = rest.partition(END)
        PAGE.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")
    else:
        print(text)


def figures() -> list[str]:
    """Lines of Markdown about the shipped table."""
    table = open_table(PATH)
    counts: Counter[str] = Counter()
    kinds: Counter[tuple[str, bool]] = Counter()
    names: list[str] = []
    for module, header, entries in sections(table):
        counts["modules, of which"] += 1
        counts["modules that were not read (compiled, tests, or of a syntax that was not understood)"] += (
            "n" in header[1]
        )
        brief = briefs(header)
        counts["names in them, of which"] += len(entries) + brief[""]
        counts["known inert"] += brief["i"]
        counts["do something that was not understood"] += brief["u"]
        counts["call what they are passed"] += brief["c"]
        for qualname, entry in entries:
            names.append(f"{module}.{qualname}")
            if entry[:1] == "=":
                counts["lead to another name"] += 1
                continue
            found = table.find(names[-1])
            if found is None or found.status not in ("analysed", "native"):
                continue
            counts["known inert"] += found.inert
            counts["do something that was not understood"] += found.unknown
            counts["call what they are passed"] += found.calls
            for reach in (*found.reaches, *found.derived):
                kinds[reach.kind, reach.flows] += 1
    lines = [*_sources(table), *(f"- {count:,} {what}" for what, count in counts.items())]
    first, again = _microseconds(names)
    lines += [
        f"- {Path(PATH).stat().st_size:,} bytes",
        f"- {first:.0f} microseconds for the median lookup of {LOOKUPS:,} names drawn at random, {again:.1f} when the "
        f"same name is looked up again; {_asked():.0f} on average for what the files of {SEED} name, one after another",
        "",
        "| kind | names that reach it | and hand on what they are passed |",
        "|---|---|---|",
    ]
    for kind in table.kinds.values():
        if kind != CALL:
            lines.append(f"| {kind} | {kinds[kind, True] + kinds[kind, False]:,} | {kinds[kind, True]:,} |")
    return lines


def _sources(table: Table) -> list[str]:
    packages = {name: versions for name, *versions in table.packages}
    libraries = ", ".join(packages.pop(STANDARD_LIBRARY, []))
    count = sum(map(len, packages.values()))
    lines = [f"- {len(packages)} packages in {count} versions; the standard libraries of Python {libraries}"]
    missing = json.loads(LOCK.read_text(encoding="utf-8"))["unobtainable"]
    return [*lines, f"- not to be had as a wheel: {', '.join(sorted(missing))}"] if missing else lines


def _microseconds(names: list[str]) -> tuple[float, float]:
    """Median time of a lookup, the first one of a name and a further one."""
    table = open_table(PATH)
    chosen = random.Random(5).choices(sorted(names), k=LOOKUPS)
    first: list[int] = []
    again: list[int] = []
    for name in chosen:
        for times in (first, again):
            begin = time.process_time_ns()
            table.find(name)
            times.append(time.process_time_ns() - begin)
    return statistics.median(first) / 1000, statistics.median(again) / 1000


def _asked() -> float:
    """Mean time of a lookup over all that model files name, in a random order of files."""
    files = [
        sorted({name.removesuffix(CALLED).removesuffix(CALLED) for name in names_of(file)})
        for path in sorted(SEED.glob("*.parquet"))
        for file in traces(read(path))
    ]
    random.Random(5).shuffle(files)
    table = open_table(PATH)
    begin = time.process_time_ns()
    for names in files:
        for name in names:
            table.find(name)
    return (time.process_time_ns() - begin) / sum(map(len, files)) / 1000


if __name__ == "__main__":
    main()
