"""The API of the real served process, from outside."""

from __future__ import annotations

import hashlib
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.serving.conftest import BLIND
from tests.serving.models import BENIGN, HOSTILE, benign, hostile
from tests.serving.served import ADMIN_KEY, Served, wait_for

pytestmark = pytest.mark.slow

FILE_MEMBERS = {
    "path", "sha256", "size", "container", "verdict", "score", "complete", "findings", "detectors", "oddities",
}  # fmt: skip


def assert_problem(response: httpx.Response, status: int, kind: str) -> None:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["type"] == f"urn:safepickle:problem:{kind}"
    assert problem["status"] == status
    assert problem["detail"]


def test_a_raw_body_is_scanned_and_answered_with_the_file_object(service: Served) -> None:
    with service.client() as client:
        response = client.post("/v1/scan", params={"name": "some/folder/model.pkl"}, content=BENIGN)
    assert response.status_code == 200, response.text
    answer = response.json()
    assert set(answer) >= FILE_MEMBERS | {"scan_id", "model_version", "label"}
    assert answer["sha256"] == hashlib.sha256(BENIGN).hexdigest()
    assert answer["size"] == len(BENIGN)
    assert answer["path"] == "model.pkl"
    assert answer["container"] == "pickle"
    assert answer["complete"] is True


def test_multipart_and_raw_bodies_get_the_same_report(service: Served) -> None:
    with service.client() as client:
        raw = client.post("/v1/scan", params={"name": "h.pkl"}, content=HOSTILE).json()
        form = client.post("/v1/scan", files={"file": ("h.pkl", HOSTILE)}).json()
    assert {name: raw[name] for name in FILE_MEMBERS} == {name: form[name] for name in FILE_MEMBERS}


def test_a_file_larger_than_the_memory_threshold_is_scanned_from_disk(service: Served) -> None:
    data = benign(1, 60_000)
    assert len(data) > 400_000
    with service.client() as client:
        for response in (
            client.post("/v1/scan", content=data),
            client.post("/v1/scan", files={"file": ("x", data)}),
        ):
            assert response.status_code == 200, response.text
            assert response.json()["sha256"] == hashlib.sha256(data).hexdigest()
            assert response.json()["size"] == len(data)
            assert response.json()["complete"] is True
    assert not list((service.folder / "spool").glob("safepickle-[!m]*"))


def test_an_empty_body_is_answered_but_never_as_benign(service: Served) -> None:
    with service.client() as client:
        response = client.post("/v1/scan", content=b"")
    assert response.status_code == 200
    assert response.json()["verdict"] != "benign"


@pytest.mark.parametrize("key", [None, "", "wrong-key-wrong-key-wrong", "sp_" + "A" * 43, "\x00", "k" * 5000])
@pytest.mark.parametrize("header", ["Authorization", "X-API-Key"])
def test_a_missing_or_wrong_key_is_answered_401(service: Served, key: str | None, header: str) -> None:
    value = f"Bearer {key}" if header == "Authorization" else key
    headers = {} if key is None else {header: str(value)}
    try:
        with service.client(None) as client:
            response = client.post("/v1/scan", content=BENIGN, headers=headers)
    except httpx.LocalProtocolError:
        return
    if response.headers["content-type"] != "application/problem+json":
        assert response.status_code == 400  # not even a valid header
        return
    assert_problem(response, 401, "unauthorized")
    assert response.headers["www-authenticate"].startswith("Bearer")


def test_both_headers_carry_a_key(service: Served, keys: dict[str, str]) -> None:
    with service.client(None) as client:
        for headers in ({"X-API-Key": keys["scanner"]}, {"Authorization": f"bearer {keys['scanner']}"}):
            assert client.post("/v1/scan", content=BENIGN, headers=headers).status_code == 200


def test_a_role_may_do_its_own_and_nothing_above(service: Served, keys: dict[str, str]) -> None:
    with service.client(keys["admin"]) as admin:
        scan_id = admin.post("/v1/scan", content=benign(2)).json()["scan_id"]
    body = {"scan_id": scan_id, "label": "benign", "reason": "known"}
    with service.client(keys["scanner"]) as scanner:
        assert_problem(scanner.post("/v1/feedback", json=body), 403, "forbidden")
        assert_problem(scanner.get(f"/v1/scans/{scan_id}"), 404, "unknown-scan")
        own = scanner.post("/v1/scan", content=benign(2)).json()["scan_id"]
        assert scanner.get(f"/v1/scans/{own}").status_code == 200
    with service.client(keys["analyst"]) as analyst:
        assert analyst.post("/v1/feedback", json=body).status_code == 201
        assert analyst.get(f"/v1/scans/{own}").status_code == 200


