"""Tiny bundles, and stores of registered versions."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from detectors import RandomForest, Stacking, save
from registry import Registry, Version

MakeBundle = Callable[[int], Path]
Register = Callable[..., Version]


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SAFEPICKLE_REGISTRY", "SAFEPICKLE_REGISTRY_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> MakeBundle:
    """Return a function that gives the folder of a bundle; another seed is another model."""
    root = tmp_path_factory.mktemp("bundles")

    def make(seed: int) -> Path:
        folder = root / str(seed)
        if not folder.exists():
            chance = np.random.default_rng(seed)
            y = np.arange(80) % 2
            rows = (chance.normal(size=(80, 3)) + y[:, None]).astype(np.float32)
            forest = RandomForest(trees=3, columns=range(3), seed=seed).fit(rows, y, np.ones(80))
            scores = {"random_forest": forest.score(rows)}
            stacking = Stacking(seed=seed).fit(scores, y, np.ones(80), {"suspicious": 0.1, "malicious": 0.05})
            save(
                folder,
                detectors={"random_forest": forest.export()},
                stacking=stacking.export(),
                schema_version=1,
                names=["a", "b", "c"],
                prevalence={},
            )
        return folder

    return make


@pytest.fixture(scope="session")
def register(bundle: MakeBundle) -> Register:
    """Return a function that registers the bundle of a seed, with what is named replaced."""

    def add(registry: Registry, seed: int, **changes: Any) -> Version:
        fields: dict[str, Any] = {
            "onnx": {"random_forest": b"onnx of seed %d" % seed},
            "dataset_hash": "data",
            "params": {"seed": seed},
            "git_commit": "0123456789abcdef",
            "schema": 1,
            "metrics": {"recall": 0.97},
            "card": f"# Model {seed}\n",
        }
        return registry.register(**{"bundle": bundle(seed), **fields, **changes})

    return add


@pytest.fixture(scope="session")
def _three_versions(tmp_path_factory: pytest.TempPathFactory, register: Register) -> Path:
    store = Registry(tmp_path_factory.mktemp("registry") / "store")
    for seed in (1, 2, 3):
        register(store, seed)
    return store.root


@pytest.fixture
def registry(tmp_path: Path, _three_versions: Path) -> Registry:
    """A store with versions 1 to 3, of which none has an alias."""
    shutil.copytree(_three_versions, tmp_path / "store")
    return Registry(tmp_path / "store")
