"""Stage `capabilities`: the source of many packages -> safepickle/capabilities/table.bin.

``python -m pipelines.capabilities`` fetches what the manifest in params.yaml names, summarises each package by itself,
links the summaries and writes the table. What is done stays on disk, so that it can be stopped and taken up again.
``--offline`` fetches nothing and works with what is there. ``--unseen`` makes a table to measure with, of packages that
the shipped one does not hold.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from safepickle.capabilities import table as shipped

from ..params import load_params
from .analysis import growing, read_summary, summarise
from .fetch import fetch
from .groups import groups
from .link import link
from .merge import Merged
from .native import native
from .records import NativeCallable
from .sources import STANDARD_LIBRARY, Manifest, Source
from .table import write_table


def main() -> None:
    arguments = argparse.ArgumentParser(prog="python -m pipelines.capabilities", description=__doc__)
    arguments.add_argument("--offline", action="store_true", help="fetch nothing, work with what is there")
    arguments.add_argument("--output", type=Path, help="where the table goes, if not into the package")
    arguments.add_argument("--unseen", action="store_true", help="of the manifest's unseen packages; needs --output")
    chosen = arguments.parse_args()
    output: Path = chosen.output or Path(shipped.PATH)
    if chosen.unseen and chosen.output is None:
        arguments.error("--unseen needs --output: the shipped table is none of them")
    manifest = Manifest.read(load_params(), "unseen" if chosen.unseen else "packages")
    sources = list(fetch(manifest, offline=chosen.offline))
    if not any(source.package == STANDARD_LIBRARY for source in sources):
        raise SystemExit("capabilities: without the standard library of any Python nothing can be derived")
    summarise(sources, manifest)
    data = make_table(sources, manifest.link_megabytes)
    partial = output.with_suffix(".part")
    partial.write_bytes(data)
    partial.rename(output)
    print(f"wrote {output}: {len(data)} bytes")


def make_table(sources: list[Source], megabytes: int) -> bytes:
    """Link all sources, one version of each package at a time, and put what they say together.

    At most so many megabytes of source are linked with each other; see :func:`.groups.groups`.
    """
    versions: dict[str, list[str]] = {}
    for source in sorted(sources, key=lambda source: (source.package, -source.index)):
        versions.setdefault(source.package, []).append(source.version)
    merged = Merged(versions)
    callables = native()
    for index, world in worlds(sources):
        chosen = {source.package: source.version for source in world}
        for own, together in groups(world, index, megabytes):
            begin = time.monotonic()
            with growing():
                _add_group(own, together, merged, callables, chosen)
            names = ", ".join(str(source) for source in own)
            print(f"linked {names} in {time.monotonic() - begin:.0f} s", file=sys.stderr)
    for source in sources:
        merged.add_unread(source)
    merged.add_native(callables)
    return write_table(merged.finish(), versions)


def _add_group(
    own: Collection[Source], together: list[Source], merged: Merged, callables: Mapping[str, NativeCallable],
    chosen: Mapping[str, str],
) -> None:  # fmt: skip
    """Link sources and take in what that says of their `own` part."""
    summaries = [read_summary(source) for source in together]
    modules: set[str] = set()
    for source, summary in zip(together, summaries, strict=True):
        if source in own:
            merged.add_modules(summary)
            modules.update(summary.modules)
    for row in link(summaries, callables):
        if row.kind != "module" or row.name in modules:
            merged.add_row(row, chosen, modules)


def worlds(sources: list[Source]) -> Iterator[tuple[int, list[Source]]]:
    """Sets of one version of each package, the oldest first, each with how old it is, 0 being the newest.

    A package of fewer versions than others takes part with its oldest in the older sets.
    """
    by_package: dict[str, dict[int, Source]] = {}
    for source in sources:
        by_package.setdefault(source.package, {})[source.index] = source
    most = max(max(found) for found in by_package.values())
    ordered = sorted(by_package.items(), key=_standard_library_first)
    for index in range(most, -1, -1):
        yield (
            index,
            [found[max((known for known in found if known <= index), default=min(found))] for _, found in ordered],
        )


def _standard_library_first(item: tuple[str, object]) -> tuple[bool, str]:
    return item[0] != STANDARD_LIBRARY, item[0]


if __name__ == "__main__":
    main()
