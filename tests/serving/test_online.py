"""Novelty and drift over a stream: detectors/online.py."""

from __future__ import annotations

import dataclasses
import doctest
import json
import random

import pytest

import detectors.online as online
from detectors.drift import DriftDetector
from detectors.novelty import AdaptiveScaler, Novelty, Recent
from detectors.online import LabelEvent, OnlineLearner, ScanEvent

WIDTH = 30


def events(number: int, seed: int, verdict: str = "benign", shift: float = 0.0) -> list[ScanEvent]:
    chance = random.Random(seed)
    rows = (
        [chance.choice((0.0, chance.random(), float(chance.randrange(50)))) + shift for _ in range(WIDTH)]
        for _ in range(number)
    )
    return [ScanEvent(f"{seed}-{place}", verdict, "1", row) for place, row in enumerate(rows)]


def state(learner: OnlineLearner) -> str:
    return json.dumps(learner.to_state(), allow_nan=False)


def feed(learner: OnlineLearner, stream: list[ScanEvent]) -> list[online.Lesson]:
    return [learner.learn(event) for event in stream]


def test_the_example_in_the_documentation_holds() -> None:
    assert doctest.testmod(online).failed == 0


@pytest.mark.parametrize("cut", [0, 1, 249, 250, 251, 499, 600, 899])
def test_a_saved_and_loaded_state_goes_on_bit_for_bit(cut: int) -> None:
    stream = events(700, 1) + events(200, 2, "malicious", 5.0)
    whole, first = OnlineLearner(), OnlineLearner()
    lessons = feed(whole, stream)
    feed(first, stream[:cut])
    second = OnlineLearner.from_state(json.loads(state(first)))
    assert feed(second, stream[cut:]) == lessons[cut:]
    assert state(second) == state(whole)


def test_a_file_unlike_the_others_is_newer_than_they_are() -> None:
    learner = OnlineLearner()
    feed(learner, events(600, 1))
    usual = [lesson.novelty for lesson in feed(learner, events(100, 3))]
    strange = learner.learn(ScanEvent("x", "benign", "1", [500.0] * WIDTH)).novelty
    assert strange is not None
    assert all(novelty is not None and 0 <= novelty <= 1 for novelty in usual)
    assert strange > max(novelty for novelty in usual if novelty is not None)


def test_no_novelty_is_given_before_the_first_window_is_full() -> None:
    lessons = feed(OnlineLearner(), events(260, 1))
    assert [lesson.novelty is None for lesson in lessons] == [True] * 250 + [False] * 10


def test_a_change_of_the_verdicts_raises_one_alarm_with_the_means() -> None:
    learner = OnlineLearner()
    quiet = feed(learner, events(1000, 1))
    assert [lesson for lesson in quiet if lesson.alarms] == []
    alarms = [alarm for lesson in feed(learner, events(100, 2, "malicious")) for alarm in lesson.alarms]
    flagged = [alarm for alarm in alarms if alarm.stream == "flagged"]
    assert len(flagged) == 1
    assert flagged[0].before == 0.0
    assert flagged[0].after > 0.2


def test_another_feature_schema_starts_the_trees_afresh() -> None:
    learner = OnlineLearner()
    feed(learner, events(300, 1))
    lesson = learner.learn(ScanEvent("x", "benign", "2", [1.0, 2.0]))
    assert lesson.novelty is None
    fresh = OnlineLearner()
    fresh.learn(ScanEvent("x", "benign", "2", [1.0, 2.0]))
    assert learner.to_state()["novelty"] == fresh.to_state()["novelty"]


@pytest.mark.parametrize("row", [[1.0], [float("nan")] * WIDTH, [float("inf")] * WIDTH])
def test_a_row_that_cannot_be_used_leaves_the_state_as_it_was(row: list[float]) -> None:
    learner = OnlineLearner()
    feed(learner, events(10, 1))
    before = state(learner)
    with pytest.raises(ValueError, match="finite"):
        learner.learn(ScanEvent("x", "benign", "1", row))
    assert state(learner) == before


@pytest.mark.parametrize(
    "damaged",
    [{}, {"format": 1}, {"format": 2}, {"format": 2, "schema": "1", "novelty": {}, "drift": {}, "recent": []}],
)
def test_a_state_that_cannot_be_read_is_an_error(damaged: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="learner state"):
        OnlineLearner.from_state(damaged)


def test_a_drift_detector_remembers_no_more_than_its_capacity() -> None:
    detector = DriftDetector("x", capacity=100)
    chance = random.Random(1)
    for _ in range(1000):
        detector.update(chance.random())
        assert len(detector.values) < 100
    twin = DriftDetector.from_state("x", detector.to_state())
    more = [chance.random() + 0.5 * (place > 100) for place in range(300)]
    assert [detector.update(value) for value in more] == [twin.update(value) for value in more]


def test_scaled_features_stay_in_the_unit_interval_and_keep_their_order() -> None:
    scaler = AdaptiveScaler(3)
    for row in ([0.0, -5.0, 1e300], [0.0, 5.0, 3.0], [0.0, 0.0, 0.0]):
        scaler.learn(row)
    for row in ([0.0, -9.0, 1e308], [7.0, 1.0, 2.0]):
        assert all(0.0 <= value <= 1.0 for value in scaler.scale(row).values())
    assert scaler.scale([0.0, -1.0, 3.0])[1] < scaler.scale([0.0, 1.0, 3.0])[1]
    assert scaler.scale([0.0, 0.0, 0.0])[0] < scaler.scale([1.0, 0.0, 0.0])[0]
    assert scaler.scale([0.0, -5.0, 0.0])[1] > scaler.scale([0.0, -6.0, 0.0])[1]
    assert scaler.scale([0.0, 5.0, 0.0])[1] < scaler.scale([0.0, 6.0, 0.0])[1]


