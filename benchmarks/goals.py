"""The goals of the project, a function a line: what is measured against what, and how much is asked."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from .hostile import ALL, MOST_MEMORY, SLOPE
from .hostile import row as flood_row
from .samples import Samples
from .timing import Timed, Worker, commands, in_process

MB = 1 << 20
FLOODS = (
    "lists in the memo", "stack globals behind junk", "streams with a call", "opcode DUP", "opcode GLOBAL",
    "opcode TUPLE1", "a zip of many members", "a gzip bomb", "a gzip of a flood",
)  # fmt: skip
"""Floods of goal 11: a choice of those that take the most time or memory."""


class Row(NamedTuple):
    """One line of the table.

    Parameters
    ----------
    number, goal
        Which goal it is, in words.
    value, unit
        What was measured: a ratio (``x``), milliseconds, microseconds or megabytes.
    must, stretch
        What is asked.
    at_least
        Whether more is better.
    contenders
        The runs behind it; ours come first.
    said
        What each contender said of the file.
    """

    number: str
    goal: str
    value: float
    unit: str
    must: float
    stretch: float
    at_least: bool
    contenders: dict[str, Timed]
    said: dict[str, str] = {}  # noqa: RUF012 - never changed

    @property
    def verdict(self) -> str:
        """``stretch``, ``ok`` or ``miss``."""
        if not self.value < float("inf"):
            return "miss" if not self.at_least else "stretch"
        sign = 1 if self.at_least else -1
        if sign * self.value >= sign * self.stretch:
            return "stretch"
        return "ok" if sign * self.value >= sign * self.must else "miss"


class Bench:
    """What the rows need: samples, environments, open workers, and how often to run."""

    def __init__(self, samples: Samples, tools: dict[str, Path], runs: int) -> None:
        self.samples = samples
        self.tools = tools
        self.runs = runs
        self.workers = {name: Worker(tools[name]) for name in ("compiled", "uncompiled", "picklescan")}

    def close(self) -> None:
        """End the workers."""
        for worker in self.workers.values():
            worker.close()

    def scan_command(self, tool: str, path: Path) -> list[str]:
        """Command line with which a tool scans a file or folder."""
        command = {
            "picklescan": ["picklescan", "-p"],
            "modelscan": ["modelscan", "-p"],
            "fickling": ["fickling", "--check-safety"],
        }.get(tool, ["safepickle", "scan"])
        return [str(self.tools[tool] / command[0]), *command[1:], str(path)]

    def scanned(self, path: Path, *others: str, runs: int = 0) -> dict[str, Timed]:
        """Whole processes that scan `path`: ours, picklescan, and others."""
        contenders = {tool: self.scan_command(tool, path) for tool in ("compiled", "picklescan", *others)}
        return commands(contenders, runs or self.runs)

    def against(self, paths: list[Path], ours: str = "compiled", mine: str = "safepickle", other: str = "picklescan",
                runs: int = 0) -> dict[str, Timed]:  # fmt: skip
        """The same files in our process and in a peer's (genops runs in ours)."""
        theirs = self.workers["picklescan" if other == "picklescan" else ours]
        return in_process(
            {mine: (self.workers[ours], mine, paths, {}), other: (theirs, other, paths, {})}, runs or self.runs
        )


def _ratio(timed: dict[str, Timed]) -> float:
    """How many times as fast as the second contender the first is."""
    ours, other = list(timed.values())[:2]
    return other.best / ours.best


def machine_rows(bench: Bench) -> Iterator[Row]:
    """Goal 1: the machine alone against a lexer that only splits."""
    for name, paths, must, stretch in (
        ("dense file", [bench.samples.dense], 15, 25),
        ("scikit-learn files", bench.samples.estimators, 8, 12),
        ("tiny files", bench.samples.tiny[:200], 3, 4),
    ):
        timed = bench.against(paths, mine="machine", other="genops")
        yield Row("1", f"machine against genops, {name}", _ratio(timed), "x", must, stretch, True, timed)


def in_process_rows(bench: Bench) -> Iterator[Row]:
    """Goals 2, 3, 4: scans with verdict in process, files read from disk."""
    timed = bench.against(bench.samples.tiny)
    yield Row("2", "1000 tiny files in process, with verdict", _ratio(timed), "x", 3, 4.5, True, timed)
    timed = bench.against(bench.samples.estimators)
    yield Row("3", "scikit-learn files in process, with verdict", _ratio(timed), "x", 10, 20, True, timed)
    timed = bench.against([bench.samples.dense], runs=min(bench.runs, 5))
    yield Row("4", "dense file in process, with verdict", _ratio(timed), "x", 100, 200, True, timed)
    memory = bench.scanned(bench.samples.dense, "modelscan", "fickling", runs=1)
    share = memory["picklescan"].peak / max(1, memory["compiled"].peak)
    yield Row("4", "dense file, peak memory", share, "x less", 10, 20, True, memory)


def command_rows(bench: Bench) -> Iterator[Row]:
    """Goals 5 to 8: the command line, as whole processes."""
    tiny = bench.scanned(bench.samples.named, "modelscan", "fickling", runs=2 * bench.runs)
    yield Row("5", "one tiny file, cold command", 1 / _ratio(tiny), "x the time", 0.8, 0.5, False, tiny)
    folder = bench.scanned(bench.samples.tiny_folder, "modelscan")
    yield Row("6", "folder of 1000 tiny files, command", _ratio(folder), "x", 2.5, 4, True, folder)
    huge = bench.scanned(bench.samples.checkpoint, "modelscan", runs=min(bench.runs, 5))
    yield Row("7", "10 GB torch file, command", 1e3 * huge["compiled"].best_wall, "ms", 100, 50, False, huge)
    yield Row("7", "10 GB torch file, peak memory", huge["compiled"].peak / MB, "MB", 40, 40, False, huge)
    long = bench.scanned(bench.samples.bytes, "modelscan", runs=min(bench.runs, 5))
    yield Row("8", "524 MB of bytes, command", 1 / _ratio(long), "x the time", 0.1, 0.05, False, long)
    yield Row("8", "524 MB of bytes, peak memory", long["compiled"].peak / MB, "MB", 40, 40, False, long)


