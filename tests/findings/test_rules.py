"""The table of rules: stable ids, complete, and every finding has its rule there."""

from __future__ import annotations

import pytest

from safepickle.findings.finding import SEVERITIES
from safepickle.findings.rules import RULES, TECHNIQUES, WEAKNESSES, Rule

KINDS = ("exec", "process", "import", "native", "deserialize", "file", "network")
IDS = {
    *(f"{family}-{kind}" for family in ("call", "reach", "passes", "import") for kind in KINDS),
    "makes-code", "runs-made-code", "computed-callee", "result-callee", "extension-callee", "build-on-global",
    "unknown-with-argument", "unknown-function", "own-class", "not-understood", "odd-budget", "odd-reading", "odd-name",
    "odd-structure", "model-score", "unlike-anything",
}  # fmt: skip


def test_the_ids_are_those_that_users_have_stored() -> None:
    assert RULES.keys() >= IDS, "an id that was published may not go; add new ones to the list here"
    assert set(RULES) == IDS


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES.keys())
def test_a_rule_says_what_it_means_when_it_is_how_grave_and_what_to_do(rule: Rule) -> None:
    assert rule.severities.replace(";", " ").split()[0] in SEVERITIES
    for text in (rule.meaning, rule.advice):
        assert text.endswith(".")
        assert len(text) > 20
    assert rule.cwe[0] == 502
    assert set(rule.cwe) <= WEAKNESSES.keys()
    assert set(rule.atlas) <= TECHNIQUES.keys()


def test_every_weakness_and_technique_that_is_named_belongs_to_a_rule() -> None:
    assert {number for rule in RULES.values() for number in rule.cwe} == set(WEAKNESSES)
    assert {name for rule in RULES.values() for name in rule.atlas} == set(TECHNIQUES)
