"""The text report: what a reader sees in ten seconds."""

from __future__ import annotations

from typing import Any

import pytest

from safepickle.batch import unscanned
from safepickle.report import Summary
from safepickle.report.text import SHOWN, Text


def finding(**changes: Any) -> dict[str, Any]:
    plain = {
        "rule": "call-process",
        "severity": "critical",
        "title": "calls os.system('x')",
        "why": "It runs a command.",
    }
    return {
        **plain,
        "stream": "zip:data.pkl",
        "offset": 1234,
        "callee": "os.system",
        "effect": "runs a command",
        "count": 1,
        "steps": [],
        "witness": [],
        **changes,
    }


def scanned(**changes: Any) -> dict[str, Any]:
    plain = {
        "path": "model.pkl",
        "sha256": None,
        "size": 9,
        "container": "pickle",
        "verdict": "malicious",
        "score": 0.987,
    }
    return {**plain, "complete": True, "findings": [finding()], "detectors": {}, "oddities": [], **changes}


def test_a_malicious_file_shows_verdict_why_where_and_what_to_do_in_this_order() -> None:
    lines = Text().file(scanned()).splitlines()
    assert lines[0] == "MALICIOUS   model.pkl  (pickle, score 0.987)"
    assert [line.split()[0] for line in lines[1:]] == ["why", "It", "where", "do"]
    assert lines[3] == "    where  zip:data.pkl, byte 1,234"


def test_a_benign_file_takes_one_line() -> None:
    text = Text().file(scanned(verdict="benign", findings=[finding(severity="info")]))
    assert text == "BENIGN      model.pkl  (pickle)\n"


def test_many_findings_are_cut_to_the_worst_and_counted() -> None:
    many = [finding(title=f"calls number {number}") for number in range(40)] + [finding(severity="info")] * 3
    text = Text().file(scanned(findings=many))
    assert text.count("    why    ") == SHOWN
    assert "35 more findings and 3 lesser ones; --format json shows them" in text


def test_an_incomplete_file_says_why_it_is() -> None:
    text = Text().file(unscanned("model.pkl", "unreadable", "Permission denied"))
    assert text.splitlines()[1] == "    gap    it could not be read: Permission denied"
    unknown = Text().file(scanned(verdict="incomplete", complete=False, container="unknown", findings=[]))
    assert "its format is not one this version reads" in unknown


def test_a_finding_says_how_often_how_it_was_reached_and_where_it_goes_on_to() -> None:
    found = finding(count=3, steps=["builtins.getattr"], witness=["timeit.Timer", "builtins.exec (Lib/timeit.py:109)"])
    text = Text().file(scanned(findings=[found]))
    assert "calls os.system('x') (3 times)" in text
    assert "Reached by builtins.getattr." in text
    assert "timeit.Timer -> builtins.exec (Lib/timeit.py:109)" in text


def test_colour_is_there_only_when_asked_for() -> None:
    assert "\x1b[1;31mMALICIOUS" in Text(colour=True).file(scanned())
    assert "\x1b" not in Text().file(scanned())


@pytest.mark.parametrize("field", ["path", "container"])
def test_no_field_of_a_file_can_smuggle_an_escape(field: str) -> None:
    assert "\x1b" not in Text().file(scanned(**{field: "\x1b[2J"}))


@pytest.mark.parametrize("field", ["title", "why", "stream"])
def test_no_field_of_a_finding_can_smuggle_an_escape(field: str) -> None:
    assert "\x1b" not in Text().file(scanned(findings=[finding(**{field: "\x1b[2J"})]))


def test_the_summary_counts_what_there_is_worst_first() -> None:
    summary = Summary()
    for verdict in ("benign", "malicious", "benign"):
        summary = summary.plus(scanned(verdict=verdict))
    assert Text().end(summary) == "3 files: 1 malicious, 2 benign\n"


@pytest.mark.parametrize(
    ("verdicts", "fail_on", "code"),
    [
        ((), "suspicious", 0),
        (("benign",), "suspicious", 0),
        (("benign", "incomplete"), "suspicious", 3),
        (("incomplete", "suspicious"), "suspicious", 1),
        (("suspicious",), "malicious", 0),
        (("suspicious", "incomplete"), "malicious", 3),
        (("malicious", "incomplete"), "malicious", 1),
    ],
)
def test_the_exit_code_follows_the_worst_verdict(verdicts: tuple[str, ...], fail_on: str, code: int) -> None:
    summary = Summary()
    for verdict in verdicts:
        summary = summary.plus(scanned(verdict=verdict))
    assert summary.exit_code(fail_on) == code
