"""Scores a row with exported detectors: flat arrays and plain arithmetic, no third-party import.

The file is Cython's pure-Python mode: translated as it is, with the C types of ``inference.pxd`` beside it, or run
uncompiled with the same answers. The types live in the ``.pxd`` because ``import cython`` costs a cold scan 30 ms
wherever Cython happens to be installed. Bounds checks stay on in both.

A scorer checks its arrays when it is made (:mod:`safepickle.array_checks`), so that no row can lead it out of bounds
or into an endless loop. Rows are float32 from the start, as the detectors saw them in training.

Array formats are those of :mod:`array`: ``H`` uint16, ``I`` uint32, ``f`` float32, ``d`` float64.
"""

# cython: annotation_typing=False
from __future__ import annotations

from array import array
from itertools import pairwise
from math import exp, isfinite, sqrt

from .array_checks import all_below, column_numbers, nothing_left, number, take, whole
from .matrix import Matrix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, MutableSequence, Sequence
    from typing import Any, Protocol

    class Scorer(Protocol):
        """One detector, ready to score rows of `width` values."""

        width: int

        def score(self, row: array[float]) -> float:
            """Score a float32 row made by :func:`as_row`; higher is more malicious."""


COMPILED = not __file__.endswith(".py")
"""Whether this is the compiled build of the module."""

TIE = 1e-6
"""Neighbours at most this much (relative) farther than the k-th count as well, see :class:`LocalOutlierFactor`."""

_LARGEST_LAYER = 1 << 20


def as_row(values: Sequence[float], width: int) -> array[float]:
    """Round `width` values to float32, as training did.

    Raises
    ------
    ValueError
        When there are more or fewer values, or one is not finite in float32.
    """
    if len(values) != width:
        raise ValueError(f"a row of {width} values is needed, got {len(values)}")
    row = array("f", bytes(4 * width)) if COMPILED else array("f", values)
    # the sum of float32 values, which no sum of so few takes beyond a double
    if not isfinite(_rounded(values, row) if COMPILED else sum(row)):
        raise ValueError("a row value is not a finite float32")
    return row


def _rounded(values: Sequence[float], row: MutableSequence[float]) -> float:
    """Write the values into the row, and return the sum of what it holds then."""
    total = 0.0
    for i in range(len(row)):
        row[i] = values[i]
        total += row[i]
    return total


def scorer(meta: Mapping[str, Any], arrays: Mapping[str, Any]) -> Scorer:
    """Make the scorer of an exported detector.

    Parameters
    ----------
    meta
        As exported; `kind` is one of :data:`KINDS`.
    arrays
        C-contiguous buffers by name.

    Raises
    ------
    ValueError
        When the kind is unknown, an array is missing, unknown, or cannot be what the kind needs.
    """
    kind = meta.get("kind")
    make: Any = KINDS.get(kind) if isinstance(kind, str) else None
    if make is None:
        raise ValueError(f"unknown kind of detector {kind!r}; known are {', '.join(KINDS)}")
    ready: Scorer = make(meta, dict(arrays))
    return ready


def score(meta: Mapping[str, Any], arrays: Mapping[str, Any], row: Sequence[float]) -> float:
    """Score one row once; whoever scores many keeps the :func:`scorer`."""
    ready = scorer(meta, arrays)
    return ready.score(as_row(row, ready.width))


def sigmoid(x: float) -> float:
    """Return ``1 / (1 + exp(-x))`` without overflow."""
    if x >= 0.0:
        return 1.0 / (1.0 + exp(-x))
    e = exp(x)
    return e / (1.0 + e)


# --- trees -----------------------------------------------------------------------------------------------------------


class _Forest:
    """Trees in pre-order: a left child follows its parent, a right child lies `skip` nodes farther on.

    A leaf has ``skip`` 0 and its value in place of the threshold. Every step goes forward; the array ends with
    `reach` leaves and no skip is longer than `reach`, so every walk ends inside it.
    """

    def __init__(self, meta: Mapping[str, Any], arrays: dict[str, Any]) -> None:
        self.width = whole(meta, "width", 1, 65536)
        reach = whole(meta, "reach", 255, 65535)
        self.roots = take(arrays, "roots", "I")
        self.skip = take(arrays, "skip", "H")
        nodes = len(self.skip)
        self.feature = take(arrays, "feature", "H", nodes)
        self.value = take(arrays, "value", "f", nodes)
        nothing_left(arrays)
        if not len(self.roots) or max(self.roots) >= nodes:
            raise ValueError("a tree starts outside the nodes")
        if not all_below(self.skip, reach + 1) or nodes < reach or self.skip[nodes - reach :].tobytes().strip(b"\0"):
            raise ValueError("a tree child lies outside the nodes")
        if not all_below(self.feature, self.width):
            raise ValueError(f"a tree tests a column outside the {self.width} columns")

    def total(self, row: array[float]) -> float:
        return _walk(self.roots, self.skip, self.feature, self.value, row)


