"""Local outlier factor: what lies in a sparser place than its nearest benign files is unlike them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from sklearn.neighbors import LocalOutlierFactor as SklearnLocalOutlierFactor

from safepickle.inference import TIE

from .base import Detector, Exported, Floats, Labels, Rows, benign, sample
from .onnx_graph import Graph
from .standardiser import Standardiser


class LocalOutlierFactor(Detector):
    """Mean density of the nearest benign rows over the density here; about 1 among them, more outside.

    Densities of the reference rows are scikit-learn's. A scored row counts *all* rows as near as the k-th nearest as
    its neighbours, as the paper does; scikit-learn takes k of them, in no defined order.

    Parameters
    ----------
    neighbours
        k; fewer are more local.
    reference
        Most benign rows kept; they are the size of the model. Equal rows count once, or their density is infinite.
    clip, floor
        See :class:`detectors.standardiser.Standardiser`.
    columns, seed
        See :class:`detectors.base.Detector`.

    References
    ----------
    Breunig, M. M. et al. (2000). LOF: identifying density-based local outliers. SIGMOD, 93-104.
    """

    def __init__(
        self,
        *,
        neighbours: int = 20,
        reference: int = 1000,
        clip: float = 10.0,
        floor: float = 1e-3,
        columns: Sequence[int],
        seed: int,
    ) -> None:
        super().__init__(columns=columns, seed=seed)
        self.neighbours = neighbours
        self.reference = reference
        self.clip = clip
        self.floor = floor

    def _fit(self, X: Rows, y: Labels, weight: Floats) -> None:
        rows, weights = benign(X, y, weight)
        self._standardiser = Standardiser.fit(rows, weights, clip=self.clip, floor=self.floor)
        points, place = np.unique(self._standardiser.reference(rows), axis=0, return_inverse=True)
        merged = np.bincount(place.ravel(), weights=weights).astype(np.float64)
        points, _ = sample(points, merged, self.reference, self.seed)
        if len(points) < 2:
            raise ValueError("at least 2 different benign rows are needed")
        self._k = min(self.neighbours, len(points) - 1)
        # kd_tree sums squared differences; the product trick of "brute" loses the digits of small distances
        model = SklearnLocalOutlierFactor(n_neighbors=self._k, novelty=True, algorithm="kd_tree", n_jobs=1).fit(points)
        self._points = points
        self._distance = np.asarray(model._distances_fit_X_[:, self._k - 1], dtype=np.float64)
        self._density = np.asarray(model._lrd, dtype=np.float64)

    def _score(self, X: Rows) -> Floats:
        scores = np.empty(len(X))
        for start in range(0, len(X), 1024):
            squares = cdist(self._standardiser(X[start : start + 1024]), self._points, "sqeuclidean")
            furthest = np.partition(squares, self._k - 1, axis=1)[:, self._k - 1 : self._k]
            near = squares <= furthest * (1.0 + TIE) ** 2
            paths = np.where(near, np.maximum(np.sqrt(squares), self._distance), 0.0)
            count = near.sum(axis=1)
            dense = np.where(near, self._density, 0.0).sum(axis=1)
            scores[start : start + 1024] = dense / count * (paths.sum(axis=1) / count + 1e-10)
        return scores

    def _export(self) -> Exported:
        meta = {"kind": "local-outlier-factor", "clip": self.clip, "neighbours": self._k}
        arrays: dict[str, NDArray[Any]] = {
            **self._standardiser.arrays(),
            "reference": self._points.astype(np.float32),
            "distance": self._distance,
            "density": self._density,
        }
        return Exported(meta, arrays)

    def onnx(self) -> bytes:
        """Export as plain arithmetic in double; neighbours are those within the k-th distance, as in `score`."""
        graph = Graph()
        squares = graph.squares(graph.standardised(self.columns, self._standardiser), self._points)
        furthest = graph.add("ReduceMax", graph.smallest(squares, self._k), graph.integers(1), keepdims=1)
        limit = graph.add("Mul", furthest, graph.number((1.0 + TIE) ** 2))
        near = graph.double(graph.add("LessOrEqual", squares, limit))
        paths = graph.add("Max", graph.add("Sqrt", squares), graph.constant(self._distance))
        path = graph.add("ReduceSum", graph.add("Mul", near, paths), graph.integers(1), keepdims=0)
        densities = graph.add("Mul", near, graph.constant(self._density))
        dense = graph.add("ReduceSum", densities, graph.integers(1), keepdims=0)
        count = graph.add("ReduceSum", near, graph.integers(1), keepdims=0)
        reach = graph.add("Add", graph.add("Div", path, count), graph.number(1e-10))
        score = graph.add("Mul", graph.add("Div", dense, count), reach)
        return graph.finish(score, self._fitted_width(), "local_outlier_factor")
