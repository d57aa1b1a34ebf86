"""Measure every goal beside the peers, print the table, write docs/benchmarks.md: ``make bench``."""

from __future__ import annotations

import argparse
import subprocess
import sys
import time

from .environments import PEERS, ROOT, environments, version
from .goals import GROUPS, Bench, Row, detection
from .page import as_chart, as_page, as_text
from .samples import Samples

FOLDER = ROOT / "build" / "bench"


def main() -> int:
    """Run the goals; the exit code is 1 when a measured one is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer runs of smaller files; not for the page")
    parser.add_argument("--runs", type=int, default=0, help="interleaved runs (default: 7, quick: 3)")
    parser.add_argument("--only", help="a comma-separated choice of goals by number")
    parser.add_argument("--make-samples", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.make_samples:
        Samples(FOLDER / "samples", arguments.quick)
        return 0
    begin = time.monotonic()
    tools = environments(FOLDER)
    # in a process of its own: the libraries that make them must not count as memory of what this one starts
    quick = ["--quick"] if arguments.quick else []
    subprocess.run([sys.executable, "-m", "benchmarks", "--make-samples", *quick], cwd=ROOT, check=True)
    print(f"environments and samples ready after {time.monotonic() - begin:.0f} s", flush=True)
    bench = Bench(Samples(FOLDER / "samples", arguments.quick), tools, arguments.runs or (3 if arguments.quick else 7))
    chosen = set(arguments.only.split(",")) if arguments.only else set()
    rows: list[Row] = []
    try:
        for group in GROUPS:
            if not chosen or chosen & set(_numbers(group.__doc__ or "")):
                for row in group(bench):
                    rows.append(row)
                    print(as_text(row), flush=True)
        seen = {} if chosen else detection(bench)
    finally:
        bench.close()
    for name, words in seen.items():
        print(f"{name:<26}" + "  ".join(f"{tool}: {word}" for tool, word in words.items()))
    print(f"took {time.monotonic() - begin:.0f} s")
    if not chosen and not arguments.quick:
        versions = {name: version(tools[name], name) for name in PEERS}
        (ROOT / "docs" / "benchmarks.md").write_text(as_page(rows, seen, versions, arguments.quick), encoding="utf-8")
        (ROOT / "docs" / "benchmarks.svg").write_text(as_chart(rows), encoding="utf-8")
    return 1 if any(row.verdict == "miss" for row in rows) else 0


def _numbers(text: str) -> list[str]:
    return [word.strip(",.:") for word in text.split() if word.strip(",.:").isdigit()]


if __name__ == "__main__":
    sys.exit(main())
