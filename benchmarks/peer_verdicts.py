"""Asks one scanner for its verdicts, in the scanner's own environment: a path a line, an answer a line.

Standard library and the scanner only. Each scanner's own verdict is passed on: ``flagged``, ``clean``, or ``error``
when it says that it could not read the file, or skipped it, and has nothing to object.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
from typing import Any

SECONDS = 30


def picklescan(path: str) -> str:
    """Dangerous or suspicious globals that picklescan counts as issues."""
    from picklescan.scanner import scan_file_path

    found = scan_file_path(path)
    return "flagged" if found.issues_count else "error" if found.scan_err else "clean"


def modelscan(path: str) -> str:
    """Issues of any severity."""
    from modelscan.modelscan import ModelScan

    scanner = ModelScan()
    found = scanner.scan(path)
    if found["summary"]["total_issues"]:
        return "flagged"
    return "error" if found["errors"] or not found["summary"]["scanned"]["total_scanned"] else "clean"


def fickling(path: str) -> str:
    """Whatever is not likely safe."""
    from fickling.loader import scan_file

    found = scan_file(path, graceful=True)
    if not found.is_safe and found.results:
        return "flagged"
    return "error" if found.errors or not found.results else "clean"


def modelaudit(path: str) -> str:
    """Issues that are warnings or critical, with which its command fails."""
    from modelaudit.core import scan_model_directory_or_file

    found = scan_model_directory_or_file(path)
    if any(issue.severity.value in ("warning", "critical") for issue in found.issues):
        return "flagged"
    return "error" if found.has_errors or not found.success or not found.files_scanned else "clean"


SCANNERS: dict[str, Any] = {
    "picklescan": picklescan, "modelscan": modelscan, "fickling": fickling, "modelaudit": modelaudit,
}  # fmt: skip


def main() -> int:
    """Answer until the input ends."""
    answers, sys.stdout = sys.stdout, sys.stderr
    logging.disable(logging.CRITICAL)
    ask = SCANNERS[sys.argv[1]]

    def late(*_: Any) -> None:
        raise TimeoutError

    signal.signal(signal.SIGALRM, late)
    for line in sys.stdin:
        path = json.loads(line)
        signal.alarm(SECONDS)
        try:
            said = ask(path)
        except (Exception, SystemExit, RecursionError):
            said = "error"
        finally:
            signal.alarm(0)
        answers.write(json.dumps([os.path.basename(path), said]) + "\n")
        answers.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
