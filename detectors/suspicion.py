"""Learns from labels as they come: a logistic regression without negative weights, fitted anew at each label.

There are few labels, so fitting anew costs milliseconds, gives the same for the same labels in whatever order they
came, and a label that is taken back is gone as if it had never been given. Beside the labels stand anchors: recent
files that the champion called benign and that are as usual as such files are, near copies once. Half of them are
learned from, the other half sets the cut: what they reach is not enough to raise a file. That the champion called a
file benign is no argument against a person: an anchor that shares a name with a file labelled malicious counts only
if the name is a common one among anchors.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.sparse import csr_matrix
from scipy.special import expit, log_expit

from .advice import HABITS, NO_ADVICE, Advice, Names

Floats = NDArray[np.float64]

EXAMPLES = 1024
ANCHORS = 384
PER_PERSON = 200
MARGIN = 1.0
"""Log odds between what benign files reach and what raises a file."""
HABIT = 2.0
"""What a habit is worth beside a name: the same label says more of what files have in common than of one name."""
RARE = 0.05
"""Share of the anchors up to which a name is not a common one."""


@dataclasses.dataclass(frozen=True, slots=True)
class Example:
    """A labelled file: `label` is ``malicious`` or ``benign``, `person` gave it last."""

    label: str
    person: str
    names: Names


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

    def __init__(self, shrink: float = 0.02, anchor_weight: float = 0.3, least: float = 0.5) -> None:
        self.shrink = shrink
        self.anchor_weight = anchor_weight
        self.least = least
        self.examples: dict[str, Example] = {}
        self.anchors: dict[str, Names] = {}
        self.advice = NO_ADVICE

    def anchor(self, names: Names) -> None:
        """Remember a file that the champion credibly calls benign; the oldest goes when there are too many."""
        text = " ".join(map(str, sorted(names)))
        key = hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
        self.anchors.pop(key, None)
        self.anchors[key] = names
        while len(self.anchors) > ANCHORS:
            del self.anchors[next(iter(self.anchors))]

    def teach(self, sha256: str, example: Example | None) -> Advice:
        """Learn what stands for a file now (None: nothing does), and return the new advice."""
        self.examples.pop(sha256, None)
        if example is not None:
            self.examples[sha256] = example
        while len(self.examples) > EXAMPLES:
            del self.examples[next(iter(self.examples))]
        self.advice = self._fit()
        return self.advice

    def _fit(self) -> Advice:
        counted = self._counted()
        bad = [example.names for example in counted if example.label == "malicious"]
        if not bad:
            return NO_ADVICE
        good = [example.names for example in counted if example.label == "benign"]
        # A name that no malicious example has would only get a negative weight, that is none.
        keys = sorted(frozenset().union(*bad))
        learned, held = self._halves(bad)
        points = [*bad, *good, *learned]
        y = np.array([1.0] * len(bad) + [0.0] * (len(good) + len(learned)))
        weight = np.array([1.0] * (len(bad) + len(good)) + [self.anchor_weight] * len(learned))
        found = fit_weights(_table(points, keys), y, weight, self.shrink)
        weights = {key: _worth(key) * float(value) for key, value in zip(keys, found[:-1], strict=True) if value > 1e-6}
        advice = Advice(weights, float(found[-1]), 1.0)
        reached = max((advice.odds(names) for names in (*held, *good)), default=-MARGIN)
        advice.cut = max(self.least, float(expit(reached + MARGIN)))
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

    def _halves(self, bad: Sequence[Names]) -> tuple[list[Names], list[Names]]:
        """Anchors to learn from and to set the cut by, without those that share a rare name with a malicious file."""
        counts = Counter(name for names in self.anchors.values() for name in names)
        most = max(2.0, RARE * len(self.anchors))
        rare = {name for names in bad for name in names if counts[name] <= most}
        halves: tuple[list[Names], list[Names]] = ([], [])
        for key, names in self.anchors.items():
            if rare.isdisjoint(names):
                halves[int(key, 16) & 1].append(names)
        return halves

    def to_state(self) -> dict[str, Any]:
        """The whole state as JSON values."""
        return {
            "examples": [
                [sha256, example.label, example.person, sorted(example.names)]
                for sha256, example in self.examples.items()
            ],
            "anchors": [[key, sorted(names)] for key, names in self.anchors.items()],
            "advice": self.advice.to_state(),
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Suspicion:
        """Read :meth:`to_state`'s values. Raises KeyError, TypeError or ValueError when they are something else."""
        suspicion = cls()
        for sha256, label, person, names in state["examples"]:
            suspicion.examples[sha256] = Example(label, person, frozenset(map(int, names)))
        suspicion.anchors = {str(key): frozenset(map(int, names)) for key, names in state["anchors"]}
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


def _table(points: Sequence[Names], keys: Sequence[int]) -> csr_matrix:
    places = {key: place for place, key in enumerate(keys)}
    cells = [(row, places[name]) for row, names in enumerate(points) for name in sorted(names) if name in places]
    rows, columns = [row for row, _ in cells], [column for _, column in cells]
    values = [_worth(keys[column]) for column in columns]
    return csr_matrix((values, (rows, columns)), shape=(len(points), len(keys)), dtype=np.float64)


def _worth(key: int) -> float:
    return HABIT if key >= HABITS else 1.0
