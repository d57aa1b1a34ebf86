"""CatBoost: gradient boosting on oblivious trees, which ask one question a level."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from catboost import CatBoostClassifier

from .base import Detector, Exported, Floats, Labels, Rows, both_classes
from .onnx_graph import Graph


class CatBoost(Detector):
    """Sigmoid of the scaled sum of the leaves reached.

    Parameters
    ----------
    trees
        Number of boosting rounds.
    depth
        Questions a tree, at most 16; a tree has ``2 ** depth`` leaves.
    rate
        Learning rate.
    shrink
        L2 regularisation of the leaves.
    borders
        Places in each column where it may be split; a quarter of the usual 254 trains in a third of the time.
    columns, seed
        See :class:`detectors.base.Detector`.

    References
    ----------
    Prokhorenkova, L. et al. (2018). CatBoost: unbiased boosting with categorical features. NeurIPS 31.
    """

    def __init__(
        self,
        *,
        trees: int = 300,
        depth: int = 6,
        rate: float = 0.1,
        shrink: float = 3.0,
        borders: int = 64,
        columns: Sequence[int],
        seed: int,
    ) -> None:
        super().__init__(columns=columns, seed=seed)
        # one thread: the order of the sums, and so the model, depends on their number
        self._model = CatBoostClassifier(
            iterations=trees,
            depth=depth,
            learning_rate=rate,
            l2_leaf_reg=shrink,
            border_count=borders,
            loss_function="Logloss",
            random_seed=self.seed,
            thread_count=1,
            nan_mode="Forbidden",
            allow_writing_files=False,
            verbose=False,
        )

    def _fit(self, X: Rows, y: Labels, weight: Floats) -> None:
        both_classes(y)
        self._model.fit(X, y, sample_weight=weight)

    def _score(self, X: Rows) -> Floats:
        return np.asarray(self._model.predict_proba(X, thread_count=1)[:, 1], dtype=np.float64)

    def _saved(self, kind: str) -> bytes:
        """The model in one of CatBoost's own formats."""
        with tempfile.TemporaryDirectory(prefix="safepickle-") as folder:
            path = Path(folder, "model")
            self._model.save_model(str(path), format=kind)
            return path.read_bytes()

    def _export(self) -> Exported:
        saved = json.loads(self._saved("json"))
        scale, (bias,) = saved["scale_and_bias"]
        starts, feature, border, leaves = [0], [], [], []
        place = [item["flat_feature_index"] for item in saved["features_info"]["float_features"]]
        for tree in saved["oblivious_trees"]:
            for split in tree["splits"] or ():
                if split["split_type"] != "FloatFeature":
                    raise ValueError(f"CatBoost made a split that the bundle has no form for: {split['split_type']}")
                feature.append(self.columns[place[split["float_feature_index"]]])
                border.append(split["border"])
            starts.append(len(feature))
            leaves += tree["leaf_values"]
        arrays: dict[str, Any] = {
            "starts": np.asarray(starts, np.uint32),
            "feature": np.asarray(feature, np.uint16),
            "border": np.asarray(border, np.float32),
            "leaves": np.asarray(leaves, np.float64),
        }
        return Exported({"kind": "oblivious-trees", "scale": float(scale), "bias": float(bias)}, arrays)

    def onnx(self) -> bytes:
        """Export CatBoost's own TreeEnsembleClassifier, with our input and output around it."""
        width = self._fitted_width()
        trees = onnx.load_model_from_string(self._saved("onnx")).graph.node[0]
        graph = Graph()
        trees.input[0] = graph.add("Gather", "X", graph.integers(*self.columns), axis=1)
        graph.extend([trees])
        return graph.finish(graph.add("Gather", trees.output[1], graph.integers(1), axis=1), width, "catboost")
