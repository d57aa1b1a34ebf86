"""Whose labels stand out."""

from __future__ import annotations

import pytest

from detectors.label_audit import AuditedLabel, audit, suspected


def given(person: str, number: int, label: str, flagged: bool, guarded: bool = False) -> list[AuditedLabel]:
    return [
        AuditedLabel(person, label, flagged, guarded, f"{person}{place}{label}{flagged}") for place in range(number)
    ]


USUAL = [
    label
    for person in ("ann", "cleo")
    for label in (*given(person, 30, "malicious", True), *given(person, 20, "benign", False),
                  *given(person, 4, "benign", True), *given(person, 4, "malicious", False))
]  # fmt: skip


def test_people_who_contradict_the_model_as_often_as_each_other_do_not_stand_out() -> None:
    assert suspected(USUAL) == frozenset()


@pytest.mark.parametrize(
    ("labels", "word"),
    [
        (given("ben", 8, "benign", True), "contradicts the model"),
        (given("ben", 8, "malicious", False), "contradicts the model"),
        (given("ben", 2, "benign", True, guarded=True), "the floor calls malicious"),
        ([AuditedLabel("ben", "benign", True, False, "same")] * 10, "near copies"),
    ],
)
def test_who_clears_accuses_or_floods_stands_out_alone_with_the_reason(labels: list[AuditedLabel], word: str) -> None:
    first, *others = audit([*USUAL, *labels])
    assert first.person == "ben"
    assert any(word in reason for reason in first.suspicions)
    assert not any(other.suspicions for other in others)


def test_many_labels_for_copies_that_the_model_says_too_do_not_stand_out() -> None:
    assert suspected([*USUAL, *([AuditedLabel("ben", "malicious", True, False, "same")] * 20)]) == frozenset()


def test_an_opinion_of_unsure_contradicts_nobody() -> None:
    assert suspected([*USUAL, *given("ben", 20, "unsure", True)]) == frozenset()


def test_the_same_name_in_other_letters_is_the_same_person() -> None:
    assert len(audit([*given("Ann", 1, "benign", False), *given("ann", 1, "benign", False)])) == 1


def scored(person: str, label: str, *scores: float) -> list[AuditedLabel]:
    return [AuditedLabel(person, label, score >= 0.5, False, f"{person}{score}", score) for score in scores]


HONEST = [
    label
    for person in ("ann", "cleo")
    for label in (*scored(person, "benign", *(place / 200 for place in range(40))),
                  *scored(person, "malicious", *(0.6 + place / 100 for place in range(40))))
]  # fmt: skip


@pytest.mark.parametrize(
    ("label", "scores", "word"),
    [
        ("benign", [0.3 + place / 100 for place in range(10)], "calls benign what scores higher"),
        ("malicious", [0.5 + place / 1000 for place in range(10)], "calls malicious what scores lower"),
    ],
)
def test_who_never_contradicts_the_model_but_picks_what_it_is_nearly_wrong_about_stands_out(
    label: str, scores: list[float], word: str
) -> None:
    first, *others = audit([*HONEST, *scored("mallory", label, *scores)])
    assert first.person == "mallory"
    assert first.contradictions == 0
    assert [word in reason for reason in first.suspicions] == [True]
    assert not any(other.suspicions for other in others)


def test_scores_like_those_of_the_others_do_not_stand_out() -> None:
    assert suspected([*HONEST, *scored("ben", "benign", *(place / 50 for place in range(10)))]) == frozenset()


def test_too_few_labels_tell_nothing_of_their_scores() -> None:
    assert suspected([*HONEST, *scored("mallory", "benign", 0.4, 0.41, 0.42, 0.43)]) == frozenset()


def test_who_clears_what_the_floor_calls_malicious_no_more_often_than_the_others_does_not_stand_out() -> None:
    everyone = [
        label
        for person in ("ann", "ben", "cleo")
        for label in (*given(person, 60, "malicious", True), *given(person, 2, "benign", True, guarded=True))
    ]
    assert suspected(everyone) == frozenset()
    assert suspected([*everyone, *given("mallory", 4, "benign", True, guarded=True)]) == frozenset({"mallory"})
