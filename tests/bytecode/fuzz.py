"""Hold the machine against CPython's unpicklers for as many streams as wanted: ``make fuzz``.

    python -m tests.bytecode.fuzz --seed 7 --streams 1000000 --oracle python3.13

The streams come in chunks that depend on the seed and the chunk's number alone. What was done is kept in
``build/fuzz/SEED-VERSION.json``, from where an interrupted run goes on, unless the scanner or this test changed since.
A find is cut down as long as it stays one and written to ``build/fuzz/finds/``, in hexadecimal.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from safepickle.bytecode.opcodes import CODES
from safepickle.scan import trace_bytes
from tests.bytecode.agreement import disagreements, hidden, traced
from tests.bytecode.generated import streams
from tests.bytecode.oracle import BATCH, Observed, Oracle

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / "fuzz"
CHUNK = 1_000
FILES = 8
"""One of so many streams is also read as a file, through the containers."""
SLOW = 2.0
"""Seconds of this process that no stream may take."""
STATED = 20
"""Seconds between two lines that tell how far it is."""


def judged(data: bytes, observed: Observed, as_file: bool = True) -> tuple[list[str], Counter[str]]:
    """What is wrong with the scanner's reading, and its opcodes."""
    begin = time.process_time()
    try:
        found = traced(data)
        problems = disagreements(found, observed)
        if as_file:
            problems += hidden(trace_bytes(data), observed)
    except Exception as error:  # whatever it is, it is a find
        return [f"raised {error!r}"], Counter()
    if time.process_time() - begin > SLOW:
        problems.append(f"slow: {time.process_time() - begin:.1f} s")
    opcodes: Counter[str] = Counter()
    for trace in found.traces:
        opcodes.update(trace.opcodes)
    return problems, opcodes


def minimised(data: bytes, is_find: Callable[[bytes], bool]) -> bytes:
    """The shortest byte string that cutting pieces out leads to and that still is a find."""
    size = len(data) // 2
    while size:
        at = 0
        while at < len(data):
            shorter = data[:at] + data[at + size :]
            if is_find(shorter):
                data = shorter
            else:
                at += size
        size //= 2
    return data