def test_a_revoked_key_stops_working(service: Served) -> None:
    made = json.loads(service.command("keys", "add", "--role", "scanner", "--name", "short-lived").stdout)
    with service.client(made["key"]) as client:
        assert client.get("/v1/model").status_code == 200
        assert service.command("keys", "revoke", str(made["id"])).returncode == 0
        wait_for(lambda: client.get("/v1/model").status_code == 401, 5)
    assert service.command("keys", "revoke", str(made["id"])).returncode == 1
    assert made["key"] not in service.command("keys", "list").stdout


def test_keys_are_stored_only_as_hashes(service: Served, keys: dict[str, str]) -> None:
    stored = repr(service.query("SELECT * FROM api_keys"))
    for key in (*keys.values(), ADMIN_KEY):
        assert key not in stored
        assert key.removeprefix("sp_")[:12] not in stored


def test_a_body_over_the_limit_is_refused_by_its_announced_length(service: Served) -> None:
    with service.client() as client:
        assert_problem(client.post("/v1/scan", content=bytes(3_000_001)), 413, "body-too-large")


def test_a_chunked_body_over_the_limit_is_refused_while_it_comes(service: Served) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(50):
            yield bytes(100_000)

    with service.client() as client:
        assert_problem(client.post("/v1/scan", content=chunks()), 413, "body-too-large")
        assert_problem(client.post("/v1/scan", files={"file": ("x", bytes(3_000_001))}), 413, "body-too-large")


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data", b"no boundary"),
        ("multipart/form-data; boundary=", b"empty boundary"),
        ("multipart/form-data; boundary=" + "b" * 1000, b"long boundary"),
        ("multipart/form-data; boundary=b", b""),
        ("multipart/form-data; boundary=b", b"not multipart at all"),
        ("multipart/form-data; boundary=b", b"--b--\r\n"),
        ("multipart/form-data; boundary=b", b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\ncut off'),
        ("multipart/form-data; boundary=b", b"--b\r\nbad header\r\n\r\nx\r\n--b--\r\n"),
        ("multipart/form-data; boundary=b", b"--b\r\n" + b"A: b\r\n" * 100 + b"\r\nx\r\n--b--\r\n"),
        ("multipart/form-data; boundary=b", b"--b\r\nA: 1\r\n\r\nx\r\n--b\r\nA: 2\r\n\r\ny\r\n--b--\r\n"),
        ("multipart/form-data; boundary=b", b"--b\r\nContent-Transfer-Encoding: base64\r\n\r\neA==\r\n--b--\r\n"),
    ],
)
def test_malformed_multipart_is_refused(service: Served, content_type: str, body: bytes) -> None:
    with service.client() as client:
        response = client.post("/v1/scan", content=body, headers={"Content-Type": content_type})
    assert_problem(response, 400, "malformed-multipart")


def test_a_compressed_body_is_refused(service: Served) -> None:
    with service.client() as client:
        response = client.post("/v1/scan", content=b"x", headers={"Content-Encoding": "gzip"})
    assert_problem(response, 415, "content-encoding")


def test_a_client_that_stops_sending_is_given_up(service: Served) -> None:
    head = f"POST /v1/scan HTTP/1.1\r\nHost: x\r\nX-API-Key: {ADMIN_KEY}\r\nContent-Length: 100\r\n\r\nabc"
    with socket.create_connection(("127.0.0.1", service.port), timeout=15) as connection:
        connection.sendall(head.encode())
        assert connection.recv(4096).startswith(b"HTTP/1.1 408 ")


def test_a_client_that_goes_away_leaves_nothing_behind(service: Served) -> None:
    before = service.query("SELECT count(*) FROM scans")
    head = f"POST /v1/scan HTTP/1.1\r\nHost: x\r\nX-API-Key: {ADMIN_KEY}\r\nContent-Length: 900000\r\n\r\n"
    for _ in range(3):
        with socket.create_connection(("127.0.0.1", service.port), timeout=15) as connection:
            connection.sendall(head.encode() + bytes(500_000))
    time.sleep(0.3)
    assert service.query("SELECT count(*) FROM scans") == before
    with service.client() as client:
        assert client.post("/v1/scan", content=BENIGN).status_code == 200


