"""Pages and forms of the console of a real served process, from outside, as a browser without a script sends them."""

from __future__ import annotations

import hashlib
import sqlite3
import time
from typing import Any

import httpx
import pytest

from tests.console.conftest import Console, csrf
from tests.serving.models import benign, hostile

pytestmark = pytest.mark.slow

PAGES = ("/", "/scans", "/upload", "/dashboard", "/dashboard?span=quarter", "/models", "/models?a=1&b=2", "/models/1",
         "/labels", "/keys", "/audit")  # fmt: skip
HOSTILE_TEXT = "\"'><script>alert(1)<!--\u202e\x1b[2J{{7*7}}"


def hostile_named(text: str) -> bytes:
    """A hostile file whose argument is `text` and which imports a module of that name."""
    encoded = text.encode()
    argument = b"X" + len(encoded).to_bytes(4, "little") + encoded
    return b"\x80\x04\x8c\x02os\x8c\x06system\x93" + argument + b"\x85R0" + argument + b"\x8c\x01x\x93."


def text_of(value: object) -> str:
    assert isinstance(value, str)
    return value


# --- logging in ------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES)
def test_whoever_is_not_logged_in_is_sent_to_the_login_and_back(console: Console, page: str) -> None:
    with console.client() as client:
        sent = client.get(f"/console{page}")
        assert sent.status_code == 303
        assert sent.headers["location"].startswith("/console/login?next=%2Fconsole%2F")
        form = client.get(sent.headers["location"])
        onward = form.text.partition('name="next" value="')[2].partition('"')[0].replace("&amp;", "&")
        done = console.log_in(client, console.keys["eve"], next=onward)
        assert done.headers["location"] == f"/console{page}"


def test_a_wrong_key_and_a_scanners_key_do_not_log_in(console: Console) -> None:
    with console.client() as client:
        wrong = console.log_in(client, "sp_" + "x" * 43)
        assert (wrong.status_code, "safepickle_session" in client.cookies) == (401, False)
        assert "not known or was revoked" in wrong.text
        scanner = console.log_in(client, console.keys["sid"])
        assert (scanner.status_code, "safepickle_session" in client.cookies) == (403, False)


def test_a_login_form_without_its_cookie_is_refused(console: Console) -> None:
    with console.client() as client:
        token = csrf(client.get("/console/login").text)
        client.cookies.clear()
        done = client.post("/console/login", data={"csrf": token, "key": console.keys["ann"]})
    assert done.status_code == 403
    assert "safepickle_session" not in done.headers.get("set-cookie", "")


def test_the_sessions_cookie_is_out_of_reach_of_scripts_and_other_sites(console: Console) -> None:
    with console.client() as client:
        done = console.log_in(client, console.keys["ann"])
        cookie = next(value for value in done.headers.get_list("set-cookie") if value.startswith("safepickle_session="))
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie
        assert "Path=/console" in cookie
        assert "Secure" not in cookie
    with console.client(headers={"X-Forwarded-Proto": "https"}) as client:
        done = console.log_in(client, console.keys["ann"])
        # httpx does not send a secure cookie over http: the login form's own is one too
        assert done.status_code == 403
        assert all("Secure" in value for value in done.headers.get_list("set-cookie") if "login=" in value)


def test_the_database_knows_a_session_only_by_its_hash(console: Console) -> None:
    with console.as_("ann") as client:
        token = client.cookies["safepickle_session"]
    rows = console.served.query("select digest from console_sessions")
    assert hashlib.sha256(b"safepickle-session:" + token.encode()).hexdigest() in {row[0] for row in rows}
    assert all(token not in str(row) for row in rows)


