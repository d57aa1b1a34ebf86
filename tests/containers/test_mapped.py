"""A map of a file finds and hands out what bytes would, however its pages come and go."""

from __future__ import annotations

import random
from mmap import ACCESS_READ
from pathlib import Path

import pytest

from safepickle import mapped
from safepickle.mapped import Mapped


@pytest.fixture
def pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[bytes, Mapped]:
    """Bytes, and a map of the same that searches in steps of seven bytes and gives back its pages all the time."""
    monkeypatch.setattr(mapped, "STEP_BYTES", 7)
    monkeypatch.setattr(mapped, "KEPT_BYTES", 1)
    data = bytes(random.Random(5).choices(b"abc", k=5000)) + b"dcba" + bytes(100)
    path = tmp_path / "data"
    path.write_bytes(data)
    with path.open("rb") as file:
        return data, Mapped(file.fileno(), 0, access=ACCESS_READ)


def test_it_finds_what_bytes_find(pair: tuple[bytes, Mapped]) -> None:
    data, map_ = pair
    rng = random.Random(7)
    for _ in range(2000):
        start, end = rng.randrange(len(data)), rng.randrange(len(data) + 50)
        needle = bytes(rng.choices(b"abcd", k=rng.randrange(1, 7)))
        assert map_.find(needle, start, end) == data.find(needle, start, end)
        assert map_.rfind(needle, start, end) == data.rfind(needle, start, end)
    assert map_.find(b"dcba") == data.find(b"dcba") > 0
    assert map_.rfind(b"a") == data.rfind(b"a") > 0


def test_it_hands_out_what_bytes_hand_out(pair: tuple[bytes, Mapped]) -> None:
    data, map_ = pair
    rng = random.Random(8)
    for _ in range(200):
        start, end = rng.randrange(len(data)), rng.randrange(len(data) + 50)
        assert map_[start:end] == data[start:end]
        assert map_[start] == data[start]
    assert bytes(memoryview(map_)) == data
