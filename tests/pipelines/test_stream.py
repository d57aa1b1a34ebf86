"""Learning over time: what is measured, and that the report tells it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from detectors.advice import names_of
from pipelines.stream.measures import Period, area, interval, measure
from pipelines.stream.methods import METHODS
from pipelines.stream.poison import ATTACKS, RATES
from pipelines.stream.pool import disclosure, read_disclosure
from pipelines.stream.report import write_report
from pipelines.stream.seen import Seen
from pipelines.stream.streams import STREAMS
from safepickle.features import Knowledge, Prevalence, extract
from safepickle.limits import DEFAULT_LIMITS
from safepickle.scan import trace_bytes
from tests.assemble import Assembler


def test_f1_is_that_of_a_stream_with_the_share_named() -> None:
    period = Period(recall=0.8, false_positive_rate=0.1, recall_at_1_percent=0.5)
    caught, flagged = 0.05 * 0.8, 0.05 * 0.8 + 0.95 * 0.1
    precision = caught / flagged
    assert period.f1(0.05) == pytest.approx(2 * precision * 0.8 / (precision + 0.8))
    assert Period(0.0, 0.0, 0.0).f1(0.05) == 0.0


def test_recall_at_one_percent_lets_one_benign_file_in_a_hundred_be_flagged() -> None:
    good = np.arange(200) / 200
    scores = np.concatenate([good, [0.98, 0.9899, 2.0]])
    bad = np.arange(203) >= 200
    found = measure(scores, scores > 0.5, bad)
    assert found.recall_at_1_percent == pytest.approx(2 / 3), "above all but two of two hundred"
    assert (found.recall, round(found.false_positive_rate, 3)) == (1.0, 0.495)


def test_the_area_under_a_straight_line_is_its_mean_and_an_interval_holds_it() -> None:
    assert area([0.2, 0.4, 0.6]) == pytest.approx(0.4)
    mean, low, high = interval([0.1, 0.2, 0.3, 0.4])
    assert low < mean < high


@pytest.mark.parametrize(
    ("module", "name", "date"),
    [
        ("os", "system", "2022-10-01"),
        ("runpy", "run_path", "2024-05-28"),
        ("cProfile", "run", "2025-08-26"),
        ("mylab", "f", ""),
    ],
)
def test_a_file_comes_when_the_first_of_its_callables_was_listed(module: str, name: str, date: str) -> None:
    data = Assembler(2).global_(module, name).text("x").tuple1().reduce().assemble()
    assert disclosure(trace_bytes(data, DEFAULT_LIMITS), read_disclosure()) == date


def test_what_is_remembered_of_a_file_is_what_a_scan_would_see_whatever_is_usual() -> None:
    files = [
        trace_bytes(data, DEFAULT_LIMITS)
        for data in (
            Assembler(2).global_("lab.tools", "run").text("x").tuple1().reduce().assemble(),
            Assembler(2).global_("lab.tools", "hand").global_("lab.other", "f").tuple1().reduce().assemble(),
            Assembler(2).global_("os", "system").text("echo").tuple1().reduce().assemble(),
        )
    ]
    seen = Seen()
    for usual in ([], files[:1], files[1:], files, files[1:]):
        knowledge = Knowledge(Prevalence.count([(f"{n}{place}", f) for n, f in enumerate(usual) for place in range(9)]))
        for file in files:
            view = seen.view(file, knowledge)
            assert view.row == extract(file, knowledge)[0]
            assert view.names == names_of(file, knowledge)


def measured() -> dict[str, Any]:
    """Results of two repetitions in which ours is better."""
    found: dict[str, Any] = {}
    for seed in range(2):
        for stream in STREAMS:
            for method in METHODS:
                recall = 0.9 if method == "ours" else 0.5
                periods = [Period(recall, 0.01, recall).__dict__] * 3
                found[f"run {stream} {method} 20 0 {seed}"] = {
                    "periods": periods, "kept_recall": [1.0, 0.99], "churn": [0.0], "canary_flips": 0, "seconds": 1.0,
                }  # fmt: skip
        found[f"alarms {seed}"] = {"false_alarms": 3.0, "attacks": 20.0, "library": 30.0, "container": -1.0}
        found[f"families {seed}"] = [
            {"name": "new", "before": 0.2, "advised": [0.95], "retrained": -1.0, "labels": 1},
            {"name": "hard", "before": 0.2, "advised": [0.3], "retrained": 0.4, "labels": 11},
        ]
        result = {"loss": 0.0, "loss_after_gate": 0.0, "canary_flips": 0, "learned": 1, "visible": True, "accused": 0}
        found[f"poison {seed}"] = {f"{attack} {rate:g}": result for attack in ATTACKS for rate in RATES}
    return found


def test_the_report_states_bars_that_were_met_and_missed(tmp_path: Path) -> None:
    write_report(measured(), tmp_path)
    text = (tmp_path / "learning-over-time.md").read_text()
    bars = {line.split(" | ")[0].strip("| "): line.endswith("| yes |") for line in text.splitlines() if " | " in line}
    assert bars["drift: AUT F1 at 5 % beats static, intervals apart"]
    assert not bars["drift: forgetting at most 0.5 points"]
    assert not bars["a new family at 90 % recall within 10 labels"]
    assert not bars["at most 1 false alarm per 1,000 benign files"]
    assert not bars["alarm within 50 files of a shift"]
    assert bars["no canary flips at any rate of poisoning"]
    assert (tmp_path / "learning-over-time-drift.svg").stat().st_size > 1000


def test_a_report_of_nothing_says_so(tmp_path: Path) -> None:
    write_report({}, tmp_path)
    assert (tmp_path / "learning-over-time.md").read_text().count("Not measured yet.") == 4