def test_a_session_ends_with_logging_out_with_time_and_with_its_key(console: Console) -> None:
    def works(client: httpx.Client) -> bool:
        return client.get("/console/scans").status_code == 200

    with console.as_("ann") as client:
        token = client.cookies["safepickle_session"]
        client.post("/console/logout", data={"csrf": csrf(client.get("/console/").text)})
        client.cookies.set("safepickle_session", token, path="/console")
        assert not works(client)
    with console.as_("ann") as client:
        digest = hashlib.sha256(b"safepickle-session:" + client.cookies["safepickle_session"].encode()).hexdigest()
        assert works(client)
        change(console, "update console_sessions set expires_at = '2020-01-01 00:00:00' where digest = ?", digest)
        assert not works(client)
    with console.as_("eve") as admin:
        made = admin.post(
            "/console/keys", data={"csrf": csrf(admin.get("/console/keys").text), "name": "kim", "role": "analyst"}
        )
        key = made.text.partition('class="secret">')[2].partition("<")[0]
        with console.client() as client:
            assert console.log_in(client, key).status_code == 303
            assert works(client)
            number = console.served.query("select id from api_keys where name = 'kim'")[0][0]
            admin.post("/console/keys/revoke", data={"csrf": csrf(made.text), "id": str(number)})
            assert not works(client)
    assert f"key {number}" in console.audit("key.add")
    assert f"key {number}" in console.audit("key.revoke")


def change(console: Console, statement: str, *values: object) -> None:
    connection = sqlite3.connect(console.served.database, timeout=10)
    with connection:
        connection.execute(statement, values)
    connection.close()


# --- forms of others -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["/logout", "/theme", "/files/{sha}/label", "/files/{sha}/undo", "/models/promote", "/models/rollback",
             "/keys", "/keys/revoke"]
)  # fmt: skip
def test_every_form_wants_the_token_of_its_own_session(console: Console, path: str) -> None:
    path = path.format(sha=console.scan(benign(900))["sha256"])
    with console.as_("eve") as client, console.as_("eve") as other:
        foreign = csrf(other.get("/console/").text)
        own = csrf(client.get("/console/").text)
        for token in ("", foreign, own[:-1] + ("0" if own[-1] != "0" else "1"), "\u20ac"):
            refused = client.post(f"/console{path}", data={"csrf": token, "label": "benign", "reason": "forged"})
            assert refused.status_code == 403, token
        for headers in (
            {"Origin": "https://evil.example"},
            {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "same-site"},
        ):
            refused = client.post(f"/console{path}", data={"csrf": own, "reason": "forged"}, headers=headers)
            assert refused.status_code == 403, headers
    assert not console.served.query("select 1 from labels where reason = 'forged'")


def test_the_token_of_an_upload_is_good_for_uploads_alone(console: Console) -> None:
    with console.as_("ann") as client:
        address = client.get("/console/upload").text.partition('action="/console/upload?token=')[2].partition('"')[0]
        sha = console.scan(benign(901))["sha256"]
        data = {"csrf": address, "label": "benign", "reason": "forged"}
        assert client.post(f"/console/files/{sha}/label", data=data).status_code == 403
        form = csrf(client.get("/console/upload").text)
        refused = client.post(f"/console/upload?token={form}", files={"file": ("x", benign(902))})
        assert refused.status_code == 403


def test_a_form_that_is_none_is_refused(console: Console) -> None:
    with console.as_("ann") as client:
        assert client.post("/console/theme", json={}).status_code == 415
        assert client.post("/console/theme", data={"theme": "x" * 70_000}).status_code == 413
        assert client.post("/console/theme", data={str(number): "x" for number in range(100)}).status_code == 400
        assert client.post("/console/theme", data={"theme": "\x00"}).status_code == 400


# --- pages -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", [*PAGES, "/login", "/nothing/here", "/files/" + "0" * 64, "/static/console.css"])
def test_every_answer_forbids_the_browser_all_that_it_does_not_need(console: Console, page: str) -> None:
    with console.as_("eve") as client:
        answer = client.get(f"/console{page}")
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert "://" not in answer.text.replace("http://www.w3.org/2000/svg", "") or "/models" in page
    assert " style=" not in answer.text
    assert "<style" not in answer.text


