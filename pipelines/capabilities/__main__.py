"""Stage `capabilities`: the source of many packages -> safepickle/capabilities/table.bin.

``python -m pipelines.capabilities`` fetches what the manifest in params.yaml names, summarises each package by itself,
links the summaries and writes the table. What is done stays on disk, so that it can be stopped and taken up again.
``--offline`` fetches nothing and works with what is there.
"""

from __future__ import annotations

import argparse
import gc
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from safepickle.capabilities import table as shipped

from ..params import load_params
from .analysis import read_summary, summarise
from .fetch import fetch
from .link import link
from .merge import Merged
from .native import native
from .sources import STANDARD_LIBRARY, Manifest, Source
from .table import write_table


def main() -> None:
    arguments = argparse.ArgumentParser(prog="python -m pipelines.capabilities", description=__doc__)
    arguments.add_argument("--offline", action="store_true", help="fetch nothing, work with what is there")
    arguments.add_argument("--output", type=Path, default=Path(shipped.PATH), help="where the table goes")
    chosen = arguments.parse_args()
    manifest = Manifest.read(load_params())
    sources = list(fetch(manifest, offline=chosen.offline))
    if not any(source.package == STANDARD_LIBRARY for source in sources):
        raise SystemExit("capabilities: without the standard library of any Python nothing can be derived")
    summarise(sources, manifest)
    data = make_table(sources)
    partial = chosen.output.with_suffix(".part")
    partial.write_bytes(data)
    partial.rename(chosen.output)
    print(f"wrote {chosen.output}: {len(data)} bytes")


def make_table(sources: list[Source]) -> bytes:
    """Link all sources, one version of each package at a time, and put what they say together."""
    versions: dict[str, list[str]] = {}
    for source in sorted(sources, key=lambda source: (source.package, -source.index)):
        versions.setdefault(source.package, []).append(source.version)
    merged = Merged(versions)
    callables = native()
    for number, world in enumerate(worlds(sources), 1):
        begin = time.monotonic()
        chosen = {source.package: source.version for source in world}
        summaries = [read_summary(source) for source in world]
        for summary in summaries:
            merged.add_modules(summary)
        count = 0
        for row in link(summaries, callables):
            merged.add_row(row, chosen)
            count += 1
        del summaries
        gc.collect()
        print(f"linked world {number}: {count} names, {time.monotonic() - begin:.0f} s", file=sys.stderr)
    for source in sources:
        merged.add_unread(source)
    merged.add_native(callables)
    return write_table(merged.finish(), versions)


def worlds(sources: list[Source]) -> Iterator[list[Source]]:
    """Sets of one version of each package, oldest first, that together have every version.

    A package of fewer versions than others takes part with its oldest in the older worlds.
    """
    by_package: dict[str, dict[int, Source]] = {}
    for source in sources:
        by_package.setdefault(source.package, {})[source.index] = source
    most = max(max(found) for found in by_package.values())
    ordered = sorted(by_package.items(), key=_standard_library_first)
    for index in range(most, -1, -1):
        yield [found[max((known for known in found if known <= index), default=min(found))] for _, found in ordered]


def _standard_library_first(item: tuple[str, object]) -> tuple[bool, str]:
    return item[0] != STANDARD_LIBRARY, item[0]


if __name__ == "__main__":
    main()
