"""Time and memory of scans of files made to exhaust a scanner: ``python -m benchmarks.hostile``.

Every flood is scanned at two sizes, each in a process of its own. The goals: at the larger size a byte takes at most
1.3 times as long as at the smaller one, and the process at most 64 MB and five times the file, or the file is
``incomplete``; never more than 512 MB. Times are CPU times of the scan alone, the least of several runs; rows over a
goal are measured again before they count. Exit code 1 when a row stays over.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.floods import ARCHIVES, MODELS, OPCODES, STREAMS, Flood
from safepickle.bytecode import machine
from safepickle.record import Record

ROOT = Path(__file__).resolve().parent.parent
SLOPE = 1.3
MOST_MEMORY = 512.0
FIXED_MEMORY = 64.0
MEMORY_PER_BYTE = 5.0
LEAST_SECONDS = 0.05
"""What a scan that takes less than this costs is mostly not a matter of its size."""

ALL = STREAMS | {f"opcode {name}": flood for name, flood in OPCODES.items()} | ARCHIVES | MODELS
"""Every flood by name."""

# Runs in a process of its own, since what is measured is its peak; the first scan loads the model and warms up.
_MEASURED = """
import json, sys, time
sys.path.insert(0, {root!r})
from safepickle.scan import Scanner
scanner = Scanner()
scanner.scan_bytes(b"N.")
begin = time.process_time()
report = scanner.scan_path(sys.argv[1])
seconds = time.process_time() - begin
peak = [line for line in open("/proc/self/status") if line.startswith("VmHWM")][0].split()[1]
json.dump([seconds, int(peak) / 1024, report.complete], sys.stdout)
"""


class Measured(Record):
    """One scan: CPU seconds, peak MB of its process, whether the file was understood to its end; bytes of the file."""

    seconds: float
    peak: float
    complete: bool
    size: int

    @property
    def ns_per_byte(self) -> float:
        """Nanoseconds of CPU time per byte of the file."""
        return self.seconds * 1e9 / self.size

    def within_memory(self) -> bool:
        """Whether the peak is within the goal for a file of this size."""
        goal = FIXED_MEMORY + MEMORY_PER_BYTE * self.size / 1e6
        return self.peak <= MOST_MEMORY and (self.peak <= goal or not self.complete)

    def better(self, other: Measured) -> Measured:
        """The least of two measurements of the same file."""
        return self.replace(seconds=min(self.seconds, other.seconds), peak=min(self.peak, other.peak))


class Row(Record):
    """A flood at its smaller and its larger size."""

    name: str
    small: Measured
    large: Measured

    @property
    def slope(self) -> float:
        """How many times as long a byte takes at the larger size; 1 where the whole scan takes no time to speak of."""
        if self.large.seconds < LEAST_SECONDS:
            return 1.0
        return self.large.ns_per_byte / max(self.small.ns_per_byte, LEAST_SECONDS * 1e9 / self.large.size)

    def within(self) -> bool:
        """Whether time and memory are within the goals."""
        return self.slope <= SLOPE and self.small.within_memory() and self.large.within_memory()


def measured(path: Path, seconds: float) -> Measured:
    """Scan a file in a process of its own.

    Raises
    ------
    subprocess.SubprocessError
        When the scan fails, or takes more than `seconds`.
    """
    done = subprocess.run(
        [sys.executable, "-I", "-c", _MEASURED.format(root=str(ROOT)), str(path)],
        capture_output=True,
        check=True,
        timeout=seconds,
    )
    seconds_taken, peak, complete = json.loads(done.stdout)
    return Measured(seconds_taken, peak, complete, path.stat().st_size)


def row(name: str, flood: Flood, sizes: tuple[int, int], runs: int, folder: Path, patience: float = 400) -> Row:
    """Measure a flood at two sizes in turn, `runs` times, and up to twice as often while it is over a goal."""
    files = []
    for size in sizes:
        file = folder / f"{name}-{size}"
        file.write_bytes(flood(size))
        files.append(file)
    try:
        found = Row(name, *(measured(file, patience) for file in files))
        for run in range(1, 2 * runs):
            if run >= runs and found.within():
                break
            found = Row(
                name,
                found.small.better(measured(files[0], patience)),
                found.large.better(measured(files[1], patience)),
            )
        return found
    finally:
        for file in files:
            file.unlink()


def main() -> int:
    """Measure all floods, or those whose names are given; print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("floods", nargs="*", help="names, or parts of names, of the floods to measure (default: all)")
    parser.add_argument("--small", type=int, default=3_000_000, help="bytes of the smaller files")
    parser.add_argument("--large", type=int, default=30_000_000, help="bytes of the larger files")
    parser.add_argument("--runs", type=int, default=2, help="runs of each; twice as many where over (default: 2)")
    arguments = parser.parse_args()
    chosen = {
        name: flood
        for name, flood in ALL.items()
        if not arguments.floods or any(part in name for part in arguments.floods)
    }
    print(f"machine {'uncompiled' if str(machine.__file__).endswith('.py') else 'compiled'}; goals: slope <= {SLOPE}, ")
    print(f"peak <= {FIXED_MEMORY:.0f} MB + {MEMORY_PER_BYTE:.0f} x file or incomplete, never > {MOST_MEMORY:.0f} MB")
    print(f"{'flood':<34}{'MB':>7}{'ns/byte':>9}{'ns/byte':>9}{'slope':>7}{'peak MB':>9}{'peak MB':>9}  complete")
    over = 0
    with tempfile.TemporaryDirectory() as folder:
        for name, flood in chosen.items():
            found = row(name, flood, (arguments.small, arguments.large), arguments.runs, Path(folder))
            small, large = found.small, found.large
            over += not found.within()
            print(
                f"{name:<34}{large.size / 1e6:>7.1f}{small.ns_per_byte:>9.1f}{large.ns_per_byte:>9.1f}"
                f"{found.slope:>7.2f}{small.peak:>9.0f}{large.peak:>9.0f}  {'yes' if large.complete else 'no':<9}"
                f"{'ok' if found.within() else 'OVER'}",
                flush=True,
            )
    print(f"{len(chosen)} floods, {over} over")
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main())