@pytest.mark.parametrize(
    "path", ["/static/../app.py", "/static/%2e%2e/app.py", "/static/..%2fapp.py", "/static//etc/passwd"]
)
def test_only_the_style_sheet_and_the_script_are_served_as_files(console: Console, path: str) -> None:
    with console.client() as client:
        assert client.get(f"/console{path}").status_code == 404


def test_nothing_of_a_hostile_file_is_written_as_html(console: Console) -> None:
    scanned = console.scan(hostile_named(HOSTILE_TEXT), HOSTILE_TEXT)
    with console.as_("ann") as client:
        queue = client.get("/console/", params={"q": "alert"})
        label = {
            "csrf": csrf(queue.text),
            "label": "unsure",
            "reason": HOSTILE_TEXT,
            "evidence": "a\nb",
        }
        client.post(f"/console/files/{scanned['sha256']}/label", data=label)
        pages = [client.get(f"/console{path}") for path in (f"/files/{scanned['sha256']}", "/scans", "/labels")]
        searched = client.get("/console/scans", params={"q": HOSTILE_TEXT})
    for answer in (*pages, queue, searched):
        assert answer.status_code == 200
        assert "<script>alert" not in answer.text
        assert "\u202e" not in answer.text
        assert "\x1b" not in answer.text
        assert "&lt;script&gt;alert(1)" in answer.text
    assert "{{7*7}}" in pages[0].text, "what looks like a template is shown, not run"
    assert "a<br>b" in pages[0].text


def test_the_page_of_a_file_tells_what_loading_it_would_do(console: Console) -> None:
    scanned = console.scan(hostile(950), "trojan.pkl")
    with console.as_("ann") as client:
        page = client.get(f"/console/files/{scanned['sha256']}").text
    assert "Do not load this file. Loading it starts a process." in page
    assert "os.system" in page
    anchor = page.partition('<a class="at" href="#s0-d')[2].partition('"')[0]
    assert f'id="s0-d{anchor}"' in page, "an offset of the pseudo-Python leads to its opcode"
    assert f'href="#s0-p{anchor}"' in page


def test_a_scan_id_in_the_search_leads_to_its_file(console: Console) -> None:
    scanned = console.scan(benign(951))
    with console.as_("ann") as client:
        client.follow_redirects = True
        for text in (scanned["scan_id"], scanned["sha256"]):
            assert str(scanned["sha256"]) in str(client.get("/console/scans", params={"q": text_of(text)}).url)
        assert client.get("/console/scans", params={"q": "0" * 64}).status_code == 404


def test_lists_go_on_on_further_pages(console: Console) -> None:
    for number in range(30):
        console.scan(benign(2_000 + number, number % 5), f"listed-{number}.pkl")
    with console.as_("ann") as client:
        first = client.get("/console/scans").text
        older = first.partition('href="/console/scans?before=')[2].partition('"')[0]
        second = client.get("/console/scans", params={"before": older}).text
        assert "listed-29.pkl" in first
        assert "listed-29.pkl" not in second
        assert "listed-0.pkl" in second
        filtered = client.get("/console/", params={"q": "listed-1", "verdict": "benign"}).text
        assert "listed-2" not in filtered


# --- labels ----------------------------------------------------------------------------------------


def test_a_label_is_stored_shown_and_taken_back(console: Console) -> None:
    scanned = console.scan(benign(960), "to-label.pkl")
    path = f"/console/files/{scanned['sha256']}"
    with console.as_("ann") as client:
        token = csrf(client.get(path).text)
        for data in ({"label": "malicious"}, {"label": "good", "reason": "x"}, {"reason": "x"}):
            assert client.post(f"{path}/label", data={"csrf": token, **data}).status_code == 422
        stored = client.post(f"{path}/label", data={"csrf": token, "label": "malicious", "reason": "tested"})
        assert (stored.status_code, stored.headers["location"]) == (303, f"{path}#label")
        page = client.get(path).text
        assert "Label stored." in page
        assert "This file is labelled malicious" in page
        assert "Label stored." not in client.get(path).text, "a notice is shown once"
        undone = client.post(f"{path}/undo", data={"csrf": token})
        assert undone.status_code == 303
        assert "Nobody has labelled this file" in client.get(path).text
        assert client.post(f"{path}/undo", data={"csrf": token}).status_code == 409
        assert (
            client.post(
                "/console/files/" + "1" * 64 + "/label", data={"csrf": token, "label": "benign", "reason": "x"}
            ).status_code
            == 404
        )
    rows = console.served.query("select label, author from labels where sha256 = ? order by id", scanned["sha256"])
    assert rows == [("malicious", "ann"), ("retracted", "ann")]


