"""The combination of detectors: rising, calibrated, with thresholds that keep their promise."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors import Stacking
from detectors.calibration import fit_calibration, threshold
from detectors.floor import DISCOUNT
from detectors.ranks import benign_ranks
from safepickle.ensemble import Stack

RATES = {"suspicious": 0.01, "malicious": 0.001}


def two_detectors(n: int = 4000, seed: int = 0) -> tuple[dict[str, Any], Any, Any]:
    """A probability and a novelty score, both informative and overlapping."""
    chance = np.random.default_rng(seed)
    y = (chance.random(n) < 0.3).astype(np.int64)
    known = 1 / (1 + np.exp(-(chance.normal(size=n) * 1.5 + 4 * y - 2)))
    novel = np.exp(chance.normal(size=n) + 1.5 * y)
    return {"random_forest": known, "isolation_forest": novel}, y, chance.uniform(0.5, 2, n)


@pytest.fixture(scope="module")
def fitted() -> Stacking:
    return Stacking().fit(*two_detectors(), RATES)


@pytest.mark.parametrize("kind", ["platt", "isotonic"])
def test_the_export_scores_as_the_stacking(kind: str) -> None:
    scores, y, weight = two_detectors()
    stacking = Stacking(calibration=kind).fit(scores, y, weight, RATES)
    exported = stacking.export()
    stack = Stack(exported.meta, dict(exported.arrays))
    scores["random_forest"][:2] = 0.0, 1.0
    scores["isolation_forest"][2:4] = -1e9, 1e9
    rows = [dict(zip(scores, map(float, row), strict=True)) for row in zip(*scores.values(), strict=True)]
    np.testing.assert_allclose([stack.score(row) for row in rows], stacking.score(scores), rtol=0, atol=1e-12)


def test_the_export_is_as_credulous_as_the_stacking(fitted: Stacking) -> None:
    scores, _, _ = two_detectors()
    exported = fitted.export()
    stack = Stack(exported.meta, dict(exported.arrays))
    rows = [dict(zip(scores, map(float, row), strict=True)) for row in zip(*scores.values(), strict=True)]
    found = [stack.credibility(row, stack.score(row)) for row in rows]
    np.testing.assert_allclose(found, fitted.credibility(scores), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("level", [0.01, 0.05, 0.2])
@pytest.mark.parametrize("label", [0, 1])
def test_of_new_files_no_more_than_a_share_is_less_credible_than_that_share(
    fitted: Stacking, level: float, label: int
) -> None:
    scores, y, weight = two_detectors(seed=1)
    own = y == label
    share = float(weight[own & (fitted.credibility(scores) <= level)].sum() / weight[own].sum())
    assert share <= level * 1.25 + 0.002


def test_what_is_like_neither_label_is_not_credible(fitted: Stacking) -> None:
    like_benign, strange, like_malicious = fitted.credibility(
        {"random_forest": np.array([0.02, 0.02, 0.999]), "isolation_forest": np.array([0.5, 500.0, 5.0])}
    )
    assert strange < 0.1 < 0.3 < min(like_benign, like_malicious)


@settings(max_examples=50, deadline=None)
@given(known=st.floats(0, 1), novel=st.floats(-1e6, 1e6), more=st.floats(0, 1e6))
def test_a_higher_detector_score_never_lowers_the_result(
    fitted: Stacking, known: float, novel: float, more: float
) -> None:
    exported = fitted.export()
    stack = Stack(exported.meta, dict(exported.arrays))
    before = stack.score({"random_forest": known, "isolation_forest": novel})
    assert 0 <= before <= 1
    assert stack.score({"random_forest": min(1.0, known + more), "isolation_forest": novel}) >= before
    assert stack.score({"random_forest": known, "isolation_forest": novel + more}) >= before


def test_a_floor_holds_whatever_the_other_detectors_say() -> None:
    scores, y, weight = two_detectors()
    scores["monotone"] = scores["random_forest"]
    stacking = Stacking().fit(scores, y, weight, RATES)
    exported = stacking.export()
    stack = Stack(exported.meta, dict(exported.arrays))
    sure = {"random_forest": 1e-6, "isolation_forest": -1e6, "monotone": 0.9999}
    assert stack.score(sure) == stack.floor(sure) > stack.score(dict(sure, monotone=0.01))
    combined = stacking.score({name: np.full(1, value) for name, value in sure.items()})
    assert combined[0] == pytest.approx(stack.score(sure), abs=1e-9)


def test_a_floor_that_knows_less_than_the_ensemble_raises_few_benign_rows() -> None:
    scores, y, weight = two_detectors()
    rng = np.random.default_rng(5)
    scores["monotone"] = np.clip(0.5 + 0.05 * (y - 0.5) + rng.normal(0, 0.2, len(y)), 0.001, 0.999)
    with_floor = Stacking().fit(scores, y, weight, RATES)
    without = Stacking(floors=()).fit(scores, y, weight, RATES)
    benign = y == 0
    for tier, level in without.thresholds.items():
        before, after = (without.score(scores) >= level)[benign], (with_floor.score(scores) >= level)[benign]
        share = weight[benign] / weight[benign].sum()
        assert share[after].sum() <= share[before].sum() * (1 + 1 / DISCOUNT) + share.max(), tier


def test_the_combination_beats_its_parts_and_no_weight_is_negative(fitted: Stacking) -> None:
    scores, y, weight = two_detectors(seed=1)
    scores["one_class_svm"] = -scores["isolation_forest"]  # points the wrong way
    stacking = Stacking().fit(scores, y, weight, RATES)
    assert stacking.weights["one_class_svm"] == 0
    assert stacking.weights["random_forest"] > 0
    assert stacking.weights["isolation_forest"] > 0
    del scores["one_class_svm"]

    def caught(values: Any) -> float:
        return float((values[y == 1] >= threshold(values, y, weight, 0.01, 0.5)[0]).mean())

    assert caught(fitted.score(scores)) > max(caught(values) for values in scores.values())


@pytest.mark.parametrize("kind", ["platt", "isotonic"])
def test_scores_are_calibrated_on_unseen_rows(kind: str) -> None:
    stacking = Stacking(calibration=kind).fit(*two_detectors(seed=2), RATES)
    scores, y, weight = two_detectors(seed=3)
    found = stacking.score(scores)
    for low, high in ((0.0, 0.1), (0.1, 0.5), (0.5, 0.9), (0.9, 1.0)):
        here = (found >= low) & (found < high)
        assert abs(np.average(y[here] - found[here], weights=weight[here])) < 0.07


def test_isotonic_calibration_keeps_different_margins_apart() -> None:
    scores, y, weight = two_detectors()
    fitted = fit_calibration(np.log(scores["isolation_forest"]), y, weight, "isotonic", 0)
    calibrated = fitted(np.linspace(-5, 5, 500))
    assert (np.diff(calibrated) > 0).all()


def test_auto_takes_the_calibration_that_fits_unseen_rows_better() -> None:
    chance = np.random.default_rng(0)
    margin = chance.uniform(-6, 6, 6000)
    steps = np.where(margin < -2, 0.05, np.where(margin < 3, 0.5, 0.95))
    y = (chance.random(6000) < steps).astype(np.int64)
    assert fit_calibration(margin, y, np.ones(6000), "auto", 0).blend > 0
    straight = (chance.random(200) < 1 / (1 + np.exp(-margin[:200]))).astype(np.int64)
    assert fit_calibration(margin[:200], straight, np.ones(200), "auto", 0).blend == 0


def test_thresholds_keep_their_false_positive_rates(fitted: Stacking) -> None:
    scores, y, weight = two_detectors()
    found = fitted.score(scores)
    for tier, rate in RATES.items():
        shown = weight[(y == 0) & (found >= fitted.thresholds[tier])].sum() / weight[y == 0].sum()
        assert shown <= rate
        assert shown == pytest.approx(fitted.rates[tier], abs=1e-12)
    assert fitted.rates["suspicious"] > 0.005, "the rate allowed is used where it catches malicious rows"
    assert fitted.thresholds["suspicious"] < fitted.thresholds["malicious"]


def test_where_a_gap_divides_the_classes_no_false_positive_is_spent() -> None:
    scores = np.concatenate([np.linspace(0, 0.2, 1000), np.linspace(0.8, 1, 100)])
    y = (scores > 0.5).astype(np.int64)
    assert threshold(scores, y, np.ones(1100), 0.01, 0.5) == (pytest.approx(0.5), 0.0)
    assert threshold(scores, y, np.ones(1100), 0.01, 0.1) == (pytest.approx(0.26), 0.0)


def test_a_rate_too_small_to_show_puts_the_threshold_over_every_benign_row() -> None:
    scores = np.array([0.1, 0.5, 0.9, 0.3, 0.7])
    y = np.array([0, 0, 0, 1, 1])
    chosen, rate = threshold(scores, y, np.ones(5), 0.001, 0.5)
    assert 0.9 < chosen <= 1
    assert rate == 0
    certain, _ = threshold(np.array([0.1, 1.0, 0.5]), np.array([0, 0, 1]), np.ones(3), 0.001, 0.5)
    assert certain > 1, "a benign row of score 1 leaves no score to call malicious"


def test_ranks_say_how_rare_a_score_is_among_benign_rows() -> None:
    raw, rank = benign_ranks(np.arange(1, 1001, dtype=np.float64), np.ones(1000))
    assert np.interp(900, raw, rank) == pytest.approx(1, abs=0.02)
    assert np.interp(990, raw, rank) == pytest.approx(2, abs=0.05)
    assert np.interp(5000, raw, rank) > np.interp(1000, raw, rank)
    assert (np.diff(raw) > 0).all()
    assert (np.diff(rank) >= 0).all()
    assert len(raw) <= 129
    raw, rank = benign_ranks(np.full(20, 0.4), np.ones(20))
    assert len(raw) == 2, "a detector that says the same of all benign rows still has a rank"


def test_the_same_scores_give_the_same_stacking_in_any_order(fitted: Stacking) -> None:
    scores, y, weight = two_detectors()
    other = dict(reversed(list(scores.items())))
    np.testing.assert_array_equal(fitted.score(scores), fitted.score(other))
    np.testing.assert_allclose(Stacking().fit(other, y, weight, RATES).score(scores), fitted.score(scores), atol=1e-4)


def test_scores_that_cannot_be_combined_are_refused(fitted: Stacking) -> None:
    scores, y, weight = two_detectors(100)
    with pytest.raises(ValueError, match="benign and malicious rows"):
        Stacking().fit(scores, np.zeros_like(y), weight, RATES)
    with pytest.raises(ValueError, match="are no probabilities"):
        Stacking(ranked=()).fit(scores, y, weight, RATES)
    with pytest.raises(ValueError, match="finite scores of isolation_forest"):
        Stacking().fit({"isolation_forest": np.full(100, np.nan)}, y, weight, RATES)
    with pytest.raises(ValueError, match="the latter with the smaller rate"):
        Stacking().fit(scores, y, weight, {"suspicious": 0.001, "malicious": 0.01})
    with pytest.raises(ValueError, match="are combined"):
        fitted.score({"random_forest": np.zeros(3)})
