"""One small data set, the six detectors fitted on it, and a bundle of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import make_classification

import detectors
from detectors.base import Detector
from tests.detectors.small import SMALL, WIDTH, make


@pytest.fixture(scope="session")
def table() -> tuple[Any, Any, Any]:
    """Rows float32[400, 120] with a constant and a yes/no column, labels, weights."""
    X, y = make_classification(400, WIDTH, n_informative=15, weights=[0.7], class_sep=1.5, random_state=0)
    X = X.astype(np.float32)
    X[:, 5] = 0
    X[:, 6] = X[:, 6] > 0
    return X, y.astype(np.int64), np.random.default_rng(1).uniform(0.5, 2.0, 400)


@pytest.fixture(scope="session")
def probes(table: tuple[Any, Any, Any]) -> Any:
    """Rows to score: usual ones, far ones, and the ends of float32."""
    X = table[0][:90].copy()
    X[20:40] *= 1e3
    X[40:60] *= 1e25
    X[60:64] = 0
    X[64] = 1e38
    X[65] = -1e38
    X[66] = np.finfo(np.float32).tiny
    return X


@pytest.fixture(scope="session")
def fitted(table: tuple[Any, Any, Any]) -> dict[str, Detector]:
    return {name: make(name).fit(*table) for name in SMALL}


@pytest.fixture(scope="session")
def scores(fitted: dict[str, Detector], table: tuple[Any, Any, Any]) -> dict[str, Any]:
    """Scores of all rows; in these tests they stand in for out-of-fold scores."""
    return {name: detector.score(table[0]) for name, detector in fitted.items()}


@pytest.fixture(scope="session")
def stacking(scores: dict[str, Any], table: tuple[Any, Any, Any]) -> detectors.Stacking:
    rates = {"suspicious": 0.01, "malicious": 0.001}
    return detectors.Stacking(calibration="isotonic").fit(scores, table[1], table[2], rates)


@pytest.fixture(scope="session")
def save(fitted: dict[str, Detector], stacking: detectors.Stacking) -> Callable[[Path], str]:
    """Write the bundle of the fitted detectors to a folder."""

    def write(path: Path) -> str:
        return detectors.save(
            path,
            detectors={name: detector.export() for name, detector in fitted.items()},
            stacking=stacking.export(),
            schema_version=3,
            names=[f"column {i}" for i in range(WIDTH)],
            prevalence={"collections.OrderedDict": 12},
        )

    return write


@pytest.fixture
def bundle(save: Callable[[Path], str], tmp_path: Path) -> Path:
    save(tmp_path / "bundle")
    return tmp_path / "bundle"
