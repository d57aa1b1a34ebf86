"""A model small enough to be trained hundreds of times: a forest on the real features, prevalence counted anew."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from time import process_time

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import StratifiedGroupKFold

from safepickle.bytecode.trace import FileTrace
from safepickle.features import Knowledge, Prevalence, part_of
from safepickle.features.prevalence import PARTS

from .pool import Pool, Rows
from .seen import COLUMNS, View, learned_row

Floats = NDArray[np.float64]

TREES = 40
SUSPICIOUS, MALICIOUS = 0.01, 0.002
"""False-positive rates, among files that the model did not learn from, at which the thresholds are set."""
FEEDBACK_WEIGHT, FEEDBACK_GROUPS = 3.0, 8
"""What a label counts, as `train.feedback_*` in params.yaml."""


class Model:
    """Learns from files of the pool and from labels of others; scores any.

    Parameters
    ----------
    pool
        Of files.
    rows, y
        Files to learn from, and what they are (1 malicious): int[n].
    taught, said
        Files that people labelled, and what they said: int[m].
    seed
        Of the forest and of the folds that set the thresholds.
    """

    def __init__(self, pool: Pool, rows: Rows, y: Rows, taught: Rows, said: Rows, seed: int) -> None:
        self._pool = pool
        started = process_time()
        rows, y = np.concatenate([pool.core, rows]), np.concatenate([np.ones(len(pool.core), np.intp), y])
        every, labels = np.concatenate([rows, taught]), np.concatenate([y, said])
        feedback = np.arange(len(every)) >= len(rows)
        prevalence = Prevalence.count(_counted(pool, every, labels, feedback))
        self._knowledge = Knowledge(prevalence)
        self._views: dict[int, View] = {}
        groups = [pool.groups[row] for row in every]
        beyond = [Knowledge(prevalence, part) for part in range(PARTS)]
        X = np.array(
            [learned_row(pool.traces[row], beyond[part_of(group)]) for row, group in zip(every, groups, strict=True)],
            dtype=np.float32,
        )
        weight = _weights(groups, labels, feedback)
        outside = _out_of_fold(X, labels, weight, groups, seed)
        benign = np.sort(outside[(labels == 0) & ~feedback])
        self.suspicious, self.malicious = (float(_above(benign, rate)) for rate in (SUSPICIOUS, MALICIOUS))
        self._forest = _forest(seed).fit(X, labels, weight)
        self.seconds = process_time() - started

    def features(self, row: int) -> list[float]:
        """All features of one file, as a scan with this model would see them."""
        return self._view(row).row

    def names(self, row: int) -> list[int]:
        """Its unusual names, see :func:`detectors.advice.names_of`."""
        return self._view(row).names

    def _view(self, row: int) -> View:
        if row not in self._views:
            self._views[row] = self._pool.seen.view(self._pool.traces[row], self._knowledge)
        return self._views[row]

    def score(self, rows: Rows) -> Floats:
        """Scores of files of the pool, float64[n]."""
        return self._scored([self.features(int(row)) for row in rows])

    def score_traces(self, traces: Sequence[FileTrace]) -> Floats:
        """Scores of other files."""
        return self._scored([self._pool.seen.view(trace, self._knowledge).row for trace in traces])

    def _scored(self, rows: Sequence[Sequence[float]]) -> Floats:
        return _scores(self._forest, np.array(rows, dtype=np.float32)[:, COLUMNS]) if rows else np.zeros(0)


def _above(benign: Floats, rate: float) -> Floats:
    """Just above what all but `rate` of the benign scores reach; never above what certainty reaches."""
    return np.asarray(np.minimum(np.quantile(benign, 1.0 - rate, method="higher") + 1e-9, 1.0))


def _forest(seed: int) -> RandomForestClassifier:
    return RandomForestClassifier(n_estimators=TREES, max_depth=12, random_state=seed, n_jobs=1)


def _scores(forest: RandomForestClassifier, X: NDArray[np.float32]) -> Floats:
    """As ``predict_proba``, which takes most of its time for starting."""
    shares = [tree.tree_.predict(X)[:, 1] for tree in forest.estimators_]
    return np.asarray(np.mean(shares, axis=0), dtype=np.float64)


def _out_of_fold(X: NDArray[np.float32], y: Rows, weight: Floats, groups: list[str], seed: int) -> Floats:
    scores = np.zeros(len(y))
    dealer = StratifiedGroupKFold(3, shuffle=True, random_state=seed)
    for train, test in dealer.split(X, y, groups):
        scores[test] = _scores(_forest(seed).fit(X[train], y[train], weight[train]), X[test])
    return scores


def _weights(groups: list[str], y: Rows, feedback: NDArray[np.bool_]) -> Floats:
    """Of a group's files together the root of their number; both labels the same in all, as in training."""
    keys = [f"{label}{group}" for label, group in zip(y, groups, strict=True)]
    _names, place, sizes = np.unique(keys, return_inverse=True, return_counts=True)
    weight = 1.0 / np.sqrt(sizes[place].astype(np.float64))
    weight[feedback] *= FEEDBACK_WEIGHT
    for label in (0, 1):
        weight[y == label] *= len(y) / 2 / max(float(weight[y == label].sum()), 1e-12)
    return np.asarray(weight, dtype=np.float64)


def _counted(pool: Pool, rows: Rows, y: Rows, feedback: NDArray[np.bool_]) -> Iterator[tuple[str, FileTrace]]:
    for row, label, given in zip(rows, y, feedback, strict=True):
        if label == 0:
            for copy in range(FEEDBACK_GROUPS if given else 1):
                yield pool.groups[row] + (f"#{copy}" if given else ""), pool.traces[row]
