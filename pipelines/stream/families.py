"""How many labels a new family takes until nine in ten of its files are caught."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from detectors.online import OnlineLearner
from detectors.suspicion import Suspicion

from .methods import NONE, Setting, event, first_model, raised, settle, teach, truth
from .model import Model
from .pool import Pool, Rows, by_family
from .streams import OLD_FAMILIES, Stream

ENOUGH, LABELS, LEAST, MOST = 0.9, 10, 12, 40


@dataclass(frozen=True)
class Family:
    """One family that the first model never saw.

    Parameters
    ----------
    before
        Recall before its first label.
    advised
        Recall on its other files after 1, 2, .. labels, from what labels teach at once.
    retrained
        Recall after as many labels by a retrained model with its advice; -1 where none was trained.
    """

    name: str
    files: int
    before: float
    advised: tuple[float, ...]
    retrained: float = -1.0

    @property
    def labels(self) -> int:
        """Labels until nine in ten files are caught; one more than there were if they never are."""
        if self.before >= ENOUGH:
            return 0
        for number, recall in enumerate(self.advised, 1):
            if recall >= ENOUGH:
                return number
        return LABELS if self.retrained >= ENOUGH else LABELS + 1


def new_families(pool: Pool, stream: Stream, setting: Setting) -> list[Family]:
    """Every family of enough files, each alone; labels come for the files that the model is least sure of."""
    chance = np.random.default_rng(setting.seed)
    model = first_model(pool, stream, setting.seed)
    learner = OnlineLearner()
    for row in stream.learned[~pool.malicious[stream.learned]]:
        learner.learn(event(pool, model, int(row), 0.0))
    anchors = dict(learner.suspicion.anchors)
    found = []
    bad = np.setdiff1d(np.flatnonzero(pool.malicious), pool.core)
    for name, rows in by_family(pool, bad).items():
        if name in OLD_FAMILIES or len(rows) < LEAST:
            continue
        rows = chance.permutation(rows)[:MOST]
        scores = model.score(rows)
        before = float((scores >= model.suspicious).mean())
        # People are asked first about what lies next to the threshold.
        rows = rows[np.argsort(np.abs(scores - model.suspicious), kind="stable")]
        if before >= ENOUGH:
            found.append(Family(name, len(rows), before, ()))
            continue
        learner.suspicion = Suspicion()
        learner.suspicion.anchors = dict(anchors)
        advised = [_recall(pool, model, learner, rows, number) for number in range(1, LABELS + 1)]
        retrained = -1.0
        if max(advised) < ENOUGH:
            retrained = _retrained(pool, stream, model, learner, rows, setting)
        found.append(Family(name, len(rows), before, tuple(advised), retrained))
    return found


def _recall(pool: Pool, model: Model, learner: OnlineLearner, rows: Rows, number: int) -> float:
    teach(pool, model, learner, rows[number - 1 : number])
    rest = rows[number:]
    return float(raised(pool, model, learner, rest, model.score(rest))[1].mean()) if len(rest) else 1.0


def _retrained(pool: Pool, stream: Stream, model: Model, learner: OnlineLearner, rows: Rows, setting: Setting) -> float:
    told, rest = rows[:LABELS], rows[LABELS:]
    after = Model(
        pool, stream.learned, truth(pool, stream.learned), np.concatenate([NONE, told]), truth(pool, told), setting.seed
    )
    settle(pool, stream, model, after, setting.canaries)
    return float(raised(pool, after, learner, rest, after.score(rest))[1].mean()) if len(rest) else 1.0
