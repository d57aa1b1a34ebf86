"""Which files people are asked about first."""

from __future__ import annotations

import dataclasses
import random
import time

import pytest

from serving.queue import REASONS, Candidate, rank

THRESHOLDS = {"suspicious": 0.3, "malicious": 0.8}


def usual(number: int, **changes: object) -> Candidate:
    chance = random.Random(number)
    made = Candidate(
        scan_id=f"{number:06d}", sha256=f"s{number}", score=0.001 * chance.random(), complete=True,
        detectors={"a": 0.01 * number, "b": 0.02 * number}, novelty=0.5 + 0.1 * chance.random(), shape=f"h{number}",
    )  # fmt: skip
    return dataclasses.replace(made, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"score": 0.31}, "uncertainty"),
        ({"novelty": 0.99}, "novelty"),
        ({"detectors": {"a": 99.0, "b": 0.0}}, "disagreement"),
        ({"complete": False}, "unread"),
        ({"contested": True}, "contested"),
    ],
)
def test_what_stands_out_is_asked_about_first_with_its_reason(changes: dict[str, object], reason: str) -> None:
    candidates = [usual(number) for number in range(200)] + [usual(777, **changes)]
    reasons = {found.candidate.scan_id: found.reason for found in rank(candidates, THRESHOLDS, 3)}
    assert reasons["000777"] == reason
    assert reason in REASONS


def test_near_copies_are_asked_about_once_and_counted() -> None:
    copies = [usual(number, score=0.3, shape="same") for number in range(1000, 1010)]
    found = rank([usual(number) for number in range(50)] + copies, THRESHOLDS, 20)
    assert [item.candidate.shape for item in found].count("same") == 1
    assert (found[0].candidate.shape, found[0].copies) == ("same", 10)
    assert len(found) == 20


def test_files_without_a_shape_are_told_apart_by_their_content() -> None:
    found = rank([usual(number, shape=None) for number in range(10)], THRESHOLDS, 20)
    assert len(found) == 10


def test_the_order_of_the_candidates_does_not_matter() -> None:
    candidates = [usual(number, score=number / 300) for number in range(300)]
    mixed = random.Random(1).sample(candidates, len(candidates))
    assert rank(candidates, THRESHOLDS, 50) == rank(mixed, THRESHOLDS, 50)


@pytest.mark.parametrize("budget", [0, -1])
def test_without_time_or_files_nobody_is_asked(budget: int) -> None:
    assert rank([usual(1)], THRESHOLDS, budget) == []
    assert rank([], THRESHOLDS, 5) == []


def test_missing_scores_novelties_and_detectors_are_no_errors() -> None:
    candidates = [usual(1, score=None, novelty=None, detectors={}), usual(2, novelty=None), usual(3, detectors={})]
    assert len(rank(candidates, {}, 10)) == 3


def test_twenty_thousand_files_are_ranked_in_a_second() -> None:
    candidates = [usual(number) for number in range(20_000)]
    started = time.process_time()
    assert len(rank(candidates, THRESHOLDS, 100)) == 100
    assert time.process_time() - started < 1.0
