"""Counts, thresholds and rank measures."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_curve

from pipelines.evaluation.judging import Judged, cross_fitted, judge_alone, threshold, verdicts
from pipelines.evaluation.metrics import RATES, balanced, caught_at, count, macro, rank_measures, reliability

few_values = st.lists(st.integers(0, 8).map(lambda value: value / 8), min_size=1, max_size=60).map(np.array)


@pytest.mark.parametrize(
    ("tier", "complete", "verdict"),
    [
        ("malicious", True, "malicious"),
        ("malicious", False, "malicious"),
        ("suspicious", True, "suspicious"),
        ("suspicious", False, "suspicious"),
        ("benign", True, "benign"),
        ("benign", False, "incomplete"),
    ],
)
def test_evidence_outranks_what_was_not_understood(tier: str, complete: bool, verdict: str) -> None:
    assert verdicts(np.array([tier], dtype=object), np.array([complete])).tolist() == [verdict]


def test_an_incomplete_file_is_neither_caught_nor_a_false_positive_nor_a_pass() -> None:
    said = np.array(["incomplete", "incomplete", "suspicious", "malicious", "benign", "suspicious"], dtype=object)
    counts = count(said, np.array([True, False, True, False, True, False]))
    assert (counts.tp, counts.fp, counts.tn, counts.fn) == (1, 2, 0, 1)
    assert (counts.incomplete_malicious, counts.incomplete_benign) == (1, 1)
    assert counts.recall == pytest.approx(1 / 3)
    assert counts.false_positive_rate == pytest.approx(2 / 3)
    assert counts.f1 == pytest.approx(2 * (1 / 3) * (1 / 3) / (1 / 3 + 1 / 3))
    assert counts.review_burden == pytest.approx(1000 / 3)


def test_rates_without_files_are_absent_rather_than_zero() -> None:
    counts = count(np.array(["benign", "malicious"], dtype=object), np.array([False, False]))
    assert counts.recall is None
    assert counts.precision is None
    assert counts.f1 is None


@given(few_values, st.sampled_from([0.0, 0.01, 0.1, 0.5, 1.0]))
def test_a_threshold_never_flags_more_benign_files_than_its_rate(benign: np.ndarray, rate: float) -> None:
    assert (benign > threshold(benign, rate)).mean() <= rate


def test_a_file_is_not_judged_by_a_threshold_that_its_own_fold_helped_to_set() -> None:
    folds = np.repeat([0, 1], 50)
    benign = np.tile([True, True, True, True, False], 20)
    scores = np.linspace(0, 1, 50)[np.arange(100) % 50]
    before = cross_fitted(scores, benign, folds, 0.1)
    raised = np.where(benign & (folds == 0), scores + 5, scores)
    after = cross_fitted(raised, benign, folds, 0.1)
    assert before[~benign & (folds == 0)].any()
    assert (after == before)[~benign & (folds == 0)].all()
    assert not after[folds == 1].any()


def test_held_out_files_set_no_threshold() -> None:
    folds = np.array([0] * 10 + [1] * 10 + [-1] * 5)
    benign = np.ones(25, dtype=bool)
    scores = np.concatenate([np.arange(10), np.arange(10), np.full(5, 100.0)])
    assert cross_fitted(scores, benign, folds, 0.0).tolist() == [False] * 20 + [True] * 5


def test_a_single_detector_leaves_what_it_does_not_flag_incomplete() -> None:
    folds, scores = np.array([0, 0, 1, 1]), np.array([0.0, 9.0, 0.0, 9.0])
    benign = np.array([True, False, True, False])
    judged = judge_alone("lof", "detectors", scores, benign, folds, np.zeros(4, dtype=bool), 0.01)
    assert judged.verdicts.tolist() == ["incomplete", "malicious", "incomplete", "malicious"]
    assert judged.flagged.tolist() == [False, True, False, True]


@given(few_values, few_values, st.sampled_from(list(RATES.values())))
def test_the_rate_of_caught_files_is_the_one_of_the_roc_curve(
    positive: np.ndarray, negative: np.ndarray, rate: float
) -> None:
    labels = np.repeat([1, 0], [len(positive), len(negative)])
    fall_out, hit, _ = roc_curve(labels, np.concatenate([positive, negative]), drop_intermediate=False)
    best = hit[fall_out <= rate + 1e-12].max()
    assert caught_at(positive, negative, rate) == round(best * len(positive))


def test_a_perfect_ranking_has_an_area_of_one_and_needs_both_labels() -> None:
    found = rank_measures(np.array([0.8, 0.9]), np.array([0.1, 0.2, 0.3]))
    assert found["pr_auc"] == 1.0
    assert found["tpr_at_fpr_0"] == 1.0
    assert found["tpr_at_fpr_0_low"] == pytest.approx(0.342, abs=1e-3)
    assert rank_measures(np.array([0.8]), np.array([])) == {}


def test_fifty_variants_of_one_file_count_once_in_the_macro_recall() -> None:
    flags = np.array([False] * 50 + [True, True])
    groups = np.array(["variants"] * 50 + ["a", "b"], dtype=object)
    assert macro(flags, groups) == pytest.approx(2 / 3)
    assert macro(flags[:0], groups[:0]) is None


def test_scores_that_match_the_shares_have_no_calibration_error() -> None:
    scores = np.repeat([0.25, 0.75], 40)
    malicious = np.array([True] * 10 + [False] * 30 + [True] * 30 + [False] * 10)
    found = reliability(scores, malicious)
    assert found.ece == pytest.approx(0, abs=1e-12)
    assert found.brier == pytest.approx(0.1875)
    assert reliability(np.full(4, 0.9), np.array([False] * 4)).ece == pytest.approx(0.9)


def test_balanced_weights_give_either_label_half() -> None:
    malicious = np.array([True, False, False, False])
    weight = balanced(malicious)
    assert weight[malicious].sum() == pytest.approx(0.5)
    assert weight.sum() == pytest.approx(1)


def test_the_paper_s_variant_of_a_detector_is_told_apart_by_its_title() -> None:
    empty = np.array([])
    assert Judged("catboost", "frequencies", empty, empty).title == "catboost (frequencies)"
    assert Judged("catboost", "detectors", empty, empty).title == "catboost"
