"""What labels teach at once: it can only raise, is bounded, and can be taken back."""

from __future__ import annotations

import json
import random

import pytest

from detectors.advice import HABITS, NO_ADVICE, Advice, names_of
from detectors.suspicion import EXAMPLES, PER_PERSON, Example, Suspicion
from safepickle.bytecode.trace import FileTrace
from safepickle.features import Knowledge, Prevalence
from safepickle.limits import DEFAULT_LIMITS
from safepickle.scan import trace_bytes
from tests.assemble import Assembler

COMMON = [1, 2, 3, 4]


def anchored(number: int = 200) -> Suspicion:
    suspicion = Suspicion()
    for place in range(number):
        chance = random.Random(place)
        suspicion.anchor(frozenset([*COMMON, *chance.sample(range(10, 40), 3)]))
    return suspicion


def malicious(*names: int, person: str = "ann") -> Example:
    return Example("malicious", person, frozenset([*COMMON, *names]))


def test_without_a_malicious_label_nothing_is_raised() -> None:
    suspicion = anchored()
    assert suspicion.teach("s", Example("benign", "ann", frozenset({1}))) is NO_ADVICE
    assert not NO_ADVICE.raises({1})


def test_one_malicious_label_raises_its_like_and_no_usual_file() -> None:
    suspicion = anchored()
    advice = suspicion.teach("s", malicious(100, 101, 102))
    assert advice.raises(malicious(100, 101, 102).names)
    assert not any(advice.raises(names) for names in suspicion.anchors.values())


def test_that_the_champion_called_its_like_benign_is_no_argument_against_a_label() -> None:
    suspicion = anchored()
    for place in range(5):
        suspicion.anchor(malicious(100, 101, 200 + place).names)
    advice = suspicion.teach("s", malicious(100, 101, 102))
    assert advice.raises(malicious(100, 101, 102, 300).names)
    assert not advice.raises(malicious().names)


def test_near_copies_are_one_anchor() -> None:
    suspicion = Suspicion()
    for _ in range(9):
        suspicion.anchor(frozenset({1, 2}))
    assert list(suspicion.anchors.values()) == [{1, 2}]


def test_what_is_added_to_a_file_never_lowers_what_is_said_of_it() -> None:
    suspicion = anchored()
    for place in range(20):
        label = "malicious" if place % 2 else "benign"
        names = frozenset([*COMMON, 100 + place % 5, 200 + place])
        suspicion.teach(f"s{place}", Example(label, "ann", names))
    advice = suspicion.advice
    assert all(value >= 0 for value in advice.weights.values())
    for place in range(200):
        chance = random.Random(place)
        names = chance.sample(range(300), 5)
        more = names + chance.sample(range(300), 20)
        assert advice.score(more) >= advice.score(names)


def test_a_label_taken_back_is_as_if_it_had_never_been_given() -> None:
    suspicion = anchored()
    before = suspicion.teach("s", malicious(100)).to_state()
    suspicion.teach("t", malicious(*COMMON))
    assert suspicion.teach("t", None).to_state() == before


def test_a_benign_label_takes_the_sting_out_of_a_wrong_malicious_one() -> None:
    suspicion = anchored()
    suspicion.teach("s", malicious(100))
    assert suspicion.advice.raises(malicious(100).names)
    suspicion.teach("t", Example("benign", "ben", malicious(100).names))
    assert not suspicion.advice.raises(malicious(100).names)


def test_no_person_counts_more_than_the_quota_and_memory_is_bounded() -> None:
    suspicion = Suspicion()
    for place in range(EXAMPLES + 50):
        suspicion.examples[f"s{place}"] = malicious(place)
    suspicion.teach("last", malicious(1, person="ben"))
    assert len(suspicion.examples) == EXAMPLES
    counted = suspicion._counted()
    assert len(counted) == PER_PERSON + 1
    assert sum(example.person == "ben" for example in counted) == 1


def test_the_state_comes_back_from_json() -> None:
    suspicion = anchored()
    suspicion.teach("s", malicious(100))
    text = json.dumps(suspicion.to_state(), allow_nan=False)
    again = Suspicion.from_state(json.loads(text))
    assert json.dumps(again.to_state()) == text
    assert again.advice.score(malicious(100).names) == suspicion.advice.score(malicious(100).names)


@pytest.mark.parametrize("weights", [[[1, -0.5]], [[1, float("nan")]], [["x", 1.0]]])
def test_advice_that_could_lower_or_is_damaged_is_refused(weights: list[object]) -> None:
    with pytest.raises(ValueError, match=r"advice|invalid literal"):
        Advice.from_state({"weights": weights, "bias": -1.0, "cut": 0.9})


def calling(name: str) -> FileTrace:
    data = Assembler(2).global_("lab.tools", name).text("x").tuple1().reduce().assemble()
    return trace_bytes(data, DEFAULT_LIMITS)


def test_the_numbers_of_a_file_are_those_of_unusual_callables_their_modules_and_called_packages() -> None:
    nothing_known = Knowledge(Prevalence({}, 0))
    first, second = (set(names_of(calling(name), nothing_known)) for name in ("run", "go"))
    assert len(first) == len(second) == 4, "the name, a call of it, its module, its package"
    assert len(first & second) == 2
    assert len({number for number in first & second if number >= HABITS}) == 1
    known = Knowledge(Prevalence.count([(f"group {number}", calling("run")) for number in range(5)]))
    assert names_of(calling("run"), known) == []
    assert set(names_of(calling("go"), known)) == second - first


def test_a_name_that_one_group_of_benign_files_uses_tells_nothing() -> None:
    known = Knowledge(Prevalence.count([("group", calling("run"))]))
    assert names_of(calling("run"), known) == []


def test_an_attribute_of_something_usual_is_no_unusual_name() -> None:
    def joins(value: str) -> FileTrace:
        stream = Assembler(2).global_("builtins", "getattr").text("").text("join").tuple2().reduce()
        return trace_bytes(stream.text(value).tuple1().reduce().assemble(), DEFAULT_LIMITS)

    known = Knowledge(Prevalence.count([(f"group {number}", joins("a")) for number in range(5)]))
    assert names_of(joins("b"), known) == []


def test_labels_for_a_package_that_no_benign_file_uses_reach_its_other_functions() -> None:
    nothing_known = Knowledge(Prevalence({}, 0))
    suspicion = anchored()
    for name in ("run", "go"):
        suspicion.teach(name, Example("malicious", "ann", frozenset(names_of(calling(name), nothing_known))))
    assert suspicion.advice.raises(names_of(calling("another"), nothing_known))
    assert not any(suspicion.advice.raises(names) for names in suspicion.anchors.values())