class Run:
    """One seed against one interpreter, as far as it has come."""

    def __init__(self, seed: int, wanted: int, interpreter: str) -> None:
        self.seed = seed
        self.wanted = wanted
        self.interpreter = interpreter
        self.version = _version(interpreter)
        self.name = f"{seed}-{self.version}"
        self.path = BUILD / f"{self.name}.json"
        self.sources = _digest()
        self.done = 0
        self.finds = 0
        self.lost = 0
        self.seconds = 0.0
        self.loaded: Counter[str] = Counter()
        self.events: Counter[str] = Counter()
        self.opcodes: Counter[str] = Counter()

    def resume(self) -> bool:
        """Take up what an earlier run left; whether there was anything."""
        if not self.path.exists():
            return False
        state: dict[str, Any] = json.loads(self.path.read_text())
        if state["sources"] != self.sources:
            return False
        for name in ("done", "finds", "lost", "seconds"):
            setattr(self, name, state[name])
        for name in ("loaded", "events", "opcodes"):
            getattr(self, name).update(state[name])
        return self.done > 0

    def save(self) -> None:
        """Keep what was done."""
        state = {name: value for name, value in vars(self).items() if name != "path"}
        whole = self.path.with_suffix(".new")
        whole.write_text(json.dumps(state, indent=1))
        whole.replace(self.path)

    def go(self, oracle: Oracle) -> None:
        """Read all streams that are left."""
        stated = time.monotonic()
        while self.done < self.wanted:
            begin = time.monotonic()
            count = min(CHUNK, self.wanted - self.done)
            for data, observed in self._read(oracle, streams(f"{self.seed}/{self.done // CHUNK}", count)):
                self._compare(oracle, data, observed)
            self.lost += len(oracle.lost)
            for data in oracle.lost:
                print(f"ended the unpicklers' process: {data.hex()}", flush=True)
            oracle.lost.clear()
            self.done += count
            self.seconds += time.monotonic() - begin
            self.save()
            if time.monotonic() - stated > STATED:
                stated = time.monotonic()
                print(self.state(), flush=True)

    def state(self) -> str:
        """How far it is, in a line."""
        return (
            f"{self.done:,} of {self.wanted:,} streams, {self.done / max(self.seconds, 1e-3):,.0f} a second, "
            f"{self.events.total():,} events, {self.finds} finds, {self.lost} lost"
        )

    def report(self) -> str:
        """What was tried, as text."""
        counts = ", ".join(f"{name} {count:,}" for name, count in self.events.most_common())
        loads = ", ".join(f"{name} {count / max(self.done, 1):.1%}" for name, count in sorted(self.loaded.items()))
        unused = sorted(set(CODES) - set(self.opcodes))
        return (
            f"seed {self.seed}, Python {self.version}: {self.state()}, {self.seconds:,.0f} s\n"
            f"loaded: {loads}\nseen: {counts}\n"
            f"{self.opcodes.total():,} opcodes executed, never: {' '.join(unused) or 'none'}"
        )

    def _read(self, oracle: Oracle, source: Iterator[bytes]) -> Iterator[tuple[bytes, Observed]]:
        """The streams with what the unpicklers did; these read while what they read last is compared."""
        before: list[tuple[bytes, Observed]] = []
        while batch := tuple(islice(source, BATCH)):
            oracle.send(batch)
            yield from before
            before = oracle.receive(batch)
        yield from before

    def _compare(self, oracle: Oracle, data: bytes, observed: Observed) -> None:
        problems, opcodes = judged(data, observed, as_file=self.opcodes.total() % FILES == 0)
        self.opcodes.update(opcodes)
        for reading in observed.readings:
            self.events.update(event[0] for event in reading.events)
            if reading.start == 0 and reading.end >= 0:
                self.loaded[reading.reader] += 1
        if problems:
            self.finds += 1
            self._keep(data, problems)

    def _keep(self, data: bytes, problems: list[str]) -> None:
        """Write a find, cut down by an oracle of its own, as this one is at work."""
        kind = problems[0].partition(":")[2][:12]
        with Oracle(self.interpreter) as oracle:

            def is_find(shorter: bytes) -> bool:
                for _data, observed in oracle.read([shorter]):
                    return any(kind in problem for problem in judged(shorter, observed)[0])
                return False

            short = minimised(data, is_find) if is_find(data) else data
            for _data, observed in oracle.read([short]):
                problems = judged(short, observed)[0] or problems
        folder = BUILD / "finds"
        folder.mkdir(parents=True, exist_ok=True)
        name = f"{self.name}-{self.done // CHUNK}-{self.finds}.txt"
        text = "\n".join((short.hex(), repr(short), *problems, f"cut down from {data.hex()}"))
        (folder / name).write_text(text + "\n", encoding="utf-8", errors="backslashreplace")
        print(f"find {name}: {short!r}\n  {problems[0]:.300}", flush=True)


def _digest() -> str:
    """Of all sources that decide what a run finds."""
    paths = [*(ROOT / "safepickle" / "bytecode").glob("*.py"), *(ROOT / "tests" / "bytecode").glob("*.py")]
    whole = hashlib.sha256()
    for path in sorted(paths):
        if not path.name.startswith("test_"):
            whole.update(path.name.encode() + b"\0" + path.read_bytes())
    return whole.hexdigest()[:16]


def _version(interpreter: str) -> str:
    ran = subprocess.run([interpreter or sys.executable, "--version"], capture_output=True, text=True, check=True)
    return ran.stdout.split()[-1]


def main() -> None:
    """Run; ends with an error when there are finds."""
    parser = argparse.ArgumentParser(description="Hold the pickle machine against CPython's unpicklers.")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--streams", type=int, default=1_000_000)
    parser.add_argument("--oracle", default="", metavar="PYTHON", help="another interpreter whose unpicklers to ask")
    chosen = parser.parse_args()
    run = Run(chosen.seed, chosen.streams, chosen.oracle)
    BUILD.mkdir(parents=True, exist_ok=True)
    lock = (BUILD / f"{run.name}.lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit(f"a run of seed {run.seed} against Python {run.version} is under way; give it another SEED")
    if run.resume():
        print(f"going on from {run.state()}", flush=True)
    try:
        with Oracle(chosen.oracle) as oracle:
            run.go(oracle)
    except KeyboardInterrupt:
        sys.exit(f"interrupted; the same command goes on from here: {run.state()}")
    print(run.report())
    sys.exit(1 if run.finds or run.lost else 0)


if __name__ == "__main__":
    main()
