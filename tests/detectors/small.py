"""Small detectors that fit in a moment."""

from __future__ import annotations

from typing import Any

import detectors
from detectors.base import Detector

WIDTH = 120
COLUMNS = [column for column in range(WIDTH) if column % 7 != 3]
SMALL: dict[str, dict[str, Any]] = {
    "random_forest": {"trees": 25, "depth": 8},
    "catboost": {"trees": 40, "depth": 4},
    "monotone": {"trees": 40, "depth": 4},
    "autoencoder": {"epochs": 8, "hidden": (24, 8)},
    "isolation_forest": {"trees": 30},
    "local_outlier_factor": {"reference": 150, "neighbours": 10},
    "one_class_svm": {"reference": 150},
}


def make(name: str, **changes: Any) -> Detector:
    return detectors.create(name, {**SMALL[name], **changes}, COLUMNS, seed=7)
