"""Random forest: many trees on random rows and columns, their probabilities averaged."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.ensemble import RandomForestClassifier

from .base import Detector, Exported, Floats, Labels, Rows, both_classes
from .forest import Forest, flatten, tree_node
from .onnx_graph import Graph


class RandomForest(Detector):
    """Mean over trees of the share of malicious (weighted) training rows in the leaf reached.

    Parameters
    ----------
    trees
        Number of trees; more are steadier and larger.
    depth
        Most questions from root to leaf; bounds the size of the bundle.
    leaf
        Fewest training rows in a leaf; more are smoother.
    features
        Share of the columns that each split may choose from, or ``"sqrt"``.
    columns, seed
        See :class:`detectors.base.Detector`.

    References
    ----------
    Breiman, L. (2001). Random Forests. Machine Learning 45, 5-32.
    """

    def __init__(
        self,
        *,
        trees: int = 200,
        depth: int = 12,
        leaf: int = 1,
        features: float | str = "sqrt",
        columns: Sequence[int],
        seed: int,
    ) -> None:
        super().__init__(columns=columns, seed=seed)
        self._model = RandomForestClassifier(
            n_estimators=trees,
            max_depth=depth,
            min_samples_leaf=leaf,
            max_features=features,
            random_state=self.seed,
            n_jobs=1,
        )

    def _fit(self, X: Rows, y: Labels, weight: Floats) -> None:
        both_classes(y)
        self._model.fit(X, y, sample_weight=weight)

    def _score(self, X: Rows) -> Floats:
        return np.asarray(self._model.predict_proba(X)[:, 1], dtype=np.float64)

    def _forest(self) -> Forest:
        trees = []
        for estimator in self._model.estimators_:
            shares = estimator.tree_.value[:, 0, :]
            trees.append((estimator.tree_, shares[:, 1] / shares.sum(axis=1)))
        return flatten(trees, self.columns)

    def _export(self) -> Exported:
        forest = self._forest()
        return Exported({"kind": "averaged-forest", "reach": forest.reach}, forest.arrays())

    def onnx(self) -> bytes:
        """Export as one TreeEnsembleRegressor over float32."""
        graph = Graph()
        forest = self._forest()
        graph.extend([tree_node(forest, "X", "total")])
        mean = graph.add("Div", graph.double("total"), graph.number(len(forest.roots)))
        return graph.finish(mean, self._fitted_width(), "random_forest")
