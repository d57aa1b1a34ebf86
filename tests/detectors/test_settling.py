"""Thresholds are raised as far as old verdicts need, and no further than something else holds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.settling import lowest, raised, told

SHARES = st.floats(0.0, 1.0)


@given(SHARES, st.lists(SHARES, max_size=12), SHARES)
def test_a_threshold_rises_above_every_cleared_score_or_to_what_holds(
    threshold: float, scores: list[float], limit: float
) -> None:
    cleared = np.array(scores, dtype=np.float64)
    found = raised(threshold, cleared, lambda level: level <= limit)
    assert found >= threshold
    assert found == threshold or found <= limit
    free = raised(threshold, cleared, lambda level: True)
    assert not (cleared >= free).any(), "without a limit none is flagged"
    if free <= limit or free == threshold:
        assert found == free
    elif found > threshold:
        assert cleared[cleared >= found].min() + 1e-9 > limit, "one step more would not hold"


def test_a_threshold_that_flags_none_of_them_stays() -> None:
    assert raised(0.5, np.array([0.1, 0.4999]), lambda level: True) == 0.5
    assert raised(0.5, np.zeros(0), lambda level: True) == 0.5


def test_spared_scores_are_the_highest() -> None:
    scores = np.array([0.9, 0.2, 0.7, 0.1])
    assert lowest(scores, 0).tolist() == [0.1, 0.2, 0.7, 0.9]
    assert lowest(scores, 1).tolist() == [0.1, 0.2, 0.7]
    assert lowest(scores, -3).tolist() == [0.1, 0.2, 0.7, 0.9]


@pytest.mark.parametrize("limited", [False, True])
def test_what_was_raised_is_told_with_its_reason(limited: bool) -> None:
    record = {
        "version": 4, "old_benign": 900, "flagged": [7, 1], "limited": limited,
        "levels": {"suspicious": [0.4, 0.5], "malicious": [0.8, 0.8], "credible": [0.001, 0.001]},
    }  # fmt: skip
    text = told({"raised": record})
    assert text.startswith("suspicious 0.400000 -> 0.500000: of 900 benign files that version 4 clears, 1 are flagged")
    assert ("allowed no more" in text) is limited
    assert told({"thresholds": {}}) == ""