def test_a_second_person_is_asked_for_where_the_floor_says_malicious(console: Console) -> None:
    scanned = console.scan(hostile(961), "guarded.pkl")
    change(console, "update scans set guarded = 1 where id = ?", scanned["scan_id"])
    path = f"/console/files/{scanned['sha256']}"
    for person, word in (("ann", "another person has to agree"), ("bob", "This file is labelled benign")):
        with console.as_(person) as client:
            token = csrf(client.get(path).text)
            client.post(f"{path}/label", data={"csrf": token, "label": "benign", "reason": "our own"})
            assert word in client.get(path).text


def test_only_the_author_or_an_admin_takes_a_label_back(console: Console) -> None:
    scanned = console.scan(benign(962))
    path = f"/console/files/{scanned['sha256']}"
    with console.as_("ann") as ann:
        ann.post(f"{path}/label", data={"csrf": csrf(ann.get(path).text), "label": "benign", "reason": "known"})
    number = console.served.query("select id from labels where sha256 = ?", scanned["sha256"])[0][0]
    with console.as_("bob") as bob:
        page = bob.get(path).text
        assert f'value="{number}"' not in page
        assert bob.post(f"{path}/undo", data={"csrf": csrf(page), "label_id": str(number)}).status_code == 409
    with console.as_("eve") as eve:
        assert (
            eve.post(f"{path}/undo", data={"csrf": csrf(eve.get(path).text), "label_id": str(number)}).status_code
            == 303
        )


def test_a_label_leads_back_to_a_page_of_the_console_and_nowhere_else(console: Console) -> None:
    scanned = console.scan(benign(963))
    with console.as_("ann") as client:
        data = {"csrf": csrf(client.get("/console/").text), "label": "unsure", "reason": "x"}
        elsewhere = ("https://evil.example/", "//evil.example/console/", "/console/../v1/scan", "javascript:alert(1)")
        for onward, end in (("/console/?page=2", "/console/?page=2"), *((path, "/console/") for path in elsewhere)):
            done = client.post(f"/console/files/{scanned['sha256']}/label", data={**data, "next": onward})
            assert done.headers["location"] == end


def test_labelled_files_are_neighbours_of_files_that_call_the_same(console: Console) -> None:
    one, other = console.scan(hostile(964), "one.pkl"), console.scan(hostile(965), "other.pkl")
    with console.as_("ann") as client:
        token = csrf(client.get("/console/").text)
        data = {"csrf": token, "label": "malicious", "reason": "seen"}
        client.post(f"/console/files/{one['sha256']}/label", data=data)
        page = client.get(f"/console/files/{other['sha256']}").text
    assert "one.pkl</a>" in page.partition("Nearest labelled files")[2]
    assert "distance 0.00" in page


# --- upload ----------------------------------------------------------------------------------------


def test_an_upload_leads_to_the_files_page_which_has_code_also_of_a_benign_file(console: Console) -> None:
    with console.as_("ann") as client:
        token = client.get("/console/upload").text.partition("/console/upload?token=")[2].partition('"')[0]
        done = client.post(f"/console/upload?token={token}", files={"file": ("up.pkl", benign(970))})
        assert done.status_code == 303
        page = client.get(done.headers["location"]).text
        assert "up.pkl" in page
        assert "Pseudo-Python</h3>" in page
        as_json = {"Accept": "application/json"}
        told = client.post(f"/console/upload?token={token}", files={"file": ("a", benign(971))}, headers=as_json)
        assert told.json()["page"].startswith("/console/files/")
        large = client.post(f"/console/upload?token={token}", files={"file": ("a", bytes(3_100_000))}, headers=as_json)
        assert (large.status_code, "limit" in large.json()["detail"]) == (413, True)
        none = client.post(f"/console/upload?token={token}", files={"file": ("", b"")})
        assert none.status_code in (400, 422)


