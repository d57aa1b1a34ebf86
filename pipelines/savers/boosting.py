"""xgboost, lightgbm and catboost: boosters and their scikit-learn faces."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import catboost
import lightgbm
import numpy as np
import xgboost

from ..assemble.conversion import dumps
from .plain import config
from .saved import Saved


def _data(rng: Random) -> tuple[Any, Any]:
    features = np.random.default_rng(rng.randrange(2**32)).standard_normal((40, 4))
    return features, (features[:, 0] > 0).astype(int)


def _xgboost_model(rng: Random) -> Any:
    kind = rng.choice((xgboost.XGBClassifier, xgboost.XGBRegressor))
    return kind(n_estimators=rng.randrange(1, 6), max_depth=2, n_jobs=1).fit(*_data(rng))


def _xgboost_booster(rng: Random) -> Any:
    features, target = _data(rng)
    parameters = {"max_depth": 2, "nthread": 1, "objective": "binary:logistic"}
    return xgboost.train(parameters, xgboost.DMatrix(features, target, nthread=1), num_boost_round=rng.randrange(1, 5))


def _lightgbm_model(rng: Random) -> Any:
    kind = rng.choice((lightgbm.LGBMClassifier, lightgbm.LGBMRegressor))
    return kind(n_estimators=rng.randrange(1, 6), num_leaves=4, n_jobs=1, verbose=-1).fit(*_data(rng))


def _lightgbm_booster(rng: Random) -> Any:
    features, target = _data(rng)
    parameters = {"objective": "binary", "num_leaves": 4, "verbose": -1, "num_threads": 1}
    return lightgbm.train(parameters, lightgbm.Dataset(features, target), num_boost_round=rng.randrange(1, 5))


def _catboost_model(rng: Random) -> Any:
    kind = rng.choice((catboost.CatBoostClassifier, catboost.CatBoostRegressor))
    found = kind(
        iterations=rng.randrange(1, 5), depth=2, verbose=0, allow_writing_files=False, thread_count=1, random_seed=1
    )
    metadata = found.fit(*_data(rng)).get_metadata()
    metadata["model_guid"] = "0-0-0-0"  # drawn anew for each model otherwise
    metadata["train_finish_time"] = "2024-01-01T00:00:00Z"
    return found


MAKERS: dict[str, tuple[str, Callable[[Random], Any]]] = {
    "xgboost-model": ("xgboost", _xgboost_model),
    "xgboost-booster": ("xgboost", _xgboost_booster),
    "lightgbm-model": ("lightgbm", _lightgbm_model),
    "lightgbm-booster": ("lightgbm", _lightgbm_booster),
    "catboost-model": ("catboost", _catboost_model),
}


def produce(rng: Random, count: int, pool: str) -> Iterator[Saved]:
    """Yield pickles of boosters."""
    kinds = list(MAKERS)
    for index in range(count):
        kind = kinds[index % len(kinds)]
        library, make = MAKERS[kind]
        found = make(rng)
        data = dumps(found if rng.random() < 0.7 else {"model": found, **config(rng, 0)}, rng.choice((2, 4, 4, 5)))
        yield Saved(kind, library, data, data)
