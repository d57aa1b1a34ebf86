"""One-class support vector machine: a smooth region that holds most benign files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.svm import OneClassSVM as SklearnOneClassSVM

from .base import Detector, Exported, Floats, Labels, Rows, benign, sample
from .onnx_graph import Graph
from .standardiser import Standardiser


class OneClassSVM(Detector):
    """How far outside the region: offset minus the weighted mean kernel to the support vectors, about -1 to 1.

    The kernel is ``exp(-gamma * distance ** 2)``; coefficients are divided by their sum, so that scores of models
    with more or fewer support vectors compare.

    Parameters
    ----------
    nu
        Largest share of benign training rows outside the region, and smallest share of support vectors.
    gamma
        Kernel width; ``None`` takes 1 / (columns * variance), scikit-learn's "scale".
    reference
        Most benign rows to learn from.
    clip, floor
        See :class:`detectors.standardiser.Standardiser`.
    columns, seed
        See :class:`detectors.base.Detector`.

    References
    ----------
    Scholkopf, B. et al. (2001). Estimating the support of a high-dimensional distribution. Neural Computation 13.
    """

    def __init__(
        self,
        *,
        nu: float = 0.05,
        gamma: float | None = None,
        reference: int = 2000,
        clip: float = 10.0,
        floor: float = 1e-3,
        columns: Sequence[int],
        seed: int,
    ) -> None:
        super().__init__(columns=columns, seed=seed)
        self.nu = nu
        self.gamma = gamma
        self.reference = reference
        self.clip = clip
        self.floor = floor

    def _fit(self, X: Rows, y: Labels, weight: Floats) -> None:
        rows, weights = benign(X, y, weight)
        self._standardiser = Standardiser.fit(rows, weights, clip=self.clip, floor=self.floor)
        points, weights = sample(self._standardiser.reference(rows), weights, self.reference, self.seed)
        variance = float(points.var())
        self._gamma = self.gamma if self.gamma is not None else 1.0 / (points.shape[1] * (variance or 1.0))
        self._model = SklearnOneClassSVM(kernel="rbf", nu=self.nu, gamma=self._gamma)
        self._model.fit(points, sample_weight=weights / weights.mean())
        self._sum = float(self._model.dual_coef_.sum())

    def _score(self, X: Rows) -> Floats:
        return -np.asarray(self._model.decision_function(self._standardiser(X)), dtype=np.float64) / self._sum

    def _coefficients(self) -> tuple[Floats, float]:
        offset = -float(self._model.intercept_[0]) / self._sum
        return np.asarray(self._model.dual_coef_[0] / self._sum, dtype=np.float64), offset

    def _export(self) -> Exported:
        weight, offset = self._coefficients()
        meta = {"kind": "radial-support-vectors", "clip": self.clip, "gamma": self._gamma, "offset": offset}
        arrays: dict[str, NDArray[Any]] = {
            **self._standardiser.arrays(),
            "vectors": self._model.support_vectors_.astype(np.float32),
            "weight": weight,
        }
        return Exported(meta, arrays)

    def onnx(self) -> bytes:
        """Export as plain arithmetic in double."""
        graph = Graph()
        weight, offset = self._coefficients()
        points = graph.standardised(self.columns, self._standardiser)
        squares = graph.squares(points, self._model.support_vectors_)
        kernel = graph.add("Exp", graph.add("Mul", squares, graph.number(-self._gamma)))
        total = graph.add("MatMul", kernel, graph.constant(weight[:, None]))
        return graph.finish(graph.add("Sub", graph.number(offset), total), self._fitted_width(), "one_class_svm")