def test_names_are_reduced_to_what_is_harmless(service: Served) -> None:
    with service.client() as client:
        answer = client.post("/v1/scan", params={"name": "..\\..\\<b>\x1b[31m\n" + "n" * 999}, content=BENIGN).json()
    assert "/" not in answer["path"]
    assert "\\" not in answer["path"]
    assert answer["path"].isprintable()
    assert len(answer["path"]) <= 255


def test_a_stored_scan_can_be_read_back(service: Served) -> None:
    with service.client() as client:
        answer = client.post("/v1/scan", params={"name": "again.pkl"}, content=hostile(3)).json()
        stored = client.get(f"/v1/scans/{answer['scan_id']}").json()
    assert {name: stored[name] for name in answer} == answer
    assert stored["labels"] == []


def test_an_unknown_scan_is_answered_404(service: Served) -> None:
    with service.client() as client:
        for scan_id in ("0" * 32, "x", "%00", "a" * 5000):
            assert_problem(client.get(f"/v1/scans/{scan_id}"), 404, "unknown-scan")


def test_the_learner_gives_every_scan_its_place(service: Served) -> None:
    with service.client() as client:
        scan_id = client.post("/v1/scan", content=hostile(4)).json()["scan_id"]
        wait_for(lambda: client.get(f"/v1/scans/{scan_id}").json()["learned"], 20, service.log)
        novelty = client.get(f"/v1/scans/{scan_id}").json()["novelty"]
    assert novelty is None or 0 <= novelty <= 1


def test_a_label_is_stored_as_an_event_and_answers_later_scans_of_that_content(
    service: Served, keys: dict[str, str]
) -> None:
    data = hostile(5)
    sha256 = hashlib.sha256(data).hexdigest()
    with service.client(keys["analyst"]) as client:
        first = client.post("/v1/scan", content=data).json()
        assert first["label"] is None
        response = client.post("/v1/feedback", json={"sha256": sha256, "label": "malicious", "reason": "runs a shell"})
        assert response.status_code == 201, response.text
        stored = response.json()
        assert stored["scan_id"] == first["scan_id"]
        assert (stored["author"], stored["role"]) == ("the analyst", "analyst")
        assert stored["model_version"] == first["model_version"]
        again = client.post("/v1/scan", content=data).json()
        assert again["label"]["label"] == "malicious"
        client.post(
            "/v1/feedback", json={"scan_id": again["scan_id"], "label": "unsure", "reason": "on second thought"}
        )
        assert client.post("/v1/scan", content=data).json()["label"]["label"] is None
        shown = client.get(f"/v1/scans/{first['scan_id']}").json()["labels"]
    assert [label["label"] for label in shown] == ["malicious", "unsure"]
    events = service.query("SELECT payload FROM events WHERE kind = 'label' ORDER BY id")
    assert [
        payload["label"] for payload in map(json.loads, (row[0] for row in events)) if payload["sha256"] == sha256
    ] == [
        "malicious",
        "unsure",
    ]


def test_a_label_decides_the_next_scan_beside_the_verdict_until_it_is_taken_back(service: Served) -> None:
    # A name of its own: what other tests label teaches the learner of the names in their files.
    data = hostile(55).replace(b"cos\nsystem\n", b"cof_no_other_test\nrun\n")
    with service.client() as client:

        def say(label: str) -> httpx.Response:
            sha256 = hashlib.sha256(data).hexdigest()
            return client.post("/v1/feedback", json={"sha256": sha256, "label": label, "reason": "looked at it"})

        verdict = client.post("/v1/scan", content=data).json()["verdict"]
        for label, decided, by in (("malicious", "malicious", "label"), ("retracted", verdict, "model")):
            assert say(label).status_code == 201
            if label == "retracted":  # the learner may have heard the label, and takes a moment to hear this
                wait_for(lambda: client.post("/v1/scan", content=data).json()["decided_by"] == "model", 10, service.log)
            answer = client.post("/v1/scan", content=data).json()
            assert (answer["verdict"], answer["decision"], answer["decided_by"]) == (verdict, decided, by)
        assert_problem(say("retracted"), 409, "nothing-to-retract")


