"""Conformal credibility: whether a file is like anything that the ensemble has seen, benign or malicious."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .base import Floats, Labels
from .ranks import benign_ranks

Knots = tuple[Floats, Floats]


@dataclass(frozen=True)
class Credibility:
    """The larger of two conformal p-values, one for each label.

    The nonconformity to the benign is the most that the ensemble's score or any novelty score lies in the tail of the
    benign rows; that to the malicious is how low the score is. A p-value is the share of a label's rows (by weight)
    that conform as little: of new benign files no more than a share q gets a credibility of q or less, as long as
    they are like those that it was fitted on. A file of low credibility is like neither: a verdict on it is a guess.

    Parameters
    ----------
    tail
        Knots from the ensemble's score to ``-log10`` of the benign share that reaches it.
    benign
        Knots from the nonconformity to ``-log10`` of the benign share that has as much.
    malicious
        Knots from the negative score to ``-log10`` of the malicious share that scores as little.

    References
    ----------
    Vovk, Gammerman, Shafer (2005). Algorithmic Learning in a Random World. Springer.
    """

    tail: Knots
    benign: Knots
    malicious: Knots

    def __call__(self, scores: Floats, novelty: Floats) -> Floats:
        """Credibilities, float64[n] from 0 to 1.

        Parameters
        ----------
        scores
            float64[n] of the ensemble.
        novelty
            float64[n]: the highest rank that a novelty score has among benign rows.
        """
        strange = np.maximum(np.interp(scores, *self.tail), novelty)
        exponent = np.minimum(np.interp(strange, *self.benign), np.interp(-scores, *self.malicious))
        return np.asarray(10.0 ** -exponent.clip(0.0), dtype=np.float64)

    def arrays(self) -> dict[str, NDArray[np.float64]]:
        """Knots by their names in a bundle."""
        return {
            f"credible.{name}.{axis}": values
            for name, knots in (("tail", self.tail), ("benign", self.benign), ("malicious", self.malicious))
            for axis, values in zip(("at", "rank"), knots, strict=True)
        }


def fit_credibility(scores: Floats, novelty: Mapping[str, Floats], y: Labels, weight: Floats) -> Credibility:
    """Fit on rows that neither the detectors nor the ensemble were fitted on.

    Parameters
    ----------
    scores
        float64[n] of the ensemble.
    novelty
        float64[n] ranks among benign rows, by novelty detector.
    y, weight
        int[n] (1 malicious), float64[n].
    """
    benign, malicious = y == 0, y == 1
    tail = benign_ranks(scores[benign], weight[benign])
    strange = np.maximum(np.interp(scores[benign], *tail), highest(novelty, len(scores))[benign])
    return Credibility(
        tail,
        benign_ranks(strange, weight[benign]),
        benign_ranks(-scores[malicious], weight[malicious]),
    )


def highest(novelty: Mapping[str, Floats], rows: int) -> Floats:
    """The highest of some ranks of each row, float64[n]; 0 without any."""
    return np.asarray(np.max([np.zeros(rows), *novelty.values()], axis=0), dtype=np.float64)
