"""What every test may use, and one check: that a compiled core is not older than its source."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parent.parent

# The same examples each time, so that a commit passes or fails for what it is; `make fuzz` looks for new ones.
settings.register_profile("repeatable", derandomize=True)
settings.load_profile("repeatable")


def pytest_configure(config: pytest.Config) -> None:
    for built in (ROOT / "safepickle").rglob("*.so"):
        source = built.with_name(built.name.partition(".")[0] + ".py")
        if built.stat().st_mtime < source.stat().st_mtime:
            raise pytest.UsageError(f"{built.name} is older than {source.name}: run `make build`, or delete it")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files of slow tests begin first, so that no process is left alone with them at the end."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings of whoever runs the tests must not change what they test."""
    for name in ("SAFEPICKLE_REGISTRY", "NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def corpus() -> Path:
    """Folder of real files, partly hostile, with a manifest.csv. Its files are read and never loaded."""
    folder = os.environ.get("SAFEPICKLE_CORPUS")
    if not folder:
        pytest.skip("SAFEPICKLE_CORPUS names no folder of real files")
    return Path(folder)
