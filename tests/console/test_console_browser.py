"""The console in a real Chromium, as people use it: by mouse, by keyboard, without JavaScript, in dark colours."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.console.conftest import Console
from tests.serving.models import benign, hostile

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

pytestmark = pytest.mark.slow

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
             "--disable-component-update", "--disable-sync"]  # fmt: skip
PAGES = ("/", "/scans", "/upload", "/dashboard", "/models?a=1&b=2", "/models/1", "/labels", "/keys", "/audit")

Page = Any


def naming(name: str) -> bytes:
    """A file that imports something no other file does; the queue asks about files that name the same once."""
    return b"\x80\x04c" + name.encode() + b"\nthing\n."


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A headless Chromium."""
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium: Any, console: Console) -> Iterator[Callable[..., Page]]:
    """Opens a page with somebody logged in. Afterwards: no error in any console, and nothing asked of another host."""
    complaints: list[str] = []
    contexts = []

    def watch(page: Page) -> None:
        page.on("pageerror", lambda error: complaints.append(f"error: {error}"))
        page.on("console", lambda said: said.type in ("error", "warning") and complaints.append(said.text))

    def asked(request: Any) -> None:
        if urlsplit(request.url).netloc != urlsplit(console.base).netloc:
            complaints.append(f"asked of another host: {request.url}")

    def make(person: str = "ann", **options: Any) -> Page:
        context = chromium.new_context(base_url=console.base, viewport={"width": 1280, "height": 900}, **options)
        context.set_default_timeout(10_000)
        context.on("request", asked)
        contexts.append(context)
        page = context.new_page()
        watch(page)
        page.goto("/console/")
        page.get_by_label("API key").fill(console.keys[person])
        page.get_by_role("button", name="Log in").click()
        page.get_by_role("heading", name="Queue").wait_for()
        return page

    yield make
    for context in contexts:
        context.close()
    assert complaints == []


def test_a_file_is_found_opened_labelled_and_taken_back_by_keyboard_alone(
    console: Console, open_page: Callable[..., Page]
) -> None:
    console.scan(naming("first_by_keyboard"), "by-keyboard-1.pkl")
    console.scan(naming("second_by_keyboard"), "by-keyboard-2.pkl")
    page = open_page()
    page.goto("/console/?q=by-keyboard")
    names = page.locator("a.open").all_inner_texts()
    assert sorted(names) == ["by-keyboard-1.pkl", "by-keyboard-2.pkl"]
    page.keyboard.press("j")
    page.keyboard.press("j")
    assert page.evaluate("document.activeElement.innerText") == names[1]
    page.keyboard.press("k")
    assert page.evaluate("document.activeElement.innerText") == names[0]
    page.keyboard.press("m")
    dialog = page.get_by_role("dialog")
    assert names[0] in dialog.inner_text()
    page.keyboard.press("Escape")
    assert not dialog.is_visible(), "a label asks first, and can be left"
    page.keyboard.press("m")
    page.keyboard.type("read it, and jkmbu are letters here")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.get_by_role("status").filter(has_text="Label stored.").wait_for()
    assert page.locator("a.open").all_inner_texts() == names[1:], "what is labelled waits no longer"
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name=names[1]).wait_for()
    page.goto("/console/labels")
    page.get_by_role("link", name=names[0]).first.click()
    page.get_by_text("This file is labelled malicious").wait_for()
    page.get_by_role("button", name="Take back label").click()
    page.get_by_text("Nobody has labelled this file").wait_for()


def test_an_uploaded_file_opens_with_evidence_linked_to_the_code(
    console: Console, open_page: Callable[..., Page], tmp_path: Path
) -> None:
    file = tmp_path / "trojan.pkl"
    file.write_bytes(hostile(510))
    page = open_page()
    page.goto("/console/upload")
    page.set_input_files("#file", file)
    page.get_by_role("heading", name="trojan.pkl").wait_for()
    assert "Do not load this file. Loading it starts a process." in page.inner_text("main")
    page.locator(".finding .foot a").first.click()
    target = page.locator("li:target")
    assert "os.system" in target.inner_text()
    target.locator("a.at").click()
    assert "REDUCE" in page.locator("li:target").inner_text()
    page.keyboard.press("u")
    assert page.get_by_label("unsure", exact=True).is_checked()
    assert page.get_by_label("Reason").evaluate("element => element === document.activeElement")
    page.get_by_label("Reason").press("Escape")
    page.locator("h1").click()
    page.keyboard.press("?")
    assert page.get_by_role("dialog").get_by_text("next, previous row").is_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("g")
    page.keyboard.press("d")
    page.get_by_role("heading", name="Dashboard").wait_for()


def test_a_file_that_is_dropped_is_scanned(open_page: Callable[..., Page]) -> None:
    page = open_page()
    page.goto("/console/upload")
    page.evaluate(
        """(bytes) => {
            const transfer = new DataTransfer();
            transfer.items.add(new File([new Uint8Array(bytes)], "dropped.pkl"));
            document.querySelector("[data-upload]").dispatchEvent(
                new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true }));
        }""",
        list(benign(511)),
    )
    page.get_by_role("heading", name="dropped.pkl").wait_for()


