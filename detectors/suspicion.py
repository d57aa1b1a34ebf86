"""Learns from labels as they come: a logistic regression without negative weights, fitted anew at each label.

There are few labels, so fitting anew costs milliseconds, gives the same for the same labels in whatever order they
came, and a label that is taken back is gone as if it had never been given. Beside the labels stand anchors: recent
files that the champion called benign and that are as usual as such files are. Half of them are learned from, the
other half sets the cut: what they reach is not enough to raise a file.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.sparse import csr_matrix
from scipy.special import expit, log_expit

from .advice import NO_ADVICE, Advice, Point

Floats = NDArray[np.float64]

EXAMPLES = 1024
ANCHORS = 384
PER_PERSON = 200


@dataclasses.dataclass(frozen=True, slots=True)
class Example:
    """A labelled file: `label` is ``malicious`` or ``benign``, `person` gave it last."""

    label: str
    person: str
    seen: Point


class Suspicion:
    """Examples, anchors, and the :class:`~.advice.Advice` that they give.

    Parameters
    ----------
    shrink
        L2 regularisation of the weights.
    anchor_weight
        Of an anchor beside a labelled file.
    least
        Probability below which nothing is ever raised.
    """

    def __init__(self, shrink: float = 0.1, anchor_weight: float = 0.3, least: float = 0.8) -> None:
        self.shrink = shrink
        self.anchor_weight = anchor_weight
        self.least = least
        self.examples: dict[str, Example] = {}
        self.anchors: dict[str, Point] = {}
        self.advice = NO_ADVICE

    def anchor(self, sha256: str, seen: Point) -> None:
        """Remember a file that is benign beyond doubt; the oldest goes when there are too many."""
        self.anchors.pop(sha256, None)
        self.anchors[sha256] = seen
        while len(self.anchors) > ANCHORS:
            del self.anchors[next(iter(self.anchors))]

    def teach(self, sha256: str, example: Example | None) -> Advice:
        """Learn what stands for a file now (None: nothing does), and return the new advice."""
        self.examples.pop(sha256, None)
        if example is not None:
            self.examples[sha256] = example
            if example.label == "malicious":
                self.anchors.pop(sha256, None)
        while len(self.examples) > EXAMPLES:
            del self.examples[next(iter(self.examples))]
        self.advice = self._fit()
        return self.advice

    def _fit(self) -> Advice:
        counted = self._counted()
        bad = [example.seen for example in counted if example.label == "malicious"]
        if not bad:
            return NO_ADVICE
        good = [example.seen for example in counted if example.label == "benign"]
        # A benign example's features that no malicious one has would only get negative weights, that is none.
        keys = sorted({key for seen in bad for key in seen})
        learned, held = self._halves()
        points = [*bad, *good, *learned]
        y = np.array([1.0] * len(bad) + [0.0] * (len(good) + len(learned)))
        weight = np.array([1.0] * (len(bad) + len(good)) + [self.anchor_weight] * len(learned))
        found = fit_weights(_table(points, keys), y, weight, self.shrink)
        weights = {key: float(value) for key, value in zip(keys, found[:-1], strict=True) if value > 1e-6}
        advice = Advice(weights, float(found[-1]), 1.0)
        reached = max((advice.score(seen) for seen in (*held, *good)), default=0.0)
        # Half way from what a benign file reaches to certainty.
        advice.cut = max(self.least, reached + 0.5 * (1.0 - reached) if reached >= self.least else 0.0)
        return advice

    def _counted(self) -> list[Example]:
        """The latest examples of each person, so that nobody floods the others out."""
        given: dict[str, int] = {}
        counted = []
        for example in reversed(self.examples.values()):
            given[example.person] = given.get(example.person, 0) + 1
            if given[example.person] <= PER_PERSON:
                counted.append(example)
        return counted[::-1]

    def _halves(self) -> tuple[list[Point], list[Point]]:
        halves: tuple[list[Point], list[Point]] = ([], [])
        for sha256, seen in self.anchors.items():
            if sha256 not in self.examples:
                halves[hashlib.blake2b(sha256.encode(), digest_size=1).digest()[0] & 1].append(seen)
        return halves

    def to_state(self) -> dict[str, Any]:
        """The whole state as JSON values."""
        return {
            "examples": [
                [sha256, example.label, example.person, _pairs(example.seen)]
                for sha256, example in self.examples.items()
            ],
            "anchors": [[sha256, _pairs(seen)] for sha256, seen in self.anchors.items()],
            "advice": self.advice.to_state(),
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Suspicion:
        """Read :meth:`to_state`'s values. Raises KeyError, TypeError or ValueError when they are something else."""
        suspicion = cls()
        for sha256, label, person, pairs in state["examples"]:
            suspicion.examples[sha256] = Example(label, person, _point(pairs))
        suspicion.anchors = {sha256: _point(pairs) for sha256, pairs in state["anchors"]}
        suspicion.advice = Advice.from_state(state["advice"])
        return suspicion


def fit_weights(table: csr_matrix, y: Floats, weight: Floats, shrink: float) -> Floats:
    """Weights (>= 0) and, last, the bias (<= 0) that minimise the weighted log loss plus an L2 term.

    Parameters
    ----------
    table
        float64[n, d], none negative.
    y, weight
        float64[n]: 1 malicious.
    shrink
        Of the weights, relative to one row's loss.
    """
    columns = table.shape[1]
    transposed = table.T.tocsr()

    def loss(parameters: Floats) -> tuple[float, Floats]:
        z = table @ parameters[:-1] + parameters[-1]
        value = -(weight * np.where(y == 1, log_expit(z), log_expit(-z))).sum()
        value += shrink * np.square(parameters[:-1]).sum() / 2 + 1e-3 * parameters[-1] ** 2 / 2
        gap = weight * (expit(z) - y)
        slope = transposed @ gap + shrink * parameters[:-1]
        return float(value), np.append(slope, gap.sum() + 1e-3 * parameters[-1])

    start = np.append(np.zeros(columns), -2.0)
    bounds = [(0.0, None)] * columns + [(None, 0.0)]
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 100})
    return np.asarray(found.x, dtype=np.float64)


def _table(points: Sequence[Point], keys: Sequence[int]) -> csr_matrix:
    places = {key: place for place, key in enumerate(keys)}
    rows, columns, values = [], [], []
    for row, seen in enumerate(points):
        for key, value in seen.items():
            if key in places:
                rows.append(row)
                columns.append(places[key])
                values.append(value)
    return csr_matrix((values, (rows, columns)), shape=(len(points), len(keys)), dtype=np.float64)


def _pairs(seen: Point) -> list[list[float]]:
    return [[key, value] for key, value in seen.items()]


def _point(pairs: Sequence[Sequence[float]]) -> Point:
    return {int(key): float(value) for key, value in pairs}
