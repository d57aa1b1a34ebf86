"""Interleaved runs: one of each contender in turn, so that a busy machine slows all of them alike."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

WORKER = Path(__file__).with_name("worker.py")
SECONDS = 60.0
"""Time of one command, after which it is ended."""


class Timed(NamedTuple):
    """One contender's runs.

    Parameters
    ----------
    cpu, wall
        Seconds of each run; empty when it failed.
    result
        What it said, or why it failed.
    peak
        Bytes of memory at the most; 0 where it was not looked at.
    """

    cpu: tuple[float, ...]
    wall: tuple[float, ...]
    result: Any
    peak: int = 0

    @property
    def best(self) -> float:
        """CPU seconds of the quickest run; infinite when there is none."""
        return min(self.cpu, default=float("inf"))

    @property
    def best_wall(self) -> float:
        """Wall seconds of the quickest run."""
        return min(self.wall, default=float("inf"))

    @property
    def median(self) -> float:
        """CPU seconds of the run in the middle."""
        return statistics.median(self.cpu) if self.cpu else float("inf")


class Worker:
    """A process in a tool's environment that runs tasks one after another."""

    def __init__(self, bin_folder: Path) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        self._process = subprocess.Popen(
            [bin_folder / "python", WORKER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def run(self, work: str, paths: Sequence[Path], **more: object) -> dict[str, Any]:
        """One timed run of a task of :class:`benchmarks.worker.Work`."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps({"work": work, "paths": [str(path) for path in paths], **more}) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline() or '{"error": "the process died"}')
        return answer

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def in_process(
    contenders: dict[str, tuple[Worker, str, Sequence[Path], dict[str, object]]], runs: int
) -> dict[str, Timed]:
    """Run each contender's task `runs` times, taking turns."""
    answers: dict[str, list[dict[str, Any]]] = {name: [] for name in contenders}
    for _ in range(runs):
        for name, (worker, work, paths, more) in contenders.items():
            answers[name].append(worker.run(work, paths, **more))
    timed = {}
    for name, given in answers.items():
        failed = [answer["error"] for answer in given if "error" in answer]
        if failed:
            timed[name] = Timed((), (), failed[0])
        else:
            timed[name] = Timed(
                tuple(answer["cpu"] for answer in given),
                tuple(answer["wall"] for answer in given),
                given[-1]["results"],
            )
    return timed


def commands(contenders: dict[str, list[str]], runs: int) -> dict[str, Timed]:
    """Run each command `runs` times as a whole process, taking turns; one that fails or takes too long runs once."""
    found: dict[str, list[tuple[float, float, int, str]]] = {name: [] for name in contenders}
    given_up: dict[str, str] = {}
    for _ in range(runs):
        for name, command in contenders.items():
            if name not in given_up:
                cpu, wall, peak, said = _command(command)
                if cpu < 0:
                    given_up[name] = said
                else:
                    found[name].append((cpu, wall, peak, said))
    timed = {}
    for name, seen in found.items():
        if name in given_up or not seen:
            timed[name] = Timed((), (), given_up.get(name, "did not run"))
        else:
            timed[name] = Timed(
                tuple(run[0] for run in seen), tuple(run[1] for run in seen), seen[-1][3], min(run[2] for run in seen)
            )
    return timed


def _command(command: list[str]) -> tuple[float, float, int, str]:
    """CPU and wall seconds, peak memory and output of a command; CPU -1 when it was ended."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    # fickling leaves a report in the current folder
    with tempfile.TemporaryFile() as output, tempfile.TemporaryDirectory() as scratch:
        begin = time.perf_counter()
        process = subprocess.Popen(command, stdout=output, stderr=output, env=environment, cwd=scratch)
        alarm = threading.Timer(SECONDS, process.kill)
        alarm.start()
        _pid, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - begin
        alarm.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        said = output.read().decode("utf-8", "replace").strip()
    if wall >= SECONDS:
        return -1.0, wall, 0, f"ended after {SECONDS:.0f} s"
    said = f"exit {process.returncode}: {said}"
    return usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss * 1024, said
