"""Interleaved runs: one of each contender in turn, so that a busy machine slows all of them alike."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

WORKER, LAUNCHER = (Path(__file__).with_name(name) for name in ("worker.py", "launcher.py"))
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
        self._process = subprocess.Popen(
            [bin_folder / "python", WORKER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=_environment(),
        )  # fmt: skip

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
    launcher = Launcher()
    for _ in range(runs):
        for name, command in contenders.items():
            if name not in given_up:
                cpu, wall, peak, said = launcher.run(command)
                if cpu < 0:
                    given_up[name] = said
                else:
                    found[name].append((cpu, wall, peak, said))
    launcher.close()
    timed = {}
    for name, seen in found.items():
        if name in given_up or not seen:
            timed[name] = Timed((), (), given_up.get(name, "did not run"))
        else:
            timed[name] = Timed(
                tuple(run[0] for run in seen), tuple(run[1] for run in seen), seen[-1][3], min(run[2] for run in seen)
            )
    return timed


class Launcher:
    """The small process that starts commands, see :mod:`benchmarks.launcher`."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", LAUNCHER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=_environment(),
        )  # fmt: skip

    def run(self, command: list[str]) -> tuple[float, float, int, str]:
        """CPU and wall seconds, peak memory and output of a command; CPU -1 when it was ended."""
        assert self._process.stdin is not None and self._process.stdout is not None
        # fickling leaves a report in the current folder
        with tempfile.NamedTemporaryFile() as output, tempfile.TemporaryDirectory() as scratch:
            task = {"command": command, "output": output.name, "folder": scratch, "seconds": SECONDS}
            self._process.stdin.write(json.dumps(task) + "\n")
            self._process.stdin.flush()
            took = json.loads(self._process.stdout.readline())
            said = output.read().decode("utf-8", "replace").strip()
        if took["wall"] >= SECONDS:
            return -1.0, took["wall"], 0, f"ended after {SECONDS:.0f} s"
        return took["cpu"], took["wall"], took["peak"], f"exit {took['code']}: {said}"

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
