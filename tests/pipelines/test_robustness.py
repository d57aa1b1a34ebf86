"""What hiding costs: payloads in hosts, and the report on them."""

from __future__ import annotations

import pytest

from pipelines import robustness
from pipelines.evaluation.judging import FLAGGED
from safepickle.scan import Scanner, trace_bytes

SCANNER = Scanner()


def judge(data: bytes) -> str:
    return SCANNER.judge(trace_bytes(data)).verdict


@pytest.mark.parametrize("size", [30, 1_000, 30_000])
def test_hosts_are_of_about_the_size_asked_for_and_not_flagged(size: int) -> None:
    found = robustness.hosts(size, 1, judge)
    assert len(found) >= 2
    for host in found:
        assert size / 2.5 <= len(host.operations) <= size * 2.5
        assert judge(host.data) not in FLAGGED


def test_payloads_are_drawn_from_the_held_out_pool_alike_every_time() -> None:
    first, second = robustness.cases(20, 5), robustness.cases(20, 5)
    assert first == second
    assert {case.target.pool for case in first} == {"test"}
    assert {case.target.novel for case in first} == {True, False}


def test_most_payloads_are_caught_in_every_container() -> None:
    lines = list(robustness.containers(robustness.cases(6, 1), judge))
    assert len(lines) >= 10
    assert sum(line.caught for line in lines) >= 0.9 * sum(line.malicious for line in lines)


def test_the_report_compares_bare_and_hidden_payloads() -> None:
    lines = [
        robustness.Line("host size", "no host", 10, 10, 0, 10),
        robustness.Line("host size", "100 opcodes", 9, 10, 1, 10),
        robustness.Line("place", "inside", 3, 10, 0, 10),
    ]
    text = robustness.as_markdown(lines, 10)
    assert "a difference of -10.0 points" in text
    assert "| 100 opcodes | 9 of 10 |" in text
    assert "## By place" in text
