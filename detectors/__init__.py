"""What learns: one module per algorithm, and the stacking that combines them.

Names are imported when they are first used: nobody waits for torch to train a random forest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .autoencoder import Autoencoder
    from .bags import Bags
    from .base import Detector, Exported
    from .bundle import save, save_with_thresholds
    from .catboost import CatBoost
    from .isolation_forest import IsolationForest
    from .local_outlier_factor import LocalOutlierFactor
    from .monotone import Monotone
    from .one_class_svm import OneClassSVM
    from .per_call import PerCall
    from .random_forest import RandomForest
    from .stacking import Stacking

__all__ = [
    "DETECTORS",
    "Autoencoder",
    "Bags",
    "CatBoost",
    "Detector",
    "Exported",
    "IsolationForest",
    "LocalOutlierFactor",
    "Monotone",
    "OneClassSVM",
    "PerCall",
    "RandomForest",
    "Stacking",
    "create",
    "save",
    "save_with_thresholds",
]

DETECTORS = {
    "random_forest": "RandomForest",
    "catboost": "CatBoost",
    "monotone": "Monotone",
    "per_call": "PerCall",
    "autoencoder": "Autoencoder",
    "isolation_forest": "IsolationForest",
    "local_outlier_factor": "LocalOutlierFactor",
    "one_class_svm": "OneClassSVM",
}
"""Module and class of each detector."""

_HOME = {
    **{value: key for key, value in DETECTORS.items()},
    "Bags": "bags",
    "Detector": "base",
    "Exported": "base",
    "Stacking": "stacking",
    "save": "bundle",
    "save_with_thresholds": "bundle",
}


def create(name: str, parameters: Mapping[str, Any], columns: Sequence[int], seed: int) -> Detector:
    """Make an unfitted detector.

    Parameters
    ----------
    name
        One of :data:`DETECTORS`.
    parameters
        Its hyper-parameters; those not named keep their defaults.
    columns, seed
        See :class:`detectors.base.Detector`.

    Raises
    ------
    ValueError
        When the name or a parameter is unknown.
    """
    if name not in DETECTORS:
        raise ValueError(f"unknown detector {name!r}; known are {', '.join(DETECTORS)}")
    make = getattr(import_module(f"{__name__}.{name}"), DETECTORS[name])
    try:
        made: Detector = make(**parameters, columns=columns, seed=seed)
    except TypeError as error:
        raise ValueError(f"parameters of {name}: {error}") from None
    return made


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