def single_rows(bench: Bench) -> Iterator[Row]:
    """Goals 9 and 12: one file of 401 arrays, one row of features."""
    timed = bench.against([bench.samples.forest], runs=3 * bench.runs)
    yield Row(
        "9", "joblib forest of 401 arrays, with verdict", 1e3 * timed["safepickle"].best, "ms", 1.2, 0.5, False, timed
    )
    worker = bench.workers["compiled"]
    paths = bench.samples.estimators
    timed = in_process({"judge": (worker, "judge", paths, {})}, 2 * bench.runs)
    microseconds = 1e6 * timed["judge"].best / len(paths)
    yield Row("12", "all detectors on one row", microseconds, "µs", 150, 50, False, timed)


def uncompiled_rows(bench: Bench) -> Iterator[Row]:
    """Goal 10: the same without a compiler."""
    for name, paths in (("dense file", [bench.samples.small_dense]), ("scikit-learn files", bench.samples.estimators)):
        timed = bench.against(paths, ours="uncompiled", mine="machine", other="genops")
        yield Row("10", f"uncompiled machine against genops, {name}", _ratio(timed), "x", 0.7, 1.2, True, timed)
        timed = bench.against(paths, ours="uncompiled")
        yield Row("10", f"uncompiled scan, {name}", _ratio(timed), "x", 1, 1.2, True, timed)


def hashing_rows(bench: Bench) -> Iterator[Row]:
    """Goal 13: a scan with a hash against the hash alone."""
    worker, paths = bench.workers["compiled"], [bench.samples.noise]
    timed = in_process(
        {"scan and hash": (worker, "safepickle", paths, {"hash": True}), "sha256": (worker, "sha256", paths, {})},
        bench.runs,
    )
    yield Row("13", "hash on request, 64 MB", 1 / _ratio(timed), "x the time", 1.15, 1.05, False, timed)


def hostile_rows(bench: Bench) -> Iterator[Row]:
    """Goal 11, on some of the floods of ``python -m benchmarks.hostile``, at 3 and 30 MB."""
    floods = {name: flood for name, flood in ALL.items() if name in FLOODS}
    sizes = (500_000, 5_000_000) if bench.runs < 5 else (3_000_000, 30_000_000)
    with tempfile.TemporaryDirectory() as folder:
        rows = [flood_row(name, flood, sizes, 1, Path(folder)) for name, flood in floods.items()]
    slow = max(rows, key=lambda row: row.slope)
    big = max((one for row in rows for one in (row.small, row.large)), key=lambda one: one.peak)
    names = {row.large: row.name for row in rows} | {row.small: row.name for row in rows}
    timed = {f"{len(rows)} floods": Timed((), (), f"worst of {len(rows)} floods: {slow.name}")}
    yield Row("11", "hostile input: ns/byte at 30 MB against 3 MB", slow.slope, "x the time", SLOPE, 1.1, False, timed)
    timed = {f"{len(rows)} floods": Timed((), (), f"worst of {len(rows)} floods: {names[big]}")}
    yield Row("11", "hostile input: peak memory", big.peak, "MB", MOST_MEMORY, 256, False, timed)


GROUPS: tuple[Callable[[Bench], Iterator[Row]], ...] = (
    machine_rows, in_process_rows, command_rows, single_rows, uncompiled_rows, hostile_rows, hashing_rows,
)  # fmt: skip


def detection(bench: Bench) -> dict[str, dict[str, str]]:
    """What every command says of samples that hide a call, and of ordinary ones: sample -> tool -> words."""
    samples = {**bench.samples.hostile, "joblib forest (benign)": bench.samples.forest,
               "estimator (benign)": bench.samples.estimators[0], "tiny (benign)": bench.samples.tiny[0]}  # fmt: skip
    found = {}
    for name, path in samples.items():
        tools = ("compiled", "picklescan", "modelscan", "fickling")
        timed = commands({tool: bench.scan_command(tool, path) for tool in tools}, 1)
        found[name] = {tool: said(tool, runs) for tool, runs in timed.items()}
    return found


def said(tool: str, timed: Timed) -> str:
    """What a command said of a file, in a few words."""
    text = str(timed.result)
    lower = text.lower()
    if tool == "compiled":
        words = [word for word in ("MALICIOUS", "SUSPICIOUS", "INCOMPLETE", "BENIGN") if f": {word}"[2:] in text]
        return words[0].lower() if words else text[:40]
    if "traceback" in lower or "exit -" in text or text.startswith("ended"):
        return "failed" if not text.startswith("ended") else text
    if tool == "picklescan":
        error = "error" in lower or "exit 2" in lower
        return ("infected" if "infected files: 0" not in lower else "clean") + (", error" if error else "")
    if tool == "modelscan":
        skipped = "total skipped: 0" not in lower and "total skipped" in lower
        errors = "error" in lower
        clean = "no issues found" in lower
        return ("clean" if clean else "issues") + (", skipped" if skipped else "") + (", error" if errors else "")
    return "clean" if text.startswith("exit 0") else "unsafe" if text.startswith("exit 1") else text[:40]
