"""Trees of scikit-learn as flat arrays in pre-order, and those arrays as one ONNX node.

scikit-learn compares a float32 value with a float64 threshold; rounding the threshold *down* to float32 changes no
comparison, so the arrays hold float32 and answer exactly alike.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from .base import Floats


@dataclass(frozen=True)
class Forest:
    """Flat trees, see :class:`safepickle.inference.AveragedForest`.

    Parameters
    ----------
    roots
        uint32[t], first node of each tree.
    skip
        uint16[n], nodes from a parent to its right child; 0 for leaves. The left child follows its parent.
    feature
        uint16[n], the column that is tested.
    value
        float32[n], threshold or leaf value.
    reach
        No skip is longer, and the last `reach` nodes are leaves of no tree: nothing can be reached beyond them.
    """

    roots: NDArray[np.uint32]
    skip: NDArray[np.uint16]
    feature: NDArray[np.uint16]
    value: NDArray[np.float32]
    reach: int

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The arrays of the export; `reach` goes to the meta."""
        return {"roots": self.roots, "skip": self.skip, "feature": self.feature, "value": self.value}


def round_down(thresholds: Floats) -> NDArray[np.float32]:
    """Round float64 to the largest float32 that is not greater."""
    rounded = thresholds.astype(np.float32)
    over = rounded.astype(np.float64) > thresholds
    return np.where(over, np.nextafter(rounded, np.float32(-np.inf)), rounded).astype(np.float32)


def flatten(trees: Iterable[tuple[Any, Floats]], columns: list[int]) -> Forest:
    """Flatten trees.

    Parameters
    ----------
    trees
        scikit-learn's ``Tree`` and float64[nodes], what each node is worth as a leaf.
    columns
        Column of the whole row for each feature of the trees.

    Raises
    ------
    ValueError
        When a left subtree has more than 65,535 nodes, or a threshold is no float32 below 1.7e38.
    """
    roots: list[int] = []
    parts: list[tuple[NDArray[Any], NDArray[Any], NDArray[Any]]] = []
    count, longest = 0, 0
    table = np.asarray(columns, dtype=np.int64)
    for tree, worth in trees:
        order, skip = _preorder(tree.children_left, tree.children_right)
        leaf = skip == 0
        feature = np.where(leaf, 0, table[np.where(leaf, 0, tree.feature[order])])
        value = np.where(leaf, worth[order].astype(np.float32), round_down(tree.threshold[order]))
        parts.append((skip, feature, value))
        roots.append(count)
        count += len(order)
        longest = max(longest, int(skip.max()))
    reach = (longest // 256 + 1) * 256 - 1
    if reach > 65535:
        raise ValueError("a tree is too large for the bundle; set a smaller depth or larger leaves")
    guard = np.zeros(reach)
    skips, features, values = (np.concatenate([*(part[i] for part in parts), guard]) for i in range(3))
    if not (np.abs(values) < 1.7e38).all():
        raise ValueError("a tree holds a number too large for the bundle; bound the features")
    return Forest(
        np.asarray(roots, np.uint32),
        skips.astype(np.uint16),
        features.astype(np.uint16),
        values.astype(np.float32),
        reach,
    )


def _preorder(left: NDArray[Any], right: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Nodes in pre-order, and for each the distance to its right child (0 for leaves)."""
    order: list[int] = []
    pending = [0]
    while pending:
        node = pending.pop()
        order.append(node)
        if left[node] >= 0:
            pending += (int(right[node]), int(left[node]))
    nodes = np.asarray(order, dtype=np.int64)
    place = np.empty(len(nodes), dtype=np.int64)
    place[nodes] = np.arange(len(nodes))
    inner = left[nodes] >= 0
    return nodes, np.where(inner, place[np.where(inner, right[nodes], 0)] - np.arange(len(nodes)), 0)


def tree_node(forest: Forest, source: str, target: str) -> onnx.NodeProto:
    """The forest as one TreeEnsembleRegressor: the sum of the leaves reached, float[n, 1]."""
    end = len(forest.skip) - forest.reach
    inner = (forest.skip[:end] > 0).tolist()
    starts = np.repeat(forest.roots, np.diff([*forest.roots, end])).astype(np.int64)
    here = np.arange(end)
    trees = np.searchsorted(forest.roots, here, side="right") - 1
    nodes = here - starts
    steps = forest.skip[:end].astype(np.int64)
    leaves = np.flatnonzero(steps == 0)
    return helper.make_node(
        "TreeEnsembleRegressor",
        [source],
        [target],
        domain="ai.onnx.ml",
        n_targets=1,
        aggregate_function="SUM",
        post_transform="NONE",
        nodes_treeids=trees.tolist(),
        nodes_nodeids=nodes.tolist(),
        nodes_featureids=forest.feature[:end].tolist(),
        nodes_modes=["BRANCH_LEQ" if split else "LEAF" for split in inner],
        nodes_values=np.where(inner, forest.value[:end], 0).astype(np.float32).tolist(),
        nodes_truenodeids=np.where(inner, nodes + 1, 0).tolist(),
        nodes_falsenodeids=np.where(inner, nodes + steps, 0).tolist(),
        target_treeids=trees[leaves].tolist(),
        target_nodeids=nodes[leaves].tolist(),
        target_ids=[0] * len(leaves),
        target_weights=forest.value[leaves].tolist(),
    )