class AveragedForest(_Forest):
    """Mean of the leaves reached, here the probability of malicious (scikit-learn's random forest)."""

    def score(self, row: array[float]) -> float:
        return self.total(row) / len(self.roots)


class IsolationForest(_Forest):
    """``2 ** -(mean path length / normalizer)``: Liu, Ting, Zhou 2008; leaves hold depth + c(samples)."""

    def __init__(self, meta: Mapping[str, Any], arrays: dict[str, Any]) -> None:
        super().__init__(meta, arrays)
        self.normalizer = number(meta, "normalizer", 1e-3)

    def score(self, row: array[float]) -> float:
        exponent = self.total(row) / (len(self.roots) * self.normalizer)
        return float(2.0 ** -min(1e3, max(-1e3, exponent)))


def _walk(
    roots: Sequence[int], skip: Sequence[int], feature: Sequence[int], value: Sequence[float], row: Sequence[float]
) -> float:
    total = 0.0
    for tree in range(len(roots)):
        node = roots[tree]
        step = skip[node]
        while step:
            if row[feature[node]] <= value[node]:
                node += 1
            else:
                node += step
            step = skip[node]
        total += value[node]
    return total


class ObliviousTrees:
    """Boosted trees that ask one question a level (CatBoost); the score is the sigmoid of their scaled sum.

    Tree t asks ``row[feature] > border`` for the splits from ``starts[t]`` to ``starts[t + 1]``; answer i is bit i
    of the index among its ``2 ** depth`` leaves.
    """

    def __init__(self, meta: Mapping[str, Any], arrays: dict[str, Any]) -> None:
        self.width = whole(meta, "width", 1, 65536)
        self.scale = number(meta, "scale")
        self.bias = number(meta, "bias")
        self.starts = take(arrays, "starts", "I")
        self.feature = take(arrays, "feature", "H")
        self.border = take(arrays, "border", "f", len(self.feature))
        starts = self.starts.tolist()
        depths = [after - before for before, after in pairwise(starts)]
        if not starts or starts[0] != 0 or starts[-1] != len(self.feature):
            raise ValueError("the splits of the trees do not cover the splits there are")
        if not all(0 <= depth <= 16 for depth in depths):
            raise ValueError("a tree has fewer than 0 or more than 16 levels")
        self.leaves = take(arrays, "leaves", "d", sum(1 << depth for depth in depths))
        nothing_left(arrays)
        if not all_below(self.feature, self.width):
            raise ValueError(f"a tree tests a column outside the {self.width} columns")

    def score(self, row: array[float]) -> float:
        return sigmoid(self.scale * _descend(self.starts, self.feature, self.border, self.leaves, row) + self.bias)


def _descend(
    starts: Sequence[int],
    feature: Sequence[int],
    border: Sequence[float],
    leaves: Sequence[float],
    row: Sequence[float],
) -> float:
    total = 0.0
    first = 0
    end = starts[0]
    for tree in range(1, len(starts)):
        split = end
        end = starts[tree]
        leaf = first
        bit = 1
        while split < end:
            if row[feature[split]] > border[split]:
                leaf += bit
            bit += bit
            split += 1
        total += leaves[leaf]
        first += bit
    return total


# --- detectors on standardised columns -------------------------------------------------------------------------------


class _Standardised:
    """Some columns of a row as ``(x - mean) / scale``, clipped to -`clip` .. `clip`, in float64."""

    def __init__(self, meta: Mapping[str, Any], arrays: dict[str, Any]) -> None:
        self.width = whole(meta, "width", 1, 65536)
        self.columns = column_numbers(meta, self.width)
        self.clip = number(meta, "clip", 0.0, 1e6)
        self.mean = take(arrays, "mean", "d", len(self.columns))
        self.scale = take(arrays, "scale", "d", len(self.columns))
        if min(self.scale) <= 0.0:
            raise ValueError("a scale is not greater than 0")

    def point(self, row: array[float]) -> array[float]:
        point = array("d", bytes(8 * len(self.columns)))
        _standardise(row, self.columns, self.mean, self.scale, self.clip, point)
        return point


def _standardise(
    row: Sequence[float],
    columns: Sequence[int],
    mean: Sequence[float],
    scale: Sequence[float],
    clip: float,
    point: MutableSequence[float],
) -> None:
    for i in range(len(columns)):
        z = (row[columns[i]] - mean[i]) / scale[i]
        if z > clip:
            z = clip
        elif z < -clip:
            z = -clip
        point[i] = z


def _matrix(arrays: dict[str, Any], name: str, rows: int, columns: int) -> Matrix:
    """Take a matrix out of `arrays`; of as many rows as there are when `rows` is negative."""
    try:
        return Matrix(take(arrays, name, "f", rows * columns if rows >= 0 else -1), columns)
    except ValueError as error:
        raise ValueError(f"the array {name!r}: {error}") from None


