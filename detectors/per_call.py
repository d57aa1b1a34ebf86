"""Per call: boosting over single calls and imports; a file is as bad as the worst of them.

Labels are of files: which of a malicious file's calls is the bad one is found while learning. At first all that the
file does and no benign file does are taken for it, then those that the model itself finds worst.
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from .bags import Bags
from .base import Exported, Floats, Labels, Rows, both_classes
from .catboost import CatBoost

ROUNDS = 3
"""Times that the calls of malicious files are labelled anew."""


class PerCall(CatBoost):
    """CatBoost over the calls of files (mi-SVM's way of labelling, with another learner).

    References
    ----------
    Andrews, S. et al. (2002). Support vector machines for multiple-instance learning. NIPS 15.
    """

    def fit_bags(self, bags: Bags, y: Labels, weight: Floats) -> Self:
        """Learn from files.

        Parameters
        ----------
        bags
            Their calls.
        y, weight
            int[files] (1 malicious), float64[files].

        Raises
        ------
        ValueError
            When a class is missing or has no call.
        """
        both_classes(y)
        malicious = y[bags.owner] == 1
        blamed = malicious & ~_known(bags.rows, malicious)
        # that something is named is held against a file only where nothing that it calls is
        blamed &= ~bags.named | ~_any_of(blamed & ~bags.named, bags)
        blamed |= malicious & ~_any_of(blamed, bags)
        for _ in range(ROUNDS):
            kept = blamed | ~malicious
            counts = np.bincount(bags.owner[kept], minlength=bags.files)
            # a file weighs more for having many calls, but not in proportion: any of them may raise a false alarm
            share = np.where(malicious, counts[bags.owner], np.sqrt(counts[bags.owner])).clip(1)
            each = weight[bags.owner] / share
            for label in (False, True):
                part = kept & (malicious == label)
                each[part] *= kept.sum() / 2 / each[part].sum()
            self.fit(bags.rows[kept], malicious[kept].astype(np.int64), each[kept])
            scores = self.score(bags.rows)
            blamed = malicious & (scores >= 0.5 * bags.highest(scores)[bags.owner])
        return self

    def score_bags(self, bags: Bags) -> Floats:
        """Score files: float64[files], that of the worst call; 0 without calls."""
        return bags.highest(self.score(bags.rows)) if len(bags.rows) else np.zeros(bags.files)

    def _export(self) -> Exported:
        exported = super()._export()
        meta: dict[str, Any] = {**exported.meta, "judges": "calls"}
        return Exported(meta, exported.arrays)


def _known(rows: Rows, malicious: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which rows some benign file has too."""
    keys = np.ascontiguousarray(rows).view(np.dtype((np.void, rows.dtype.itemsize * rows.shape[1]))).ravel()
    return np.isin(keys, np.unique(keys[~malicious]))


def _any_of(chosen: NDArray[np.bool_], bags: Bags) -> NDArray[np.bool_]:
    """For each call, whether its file has a chosen one."""
    has = np.zeros(bags.files, dtype=bool)
    has[bags.owner[chosen]] = True
    return np.asarray(has[bags.owner])