def test_the_dashboard_counts_a_label_at_once(console: Console, open_page: Callable[..., Page]) -> None:
    scanned = console.scan(hostile(520), "counted.pkl")
    page = open_page()

    def labelled() -> int:
        page.goto("/console/dashboard?span=day")
        return int(page.locator("dl.tiles div", has_text="labelled files").locator("dd").inner_text())

    before = labelled()
    page.goto(f"/console/files/{scanned['sha256']}?label=malicious")
    assert page.get_by_label("Reason").evaluate("element => element === document.activeElement")
    page.get_by_label("Reason").fill("counted")
    page.get_by_role("button", name="Store label").click()
    page.get_by_role("status").wait_for()
    assert labelled() == before + 1
    assert page.get_by_role("img", name="Precision and recall over time").is_visible()


def test_colours_follow_the_system_until_one_is_chosen(open_page: Callable[..., Page]) -> None:
    page = open_page(color_scheme="dark")

    def brightness() -> int:
        colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
        return sum(int(part) for part in colour.removeprefix("rgb(").removesuffix(")").split(","))

    assert brightness() < 150
    page.locator(".menu summary").click()
    page.get_by_role("button", name="light").click()
    page.get_by_role("heading", name="Queue").wait_for()
    assert brightness() > 600
    page.goto("/console/scans")
    assert brightness() > 600


def test_all_but_progress_works_without_javascript(
    console: Console, open_page: Callable[..., Page], tmp_path: Path
) -> None:
    file = tmp_path / "plain.pkl"
    file.write_bytes(naming("without_script"))
    page = open_page(java_script_enabled=False)
    page.goto("/console/upload")
    page.set_input_files("#file", file)
    page.get_by_role("button", name="Scan").click()
    page.get_by_role("heading", name="plain.pkl").wait_for()
    page.goto("/console/?q=plain.pkl")
    page.get_by_role("link", name="Label plain.pkl benign").click()
    assert page.get_by_label("benign", exact=True).is_checked()
    page.get_by_label("Reason").fill("our own")
    page.get_by_role("button", name="Store label").click()
    page.get_by_text("This file is labelled benign").wait_for()
    page.get_by_role("button", name="Take back label").click()
    page.get_by_text("Nobody has labelled this file").wait_for()
    page.locator(".menu summary").click()
    page.get_by_role("button", name="Log out").click()
    page.get_by_role("heading", name="Log in to the console").wait_for()


def test_an_admin_promotes_and_rolls_back_after_saying_yes(open_page: Callable[..., Page]) -> None:
    page = open_page("eve")
    questions: list[str] = []
    page.on("dialog", lambda dialog: (questions.append(dialog.message), dialog.accept()))
    page.goto("/console/models")
    page.get_by_role("link", name="Version 1").click()
    page.get_by_label("Reason").fill("tried in a browser")
    page.get_by_label("Promote although").check()
    page.get_by_role("button", name="Promote version 1").click()
    page.get_by_text("Promoted.").wait_for()
    page.get_by_label("Reason to return").fill("tried enough")
    page.get_by_role("button", name="Roll back to 2").click()
    page.get_by_text("Rolled back.").wait_for()
    assert questions == ["Make version 1 the champion?", "Return to version 2?"]


def test_no_page_is_wider_than_a_small_screen(console: Console, open_page: Callable[..., Page]) -> None:
    scanned = console.scan(hostile(550), "n" * 120 + ".pkl")
    page = open_page("eve")
    page.goto("/console/keys")
    page.get_by_label("Name", exact=True).fill("k" * 80)
    page.get_by_role("button", name="Make a key").click()
    page.get_by_role("heading", name="shown only now").wait_for()
    page.set_viewport_size({"width": 380, "height": 800})
    for path in (*PAGES, f"/files/{scanned['sha256']}"):
        page.goto(f"/console{path}")
        assert page.evaluate("document.documentElement.scrollWidth") <= 380, path


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_on_any_page(console: Console, open_page: Callable[..., Page], scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    scanned = console.scan(hostile(540), "accessible.pkl")
    page = open_page("eve", color_scheme=scheme)
    found = []
    # Lists of one row have all that longer ones have.
    paths = [path if path not in ("/", "/scans") else f"{path}?q=accessible.pkl" for path in PAGES]
    options: dict[str, Any] = {"resultTypes": ["violations"]}
    if scheme == "dark":  # only the colours differ
        paths, options["runOnly"] = ["/?q=accessible.pkl", "/dashboard", "/models?a=1&b=2"], ["color-contrast"]
    for path in (*paths, f"/files/{scanned['sha256']}"):
        page.goto(f"/console{path}")
        result = axe.Axe().run(page, options=options).response
        found += [
            (path, one["id"], one["nodes"][0]["html"][:200], one["nodes"][0].get("failureSummary", "")[:300])
            for one in result["violations"]
            if one["impact"] in ("serious", "critical", "moderate")
        ]
    assert found == []


def test_real_files_are_judged_and_shown(open_page: Callable[..., Page], corpus: Path) -> None:
    with (corpus / "manifest.csv").open(encoding="utf-8", newline="") as manifest:
        rows = [row for row in csv.DictReader(manifest) if 100 < int(row["size"]) < 100_000]
    page = open_page()
    for label, wanted in (("malicious", "os.system"), ("benign", "numpy")):
        row = next(row for row in rows if row["label"] == label and wanted in row["globals"].replace("posix", "os"))
        page.goto("/console/upload")
        page.set_input_files("#file", corpus / row["file"])
        page.locator(".verdict-card").wait_for()
        assert wanted.partition(".")[0] in page.inner_text("main")
        assert page.locator(".code li").count() > 2