def test_the_queue_asks_about_unlabelled_files_with_a_reason(service: Served, keys: dict[str, str]) -> None:
    with service.client(keys["analyst"]) as client:
        scanned = client.post("/v1/scan", content=hostile(56)).json()
        answer = client.get("/v1/queue", params={"limit": 200}).json()
        assert answer["candidates"] >= len(answer["items"]) > 0
        assert all(item["why"] and 0 <= item["priority"] <= 1 for item in answer["items"])
        client.post("/v1/feedback", json={"scan_id": scanned["scan_id"], "label": "unsure", "reason": "r"})
        left = client.get("/v1/queue", params={"limit": 200}).json()["items"]
        assert scanned["sha256"] not in {item["sha256"] for item in left}
        assert_problem(client.get("/v1/queue", params={"limit": "many"}), 422, "invalid-limit")
    with service.client(keys["scanner"]) as client:
        assert_problem(client.get("/v1/queue"), 403, "forbidden")


def test_a_label_for_an_unknown_scan_is_refused_and_not_stored(service: Served) -> None:
    before = service.query("SELECT count(*) FROM labels")
    with service.client() as client:
        for target in ({"scan_id": "0" * 32}, {"sha256": "0" * 64}):
            response = client.post("/v1/feedback", json={**target, "label": "benign", "reason": "r"})
            assert_problem(response, 404, "unknown-scan")
    assert service.query("SELECT count(*) FROM labels") == before


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        (b"", 400, "malformed-json"),
        (b"{", 400, "malformed-json"),
        (b"[]", 400, "malformed-json"),
        (b"[" * 60_000, 400, "malformed-json"),
        (b"\xff\xfe\x00", 400, "malformed-json"),
        (b'{"label": "benign", "reason": "r"}', 422, "invalid-label"),
        (b'{"scan_id": "a", "sha256": "b", "label": "benign", "reason": "r"}', 422, "invalid-label"),
        (b'{"scan_id": "a", "label": "evil", "reason": "r"}', 422, "invalid-label"),
        (b'{"scan_id": "a", "label": "benign"}', 422, "invalid-label"),
        (b'{"scan_id": 1, "label": "benign", "reason": "r"}', 422, "invalid-label"),
        (b'{"scan_id": "a", "label": "benign", "reason": "\\ud800"}', 422, "invalid-label"),
        (b'{"scan_id": "a", "label": "benign", "reason": "r", "x": 1}', 422, "invalid-label"),
        (b'{"scan_id": "a", "label": "benign", "reason": "' + b"r" * 3000 + b'"}', 422, "invalid-label"),
        (b'{"scan_id": "a", "label": "benign", "reason": "' + b"r" * 70_000 + b'"}', 413, "body-too-large"),
    ],
)
def test_malformed_feedback_is_refused(service: Served, body: bytes, status: int, kind: str) -> None:
    with service.client() as client:
        response = client.post("/v1/feedback", content=body, headers={"Content-Type": "application/json"})
    assert_problem(response, status, kind)


def test_the_model_in_use_is_shown(service: Served) -> None:
    with service.client() as client:
        model = client.get("/v1/model").json()
    assert model["origin"] == "registry"
    assert model["detectors"] == ["random_forest"]
    assert set(model["thresholds"]) == {"suspicious", "malicious"}
    assert len(model["hash"]) == 64


def test_health_and_readiness_need_no_key(service: Served) -> None:
    with service.client(None) as client:
        assert client.get("/healthz").status_code == 200
        assert client.get("/readyz").status_code == 200


def test_metrics_need_a_key_unless_the_operator_opens_them(service: Served, keys: dict[str, str]) -> None:
    with service.client(None) as client:
        assert_problem(client.get("/metrics"), 401, "unauthorized")
    with service.client(keys["scanner"]) as client:
        assert client.get("/metrics").status_code == 200


def test_metrics_add_up_over_the_workers_and_show_no_path_of_a_client(service: Served) -> None:
    def scans() -> float:
        text = httpx.get(f"http://127.0.0.1:{service.port}/metrics", headers={"X-API-Key": ADMIN_KEY}).text
        assert "/v1/scans/{scan_id}" in text
        assert "f" * 32 not in text
        return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith("safepickle_scans_total{"))

    with service.client() as client:
        client.get("/v1/scans/" + "f" * 32)
        before = scans()
        for number in range(12):
            httpx.post(
                f"http://127.0.0.1:{service.port}/v1/scan",
                content=benign(number),
                headers={"X-API-Key": ADMIN_KEY},
            ).raise_for_status()
    assert scans() == before + 12


