"""Isolation forest: what random cuts separate quickly from benign files is unlike them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.ensemble import IsolationForest as SklearnIsolationForest

from .base import Detector, Exported, Floats, Labels, Rows, benign
from .forest import Forest, flatten, tree_node
from .onnx_graph import Graph


class IsolationForest(Detector):
    """``2 ** -(mean path length / c(samples))``, 0 to 1; learns from benign rows alone.

    Parameters
    ----------
    trees
        Number of trees.
    samples
        Benign rows in each tree.
    columns, seed
        See :class:`detectors.base.Detector`.

    References
    ----------
    Liu, F. T., Ting, K. M., Zhou, Z.-H. (2008). Isolation Forest. ICDM, 413-422.
    """

    def __init__(self, *, trees: int = 100, samples: int = 256, columns: Sequence[int], seed: int) -> None:
        super().__init__(columns=columns, seed=seed)
        self.trees = trees
        self.samples = samples

    def _fit(self, X: Rows, y: Labels, weight: Floats) -> None:
        rows, weights = benign(X, y, weight)
        self._model = SklearnIsolationForest(
            n_estimators=self.trees,
            max_samples=min(self.samples, len(rows)),
            random_state=self.seed,
            n_jobs=1,
        ).fit(rows, sample_weight=weights)
        self._normalizer = float(average_path(np.asarray([self._model.max_samples_]))[0])

    def _score(self, X: Rows) -> Floats:
        return -np.asarray(self._model.score_samples(X), dtype=np.float64)

    def _forest(self) -> Forest:
        trees = []
        for estimator in self._model.estimators_:
            tree = estimator.tree_
            # compute_node_depths counts the root as 1
            trees.append((tree, tree.compute_node_depths() - 1 + average_path(tree.n_node_samples)))
        return flatten(trees, self.columns)

    def _export(self) -> Exported:
        forest = self._forest()
        meta = {"kind": "isolation-forest", "reach": forest.reach, "normalizer": self._normalizer}
        return Exported(meta, forest.arrays())

    def onnx(self) -> bytes:
        """Export as one TreeEnsembleRegressor of path lengths; one node a tree would take half a minute to load."""
        graph = Graph()
        forest = self._forest()
        graph.extend([tree_node(forest, "X", "total")])
        scale = graph.number(-1.0 / (len(forest.roots) * self._normalizer))
        exponent = graph.add("Mul", graph.double("total"), scale)
        return graph.finish(
            graph.add("Pow", graph.number(2.0), exponent),
            self._fitted_width(),
            "isolation_forest",
        )


def average_path(samples: Floats | Labels) -> Floats:
    """Mean path length of an unsuccessful search in a binary tree of `samples` leaves: c(n) of the paper."""
    n = np.asarray(samples, dtype=np.float64)
    path = np.where(n == 2, 1.0, 0.0)
    many = n > 2
    path[many] = 2.0 * (np.log(n[many] - 1.0) + np.euler_gamma) - 2.0 * (n[many] - 1.0) / n[many]
    return path
