"""Stage `register`: the trained bundle becomes a version of the registry and meets the gate.

The registry is not an output of DVC, it outlives every run; what this stage leaves to DVC is a receipt. Registering the
same bundle from the same data again changes nothing.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import pandas as pd

from detectors.settling import told
from registry.errors import RegistryError
from registry.gate import Decision, Evidence, GatePolicy, SetResult, decide
from registry.manifest import Version
from registry.store import Registry
from safepickle.ensemble import Bundle
from safepickle.errors import BundleError
from safepickle.features import SCHEMA
from safepickle.scan import Scanner

from . import canaries, dataset, train
from .champion import cleared
from .evaluate import gate_sets
from .evaluation.judging import FLAGGED
from .params import load_params
from .paths import BUNDLE, ENSEMBLE_SCORES, METRICS, REGISTERED, REPORT
from .split import load_all


def row_seconds(bundle: Bundle, rows: int = 200) -> float:
    """Least time to judge one row, of several."""
    row, call = [0.0] * len(SCHEMA.names), (0.0,) * len(SCHEMA.call_names)
    best = float("inf")
    for _ in range(rows):
        start = perf_counter()
        bundle.judge(row, [call])
        best = min(best, perf_counter() - start)
    return best


class Changes(NamedTuple):
    """Benign files that the champion clears, how many of them the challenger would flag, and both of the panel."""

    cleared: int = 0
    changed: int = 0
    panel: int = 0
    panel_changed: int = 0


def verdict_changes(frame: pd.DataFrame, champion: Version, challenger: Scanner) -> Changes:
    """What changes for benign files that nobody labelled."""
    try:
        before = Scanner(champion.bundle)
    except BundleError as error:
        print(f"what version {champion.number} cleared cannot be asked: {error}")
        return Changes()
    files = changed = panel = panel_changed = 0
    for file, shown in cleared(frame, before):
        flagged = challenger.judge(file).verdict in FLAGGED
        files, changed = files + 1, changed + flagged
        panel, panel_changed = panel + shown, panel_changed + (shown and flagged)
    return Changes(files, changed, panel, panel_changed)


def evidence(frame: pd.DataFrame, sets: Mapping[str, SetResult], champion: Version | None) -> Evidence:
    """Everything the gate asks for about the bundle that was just trained."""
    scanner = Scanner(BUNDLE)
    total, flipped = canaries.flips(scanner)
    for name in flipped[:20]:
        print(f"canary flipped: {name}")
    changes = Changes() if champion is None else verdict_changes(frame, champion, scanner)
    return Evidence(
        sets=sets,
        canaries=total,
        canary_flips=len(flipped),
        old_benign=changes.cleared,
        old_benign_changed=changes.changed,
        panel=changes.panel,
        panel_changed=changes.panel_changed,
        bundle_bytes=sum(path.stat().st_size for path in BUNDLE.iterdir()),
        row_seconds=row_seconds(scanner.bundle),
        schema=str(SCHEMA.version),
        raised=told(scanner.bundle.manifest),
    )


def champion_evidence(version: Version) -> Evidence:
    """What the gate knows of the present champion: its results when it was registered."""
    sets = {name: SetResult(**result) for name, result in version.metrics["gate"].items()}
    return Evidence(
        sets=sets, canaries=0, canary_flips=0, old_benign=0, old_benign_changed=0,
        bundle_bytes=0, row_seconds=0.0, schema=str(SCHEMA.version), version=version.number,
    )  # fmt: skip


def git_commit() -> str:
    """Commit of the checkout, marked when files of it were changed; ``unknown`` outside of git."""
    try:
        head = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
        status = subprocess.run(["git", "status", "--porcelain"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return head + ("+changes" if status.strip() else "")


def register(registry: Registry) -> tuple[Version, Decision]:
    """Register the bundle at hand, ask the gate, make it challenger unless it is champion already."""
    params = load_params()
    frame = load_all()
    result = pd.read_parquet(ENSEMBLE_SCORES)
    sets = gate_sets(result, frame)
    state = registry.aliases()
    champion = None if state.champion is None else registry.get(state.champion)
    metrics = json.loads(METRICS.read_text(encoding="utf-8"))
    metrics["gate"] = {name: dict(found.__dict__) for name, found in sets.items()}
    version = registry.register(
        BUNDLE,
        {name: (train.folder(name) / train.ONNX).read_bytes() for name in params["detectors"]},
        dataset_hash=dataset.dataset_hash(frame),
        params=params,
        git_commit=git_commit(),
        schema=SCHEMA.to_json(),
        metrics=metrics,
        card=(REPORT / "card.md").read_text(encoding="utf-8"),
        parent=state.champion,
    )
    if champion is not None and version.number == champion.number:
        decision = Decision("hold", ("it is the champion already",), (), champion.number)
        return version, decision
    policy = GatePolicy.from_params(params["gate"])
    decision = decide(
        evidence(frame, sets, champion), None if champion is None else champion_evidence(champion), policy
    )
    registry.record_decision(version.number, decision)
    registry.set_challenger(version.number, f"the gate said {decision.outcome}", "pipelines.register")
    return version, decision


def write_receipt(path: Path, receipt: Mapping[str, Any]) -> None:
    """What DVC keeps of a registration."""
    path.write_text(json.dumps(receipt, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def main() -> None:
    """Run the stage."""
    try:
        version, decision = register(Registry.from_environment())
    except RegistryError as error:
        raise SystemExit(f"register: {error}") from None
    write_receipt(
        REGISTERED, {"version": version.number, "bundle": version.bundle_hash, "dataset": version.dataset_hash}
    )
    print(f"version {version.number}, bundle {version.bundle_hash[:12]}: the gate says {decision.outcome}")
    for check in decision.checks:
        print(f"  {'pass' if check.passed else 'FAIL'}  {check.name}: {check.measured} (wanted {check.goal})")


if __name__ == "__main__":
    main()
