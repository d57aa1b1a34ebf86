from __future__ import annotations

import json
import math
from typing import Any

import pytest

from registry import Decision, Evidence, GatePolicy, RegistryError, SetResult, decide
from registry.gate import on_both
from registry.shadow import ShadowEvidence, ShadowPolicy, decide_shadow

PARAMS: dict[str, Any] = {
    "recall_tolerance": 0.005,
    "false_positive_tolerance": 0.001,
    "churn": 0.001,
    "bundle_bytes": 1_000_000,
    "row_seconds": 0.002,
    "schemas": [1, "2"],
    "bars": {},
}
CHURN = "verdict churn on old benign files"
POLICY = GatePolicy.from_params(PARAMS)
GOOD = SetResult(true_positives=970, positives=1000, false_positives=5, negatives=2000, digest="abc")
CHAMPION = Evidence(
    sets={"public": GOOD},
    canaries=40,
    canary_flips=0,
    old_benign=0,
    old_benign_changed=0,
    bundle_bytes=500_000,
    row_seconds=0.001,
    schema="1",
    version=7,
)
CHALLENGER = CHAMPION.replace(version=8, old_benign=3000)


def failed(decision: Decision) -> list[str]:
    return [check.name for check in decision.checks if not check.passed]


def with_set(**changes: Any) -> Evidence:
    return CHALLENGER.replace(sets={"public": GOOD.replace(**changes)})


def test_an_equal_challenger_is_promoted_against_the_named_champion() -> None:
    decision = decide(CHALLENGER, CHAMPION, POLICY)
    assert (decision.outcome, failed(decision), decision.against) == ("promote", [], 7)
    assert decision.reasons == ("all 8 checks passed",)


def test_a_first_version_needs_no_champion_and_is_not_asked_for_churn() -> None:
    decision = decide(CHALLENGER.replace(old_benign=0), None, POLICY)
    assert (decision.outcome, decision.against) == ("promote", None)
    assert "churn" not in str(decision.checks)


@pytest.mark.parametrize(
    ("challenger", "outcome", "check"),
    [
        pytest.param(with_set(true_positives=966), "promote", None, id="recall within tolerance"),
        pytest.param(with_set(true_positives=965), "promote", None, id="recall exactly at tolerance"),
        pytest.param(with_set(true_positives=964), "hold", "recall on public", id="recall perhaps lower"),
        pytest.param(with_set(true_positives=900), "reject", "recall on public", id="recall surely lower"),
        pytest.param(with_set(false_positives=7), "promote", None, id="false positives at tolerance"),
        pytest.param(with_set(false_positives=8), "hold", "false-positive rate on public", id="perhaps more alarms"),
        pytest.param(with_set(false_positives=60), "reject", "false-positive rate on public", id="surely more alarms"),
        pytest.param(with_set(digest="other"), "hold", "set public", id="another set under the same name"),
        pytest.param(with_set(positives=1001), "hold", "set public", id="a set that grew"),
        pytest.param(CHALLENGER.replace(sets={"other": GOOD}), "hold", "set public", id="a set left out"),
        pytest.param(CHALLENGER.replace(canary_flips=1), "reject", "canary flips", id="a canary flipped"),
        pytest.param(CHALLENGER.replace(canaries=0), "hold", "canary flips", id="no canary run"),
        pytest.param(CHALLENGER.replace(old_benign_changed=3), "promote", None, id="churn at the limit"),
        pytest.param(CHALLENGER.replace(old_benign_changed=4), "hold", CHURN, id="churn over the limit"),
        pytest.param(CHALLENGER.replace(old_benign=0), "hold", CHURN, id="churn not measured"),
        pytest.param(CHALLENGER.replace(bundle_bytes=1_000_001), "reject", "bundle size", id="bundle too big"),
        pytest.param(CHALLENGER.replace(row_seconds=0.0021), "reject", "latency of one row", id="too slow"),
        pytest.param(CHALLENGER.replace(row_seconds=math.nan), "reject", "latency of one row", id="latency no number"),
        pytest.param(CHALLENGER.replace(schema="3"), "reject", "feature schema", id="schema unknown"),
        pytest.param(CHALLENGER.replace(schema="2"), "promote", None, id="schema newer and known"),
    ],
)
def test_the_gate_decides(challenger: Evidence, outcome: str, check: str | None) -> None:
    decision = decide(challenger, CHAMPION, POLICY)
    assert decision.outcome == outcome
    assert failed(decision) == ([] if check is None else [check])
    if check is not None:
        assert decision.reasons[0].startswith(check)


def test_one_reject_outweighs_any_number_of_holds() -> None:
    decision = decide(CHALLENGER.replace(canaries=0, old_benign=0, schema="3"), CHAMPION, POLICY)
    assert (decision.outcome, len(failed(decision))) == ("reject", 3)


def test_evidence_without_any_set_is_held() -> None:
    assert decide(CHALLENGER.replace(sets={}), None, POLICY).outcome == "hold"


@pytest.mark.parametrize(
    ("bars", "outcome"),
    [
        pytest.param({"public": {"recall": 0.97, "false_positive_rate": 0.0025}}, "promote", id="met exactly"),
        pytest.param({"public": {"recall": 0.975}}, "hold", id="perhaps missed"),
        pytest.param({"public": {"recall": 0.999}}, "reject", id="surely missed"),
        pytest.param({"public": {"false_positive_rate": 0.0}}, "reject", id="false positives at a bar of zero"),
        pytest.param({"hard": {"recall": 0.5}}, "hold", id="recall on a set not measured"),
        pytest.param({"hard": {"false_positive_rate": 0.5}}, "hold", id="alarms on a set not measured"),
    ],
)
@pytest.mark.parametrize("champion", [None, CHAMPION], ids=["first", "later"])
def test_absolute_bars_hold_with_and_without_a_champion(
    bars: dict[str, Any], outcome: str, champion: Evidence | None
) -> None:
    policy = GatePolicy.from_params({**PARAMS, "bars": bars})
    assert decide(CHALLENGER, champion, policy).outcome == outcome


