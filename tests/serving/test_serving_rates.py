"""How often one key may ask."""

from __future__ import annotations

import pytest

from serving import rates
from serving.rates import Rates


def test_a_key_may_ask_a_burst_at_once_and_then_at_its_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    moment = 100.0
    monkeypatch.setattr(rates.time, "monotonic", lambda: moment)
    limit = Rates(2.0, 5)
    assert [limit.take(1) for _ in range(6)] == [0, 0, 0, 0, 0, 0.5]
    assert limit.take(2) == 0
    moment += 0.5
    assert limit.take(1) == 0
    assert limit.take(1) > 0
    moment += 1000
    assert [limit.take(1) == 0 for _ in range(6)] == [True] * 5 + [False]


def test_whether_there_is_a_token_is_told_without_taking_it(monkeypatch: pytest.MonkeyPatch) -> None:
    moment = 100.0
    monkeypatch.setattr(rates.time, "monotonic", lambda: moment)
    limit = Rates(2.0, 1)
    assert [limit.wait("a"), limit.wait("a"), limit.take("a"), limit.wait("a"), limit.wait("b")] == [0, 0, 0, 0.5, 0]
    moment += 0.5
    assert limit.wait("a") == 0


def test_without_a_rate_nobody_waits() -> None:
    limit = Rates(0, 1)
    assert {limit.take(None) for _ in range(100)} == {0}


def test_keys_without_end_need_no_memory_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "MAX_KEYS", 10)
    limit = Rates(1.0, 1)
    for key in range(100):
        limit.take(key)
    assert len(limit._buckets) <= 10
