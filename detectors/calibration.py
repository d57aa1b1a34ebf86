"""Margins to probabilities, and probabilities to thresholds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, log_expit
from sklearn.isotonic import IsotonicRegression

from .base import Floats, Labels

_ISOTONIC_SHARE = 0.999
_FOLDS = 5
_KNOTS = 256


@dataclass(frozen=True)
class Calibration:
    """``blend * curve(margin) + (1 - blend) * sigmoid(slope * margin + shift)``, rising in the margin.

    Platt scaling has `blend` 0. Isotonic regression keeps a trace of the sigmoid, because its steps alone would make
    different files equal and leave no room for a threshold between them.

    Parameters
    ----------
    slope, shift, blend
        As in the formula; `slope` >= 0.
    margin, probability
        Knots of the curve, float64[k]; empty for Platt scaling.
    """

    slope: float
    shift: float
    blend: float
    margin: Floats
    probability: Floats

    def __call__(self, margins: Floats) -> Floats:
        """Calibrate float64[n] margins."""
        smooth = np.asarray(expit(self.slope * margins + self.shift), dtype=np.float64)
        if not self.blend:
            return smooth
        return self.blend * np.interp(margins, self.margin, self.probability) + (1.0 - self.blend) * smooth


def fit_calibration(margins: Floats, y: Labels, weight: Floats, kind: str, seed: int) -> Calibration:
    """Fit Platt scaling (Platt 1999) or isotonic regression (Zadrozny and Elkan 2002).

    Parameters
    ----------
    margins, y, weight
        float64[n], int[n] (1 malicious), float64[n].
    kind
        ``platt``, ``isotonic``, or ``auto``: whichever has the smaller log loss over 5 folds.
    seed
        Of the folds.
    """
    if kind == "auto":
        losses = {option: _held_out_loss(margins, y, weight, option, seed) for option in ("platt", "isotonic")}
        kind = min(losses, key=lambda option: losses[option])
    if kind not in ("platt", "isotonic"):
        raise ValueError(f"unknown calibration {kind!r}; known are platt, isotonic and auto")
    slope, shift = _platt(margins, y, weight)
    empty = np.empty(0)
    if kind == "platt":
        return Calibration(slope, shift, 0.0, empty, empty)
    fitted = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip").fit(margins, y, sample_weight=weight)
    knots = np.asarray(fitted.X_thresholds_, dtype=np.float64)
    levels = np.asarray(fitted.y_thresholds_, dtype=np.float64)
    kept = thin(knots, _KNOTS)
    return Calibration(slope, shift, _ISOTONIC_SHARE, knots[kept], np.maximum.accumulate(levels[kept]))


def _platt(margins: Floats, y: Labels, weight: Floats) -> tuple[float, float]:
    """Slope >= 0 and shift of the sigmoid, with Platt's targets, which are not quite 0 and 1."""
    positive, negative = float((y == 1).sum()), float((y == 0).sum())
    target = np.where(y == 1, (positive + 1) / (positive + 2), 1 / (negative + 2))

    def loss(parameters: Floats) -> tuple[float, Floats]:
        z = parameters[0] * margins + parameters[1]
        value = -(weight * (target * log_expit(z) + (1 - target) * log_expit(-z))).sum()
        gap = weight * (expit(z) - target)
        return float(value), np.asarray([(gap * margins).sum(), gap.sum()])

    found = minimize(loss, np.asarray([1.0, 0.0]), jac=True, method="L-BFGS-B", bounds=[(1e-6, 1e3), (-1e3, 1e3)])
    return float(found.x[0]), float(found.x[1])


def _held_out_loss(margins: Floats, y: Labels, weight: Floats, kind: str, seed: int) -> float:
    """Weighted log loss of rows that a calibration has not seen."""
    fold = np.empty(len(y), dtype=np.int64)
    order = np.random.default_rng(seed)
    for label in (0, 1):
        here = order.permutation(np.flatnonzero(y == label))
        fold[here] = np.arange(len(here)) % _FOLDS
    total = 0.0
    for held in range(_FOLDS):
        seen, judged = fold != held, fold == held
        if len(np.unique(y[seen])) < 2 or not judged.any():
            continue
        probability = fit_calibration(margins[seen], y[seen], weight[seen], kind, seed)(margins[judged])
        probability = np.clip(probability, 1e-6, 1 - 1e-6)
        likelihood = np.where(y[judged] == 1, np.log(probability), np.log1p(-probability))
        total -= float((weight[judged] * likelihood).sum())
    return total


def thin(values: Floats, most: int) -> Labels:
    """Indices of at most `most` of the values, evenly chosen, the first and last among them."""
    if len(values) <= most:
        return np.arange(len(values))
    return np.unique(np.linspace(0, len(values) - 1, most).round().astype(np.int64))


def threshold(scores: Floats, y: Labels, weight: Floats, rate: float, lean: float) -> tuple[float, float]:
    """Choose a score from which on at most `rate` of the benign weight lies, and as much malicious as that allows.

    The rate is a limit, not an aim: where no malicious row is lost, the threshold rises up to the gap below the next
    malicious row.

    Parameters
    ----------
    scores, y, weight
        float64[n] out-of-fold scores, int[n] (1 malicious), float64[n].
    rate
        False-positive rate, 0 to 1. One less than the share of one benign row puts the threshold above all of them:
        such a rate is aimed at, these rows cannot show it.
    lean
        Where in the gap: 0 at its lower end, 1 at the malicious row.

    Returns
    -------
    tuple
        The threshold, and the rate that it has on these rows.
    """
    order = np.argsort(-scores[y == 0], kind="stable")
    benign, shares = scores[y == 0][order], weight[y == 0][order]
    total = float(shares.sum())
    if not total > 0 or not 0 <= rate < 1:
        raise ValueError("a threshold needs benign rows and a rate from 0 to less than 1")
    allowed = int(np.searchsorted(np.cumsum(shares), rate * total * (1 + 1e-12), side="right"))
    highest_refused = float(benign[allowed]) if allowed < len(benign) else 0.0
    caught = scores[(y == 1) & (scores > highest_refused)]
    above = float(caught.min()) if len(caught) else max(1.0, highest_refused)
    below = max(highest_refused, float(scores[scores < above].max(initial=0.0)))
    chosen = below + lean * (above - below)
    if chosen <= below:
        chosen = float(np.nextafter(below, 2.0))
    return chosen, float(shares[benign >= chosen].sum() / total)