def test_a_benign_file_of_the_api_has_no_code_and_the_page_says_so(console: Console) -> None:
    scanned = console.scan(benign(972))
    with console.as_("ann") as client:
        page = client.get(f"/console/files/{scanned['sha256']}").text
    assert "Not kept of this scan" in page


# --- models, dashboard, keys -----------------------------------------------------------------------


def test_an_analyst_sees_models_and_moves_none(console: Console) -> None:
    with console.as_("ann") as client:
        page = client.get("/console/models").text
        assert "Roll back" not in page
        token = csrf(page)
        for path in ("promote", "rollback"):
            data = {"csrf": token, "number": "1", "reason": "no", "force": "yes"}
            assert client.post(f"/console/models/{path}", data=data).status_code == 403
        assert client.get("/console/keys").status_code == 403
        assert client.post("/console/keys", data={"csrf": token, "name": "x", "role": "admin"}).status_code == 403


def test_an_admin_promotes_and_rolls_back_with_a_reason_and_both_are_audited(console: Console) -> None:
    with console.as_("eve") as client:
        token = csrf(client.get("/console/models").text)
        promoted = {"csrf": token, "number": "1", "reason": "tried out"}
        assert client.post("/console/models/promote", data={**promoted, "reason": " "}).status_code == 422
        refused = client.post("/console/models/promote", data=promoted)
        assert (refused.status_code, "not cleared by the gate" in refused.text) == (409, True)
        assert client.post("/console/models/promote", data={**promoted, "force": "yes"}).status_code == 303
        assert 'Version 1</a> <span class="chip benign">champion' in client.get("/console/models").text
        wait_until(lambda: "scans with model 1" in client.get("/console/models").text)
        assert client.post("/console/models/rollback", data={"csrf": token, "reason": "tried"}).status_code == 303
        wait_until(lambda: "scans with model 2" in client.get("/console/models").text)
        history = client.get("/console/models").text
        audit = client.get("/console/audit").text
    assert "tried out" in history
    assert "tried out" in audit
    assert "eve (key" in history
    assert console.audit("model.promote")[-1] == "model 1"
    assert console.audit("model.promote-refused")
    assert console.audit("model.rollback")[-1] == "model 1"


def wait_until(holds: Any) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_the_dashboard_counts_scans_and_labels(console: Console) -> None:
    scanned = console.scan(hostile(980))
    with console.as_("ann") as client:
        before = client.get("/console/dashboard?span=day").text
        data = {"csrf": csrf(before), "label": "malicious", "reason": "counted"}
        client.post(f"/console/files/{scanned['sha256']}/label", data=data)
        after = client.get("/console/dashboard?span=day").text
    assert tile(after, "labelled files") == tile(before, "labelled files") + 1
    assert "Precision and recall over time" in after


def tile(page: str, name: str) -> int:
    text = page.partition(f"<dt>{name}</dt><dd>")[2].partition("<")[0]
    return int(text.replace(",", ""))


def test_an_admin_does_not_revoke_the_key_that_is_in_use(console: Console) -> None:
    number = console.served.query("select id from api_keys where name = 'eve'")[0][0]
    with console.as_("eve") as client:
        token = csrf(client.get("/console/keys").text)
        assert client.post("/console/keys/revoke", data={"csrf": token, "id": str(number)}).status_code == 409
        assert client.post("/console/keys/revoke", data={"csrf": token, "id": "99999"}).status_code == 404
        assert client.post("/console/keys", data={"csrf": token, "name": "", "role": "admin"}).status_code == 422
