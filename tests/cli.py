"""The installed command, run as a user runs it, and the files that the tests of it scan."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent

HOSTILE = b"\x80\x02cos\nsystem\nX\x0a\x00\x00\x00echo inert\x85R."
"""Would run ``echo inert`` in a shell. Written byte by byte; no test loads it."""

BENIGN = pickle.dumps({"weights": [0.1, 0.2, 0.3], "classes": ["cat", "dog"]}, protocol=4)
TRUNCATED = BENIGN[:-9]


def command(*arguments: str | Path) -> list[str]:
    """``safepickle ARGUMENTS`` of this environment."""
    return [sys.executable, "-m", "safepickle", *map(str, arguments)]


def run(*arguments: str | Path, **options: Any) -> subprocess.CompletedProcess[bytes]:
    """Run the command to its end and check what holds for every run: never a traceback."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **options.pop("env", {})}
    done = subprocess.run(command(*arguments), capture_output=True, timeout=60, env=environment, **options)
    assert b"Traceback" not in done.stderr, done.stderr.decode()
    return done


def write(folder: Path, **files: bytes) -> Path:
    """Files named ``<name>.pkl`` in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / f"{name}.pkl").write_bytes(data)
    return folder
