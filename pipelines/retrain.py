"""The loop: labels -> dataset -> `dvc repro` -> challenger -> gate -> shadow -> promoted, as params.yaml says.

Once the challenger is trained, the champion is pinned in ``data/champion``: stage `settle` raises the challenger's
thresholds above old benign files that it clears.

``python -m pipelines.retrain`` can be stopped and run again at any point: every step is whole or not at all, finished
stages are not repeated, and the old champion serves until the new one is promoted.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from registry.errors import RegistryError
from registry.shadow import FIGURES, ShadowEvidence, ShadowPolicy, decide_shadow
from registry.store import Registry

from . import dataset
from .champion import pin
from .params import load_params
from .paths import FEEDBACK, WORK
from .register import register

LABELS = FEEDBACK / "labels.parquet"
LOCK = WORK / ".retrain.lock"
LAST = WORK / "retrained.json"
"""When it was last retrained; without it, never."""


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


def reproduce(registry: Registry) -> None:
    """Bring every stage up to date; a model that is new is settled against the present champion."""
    run(sys.executable, "-m", "dvc", "repro", "ensemble")
    if pin(registry):
        print(f"thresholds are settled against version {registry.aliases().champion}")
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
    reproduce(registry)
    LAST.write_text(json.dumps({"at": time.time(), "labels": labels}), encoding="utf-8")
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
    return finish(registry, ShadowPolicy.from_params(load_params()["retrain"]["shadow"]), actor)


def finish(registry: Registry, policy: ShadowPolicy, actor: str) -> int:
    """Promote, hold or reject the challenger by what it said of live scans in shadow; see :func:`retrain`.

    Nothing is kept here: it can be asked at any time, and again.
    """
    number = registry.aliases().challenger
    if number is None or number == registry.aliases().champion:
        print("there is no challenger")
        return 0
    decision = decide_shadow(shadow_evidence(number), policy) if policy.scans else None
    if decision is not None:
        for reason in decision.reasons:
            print(f"shadow: {reason}")
        if decision.outcome != "promote":
            if decision.outcome == "reject":
                registry.set_challenger(None, f"rejected in shadow: {'; '.join(decision.reasons)}", actor)
            print(f"version {number} is not promoted: its shadow says {decision.outcome}")
            return 4
    version = registry.promote(number, "the gate passed" + (", and so did its shadow" if decision else ""), actor)
    print(f"promoted version {version.number}, bundle {version.bundle_hash[:12]}")
    return 0


def shadow_evidence(number: int) -> ShadowEvidence:
    """What the service has stored of a challenger's shadow.

    Raises
    ------
    SystemExit
        When the service's database cannot be read.
    """
    command = (sys.executable, "-m", "serving", "shadow-report", str(number))
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"retrain: the shadow of version {number} cannot be read: {done.stderr.strip()}")
    report = json.loads(done.stdout)
    return ShadowEvidence(**{name: report[name] for name in FIGURES})


def due(policy: Mapping[str, Any], moment: float) -> str:
    """Why it is time to retrain, empty when it is not: enough labels, or drift and a few, and not too soon again.

    Parameters
    ----------
    policy
        Section `retrain` of the parameters.
    moment
        Now, in seconds of the epoch.
    """
    last = float(json.loads(LAST.read_text(encoding="utf-8"))["at"]) if LAST.exists() else 0.0
    if moment - last < 3600.0 * float(policy["cool_down_hours"]):
        return ""
    since = datetime.fromtimestamp(last, UTC).isoformat()
    command = (sys.executable, "-m", "serving", "retrain-signals", "--since", since)
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"retrain: the service cannot be asked: {done.stderr.strip()}")
    signals = json.loads(done.stdout)
    labels, alarms = int(signals["labels"]), list(signals["alarms"])
    if labels >= int(policy["enough_labels"]):
        return f"{labels} labels since {since}"
    if alarms and labels >= int(policy["drift_labels"]):
        return f"drift of {', '.join(alarms)} and {labels} labels since {since}"
    return ""


def main(arguments: list[str] | None = None) -> int:
    """Command line; see the module's docstring."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.retrain", description=__doc__)
    parser.add_argument("--hold", action="store_true", help="do not promote, whatever params.yaml says")
    parser.add_argument(
        "--finish", action="store_true", help="train nothing, ask whether the challenger's shadow is done"
    )
    parser.add_argument("--if-due", action="store_true", help="only if drift or labels ask for it, see params.yaml")
    parser.add_argument("--actor", default=os.environ.get("USER") or "retrain", help="who, for the history")
    options = parser.parse_args(arguments)
    policy = load_params()["retrain"]
    with alone():
        try:
            if options.finish:
                shadow = ShadowPolicy.from_params(policy["shadow"])
                return finish(Registry.from_environment(), shadow, options.actor)
            if options.if_due:
                reason = due(policy, time.time())
                print(f"retraining is due: {reason}" if reason else "retraining is not due")
                if not reason:
                    return 5
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
