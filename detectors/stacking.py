"""Stacking: the detectors' out-of-fold scores combined to one calibrated probability with thresholds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, log_expit

from .base import Exported, Floats, Labels, both_classes
from .calibration import fit_calibration, threshold
from .credibility import Credibility, fit_credibility, highest
from .floor import fit_floor, weighted_sum
from .ranks import benign_ranks

NOVELTY = ("autoencoder", "isolation_forest", "local_outlier_factor", "one_class_svm")
"""Detectors whose scores have no scale of their own and are ranked among benign rows."""

FLOORS = ("monotone", "per_call")
"""Detectors that content added to a file can only raise: together, they are a floor under the combination."""

_LEAN = {"suspicious": 0.1, "malicious": 0.5}


class Stacking:
    """Logistic regression, without negative weights, over transformed detector scores.

    A probability is turned into clipped log odds. A novelty score is turned into ``-log10`` of the share of benign
    rows that score as high: 1 is a benign file in ten, 3 in a thousand. Both rise with the score, so a detector that
    sees more never lowers the result.

    Parameters
    ----------
    ranked
        Names of the detectors whose scores are ranked; all others give probabilities.
    floors
        Names of the detectors, where there are such, that make the floor under the result (:mod:`detectors.floor`).
    bound
        Log odds are clipped to -`bound` .. `bound`.
    shrink
        L2 regularisation of the weights, relative to the mean loss of a row.
    calibration
        ``platt``, ``isotonic`` or ``auto``, see :func:`detectors.calibration.fit_calibration`.
    seed
        Of the folds that choose the calibration.
    least_credibility
        What is less credible (:mod:`detectors.credibility`) is suspicious at least.

    References
    ----------
    Wolpert, D. H. (1992). Stacked generalization. Neural Networks 5, 241-259.
    """

    def __init__(
        self,
        *,
        ranked: Sequence[str] = NOVELTY,
        floors: Sequence[str] = FLOORS,
        bound: float = 7.0,
        shrink: float = 1e-3,
        calibration: str = "auto",
        seed: int = 0,
        least_credibility: float = 0.0,
    ) -> None:
        self.ranked = tuple(ranked)
        self.floors = tuple(floors)
        self.bound = float(bound)
        self.shrink = float(shrink)
        self.calibration = calibration
        self.seed = int(seed)
        self.least_credibility = float(least_credibility)
        self.weights: dict[str, float] = {}
        self.intercept = 0.0
        self.thresholds: dict[str, float] = {}
        self.rates: dict[str, float] = {}

    def fit(
        self,
        scores: Mapping[str, Floats],
        y: Labels,
        weight: Floats,
        fpr: Mapping[str, float],
    ) -> Self:
        """Learn the combination.

        Parameters
        ----------
        scores
            float64[n] out-of-fold scores by detector: of rows that the detector was not fitted on.
        y, weight
            int[n] (1 malicious), float64[n].
        fpr
            False-positive rates that the thresholds ``suspicious`` and ``malicious`` may have on benign rows.

        Raises
        ------
        ValueError
            When sizes differ, a class is missing, or ``malicious`` may have more false positives than ``suspicious``.
        """
        y = np.asarray(y, dtype=np.int64)
        weight = np.asarray(weight, dtype=np.float64)
        self._check(scores, y, weight, fpr)
        self._ranks = {
            name: benign_ranks(np.asarray(values, dtype=np.float64)[y == 0], weight[y == 0])
            for name, values in scores.items()
            if name in self.ranked
        }
        table = np.column_stack([self._transform(name, values) for name, values in scores.items()])
        found = _non_negative_logistic(table, y, weight, self.shrink)
        self.intercept = float(found[-1])
        self.weights = dict(zip(scores, map(float, found[:-1]), strict=True))
        margins = self._margins(scores)
        self._calibration = fit_calibration(margins, y, weight, self.calibration, self.seed)
        self._floor = None
        if floors := {name: self._transform(name, scores[name]) for name in self.floors if name in scores}:
            solved = _non_negative_logistic(np.column_stack(list(floors.values())), y, weight, self.shrink)
            weights = dict(zip(floors, map(float, solved[:-1]), strict=True))
            self._floor = fit_floor(weights, floors, self._calibration(margins), y, weight)
        combined = self.score(scores)
        self._credibility: Credibility = fit_credibility(combined, self._novelty(scores), y, weight)
        for tier, lean in _LEAN.items():
            self.thresholds[tier], self.rates[tier] = threshold(combined, y, weight, fpr[tier], lean)
        return self

    def score(self, scores: Mapping[str, Floats]) -> Floats:
        """Combine float64[n] scores by detector: calibrated probabilities float64[n]."""
        combined = self._calibration(self._margins(scores))
        if self._floor is None:
            return combined
        odds = {name: self._transform(name, scores[name]) for name in self._floor.weights}
        return np.maximum(combined, self._floor(odds))

    def credibility(self, scores: Mapping[str, Floats]) -> Floats:
        """How much rows are like anything that was learned from, float64[n]: see :mod:`detectors.credibility`."""
        combined = self.score(scores)
        return self._credibility(combined, highest(self._novelty(scores), len(combined)))

    def export(self) -> Exported:
        """Export for :class:`safepickle.ensemble.Stack`; `meta["thresholds"]` goes with it."""
        arrays: dict[str, Floats] = self._credibility.arrays()
        parts: dict[str, dict[str, Any]] = {}
        for name, weight in self.weights.items():
            if name in self._ranks:
                parts[name] = {"transform": "rank", "weight": weight}
                arrays[f"{name}.raw"], arrays[f"{name}.rank"] = self._ranks[name]
            else:
                parts[name] = {"transform": "logit", "weight": weight, "bound": self.bound}
        if self._calibration.blend:
            arrays["margin"], arrays["probability"] = self._calibration.margin, self._calibration.probability
        if self._floor is not None:
            arrays["floor.margin"], arrays["floor.probability"] = self._floor.margin, self._floor.probability
        meta = {
            "intercept": self.intercept,
            "detectors": parts,
            "calibration": {
                "kind": "isotonic" if self._calibration.blend else "platt",
                "slope": self._calibration.slope,
                "shift": self._calibration.shift,
                "blend": self._calibration.blend,
            },
            "floor": {} if self._floor is None else {name: {"weight": w} for name, w in self._floor.weights.items()},
            "thresholds": {**self.thresholds, "credible": self.least_credibility},
            "rates": dict(self.rates),
        }
        return Exported(meta, arrays)

    def _novelty(self, scores: Mapping[str, Floats]) -> dict[str, Floats]:
        return {name: self._transform(name, scores[name]) for name in self._ranks}

    def _transform(self, name: str, values: Floats) -> Floats:
        raw = np.asarray(values, dtype=np.float64)
        if name in self._ranks:
            return np.asarray(np.interp(raw, *self._ranks[name]), dtype=np.float64)
        with np.errstate(divide="ignore"):
            odds = np.log(raw) - np.log1p(-raw)
        return np.asarray(np.clip(odds, -self.bound, self.bound), dtype=np.float64)

    def _margins(self, scores: Mapping[str, Floats]) -> Floats:
        if set(scores) != set(self.weights):
            raise ValueError(f"scores of {sorted(scores)} given, those of {sorted(self.weights)} are combined")
        # summed in one order whatever the order of the mapping
        return self.intercept + weighted_sum(
            self.weights, {name: self._transform(name, scores[name]) for name in scores}
        )

    def _check(self, scores: Mapping[str, Floats], y: Labels, weight: Floats, fpr: Mapping[str, float]) -> None:
        both_classes(y)
        if not scores:
            raise ValueError("no detector scores to combine")
        for name, values in scores.items():
            if np.shape(values) != y.shape or weight.shape != y.shape or not np.isfinite(values).all():
                raise ValueError(f"{len(y)} finite scores of {name} are needed, and as many weights")
            if name not in self.ranked and (np.min(values) < 0 or np.max(values) > 1):
                raise ValueError(f"scores of {name} are no probabilities; name it in `ranked`")
        if set(fpr) != {"suspicious", "malicious"} or fpr["malicious"] > fpr["suspicious"]:
            raise ValueError("fpr names suspicious and malicious, the latter with the smaller rate")


def _non_negative_logistic(table: Floats, y: Labels, weight: Floats, shrink: float) -> Floats:
    """Weights (>= 0) and, last, the intercept that minimise the weighted log loss plus an L2 term."""
    share = weight / weight.sum()
    columns = table.shape[1]

    def loss(parameters: Floats) -> tuple[float, Floats]:
        z = table @ parameters[:-1] + parameters[-1]
        value = -(share * np.where(y == 1, log_expit(z), log_expit(-z))).sum()
        value += shrink * np.square(parameters[:-1]).sum() / 2
        gap = share * (expit(z) - y)
        slope = np.append(table.T @ gap + shrink * parameters[:-1], gap.sum())
        return float(value), slope

    start = np.append(np.full(columns, 1.0 / columns), 0.0)
    bounds = [(0.0, 1e3)] * columns + [(-1e3, 1e3)]
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 500})
    return np.asarray(found.x, dtype=np.float64)
