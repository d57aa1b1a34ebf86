"""SARIF: what code hosts need to show a finding."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safepickle.findings.rules import RULES
from tests.cli import BENIGN, HOSTILE, TRUNCATED, run, write


def report(folder: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(run("scan", "--format", "sarif", folder).stdout)
    return document


def test_each_finding_is_a_result_of_a_rule_that_has_help_and_weaknesses(tmp_path: Path) -> None:
    document = report(write(tmp_path, bad=HOSTILE, good=BENIGN))
    assert document["version"] == "2.1.0"
    (only,) = document["runs"]
    rules = only["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == list(RULES)
    for rule in rules:
        assert rule["help"]["text"]
        assert "external/cwe/cwe-502" in rule["properties"]["tags"]
        assert 0 < float(rule["properties"]["security-severity"]) < 10
    (result,) = only["results"]
    assert rules[result["ruleIndex"]]["id"] == result["ruleId"] == "call-process"
    assert result["level"] == "error"
    assert "os.system('echo inert')" in result["message"]["text"]
    place = result["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"].endswith("/bad.pkl")
    assert place["region"] == {"byteOffset": 29}


def test_every_weakness_and_technique_of_a_rule_is_in_a_taxonomy(tmp_path: Path) -> None:
    (only,) = report(write(tmp_path, good=BENIGN))["runs"]
    taxa = {(taxonomy["name"], taxon["id"]) for taxonomy in only["taxonomies"] for taxon in taxonomy["taxa"]}
    for rule in only["tool"]["driver"]["rules"]:
        for relation in rule["relationships"]:
            assert (relation["target"]["toolComponent"]["name"], relation["target"]["id"]) in taxa


def test_the_same_finding_has_the_same_fingerprint_wherever_the_file_lies(tmp_path: Path) -> None:
    here = report(write(tmp_path / "a", one=HOSTILE))["runs"][0]["results"][0]
    there = report(write(tmp_path / "b", two=HOSTILE))["runs"][0]["results"][0]
    assert here["partialFingerprints"] == there["partialFingerprints"]
    assert here["locations"] != there["locations"]


def test_a_file_that_was_not_read_to_its_end_is_notified_with_the_reason(tmp_path: Path) -> None:
    (only,) = report(write(tmp_path, cut=TRUNCATED))["runs"]
    (notified,) = only["invocations"][0]["toolExecutionNotifications"]
    assert "ends in the middle of a pickle" in notified["message"]["text"]


def test_a_name_that_is_no_uri_becomes_one(tmp_path: Path) -> None:
    (tmp_path / "a b%<\x1b\udce9.pkl").write_bytes(HOSTILE)
    uri = report(tmp_path)["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert uri.endswith("/a%20b%25%3C%1B%E9.pkl")
