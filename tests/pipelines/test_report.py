"""The evaluation as one page."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path

import pytest

from pipelines import report
from pipelines.evaluation.tables import markdown
from pipelines.paths import METRICS, REPORT, ROBUSTNESS

PIXEL = b"\x89PNG\r\n\x1a\n"


class Seen(HTMLParser):
    """Tags and attributes of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.sources: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.sources += [value or "" for name, value in attrs if name in ("src", "href")]


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (REPORT / "plots").mkdir(parents=True)
    ROBUSTNESS.mkdir(parents=True)
    counts = {"tp": 9, "fn": 1, "incomplete_malicious": 0, "fp": 2, "tn": 98, "incomplete_benign": 0}
    numbers = {"public": {**counts, "recall": 0.9, "false_positive_rate": 0.02}}
    METRICS.write_text(json.dumps({"files": 1234, "ensemble": numbers}))
    (REPORT / "plots" / "scores.png").write_bytes(PIXEL)
    hostile = markdown(("file",), [("<script>alert(1)</script>",), ("[a](javascript:alert(1))",)])
    (REPORT / "errors.md").write_text("# Files that the ensemble gets wrong\n\n" + hostile)
    (ROBUSTNESS / "robustness.md").write_text("# Hiding\n\nRecall bare 0.9.\n")
    return tmp_path


def test_the_page_shows_figures_tables_and_pictures_and_loads_nothing(checkout: Path) -> None:
    report.main(["page.html"])
    text = (checkout / "page.html").read_text()
    seen = Seen()
    seen.feed(text)
    assert "90.0%" in text
    assert "9 of 10" in text
    assert "1,234 files" in text
    assert "Recall bare 0.9." in text
    assert {"table", "img", "nav"} <= set(seen.tags)
    assert all(source.startswith(("data:image/png;base64,", "#")) for source in seen.sources)


def test_names_of_strangers_stay_text(checkout: Path) -> None:
    seen = Seen()
    seen.feed(report.page())
    assert "script" not in seen.tags
    assert not any("javascript" in source for source in seen.sources)


def test_without_an_evaluation_there_is_no_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="dvc repro"):
        report.page()
