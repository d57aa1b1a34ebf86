"""Monotone CatBoost: boosting that may only rise with what only grows when content is added to a file.

It sees the monotone features alone and is held to rise with each, so that nothing that is put around a payload lowers
its score. The ensemble uses it as a floor.
"""

from __future__ import annotations

from collections.abc import Sequence

from .catboost import CatBoost


class Monotone(CatBoost):
    """CatBoost with every constraint increasing.

    Parameters
    ----------
    columns
        Columns of features in the schema's monotone subset.
    trees, depth, rate, shrink, borders, seed
        See :class:`detectors.catboost.CatBoost`.
    """

    def __init__(
        self,
        *,
        trees: int = 200,
        depth: int = 5,
        rate: float = 0.1,
        shrink: float = 3.0,
        borders: int = 32,
        columns: Sequence[int],
        seed: int,
    ) -> None:
        super().__init__(
            trees=trees, depth=depth, rate=rate, shrink=shrink, borders=borders, columns=columns, seed=seed
        )
        self._model.set_params(monotone_constraints=[1] * len(columns))
