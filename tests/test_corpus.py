"""The scanner and the shipped champion on real files. They are training data: no figure here is a measurement."""

from __future__ import annotations

import csv
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from safepickle.scan import Scanner

pytestmark = pytest.mark.slow

NOT_ANALYSED = {"skops", "jinja-template", "keras-zip"}
"""Kinds without a pickle that are reported incomplete."""


def _scan(paths: list[str]) -> list[tuple[str, bool, str]]:
    scanner = Scanner()
    reports = [scanner.scan_path(path) for path in paths]
    return [(report.container, report.complete, report.verdict) for report in reports]


@pytest.fixture(scope="module")
def scanned(corpus: Path) -> list[tuple[dict[str, str], str, bool, str]]:
    csv.field_size_limit(1 << 24)
    with open(corpus / "manifest.csv", encoding="utf-8", newline="") as source:
        entries = list(csv.DictReader(source))
    parts = [entries[start::16] for start in range(16)]
    with ProcessPoolExecutor(2) as pool:
        found = list(pool.map(_scan, [[str(corpus / entry["file"]) for entry in part] for part in parts]))
    answers = [answer for part in found for answer in part]
    return [(entry, *said) for entry, said in zip((entry for part in parts for entry in part), answers, strict=True)]


def test_every_public_pickle_is_read_to_its_end(scanned: list[tuple[dict[str, str], str, bool, str]]) -> None:
    unread = [
        entry["file"]
        for entry, container, complete, _verdict in scanned
        if entry["origin"] == "public"
        and entry["kind"] not in NOT_ANALYSED
        and not complete
        and container != "lz4"  # its decoder is not installed with the scanner
        and "keras-zip" not in container
        and "+zip" not in container
    ]
    assert not unread


def test_every_joblib_file_is_read_to_its_end(scanned: list[tuple[dict[str, str], str, bool, str]]) -> None:
    kinds = Counter(complete for _entry, container, complete, _verdict in scanned if "joblib" in container)
    assert kinds[True] >= 140
    assert kinds[False] == 0


def test_the_champion_knows_what_it_was_trained_on(scanned: list[tuple[dict[str, str], str, bool, str]]) -> None:
    flagged = {"malicious", "suspicious"}
    public = [verdict in flagged for entry, _c, _d, verdict in scanned if entry["origin"] == "public"]
    hostile = [verdict in flagged for entry, _c, _d, verdict in scanned if entry["effect"] == "exec"]
    assert sum(public) <= len(public) * 0.01
    assert sum(hostile) >= len(hostile) * 0.95


def test_no_malicious_file_that_runs_something_is_called_incomplete_only_because_it_is_damaged(
    scanned: list[tuple[dict[str, str], str, bool, str]],
) -> None:
    hidden = [
        entry["file"] for entry, _c, _d, verdict in scanned if entry["effect"] == "exec" and verdict == "incomplete"
    ]
    assert len(hidden) <= 3, hidden