def test_a_champion_without_a_version_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="registered version"):
        decide(CHALLENGER, CHAMPION.replace(version=None), POLICY)


def test_a_decision_survives_json() -> None:
    decision = decide(CHALLENGER.replace(canary_flips=1), CHAMPION, POLICY)
    assert Decision.from_json(json.loads(json.dumps(decision.to_json()))) == decision


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"churn": -0.1}, "gate.churn"),
        ({"churn": math.nan}, "gate.churn"),
        ({"churn": True}, "gate.churn"),
        ({"churn": "0.1 %"}, "gate.churn"),
        ({"schemas": "12"}, "gate.schemas"),
        ({"bars": []}, "gate.bars"),
        ({"bars": {"public": {"precision": 0.9}}}, "precision"),
        ({"bars": {"public": {"recall": "high"}}}, "gate.bars.public"),
        ({"patience": 3}, "patience"),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused_by_name(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(RegistryError, match=named):
        GatePolicy.from_params({**PARAMS, **changes})


@pytest.mark.parametrize("name", sorted(PARAMS))
def test_a_policy_with_a_figure_missing_is_refused_by_name(name: str) -> None:
    with pytest.raises(RegistryError, match=name):
        GatePolicy.from_params({key: value for key, value in PARAMS.items() if key != name})


def result_of(letters: str, first: int = 0, digest: str = "") -> SetResult:
    """A set of files numbered from `first` on."""
    return SetResult.of_files({f"{first + place:012x}": letter for place, letter in enumerate(letters)}, digest)


def test_a_set_that_changed_is_compared_on_the_files_that_both_versions_saw() -> None:
    champion = CHAMPION.replace(sets={"public": result_of("C" * 90 + "M" * 10 + "c" * 100, digest="old")})
    grown = result_of("C" * 90 + "M" * 10 + "c" * 100 + "M" * 50, digest="new")
    assert decide(CHALLENGER.replace(sets={"public": grown}), champion, POLICY).outcome == "promote"
    worse = result_of("C" * 40 + "M" * 60 + "c" * 100 + "C" * 50, digest="new")
    said = decide(CHALLENGER.replace(sets={"public": worse}), champion, POLICY)
    assert said.outcome == "reject"
    assert "recall on public (200 files that both versions saw)" in said.reasons[0]


def test_a_set_of_which_less_than_half_is_left_holds() -> None:
    champion = CHAMPION.replace(sets={"public": result_of("C" * 50 + "c" * 50, digest="old")})
    other = result_of("C" * 100 + "c" * 50, first=60, digest="new")
    said = decide(CHALLENGER.replace(sets={"public": other}), champion, POLICY)
    assert (said.outcome, said.reasons[0].startswith("set public: ")) == ("hold", True)


def test_a_file_whose_label_changed_is_not_compared() -> None:
    assert on_both(result_of("CMfc"), result_of("cMfC")) == (result_of("Mf", 1), result_of("Mf", 1))


def test_outcomes_come_back_as_they_were_kept() -> None:
    found = result_of("CMfc")
    assert (found.true_positives, found.positives, found.false_positives, found.negatives) == (1, 2, 1, 2)
    assert SetResult(**found.__dict__).files() == {f"{place:012x}": letter for place, letter in enumerate("CMfc")}


SHADOW = ShadowEvidence(scans=300, cleared=200, flagged_more=0, flagged_less=0, slowest=0.01)
SHADOW_POLICY = ShadowPolicy.from_params({"scans": 200, "flagged_more": 0.005, "flagged_less": 0, "seconds": 0.5})


@pytest.mark.parametrize(
    ("changes", "outcome"),
    [
        ({}, "promote"),
        ({"flagged_more": 1}, "promote"),
        ({"flagged_more": 2}, "hold"),
        ({"flagged_more": 60}, "reject"),
        ({"flagged_less": 1}, "hold"),
        ({"scans": 199}, "hold"),
        ({"slowest": 0.6}, "reject"),
        ({"cleared": 0}, "promote"),
    ],
)
def test_a_shadow_is_promoted_held_or_rejected_with_a_reason(changes: dict[str, float], outcome: str) -> None:
    said = decide_shadow(SHADOW.replace(**changes), SHADOW_POLICY)
    assert said.outcome == outcome
    assert said.reasons


@pytest.mark.parametrize(
    "params", [{}, {"scans": 1}, {"scans": -1, "flagged_more": 0, "flagged_less": 0, "seconds": 1}]
)
def test_a_shadow_policy_is_stated_in_full(params: dict[str, float]) -> None:
    with pytest.raises(RegistryError, match="shadow"):
        ShadowPolicy.from_params(params)


@pytest.mark.parametrize(("changed", "outcome"), [(0, "promote"), (1, "hold")])
def test_a_panel_of_every_library_stays_cleared(changed: int, outcome: str) -> None:
    said = decide(CHALLENGER.replace(panel=100, panel_changed=changed), CHAMPION, POLICY)
    assert said.outcome == outcome
