"""Coverage-guided fuzzing of the container readers and of the machine: no fault, no hang, no memory beyond bounds.

    python -m tests.guided.fuzz --target zip --seconds 60        # or make fuzz-coverage TARGET=zip SECONDS=60
    python -m tests.guided.fuzz --target zip --file build/fuzz-coverage/zip/found/crash-...

Needs the extra ``fuzz`` (atheris). Files that reached new code are kept in build/fuzz-coverage and taken up by the next
run; what is found lies in build/fuzz-coverage/TARGET/found. ``--keep`` writes the smallest set of files that reach all
of it to tests/guided/corpus.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import re
import subprocess
import sys
import time
from importlib.machinery import SOURCE_SUFFIXES, FileFinder, SourceFileLoader
from pathlib import Path

from tests.guided.seeds import FILES, FOUND, seeds

ROOT = Path(__file__).resolve().parents[2]
TARGETS = ("all", "machine", *FILES)
LONGEST = 4096
SECONDS_AN_INPUT = 120
"""Of wall time, after which an input hangs; the laws count processor time, which a busy machine does not lengthen."""
MEGABYTES = 1024
KEPT_BYTES = 8_000
"""Of one target's files in the repository."""


def prepare(target: str) -> tuple[Path, Path]:
    """Folders of a target: what it begins with and goes on from, and what it finds."""
    base = ROOT / "build" / "fuzz-coverage" / target
    corpus, found = base / "corpus", base / "found"
    for folder in (corpus, found):
        folder.mkdir(parents=True, exist_ok=True)
    for data in seeds(target):
        (corpus / hashlib.sha1(data, usedforsecurity=False).hexdigest()).write_bytes(data)
    return corpus, found


def child(target: str, arguments: list[str]) -> None:
    """Fuzz in this process, uncompiled and instrumented, until libFuzzer ends it."""
    import atheris

    core = str(ROOT / "safepickle" / "bytecode")
    # the compiled machine would be found first and tells nothing of its coverage
    sys.path_importer_cache[core] = FileFinder(core, (SourceFileLoader, SOURCE_SUFFIXES))
    with atheris.instrument_imports(include=["safepickle"]):
        from safepickle.bytecode import machine
        from tests.guided import laws

    assert machine.__file__.endswith(".py"), machine.__file__
    check = laws.law_of(target)
    # what libFuzzer starts by its name, when it merges
    again = ROOT / "build" / "fuzz-coverage" / target / "again"
    again.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m tests.guided.fuzz --target {target} --child "$@"\n')
    again.chmod(0o755)
    atheris.Setup([str(again), *arguments], check)
    atheris.Fuzz()


def fuzz(target: str, seconds: float, seed: int) -> dict[str, object]:
    """Run until the time is up, over every find; the figures of the run."""
    corpus, found = prepare(target)
    known = set(found.iterdir())
    began, runs = time.monotonic(), 0
    while (left := int(began + seconds - time.monotonic())) > 0:
        done = _run(
            target,
            [str(corpus), f"-max_total_time={left}", f"-seed={seed}", f"-artifact_prefix={found}/",
             f"-max_len={LONGEST}", f"-timeout={SECONDS_AN_INPUT}",
             f"-report_slow_units={SECONDS_AN_INPUT}", f"-rss_limit_mb={MEGABYTES}",
             "-print_final_stats=1", "-verbosity=0"],
        )  # fmt: skip
        counted = re.search(r"number_of_executed_units: (\d+)", done.stderr)
        runs += int(counted[1]) if counted else 0
        if done.returncode == 0:
            break
        seed += 1
        print(done.stderr[-3000:], file=sys.stderr)
        if not counted and not set(found.iterdir()) - known:
            raise SystemExit(f"the fuzzer of {target} does not start")
    finds = sorted(path.name for path in set(found.iterdir()) - known)
    return {"target": target, "seconds": round(time.monotonic() - began), "executions": runs, "finds": finds}


def _run(target: str, arguments: list[str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.guided.fuzz", "--target", target, "--child", *arguments]
    return subprocess.run(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, errors="replace", check=False)


def keep(target: str) -> None:
    """Write the smallest files that reach all that was reached to the repository, as far as there is room."""
    corpus, _found = prepare(target)
    merged = corpus.with_name("merged")
    merged.mkdir(exist_ok=True)
    for path in merged.iterdir():
        path.unlink()
    _run(target, ["-merge=1", str(merged), str(corpus), f"-max_len={LONGEST}"])
    generated = set(seeds(target))
    lines, left = [], KEPT_BYTES
    for data in sorted((path.read_bytes() for path in merged.iterdir()), key=len):
        line = base64.b64encode(data).decode()
        if data not in generated and len(line) < left:
            lines.append(line)
            left -= len(line) + 1
    FOUND.mkdir(exist_ok=True)
    (FOUND / f"{target}.txt").write_text("".join(f"{line}\n" for line in lines))


def main() -> None:
    """Run the command line."""
    if "--child" in sys.argv:
        at = sys.argv.index("--child")
        child(sys.argv[at - 1], sys.argv[at + 1 :])
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", choices=TARGETS, default="all", help="a reader, `machine`, or `all` together")
    parser.add_argument("--seconds", type=float, default=60, help="how long")
    parser.add_argument("--seed", type=int, default=1, help="of libFuzzer")
    parser.add_argument("--file", type=Path, help="check one file and end")
    parser.add_argument("--keep", action="store_true", help="write what was reached to tests/guided/corpus and end")
    arguments = parser.parse_args()
    if arguments.file:
        from tests.guided import laws

        laws.law_of(arguments.target)(arguments.file.read_bytes())
    elif arguments.keep:
        keep(arguments.target)
    else:
        done = fuzz(arguments.target, arguments.seconds, arguments.seed)
        print(json.dumps(done))
        sys.exit(1 if done["finds"] else 0)


if __name__ == "__main__":
    main()
