"""Times one tool in the tool's own environment: reads a task a line as JSON, answers with seconds and results.

Standard library and the tool only: it runs under whatever interpreter the tool is installed for.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from collections import deque
from typing import Any


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


class Work:
    """What can be timed; each method returns what is to be run once per repetition."""

    def safepickle(self, task: dict[str, Any]) -> Any:
        """Scan with verdict; a scanner of its own for each run, so that nothing is remembered from the last."""
        from safepickle.scan import Scanner

        scanner = Scanner()
        hashed = bool(task.get("hash"))
        paths = task["paths"]

        def run() -> list[str]:
            said = []
            for path in paths:
                report = scanner.scan_path(path, hash=hashed)
                said.append(f"{report.verdict}{'' if report.complete else ', incomplete'}")
            return said

        return run

    def picklescan(self, task: dict[str, Any]) -> Any:
        """Scan with picklescan's own function for one file."""
        import logging

        from picklescan.scanner import scan_file_path

        logging.disable(logging.CRITICAL)

        def run() -> list[str]:
            results = [scan_file_path(path) for path in task["paths"]]
            return [f"{result.issues_count} issues{', error' if result.scan_err else ''}" for result in results]

        return run

    def genops(self, task: dict[str, Any]) -> Any:
        """Only split the streams into opcodes."""
        import pickletools

        datas = [_read(path) for path in task["paths"]]

        def run() -> list[int]:
            return [deque(enumerate(pickletools.genops(data), 1), 1)[0][0] for data in datas]

        return run

    def machine(self, task: dict[str, Any]) -> Any:
        """Execute the streams on symbolic values, with folding and array carriers as a scan does."""
        from safepickle.bytecode.folding import FOLDABLE, fold
        from safepickle.bytecode.machine import Machine
        from safepickle.bytecode.region import CARRIERS
        from safepickle.limits import DEFAULT_LIMITS

        datas = [_read(path) for path in task["paths"]]

        def run() -> list[int]:
            executed = []
            for data in datas:
                machine = Machine(
                    data, 0, len(data), DEFAULT_LIMITS, time.monotonic() + 300, None, fold, FOLDABLE, CARRIERS
                )
                if machine.run():
                    raise RuntimeError("a sample was not read to its end")
                executed.append(machine.executed)
            return executed

        return run

    def judge(self, task: dict[str, Any]) -> Any:
        """Judge the rows of the files, all detectors, warm."""
        from safepickle.features import extract
        from safepickle.scan import Scanner, trace_path

        scanner = Scanner()
        rows = [extract(trace_path(path), scanner.knowledge) for path in task["paths"]]

        def run() -> list[str]:
            return [scanner.bundle.judge(*row).tier for row in rows]

        run()  # a matrix is laid out anew when it is used for the second time
        return run

    def sha256(self, task: dict[str, Any]) -> Any:
        """Hash the files, mapped as a scan maps them."""
        import mmap
        from hashlib import sha256

        def run() -> list[str]:
            digests = []
            for path in task["paths"]:
                with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                    digests.append(sha256(data).hexdigest())
            return digests

        return run


def main() -> int:
    """Answer tasks until the input ends."""
    answers = sys.stdout
    sys.stdout = sys.stderr
    for line in sys.stdin:
        task = json.loads(line)
        try:
            run = getattr(Work(), task["work"])(task)
            gc.collect()
            wall, cpu = time.perf_counter(), time.process_time()
            results = run()
            cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
            answer = {"wall": wall, "cpu": cpu, "results": results}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"[:200]}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