def test_novelty_needs_the_width_it_was_made_for() -> None:
    with pytest.raises(ValueError, match="row of 2"):
        Novelty(2).score([1.0])


def told(number: int, seed: int, verdict: str = "benign", **changes: object) -> list[ScanEvent]:
    """Events with scores, contents and names, as the service writes them."""
    chance = random.Random(seed)
    made = []
    for event in events(number, seed, verdict):
        own = dataclasses.replace(
            event, score=chance.random() / 10, sha256=f"sha-{event.scan}", container="pickle", library="numpy",
            names=(1, 2, chance.randrange(3, 9)),
        )  # fmt: skip
        made.append(dataclasses.replace(own, **changes))  # type: ignore[arg-type]
    return made


def test_labels_and_scans_cut_anywhere_give_the_state_of_one_run() -> None:
    scans = told(400, 1) + told(60, 2, names=(77, 78))
    steps: list[ScanEvent | LabelEvent] = list(scans)
    for place, label in ((420, "malicious"), (430, "benign"), (440, None), (445, "malicious")):
        steps.insert(place, LabelEvent(scans[410].sha256, label, "ann", scans[410]))

    def run(learner: OnlineLearner, part: list[ScanEvent | LabelEvent]) -> OnlineLearner:
        for step in part:
            if isinstance(step, LabelEvent):
                learner.label(step)
            else:
                learner.learn(step)
        return learner

    whole = state(run(OnlineLearner(), steps))
    for cut in (0, 3, 300, 419, 421, 431, 441, 446, len(steps)):
        first = run(OnlineLearner(), steps[:cut])
        assert state(run(OnlineLearner.from_state(json.loads(state(first))), steps[cut:])) == whole


def test_files_that_were_flagged_or_called_benign_without_credibility_are_not_learned_as_usual() -> None:
    learner = OnlineLearner()
    feed(learner, told(300, 1))
    assert learner.novelty is not None
    seen, anchors = learner.novelty.seen, set(learner.suspicion.anchors)
    lessons = feed(learner, told(20, 2, score=0.99) + told(20, 3, "malicious") + told(20, 4, "incomplete", score=None))
    assert [lesson.credibility for lesson in lessons] == [pytest.approx(0, abs=0.1)] * 20 + [None] * 40
    assert learner.novelty.seen == seen
    assert set(learner.suspicion.anchors) == anchors


def test_what_is_novel_is_told_and_not_learned_until_it_has_come_to_stay() -> None:
    learner = OnlineLearner()
    feed(learner, told(600, 1))
    assert learner.novelty is not None
    seen = learner.novelty.seen
    strange = [dataclasses.replace(event, row=[900.0] * WIDTH) for event in told(200, 2)]
    first = learner.learn(strange[0])
    assert first.novel
    assert learner.novelty.seen == seen
    lessons = feed(learner, strange[1:])
    assert any(alarm.stream == "novelty" for lesson in lessons for alarm in lesson.alarms)
    assert learner.novelty.seen > seen + 50


@pytest.mark.parametrize("kind", ["container", "library"])
def test_a_container_or_library_that_turns_up_more_often_raises_an_alarm_within_fifty_files(kind: str) -> None:
    learner = OnlineLearner()
    assert [lesson for lesson in feed(learner, told(500, 1)) if lesson.alarms] == []
    after = feed(learner, told(50, 2, **{kind: "new"}))
    alarms = {alarm.stream: alarm for lesson in after for alarm in lesson.alarms}
    assert alarms[f"{kind}:new"].before < 0.2 < alarms[f"{kind}:new"].after


def test_no_more_containers_and_libraries_are_watched_than_there_is_room_for() -> None:
    learner = OnlineLearner()
    for number in range(60):
        feed(learner, told(1, number, container=f"c{number}", library=f"l{number}"))
    assert len(learner.detectors) == len(online.STREAMS) + sum(online.KINDS.values())


def test_a_new_library_takes_the_place_of_the_one_seen_longest_ago_and_its_rise_is_noticed() -> None:
    learner = OnlineLearner()
    for number in range(300):
        feed(learner, told(1, number, library=("old", f"rare{number // 2 % 40}")[number % 2]))
    watched = {name for name in learner.detectors if name.startswith("library:")}
    assert "library:old" in watched
    assert len(watched) == online.KINDS["library"]
    streams: set[str] = set()
    for number in range(50):
        (lesson,) = feed(learner, told(1, 1000 + number, library=("old", "new")[number % 2]))
        streams |= {alarm.stream for alarm in lesson.alarms}
    assert "library:new" in streams


def test_each_of_the_two_tests_sees_a_jump_and_the_sum_sees_it_first() -> None:
    calm = [0.1 * (place % 2) for place in range(400)]
    seen = {}
    for name, detector in (("both", DriftDetector("x")), ("window", DriftDetector("x", threshold=None))):
        assert not any(detector.update(value) for value in calm)
        places = [place for place in range(60) if detector.update(1.0)]
        seen[name] = places[0]
    assert seen["both"] <= seen["window"] < 50


def test_recent_values_rank_a_value_among_them_and_forget_the_oldest() -> None:
    recent = Recent(3)
    assert recent.share_below(1.0) == 0.5
    for value in (9.0, 1.0, 2.0, 2.0):
        recent.add(value)
    assert recent.values == [1.0, 2.0, 2.0]
    assert [recent.share_below(value) for value in (0.0, 1.0, 2.0, 3.0)] == pytest.approx([0, 1 / 6, 2 / 3, 1])
    assert Recent.from_state(3, recent.to_state()).share_below(2.0) == recent.share_below(2.0)
