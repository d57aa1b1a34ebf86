"""Scanning with several processes: what happens when one of them dies."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from safepickle.workers import Settings, _Worker
from tests.cli import HOSTILE, write


@pytest.fixture
def worker() -> Iterator[_Worker]:
    worker = _Worker(Settings())
    yield worker
    worker.close()


def test_a_process_that_dies_costs_one_file_and_is_started_again(worker: _Worker, tmp_path: Path) -> None:
    path = str(write(tmp_path, model=HOSTILE) / "model.pkl")
    before = worker.scan(path)
    assert before["verdict"] == "malicious"
    assert worker._process is not None
    worker._process.kill()
    lost = worker.scan(path)
    assert (lost["verdict"], lost["complete"]) == ("incomplete", False)
    assert "signal 9" in lost["oddities"][0]["detail"]
    assert worker.scan(path) == before


def test_a_worker_that_was_closed_starts_no_process_any_more(worker: _Worker, tmp_path: Path) -> None:
    worker.close()
    answer = worker.scan(str(write(tmp_path, model=HOSTILE) / "model.pkl"))
    assert answer["verdict"] == "incomplete"
    assert worker._process is None
