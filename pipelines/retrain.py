"""The loop: analysts' labels -> dataset -> `dvc repro` -> challenger -> gate -> promoted, as params.yaml says.

``python -m pipelines.retrain`` can be stopped and run again at any point: every step is whole or not at all, finished
stages are not repeated, and the old champion serves until the new one is promoted.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from registry.errors import RegistryError
from registry.store import Registry

from . import dataset
from .params import load_params
from .paths import FEEDBACK, WORK
from .register import register

LABELS = FEEDBACK / "labels.parquet"
LOCK = WORK / ".retrain.lock"


@contextmanager
def alone() -> Iterator[None]:
    """Hold the lock of retraining; a lock of a dead process does not count.

    Raises
    ------
    SystemExit
        When another retraining runs.
    """
    LOCK.parent.mkdir(parents=True, exist_ok=True)
    with open(LOCK, "w", encoding="ascii") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SystemExit("another retraining is running here; wait for it to end") from None
        yield


def run(*command: str) -> None:
    """Run one step; its output is passed on.

    Raises
    ------
    SystemExit
        When it fails.
    """
    print("+", " ".join(command), flush=True)
    # Stages call `python`: the one that runs this.
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)))
    code = subprocess.run(command, check=False, env={**os.environ, "PATH": path}).returncode
    if code:
        raise SystemExit(f"retrain: `{' '.join(command)}` ended with {code}; nothing was promoted, run it again")


def export_labels(path: Path = LABELS) -> int:
    """Write the labels of the service's database as a dataset; return their number."""
    run(sys.executable, "-m", "serving", "export-labels", "--out", str(path))
    return len(dataset.read(path))


def reproduce() -> None:
    """Bring every stage up to date."""
    run(sys.executable, "-m", "dvc", "repro")


def retrain(registry: Registry, promote: bool, minimum_labels: int, actor: str) -> int:
    """Run the loop once.

    Returns
    -------
    int
        0 when a version was promoted or is champion already, 4 when the gate held or rejected it, 5 when there are
        too few labels.
    """
    labels = export_labels()
    if labels < minimum_labels:
        print(f"{labels} labels, retraining waits for {minimum_labels}")
        return 5
    reproduce()
    version, decision = register(registry)
    champion = registry.aliases().champion
    if champion == version.number:
        print(f"version {version.number} is the champion already")
        return 0
    for reason in decision.reasons:
        print(f"gate: {reason}")
    if decision.outcome != "promote":
        print(f"version {version.number} stays challenger: the gate says {decision.outcome}")
        return 4
    if not promote:
        print(f"version {version.number} waits: promote it with `python -m registry promote {version.number}`")
        return 4
    registry.promote(version.number, f"retrained on {labels} labels; the gate passed", actor)
    print(f"promoted version {version.number}, bundle {version.bundle_hash[:12]}")
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Command line; see the module's docstring."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.retrain", description=__doc__)
    parser.add_argument("--hold", action="store_true", help="do not promote, whatever params.yaml says")
    parser.add_argument("--actor", default=os.environ.get("USER") or "retrain", help="who, for the history")
    options = parser.parse_args(arguments)
    policy = load_params()["retrain"]
    with alone():
        try:
            return retrain(
                Registry.from_environment(),
                bool(policy["promote"]) and not options.hold,
                int(policy["minimum_labels"]),
                options.actor,
            )
        except RegistryError as error:
            raise SystemExit(f"retrain: {error}") from None


if __name__ == "__main__":
    sys.exit(main())
