"""A rate that rises is noticed soon, and one that does not hardly ever."""

from __future__ import annotations

import json
import random

import pytest

from detectors.surge import MEMORY, Surge


def stream(rate: float, number: int, seed: int) -> list[float]:
    chance = random.Random(seed)
    return [float(chance.random() < rate) for _ in range(number)]


@pytest.mark.parametrize("rate", [0.0, 0.01, 0.1, 0.2])
def test_a_rate_that_becomes_half_or_more_is_noticed_within_fifty_values(rate: float) -> None:
    late = 0
    for seed in range(20):
        surge = Surge()
        for value in stream(rate, 600, seed):
            surge.update(value)
        late += not any(surge.update(value) for value in stream(0.5 + rate / 2, 50, 100 + seed))
    assert late <= 1


@pytest.mark.parametrize("rate", [0.0, 0.01, 0.1, 0.3, 0.65, 0.9, 1.0])
def test_a_rate_that_stays_raises_an_alarm_in_less_than_one_of_two_thousand_values(rate: float) -> None:
    surge = Surge()
    assert sum(surge.update(value) for value in stream(rate, 20_000, 7)) <= 10


def test_a_few_rare_ones_in_a_row_are_no_change_of_rate() -> None:
    surge = Surge()
    assert not any(surge.update(value) for value in [*[0.0] * 1000, *[1.0] * 6])


def test_what_rises_does_not_count_as_usual_until_it_has_fallen() -> None:
    surge = Surge()
    for _ in range(500):
        surge.update(0.0)
    for _ in range(4):
        surge.update(1.0)
    assert (surge.usual, surge.ones, surge.risen) == (500.0, 0.0, 4)
    for _ in range(30):
        surge.update(0.0)
    assert (surge.usual, surge.ones, surge.rise) == (534.0, 4.0, 0)


def test_a_rate_that_falls_raises_no_alarm() -> None:
    surge = Surge()
    assert not any(surge.update(value) for value in [*stream(0.3, 600, 1), *stream(0.05, 300, 2)])


def test_the_state_goes_on_bit_for_bit_and_its_counts_are_bounded() -> None:
    values = stream(0.3, MEMORY * 2, 3)
    whole, cut = Surge(2.0), Surge(2.0)
    for place, value in enumerate(values):
        whole.update(value)
        cut.update(value)
        if place % 300 == 0:
            cut = Surge.from_state(json.loads(json.dumps(cut.to_state())))
    assert json.dumps(cut.to_state()) == json.dumps(whole.to_state())
    assert whole.usual <= MEMORY
