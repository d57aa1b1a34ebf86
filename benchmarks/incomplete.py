"""Files of a folder that are not read to their end, each with the reason: ``python -m benchmarks.incomplete FOLDER``.

FOLDER has a ``manifest.csv`` with the columns ``file`` and ``label`` and, perhaps, ``kind`` and ``note``; by default it
is the one that SAFEPICKLE_CORPUS names. The files are read and never loaded.
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
from collections import Counter
from pathlib import Path

from safepickle.bytecode.trace import FileTrace
from safepickle.scan import trace_path


def reasons(found: FileTrace) -> list[str]:
    """Why a file is not complete: oddities of its containers, and where its streams end before their STOP."""
    parts = [f"{oddity.kind} {oddity.detail}".strip() for oddity in found.oddities]
    for stream in found.walk():
        coverage = stream.coverage
        if coverage.state != "complete":
            where = "/".join(member for _step, member in stream.place if member)
            parts.append(f"{coverage.reason} at {stream.offset + coverage.offset}{' of ' * bool(where)}{where}")
    return parts


def main() -> int:
    """Print a line for each file that is not complete, and their number by label."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=os.environ.get("SAFEPICKLE_CORPUS"))
    folder = parser.parse_args().folder
    if folder is None:
        parser.error("give a folder, or name one in SAFEPICKLE_CORPUS")
    counts: Counter[tuple[str, bool]] = Counter()
    with open(Path(folder) / "manifest.csv", newline="", encoding="utf-8") as manifest:
        for row in csv.DictReader(manifest):
            found = trace_path(str(Path(folder) / row["file"]))
            counts[row["label"], found.complete] += 1
            if not found.complete:
                why = "; ".join(reasons(found)[:3])
                print("\t".join((row["label"], row.get("kind", ""), row["file"], why, row.get("note", ""))))
    for label in sorted({label for label, _complete in counts}):
        complete, rest = counts[label, True], counts[label, False]
        print(f"{label}: {complete + rest} files, {rest} not complete", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