def test_metrics_tell_how_long_the_queue_is_how_late_labels_are_and_what_is_served(service: Served) -> None:
    def metric(name: str) -> float:
        text = httpx.get(f"http://127.0.0.1:{service.port}/metrics", headers={"X-API-Key": ADMIN_KEY}).text
        return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(name))

    with service.client() as client:
        answer = client.post("/v1/scan", content=benign(70_001)).json()
        labels = metric("safepickle_label_delay_seconds_count")
        given = {"scan_id": answer["scan_id"], "label": "benign", "reason": "r"}
        assert client.post("/v1/feedback", json=given).status_code == 201
        # It is counted anew only now and then.
        wait_for(lambda: metric("safepickle_label_queue{") == client.get("/v1/queue").json()["candidates"], 20)
    assert metric("safepickle_label_delay_seconds_count") == labels + 1
    assert 0 < metric("safepickle_label_delay_seconds_sum") < 1000
    assert metric(f'safepickle_served_models{{version="{BLIND}"}}') == 2


def test_unknown_addresses_and_methods_are_problems(service: Served) -> None:
    with service.client() as client:
        for method in ("GET", "POST", "PUT", "DELETE", "PROPFIND"):
            assert_problem(client.request(method, "/v1/nothing"), 404, "unknown-path")
        response = client.get("/v1/scan")
        assert response.status_code == 405
        assert response.headers["content-type"] == "application/problem+json"


def test_concurrent_scans_each_get_their_own_answer_and_event(service: Served) -> None:
    files = [hostile(1000 + number) if number % 2 else benign(1000 + number, number) for number in range(60)]

    def scan(data: bytes) -> tuple[str, str]:
        with service.client() as client:
            while (response := client.post("/v1/scan", content=data)).status_code == 429:
                assert response.headers["retry-after"] == "1"
                time.sleep(0.05)
        assert response.status_code == 200, response.text
        return response.json()["sha256"], response.json()["scan_id"]

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(scan, files))
    assert [sha256 for sha256, _ in answers] == [hashlib.sha256(data).hexdigest() for data in files]
    logged = {
        row[0] for row in service.query("SELECT json_extract(payload, '$.scan_id') FROM events WHERE kind = 'scan'")
    }
    assert {scan_id for _, scan_id in answers} <= logged


def test_a_file_that_names_half_a_character_is_answered_and_stored(service: Served) -> None:
    # STACK_GLOBAL of a module whose name is a lone surrogate, which a pickle can hold and UTF-8 cannot.
    data = b"\x80\x04\x8c\x03\xed\xa0\x80\x94\x8c\x03\xed\xb0\x80\x94\x93\x8c\x03\xed\xa0\x80\x85R."
    with service.client() as client:
        response = client.post("/v1/scan", content=data)
        assert response.status_code == 200, response.text
        assert client.get(f"/v1/scans/{response.json()['scan_id']}").json()["findings"] == response.json()["findings"]


def test_serving_and_learning_unpickle_nothing(service: Served, keys: dict[str, str]) -> None:
    with service.client(keys["analyst"]) as client:
        scan_id = client.post("/v1/scan", content=hostile(7)).json()["scan_id"]
        client.post("/v1/feedback", json={"scan_id": scan_id, "label": "malicious", "reason": "r"}).raise_for_status()
        wait_for(lambda: client.get(f"/v1/scans/{scan_id}").json()["learned"], 30, service.log)
    watched = service.audit.read_text().splitlines()
    assert {line.split()[0] for line in watched} == {"watching"}
    assert len(watched) >= 3  # both workers and the learner


def test_the_watch_for_unpickling_sees_it(tmp_path: Path) -> None:
    watched = Served(tmp_path, tmp_path / "store")
    code = "import pickle; pickle.loads(b'ccollections\\nOrderedDict\\n.')"
    subprocess.run([sys.executable, "-c", code], env=watched.environment, check=True, timeout=30)
    assert "OrderedDict" in watched.audit.read_text()
