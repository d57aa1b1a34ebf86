"""Holds a served SafePickle against its own OpenAPI document, with schemathesis.

schemathesis makes requests from the document, valid ones and others, and checks the answers: no server errors, no
status, type or body that the document does not tell of, nothing valid refused, nothing invalid accepted::

    python -m tests.serving.contract SCHEMATHESIS [--examples 10] [--seed 1]

``SCHEMATHESIS`` is its command; ``make contract`` installs it into an environment of its own.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from registry import Registry
from tests.serving.models import build_bundle, register
from tests.serving.served import ADMIN_KEY, Served

CONFIGURATION = Path(__file__).with_name("schemathesis.toml")
PHASES = "examples,coverage,fuzzing"


def main() -> int:
    """Command line; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("schemathesis", help="its command")
    parser.add_argument("--examples", type=int, default=10, help="requests of each kind to each operation")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        served = Served(
            Path(folder), _store(Path(folder)), workers=1, scan_processes=1, learner=False, label_quota=1_000_000
        )
        served.start()
        try:
            started = time.perf_counter()
            before = sum(os.times()[2:4])
            done = subprocess.run(
                [
                    options.schemathesis, "--config-file", str(CONFIGURATION), "run",
                    f"http://127.0.0.1:{served.port}/v1/openapi.json", "--header", f"X-API-Key: {ADMIN_KEY}",
                    "--phases", PHASES, "--max-examples", str(options.examples), "--seed", str(options.seed),
                    "--generation-database", "none",
                ],
                cwd=folder,
            )  # fmt: skip
            used = sum(os.times()[2:4]) - before
        finally:
            served.stop()
        faults = [line for line in served.log.read_text().splitlines() if '"level": "error"' in line]
    print(f"{time.perf_counter() - started:.0f} s, {used:.0f} s CPU of schemathesis; {len(faults)} errors in the log")
    print("\n".join(faults[:5]))
    return done.returncode or bool(faults)


def _store(folder: Path) -> Path:
    """A registry with two versions, the second one champion."""
    store = Registry(folder / "store")
    for blind in (True, False):
        number = register(store, build_bundle(folder / f"bundle-{blind}", blind=blind), "contract")
        store.promote(number, "contract", "contract", force=True)
    return store.root


if __name__ == "__main__":
    sys.exit(main())
