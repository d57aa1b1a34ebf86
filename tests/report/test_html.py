"""The HTML report: whole in itself, and with nothing of a file that a browser would take for markup."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

from tests.cli import BENIGN, HOSTILE, TRUNCATED, run, write

TAG = b"<img src=x onerror=alert(1)>\"'"
MARKUP = b"\x80\x02cos\nsystem\nX" + bytes((len(TAG), 0, 0, 0)) + TAG + b"\x85R."


class Page(HTMLParser):
    """Tags, attributes and texts of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.links: list[str] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes.update(name for name, _value in attributes)
        self.links += [value or "" for name, value in attributes if name in ("href", "src")]
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag != "p":
            while self.open[-1] == "p":
                self.open.pop()
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def page(folder: Path) -> Page:
    return Page(run("scan", "--format", "html", folder).stdout.decode())


def test_nothing_of_a_file_becomes_markup(tmp_path: Path) -> None:
    (tmp_path / "<script>alert(1)<b>\x1b.pkl").write_bytes(MARKUP)
    seen = page(tmp_path)
    assert not {"script", "img", "b"} & seen.tags
    assert not any(name.startswith("on") for name in seen.attributes)
    text = "".join(seen.texts)
    assert "<script>alert(1)<b>\\x1b.pkl" in text
    assert "<img src=x onerror=alert(1)>" in text
    assert "\x1b" not in text


def test_the_page_is_well_formed_and_loads_nothing(tmp_path: Path) -> None:
    seen = page(write(tmp_path, bad=HOSTILE, good=BENIGN, cut=TRUNCATED))
    assert seen.open == []
    assert not {"link", "script", "iframe", "img", "object"} & seen.tags
    assert seen.links
    assert all(link.startswith(("https://cwe.mitre.org/", "https://atlas.mitre.org/")) for link in seen.links)


def test_a_card_says_verdict_effect_place_and_advice(tmp_path: Path) -> None:
    text = " ".join("".join(page(write(tmp_path, bad=HOSTILE, cut=TRUNCATED)).texts).split())
    for part in (
        *("malicious", "starts a process", "os.system('echo inert')", "byte 29", "Do not load it", "call-process"),
        *("CWE-78", "AML.T0050", "2 files", "Ends in the middle of a pickle"),
    ):
        assert part in text
