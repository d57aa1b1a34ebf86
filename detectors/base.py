"""What all detectors share: they fit, score, and export themselves as flat arrays and as ONNX, never as a pickle."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float32]
Labels = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Exported:
    """A fitted model without code.

    Parameters
    ----------
    meta
        JSON-able parameters; ``kind`` says how :mod:`safepickle.inference` computes with the arrays.
    arrays
        Flat arrays by name: uint16, uint32, float32 or float64.
    """

    meta: Mapping[str, Any]
    arrays: Mapping[str, NDArray[Any]]


class Detector(ABC):
    """A model that gives each row a score, higher for what is more likely malicious.

    A detector is a function of its parameters, its seed and its training rows: the same again gives the same again,
    and the score of a row does not depend on the rows beside it.

    Parameters
    ----------
    columns
        Columns of the rows that it looks at.
    seed
        Of every random choice.
    """

    def __init__(self, *, columns: Sequence[int], seed: int) -> None:
        self.columns = [int(column) for column in columns]
        self.seed = int(seed)
        self.width = 0
        if not self.columns or len(set(self.columns)) != len(self.columns) or min(self.columns) < 0:
            raise ValueError("a detector needs columns, each once, counted from 0")

    def fit(self, X: Rows, y: Labels, weight: Floats) -> Self:
        """Learn from rows.

        Parameters
        ----------
        X
            float32[n, d], finite.
        y
            int[n]: 1 malicious, 0 benign. Detectors of novelty learn from the benign rows alone.
        weight
            float64[n], not negative.

        Raises
        ------
        ValueError
            When the sizes differ, a value is not finite, or there is nothing to learn from.
        """
        X = self._checked(X, X.shape[1] if X.ndim == 2 else 0)
        y = np.asarray(y, dtype=np.int64)
        weight = np.asarray(weight, dtype=np.float64)
        if y.shape != (len(X),) or weight.shape != (len(X),):
            raise ValueError(f"{len(X)} rows, but labels {y.shape} and weights {weight.shape}")
        if not np.isin(y, (0, 1)).all():
            raise ValueError("labels are 0 (benign) or 1 (malicious)")
        if not np.isfinite(weight).all() or (weight < 0).any():
            raise ValueError("weights are finite and not negative")
        if max(self.columns) >= X.shape[1]:
            raise ValueError(f"the detector looks at column {max(self.columns)}, the rows have {X.shape[1]}")
        kept = weight > 0
        self._fit(X[kept][:, self.columns], y[kept], weight[kept])
        self.width = int(X.shape[1])
        return self

    def score(self, X: Rows) -> Floats:
        """Score float32[n, d] rows: float64[n], higher is more malicious."""
        return self._score(self._checked(X, self._fitted_width())[:, self.columns])

    def export(self) -> Exported:
        """Export for :func:`safepickle.inference.scorer`; equal to :meth:`score` within 1e-5."""
        width = self._fitted_width()
        exported = self._export()
        meta = {"columns": list(self.columns), "width": width, "seed": self.seed, **exported.meta}
        return Exported(meta, {name: np.ascontiguousarray(array) for name, array in exported.arrays.items()})

    @abstractmethod
    def onnx(self) -> bytes:
        """Export as ONNX: ``X`` float[n, d] (all columns) to ``score`` double[n]; equal to :meth:`score`."""

    @abstractmethod
    def _fit(self, X: Rows, y: Labels, weight: Floats) -> None:
        """Learn from rows that are reduced to `columns`."""

    @abstractmethod
    def _score(self, X: Rows) -> Floats:
        """Score rows that are reduced to `columns`."""

    @abstractmethod
    def _export(self) -> Exported:
        """Give the kind with its parameters, and the arrays."""

    def _fitted_width(self) -> int:
        if not self.width:
            raise ValueError(f"{type(self).__name__} is not fitted yet")
        return self.width

    @staticmethod
    def _checked(X: Rows, width: int) -> Rows:
        rows = np.ascontiguousarray(X, dtype=np.float32)
        if rows.ndim != 2 or rows.shape[1] != width or not width:
            raise ValueError(f"rows of {width} columns are needed, got an array of shape {rows.shape}")
        if not np.isfinite(rows).all():
            raise ValueError("a row value is not a finite float32")
        return rows


def both_classes(y: Labels) -> None:
    """Raise ValueError unless there are benign and malicious rows."""
    if len(np.unique(y)) != 2:
        raise ValueError("benign and malicious rows are needed")


def benign(X: Rows, y: Labels, weight: Floats) -> tuple[Rows, Floats]:
    """Keep the benign rows and their weights; raise ValueError when there are fewer than 2."""
    rows, weights = X[y == 0], weight[y == 0]
    if len(rows) < 2:
        raise ValueError(f"at least 2 benign rows are needed, got {len(rows)}")
    return rows, weights


def sample(rows: Floats, weight: Floats, most: int, seed: int) -> tuple[Floats, Floats]:
    """Choose rows: all, or `most` of them by `seed` with chances in proportion to their weight.

    Returns
    -------
    tuple
        float64[m, d] rows in their order; float64[m] weights, 1 each when a choice was made: it has weighed them.
    """
    if len(rows) <= most:
        return rows, weight
    chosen = np.random.default_rng(seed).choice(len(rows), size=most, replace=False, p=weight / weight.sum())
    chosen.sort()
    return rows[chosen], np.ones(most)
