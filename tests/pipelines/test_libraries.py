"""Files that libraries save: what the writer does inside an environment, and what becomes of its files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import yaml

from pipelines.libraries.__main__ import ENVIRONMENTS, LOCKS
from safepickle.scan import trace_bytes

WRITER = ENVIRONMENTS.with_name("save_objects.py")
LIBRARY = """
import enum, time

class Plain:
    def __init__(self, size=3):
        self.size = size

class Fitted:
    def __init__(self, n_parts, name):
        self.n_parts, self.name = n_parts, name
    def fit(self, X, y):
        self.seen_ = X.shape

class Colour(enum.Enum):
    RED = 1

class Endless:
    def __init__(self):
        time.sleep(60)

class Unsaveable:
    def __init__(self):
        self.made = lambda: None

class Failing:
    def __init__(self):
        raise RuntimeError("no")
"""


def saved(folder: Path, seed: str = "1") -> list[dict[str, str]]:
    (folder / "littlelib").mkdir(exist_ok=True)
    (folder / "littlelib" / "__init__.py").write_text("")
    (folder / "littlelib" / "models.py").write_text(LIBRARY)
    out = folder / f"out{seed}"
    out.mkdir()
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(folder), "PYTHONHASHSEED": "0"}
    done = subprocess.run(
        [sys.executable, str(WRITER), "littlelib", str(out), "--seed", seed], cwd=folder, env=environment,
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_the_writer_saves_what_can_be_made_and_goes_on_after_what_cannot(tmp_path: Path) -> None:
    said = saved(tmp_path)
    names = {entry["class"].rpartition(".")[2] for entry in said}
    assert {"Plain", "Fitted", "Colour"} <= names | {"Unsaveable"}
    assert not names & {"Endless", "Failing"}
    for entry in said:
        trace = trace_bytes(Path(entry["file"]).read_bytes())
        assert trace.complete, entry
        assert any("littlelib.models" in one.name for stream in trace.walk() for one in stream.imports), entry


def test_what_can_be_fitted_is_saved_fitted_by_some_seed(tmp_path: Path) -> None:
    states = b"".join(
        Path(entry["file"]).read_bytes()
        for seed in "234"
        for entry in saved(tmp_path, seed)
        if "Fitted" in entry["class"]
    )
    assert b"seen_" in states


def test_every_environment_is_pinned() -> None:
    environments = yaml.safe_load(ENVIRONMENTS.read_text(encoding="utf-8"))
    for name, settings in environments.items():
        assert set(settings) == {"python", "install", "more", "ask"}, name
        lock = LOCKS / f"{name}.txt"
        assert lock.exists(), f"{name} was never made; run `make libraries`"
        lines = lock.read_text(encoding="utf-8").splitlines()
        assert lines, name
        assert all("==" in line or " @ " in line for line in lines), name


def test_the_seed_holds_distinct_files_of_many_libraries_and_versions() -> None:
    import pandas as pd

    frame = pd.read_parquet("data/seed/libraries.parquet")
    assert frame["trace"].is_unique
    assert len(frame) >= 2000
    assert frame["note"].nunique() >= 40
    assert frame["group"].nunique() >= 40
    assert set(frame["label"]) == {"benign"}


def test_the_writer_needs_nothing_of_this_project() -> None:
    source = WRITER.read_text(encoding="utf-8")
    assert "safepickle" not in source
    assert "pipelines" not in source
