"""Stage `settle`: raise the trained bundle's thresholds so that it flags no old benign files that the champion clears.

Without a pinned champion the bundle stays as it was trained. Recall on the frozen evaluation sets and the canaries
bound how far the thresholds go: what the gate would not tolerate is not done for the sake of old verdicts.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Mapping
from math import exp, inf, log

import numpy as np
import pandas as pd

from detectors import save_with_thresholds
from detectors.settling import lowest, raised, told
from registry.gate import GatePolicy, SetResult, recall_failures
from safepickle.ensemble import bundle_hash, load
from safepickle.errors import BundleError
from safepickle.record import Record
from safepickle.scan import Scanner

from . import dataset
from .canaries import canaries
from .champion import Pinned, cleared, pinned
from .ensemble import LEVELS, Flags, Floats, tiers
from .evaluate import ensemble_of
from .evaluation import results
from .evaluation.sets import evaluation_sets, with_facts
from .params import load_params
from .paths import BUNDLE, ENSEMBLE_SCORES, STACKED, TRAINED
from .split import load_all


class Levels(Record):
    """Thresholds: scores from which on a file is suspicious and malicious, and the least credibility."""

    suspicious: float
    malicious: float
    credible: float

    def raised_to(self, suspicious: float) -> Levels:
        """The same with another threshold of suspicious, which that of malicious is never below."""
        return Levels(suspicious, max(self.malicious, suspicious), self.credible)

    def flag(self, scores: Floats, credibility: Floats) -> Flags:
        """Which files are suspicious at least."""
        return (scores >= self.suspicious) | (credibility < self.credible)


class Old(Record):
    """What the trained bundle says of benign files that the champion clears: float64[n], float64[n], bool[n]."""

    scores: Floats
    credibility: Floats
    panel: Flags


def log_odds(probability: float) -> float:
    """``log(p / (1 - p))``, infinite from 1 on."""
    return log(probability / (1.0 - probability)) if probability < 1.0 else inf


def shifted(thresholds: Floats, shift: float) -> Floats:
    """Thresholds moved by as much in log odds."""
    moved = [1.0 / (1.0 + exp(-min(700.0, log_odds(level) + shift))) for level in thresholds]
    return np.asarray(moved, dtype=np.float64)


def judged_at(frame: pd.DataFrame, trained: Levels, levels: Levels) -> pd.DataFrame:
    """Rows of :data:`~.paths.STACKED` with the tiers of other thresholds.

    What judges a fold has thresholds of its own; they rise by as much as the final ones do.
    """
    suspicious, malicious = (frame[name].to_numpy(np.float64) for name in LEVELS)
    if levels.suspicious > trained.suspicious:
        shift = log_odds(levels.suspicious) - log_odds(trained.suspicious)
        own, place = np.unique(suspicious, return_inverse=True)
        suspicious = shifted(own, shift)[place]
    malicious = np.maximum(malicious, suspicious)
    scores, credibility = frame["ensemble"].to_numpy(np.float64), frame["credibility"].to_numpy(np.float64)
    tier = tiers(scores, credibility, suspicious, malicious, levels.credible)
    return frame.assign(tier=tier.astype(object))


def settled(trained: Levels, old: Old, churn: float, holds: Callable[[Levels], bool]) -> Levels:
    """Thresholds that flag no more old benign files than the gate tolerates, or as few as `holds` allows.

    Parameters
    ----------
    trained
        As the challenger has them.
    old
        Files that the champion clears.
    churn
        Share of them, and of the panel, that may be flagged.
    holds
        Whether recall and canaries stand thresholds; what holds at some holds at lower ones.
    """
    spared, shown = int(churn * len(old.scores)), int(churn * old.panel.sum())

    def needed(values: Floats, panel: Flags, flagged: int, of_panel: int) -> Floats:
        return np.concatenate([lowest(values, spared - flagged), lowest(values[panel], shown - of_panel)])

    levels = trained.raised_to(
        raised(
            trained.suspicious,
            needed(old.scores, old.panel, 0, 0),
            lambda level: holds(trained.raised_to(level)),
        )
    )
    left = old.scores >= levels.suspicious
    strange = ~left & (old.credibility < levels.credible)
    least = -raised(
        -levels.credible,
        needed(-old.credibility[strange], old.panel[strange], int(left.sum()), int((left & old.panel).sum())),
        lambda level: holds(levels.replace(credible=max(0.0, -level))),
    )
    return levels.replace(credible=max(0.0, least))


def old_benign(frame: pd.DataFrame, champion: Pinned, challenger: Scanner) -> Old | None:
    """What the challenger says of benign files that the champion clears; None when the champion cannot be asked."""
    try:
        before = Scanner(champion.bundle)
    except BundleError as error:
        print(f"what version {champion.version} cleared cannot be asked, no threshold is raised: {error}")
        return None
    found = [(challenger.judge(file), shown) for file, shown in cleared(frame, before)]
    return Old(
        np.array([verdict.score for verdict, _ in found], dtype=np.float64),
        np.array([verdict.credibility for verdict, _ in found], dtype=np.float64),
        np.array([shown for _, shown in found], dtype=bool),
    )


def limits(
    frame: pd.DataFrame, files: pd.DataFrame, trained: Levels, champion: Pinned, challenger: Scanner
) -> Callable[[Levels], bool]:
    """Whether thresholds flag every hostile canary that the trained ones do, and leave recall where the gate wants it.

    On a set where recall is too low already it must not become lower.
    """
    params = load_params()
    policy, facts = GatePolicy.from_params(params["gate"]), with_facts(frame, dataset.traces(files))
    sets = evaluation_sets(facts, list(params["train"]["effects"]))
    frozen = (facts["origin"] != dataset.FEEDBACK_ORIGIN).to_numpy(bool)
    said = [challenger.scan_bytes(canary.data, canary.name) for canary in canaries() if canary.hostile]
    scores, credibility = (np.array([getattr(report, name) for report in said]) for name in ("score", "credibility"))
    caught = trained.flag(scores, credibility)

    def measured(levels: Levels) -> Mapping[str, SetResult]:
        return results.set_results(sets, ensemble_of(judged_at(facts, trained, levels)), facts, frozen)

    before = measured(trained)

    def holds(levels: Levels) -> bool:
        if not levels.flag(scores, credibility)[caught].all():
            return False
        now = measured(levels)
        failed = recall_failures(now, champion.sets, policy)
        return all(name in now and now[name].true_positives >= before[name].true_positives for name in failed)

    return holds


def write(levels: Levels, trained: Levels, old: Old, churn: float, champion: Pinned) -> str:
    """Write the bundle with other thresholds and why; return what is told of it."""
    before, after = (int(each.flag(old.scores, old.credibility).sum()) for each in (trained, levels))
    shown = int(levels.flag(old.scores, old.credibility)[old.panel].sum())
    record = {
        "from": bundle_hash(TRAINED),
        "champion": champion.hash,
        "version": champion.version,
        "old_benign": len(old.scores),
        "flagged": [before, after],
        "levels": {name: [value, getattr(levels, name)] for name, value in trained.__dict__.items()},
        "limited": after > int(churn * len(old.scores)) or shown > int(churn * old.panel.sum()),
    }
    save_with_thresholds(BUNDLE, TRAINED, levels.__dict__, record)
    return told(load(BUNDLE).manifest)


def main() -> None:
    """Run the stage."""
    champion, frame = pinned(), pd.read_parquet(STACKED)
    model = load(TRAINED)
    trained = Levels(**model.thresholds, credible=model.least_credibility)
    levels, old, churn = trained, None, float(load_params()["gate"]["churn"])
    if champion is not None:
        files, challenger = load_all(), Scanner(TRAINED)
        old = old_benign(files, champion, challenger)
        if old is not None:
            levels = settled(trained, old, churn, limits(frame, files, trained, champion, challenger))
    shutil.rmtree(BUNDLE, ignore_errors=True)
    if levels == trained or old is None or champion is None:
        shutil.copytree(TRAINED, BUNDLE)
        print("thresholds stay as they were trained", file=sys.stderr)
    else:
        frame = judged_at(frame, trained, levels)
        print(f"thresholds raised: {write(levels, trained, old, churn, champion)}", file=sys.stderr)
    frame.drop(columns=list(LEVELS)).to_parquet(ENSEMBLE_SCORES, compression="zstd", index=False)


if __name__ == "__main__":
    main()
