"""How unlike the recent files a file is: half-space trees (River) with adaptive scaling and a quantile filter.

Everything here is a pure function of the rows it is fed, and its state is plain JSON.

References
----------
.. [1] Tan, Ting, Liu. Fast anomaly detection for streaming data. IJCAI 2011.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right, insort
from collections.abc import Sequence
from typing import Any

from river.anomaly.hst import HalfSpaceTrees
from river.tree.padded import PaddedBranch, PaddedLeaf

MARGIN = 0.25


class Recent:
    """The last values of a stream, and how a value ranks among them.

    River's quantiles live in compiled code without a portable state; the last values are their own state.

    Parameters
    ----------
    size
        How many are remembered.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.values: list[float] = []
        self._sorted: list[float] = []

    def share_below(self, value: float) -> float:
        """Share of the values below `value`, those that are equal counted half; 0.5 without any."""
        if not self.values:
            return 0.5
        return (bisect_left(self._sorted, value) + bisect_right(self._sorted, value)) / (2 * len(self._sorted))

    def add(self, value: float) -> None:
        """Remember `value`, forget the oldest when there are too many."""
        self.values.append(value)
        insort(self._sorted, value)
        if len(self.values) > self.size:
            oldest = self.values.pop(0)
            del self._sorted[bisect_left(self._sorted, oldest)]

    def to_state(self) -> list[float]:
        """The values, the oldest first."""
        return list(self.values)

    @classmethod
    def from_state(cls, size: int, state: Sequence[float]) -> Recent:
        """Read :meth:`to_state`'s values."""
        recent = cls(size)
        recent.values = [float(value) for value in state]
        recent._sorted = sorted(recent.values)
        return recent


class AdaptiveScaler:
    """Bring each feature into [0, 1] by the range seen so far, on a logarithmic scale.

    The range seen so far becomes [0.25, 0.75]; a value below it is 0 and one above it is 1, so that the trees
    can tell what was never seen. The range starts as [0, 0], since most features are counts that are usually 0.
    The logarithm keeps one huge value from pressing all others together.

    Parameters
    ----------
    width
        Number of features.
    """

    def __init__(self, width: int) -> None:
        self.low = [0.0] * width
        self.high = [0.0] * width

    def learn(self, row: Sequence[float]) -> None:
        """Widen the ranges to hold `row`."""
        low, high = self.low, self.high
        for index, value in enumerate(row):
            if not value:  # as most are; every range holds it
                continue
            squashed = math.copysign(math.log1p(abs(value)), value)
            if squashed > high[index]:
                high[index] = squashed
            elif squashed < low[index]:
                low[index] = squashed

    def scale(self, row: Sequence[float]) -> dict[int, float]:
        """`row` in [0, 1], keyed by the feature's index as River wants it."""
        scaled = {}
        for index, value in enumerate(row):
            low, high = self.low[index], self.high[index]
            if not value and not low:
                scaled[index] = MARGIN
                continue
            place = math.copysign(math.log1p(abs(value)), value) - low
            if 0.0 <= place <= high - low:
                scaled[index] = MARGIN + (1.0 - 2.0 * MARGIN) * place / (high - low) if place else MARGIN
            else:
                scaled[index] = 0.0 if place < 0.0 else 1.0
        return scaled


class Novelty:
    """How unlike the recent files a file is, in [0, 1], by River's half-space trees.

    Parameters
    ----------
    width
        Number of features of a row.
    trees, height, window
        Of :class:`river.anomaly.HalfSpaceTrees`: `window` rows fill the trees before the first score is
        given and again before each renewal.
    seed
        Of the random splits.
    """

    def __init__(self, width: int, trees: int = 25, height: int = 6, window: int = 250, seed: int = 20260701) -> None:
        self.width = width
        self.scaler = AdaptiveScaler(width)
        self.forest = HalfSpaceTrees(n_trees=trees, height=height, window_size=window, seed=seed)
        self.seen = 0

    def score(self, row: Sequence[float]) -> float | None:
        """Score `row` against the past; None while the first window fills.

        Raises
        ------
        ValueError
            When the row has another width or a value that is not finite.
        """
        if len(row) != self.width or not all(map(math.isfinite, row)):
            raise ValueError(f"a row of {self.width} finite numbers is needed, got {len(row)} numbers")
        if self.seen < self.forest.window_size:
            return None
        return float(self.forest.score_one(self.scaler.scale(row)))

    def learn(self, row: Sequence[float]) -> None:
        """Take `row`, which :meth:`score` took, for a usual one."""
        self.scaler.learn(row)
        self.forest.learn_one(self.scaler.scale(row))
        self.seen += 1

    def to_state(self) -> dict[str, Any]:
        """The whole state as JSON values."""
        forest = self.forest
        return {
            "width": self.width,
            "seen": self.seen,
            "low": self.scaler.low,
            "high": self.scaler.high,
            "trees": forest.n_trees,
            "height": forest.height,
            "window": forest.window_size,
            "seed": forest.seed,
            "counter": forest.counter,
            "first": forest._first_window,
            "nodes": [_tree_state(nodes) for nodes in forest._tree_nodes],
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Novelty:
        """Read :meth:`to_state`'s values; a missing one raises KeyError."""
        novelty = cls(state["width"], state["trees"], state["height"], state["window"], state["seed"])
        novelty.seen = state["seen"]
        novelty.scaler.low = list(state["low"])
        novelty.scaler.high = list(state["high"])
        forest = novelty.forest
        forest.counter = state["counter"]
        forest._first_window = state["first"]
        forest.trees = [_tree_from_state(nodes, forest.height) for nodes in state["nodes"]]
        forest._tree_nodes = [list(tree.iter_dfs()) for tree in forest.trees]
        return novelty


def _tree_state(nodes: Sequence[Any]) -> dict[str, list[Any]]:
    """Nodes of one tree in depth-first order as four flat lists; `feature` and `split` of the branches only."""
    branches = [node for node in nodes if isinstance(node, PaddedBranch)]
    return {
        "feature": [node.feature for node in branches],
        "split": [node.threshold for node in branches],
        "old": [node.r_mass for node in nodes],
        "new": [node.l_mass for node in nodes],
    }


def _tree_from_state(state: dict[str, list[Any]], height: int) -> Any:
    splits = iter(zip(state["feature"], state["split"], strict=True))
    masses = iter(zip(state["old"], state["new"], strict=True))

    def build(levels: int) -> Any:
        old, new = next(masses)
        if levels == 0:
            return PaddedLeaf(l_mass=new, r_mass=old)
        feature, split = next(splits)
        left = build(levels - 1)
        right = build(levels - 1)
        return PaddedBranch(left=left, right=right, feature=feature, threshold=split, l_mass=new, r_mass=old)

    return build(height)