class DenseAutoencoder(_Standardised):
    """Mean squared error of a dense network that was taught to repeat its input; ReLU between the layers."""

    def __init__(self, meta: Mapping[str, Any], arrays: dict[str, Any]) -> None:
        super().__init__(meta, arrays)
        sizes = meta.get("sizes")
        if not isinstance(sizes, (list, tuple)) or not 2 <= len(sizes) <= 16:
            raise ValueError("'sizes' must list the widths of 2 to 16 layers")
        if not all(type(size) is int and 0 < size <= _LARGEST_LAYER for size in sizes):
            raise ValueError(f"'sizes' must be whole numbers from 1 to {_LARGEST_LAYER}")
        if sizes[0] != len(self.columns) or sizes[-1] != len(self.columns):
            raise ValueError("'sizes' must begin and end with the number of columns")
        self.layers = [
            (_matrix(arrays, f"weight{i}", after, before), take(arrays, f"bias{i}", "f", after))
            for i, (before, after) in enumerate(pairwise(sizes))
        ]
        nothing_left(arrays)

    def score(self, row: array[float]) -> float:
        point = self.point(row)
        values = point
        last = len(self.layers) - 1
        for i, (weight, bias) in enumerate(self.layers):
            values = weight.times(values)
            _shift(values, bias, i < last)
        return _mean_squared_gap(point, values)


def _shift(values: MutableSequence[float], bias: Sequence[float], rectify: bool) -> None:
    for i in range(len(values)):
        shifted = values[i] + bias[i]
        values[i] = 0.0 if rectify and shifted < 0.0 else shifted


def _mean_squared_gap(left: Sequence[float], right: Sequence[float]) -> float:
    total = 0.0
    for i in range(len(left)):
        gap = left[i] - right[i]
        total += gap * gap
    return total / len(left)


class LocalOutlierFactor(_Standardised):
    """How much sparser the surroundings of a point are than those of its neighbours: Breunig et al. 2000.

    As in that paper, all points that are as far as the k-th nearest are neighbours too; which of several equally
    far points a search finds first must not decide a verdict.
    """

    def __init__(self, meta: Mapping[str, Any], arrays: dict[str, Any]) -> None:
        super().__init__(meta, arrays)
        self.reference = _matrix(arrays, "reference", -1, len(self.columns))
        count = self.reference.count
        self.distance = take(arrays, "distance", "d", count)
        self.density = take(arrays, "density", "d", count)
        nothing_left(arrays)
        self.neighbours = whole(meta, "neighbours", 1, count)

    def score(self, row: array[float]) -> float:
        squares = self.reference.squares(self.point(row))
        nearest = array("d", bytes(8 * self.neighbours))
        return _outlier_factor(squares, self.distance, self.density, nearest)


def _outlier_factor(
    squares: Sequence[float], reach: Sequence[float], density: Sequence[float], nearest: MutableSequence[float]
) -> float:
    count = len(nearest)
    for i in range(count):
        nearest[i] = 1e300
    for i in range(len(squares)):
        here = squares[i]
        if here < nearest[count - 1]:
            place = count - 1
            while place > 0 and nearest[place - 1] > here:
                nearest[place] = nearest[place - 1]
                place -= 1
            nearest[place] = here
    limit = nearest[count - 1] * (1.0 + TIE) * (1.0 + TIE)
    found = 0
    path = 0.0
    dense = 0.0
    for i in range(len(squares)):
        if squares[i] <= limit:
            here = sqrt(squares[i])
            found += 1
            path += here if here > reach[i] else reach[i]
            dense += density[i]
    return (dense / found) * (path / found + 1e-10)


class RadialSupportVectors(_Standardised):
    """`offset` minus the weighted mean of ``exp(-gamma * distance ** 2)`` to the support vectors."""

    def __init__(self, meta: Mapping[str, Any], arrays: dict[str, Any]) -> None:
        super().__init__(meta, arrays)
        self.gamma = number(meta, "gamma", 0.0)
        self.offset = number(meta, "offset")
        self.vectors = _matrix(arrays, "vectors", -1, len(self.columns))
        self.weight = take(arrays, "weight", "d", self.vectors.count)
        nothing_left(arrays)

    def score(self, row: array[float]) -> float:
        return self.offset - _radial_sum(self.vectors.squares(self.point(row)), self.weight, self.gamma)


def _radial_sum(squares: Sequence[float], weight: Sequence[float], gamma: float) -> float:
    total = 0.0
    for i in range(len(squares)):
        total += weight[i] * exp(-gamma * squares[i])
    return total


KINDS = {
    "averaged-forest": AveragedForest,
    "oblivious-trees": ObliviousTrees,
    "dense-autoencoder": DenseAutoencoder,
    "isolation-forest": IsolationForest,
    "local-outlier-factor": LocalOutlierFactor,
    "radial-support-vectors": RadialSupportVectors,
}
"""What `meta["kind"]` may be."""
