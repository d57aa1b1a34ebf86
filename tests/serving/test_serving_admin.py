"""What analysts and admins do with the served API: lists, keys, models; and its OpenAPI document."""

from __future__ import annotations

import datetime
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import jsonschema
import pytest
from openapi_spec_validator import validate

from registry import Registry
from serving.openapi import document
from serving.routes import OPERATIONS
from serving.schemas import EXAMPLES, SCHEMAS
from tests.serving.conftest import BLIND, SHARP
from tests.serving.models import BENIGN, benign, hostile
from tests.serving.served import ADMIN_KEY, Served, wait_for
from tests.serving.test_serving_api import assert_problem

pytestmark = pytest.mark.slow


def assert_schema(value: Any, name: str) -> None:
    """Hold a value against a schema of the document."""
    schema = {"$ref": f"#/components/schemas/{name}", "components": {"schemas": SCHEMAS}}
    jsonschema.validate(value, schema, jsonschema.Draft202012Validator)


def test_the_openapi_document_is_valid_and_names_every_operation(service: Served) -> None:
    with service.client(None) as client:
        served = client.get("/v1/openapi.json").json()
    validate(served)
    assert served == json.loads(json.dumps(document(OPERATIONS)))
    assert {(o.path, o.method.lower()) for o in OPERATIONS} == {
        (path, method) for path, methods in served["paths"].items() for method in methods
    }


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_examples_of_the_document_are_what_they_are_examples_of(name: str) -> None:
    assert_schema(EXAMPLES[name], name)


def test_answers_are_what_the_document_says(service: Served) -> None:
    with service.client() as client:
        scan = client.post("/v1/scan", content=hostile(40)).json()
        assert_schema(scan, "Scan")
        body = {"scan_id": scan["scan_id"], "label": "malicious", "reason": "r"}
        assert_schema(client.post("/v1/feedback", json=body).json(), "Label")
        assert_schema(client.post("/v1/scan", content=hostile(40)).json(), "Scan")
        for path, name in (
            (f"/v1/scans/{scan['scan_id']}", "StoredScan"),
            ("/v1/scans", "ScanPage"),
            ("/v1/labels", "LabelPage"),
            ("/v1/queue", "Queue"),
            ("/v1/drift", "Drift"),
            ("/v1/model", "Model"),
            ("/v1/models", "Models"),
            (f"/v1/models/{BLIND}", "ModelCard"),
            ("/v1/keys", "Keys"),
            ("/v1/audit", "AuditPage"),
        ):
            response = client.get(path)
            assert response.status_code == 200, response.text
            assert_schema(response.json(), name)
        assert_schema(client.get("/v1/nothing").json(), "Problem")


def test_scans_are_listed_by_filter_and_by_page(service: Served) -> None:
    with service.client() as client:
        made = [client.post("/v1/scan", params={"name": "listed.pkl"}, content=benign(i)).json() for i in range(5)]
        ids = [scan["scan_id"] for scan in reversed(made)]
        seen, cursor = [], ""
        while True:
            query = {"name": "listed.pkl", "limit": "2", **({"cursor": cursor} if cursor else {})}
            page = client.get("/v1/scans", params=query).json()
            seen += [item["scan_id"] for item in page["items"]]
            if (cursor := page["next"]) is None:
                break
        assert seen == ids
        by_hash = client.get("/v1/scans", params={"sha256": made[0]["sha256"], "name": "listed.pkl"}).json()
        assert [item["scan_id"] for item in by_hash["items"]] == [made[0]["scan_id"]]
        last = made[-1]["at"]
        later = client.get("/v1/scans", params={"name": "listed.pkl", "since": last}).json()["items"]
        assert made[-1]["scan_id"] in [item["scan_id"] for item in later]
        soon = (datetime.datetime.fromisoformat(last) + datetime.timedelta(hours=1)).isoformat()
        assert client.get("/v1/scans", params={"name": "listed.pkl", "since": soon}).json()["items"] == []


def test_a_scanner_lists_its_own_scans_only(service: Served, keys: dict[str, str]) -> None:
    with service.client(keys["admin"]) as admin, service.client(keys["scanner"]) as scanner:
        admin.post("/v1/scan", params={"name": "whose.pkl"}, content=BENIGN)
        own = scanner.post("/v1/scan", params={"name": "whose.pkl"}, content=BENIGN).json()["scan_id"]
        assert [i["scan_id"] for i in scanner.get("/v1/scans?name=whose.pkl").json()["items"]] == [own]
        assert len(admin.get("/v1/scans?name=whose.pkl").json()["items"]) == 2
        for path in ("/v1/labels", "/v1/drift", "/v1/models", "/v1/queue", "/v1/keys", "/v1/audit"):
            assert_problem(scanner.get(path), 403, "forbidden")


@pytest.mark.parametrize(
    "query",
    [
        "limit=0", "limit=201", "limit=x", "limit=-1", "limit=1&limit=2", "cursor=x", "cursor=%00", "cursor=1.x",
        "verdict=evil", "sha256=x", "since=yesterday", "x=1",
        "name=%00", "name=", "name=" + "n" * 300, "limit=%C2%B2",
    ],
)  # fmt: skip
def test_a_query_that_cannot_be_used_is_refused(service: Served, query: str) -> None:
    with service.client() as client:
        assert_problem(client.get(f"/v1/scans?{query}"), 422, "invalid-parameter")


def test_moments_that_no_clock_of_ours_shows_bound_nothing(service: Served) -> None:
    with service.client() as client:
        client.post("/v1/scan", content=benign(1)).raise_for_status()
        for path in ("/v1/scans", "/v1/labels", "/v1/drift"):
            everything = client.get(f"{path}?since=0001-01-01&until=9999-12-31T23:59:59-12:00&limit=1")
            assert everything.status_code == 200
            assert client.get(f"{path}?since=9999-12-31T23:59:59-12:00").json()["items"] == []
        assert client.get("/v1/scans?since=0001-01-01T00:00:00%2B12:00&limit=1").json()["items"]


def test_a_cursor_of_another_list_is_refused(service: Served) -> None:
    with service.client() as client:
        for number in range(2):
            client.post("/v1/scan", content=benign(number))
        cursor = client.get("/v1/scans?limit=1").json()["next"]
        assert_problem(client.get(f"/v1/labels?cursor={cursor}"), 422, "invalid-parameter")


def test_the_same_request_gets_the_same_answer_and_is_stored_once(service: Served, keys: dict[str, str]) -> None:
    def scan(number: int, name: str = "same.pkl", key: str = "order 7") -> httpx.Response:
        with service.client(keys["scanner"]) as client:
            return client.post(
                "/v1/scan", params={"name": name}, content=hostile(number), headers={"Idempotency-Key": key}
            )

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: scan(41), range(6)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({json.dumps(answer.json(), sort_keys=True) for answer in answers}) == 1
    assert scan(41).headers["idempotency-replayed"] == "true"
    assert len(service.query("SELECT 1 FROM scans WHERE name = 'same.pkl'")) == 1
    assert_problem(scan(42), 422, "idempotency-key-used")
    assert_problem(scan(41, "other.pkl"), 422, "idempotency-key-used")
    assert scan(42, key="order 8").status_code == 200
    assert_problem(scan(42, key="k" * 300), 422, "invalid-parameter")


def test_every_answer_and_problem_has_the_request_s_id(service: Served) -> None:
    with service.client() as client:
        own = client.get("/v1/scans/x", headers={"X-Request-Id": "build-7_a.b"})
        assert own.headers["x-request-id"] == own.json()["request_id"] == "build-7_a.b"
        for bad in ("a b", 'x"', "x" * 65, "é".encode()):
            made = client.get("/v1/model", headers={b"X-Request-Id": bad if isinstance(bad, bytes) else bad.encode()})
            assert len(made.headers["x-request-id"]) == 16


def test_an_admin_makes_rotates_and_revokes_keys_and_all_of_it_is_audited(
    service: Served, keys: dict[str, str]
) -> None:
    expires = (datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=1)).isoformat()
    with service.client(keys["admin"]) as admin:
        body = {"name": "robot", "role": "scanner", "expires_at": expires}
        made = admin.post("/v1/keys", json=body)
        assert made.status_code == 201, made.text
        number = made.json()["id"]
        rotated = admin.post(f"/v1/keys/{number}:rotate", json={"grace_seconds": 60}).json()
        for key in (made.json()["key"], rotated["key"]):
            with service.client(key) as client:
                assert client.get("/v1/model").status_code == 200
        assert admin.post(f"/v1/keys/{rotated['id']}:revoke").status_code == 200
        assert_problem(admin.post(f"/v1/keys/{rotated['id']}:revoke"), 404, "unknown-key")
        assert_problem(admin.post("/v1/keys", json={"name": "x", "role": "root"}), 422, "invalid-key")
        assert_problem(admin.post("/v1/keys", json={**body, "expires_at": "2020-01-01"}), 422, "invalid-parameter")
        assert_problem(admin.post("/v1/keys", json={**body, "more": 1}), 422, "invalid-parameter")
        assert_problem(admin.post("/v1/keys/0:rotate", json={}), 422, "invalid-key")
        entries = admin.get("/v1/audit", params={"subject": f"key {number}"}).json()["items"]
        assert [entry["action"] for entry in entries] == ["key.rotate", "key.add"]
        assert {entry["actor"] for entry in entries} == {"the admin"}
        listed = {key["id"]: key for key in admin.get("/v1/keys").json()["items"]}
    assert listed[rotated["id"]]["revoked_at"] is not None
    assert made.json()["key"] not in json.dumps([entries, list(listed.values())])


def test_an_admin_promotes_and_rolls_back_with_a_reason(service: Served, keys: dict[str, str]) -> None:
    registry = Registry(service.store)
    assert registry.aliases().champion == BLIND
    with service.client(keys["admin"]) as admin, service.client(keys["analyst"]) as analyst:
        promote = f"/v1/models/{SHARP}:promote"
        assert_problem(analyst.post(promote, json={"reason": "r"}), 403, "forbidden")
        assert_problem(admin.post(promote, json={"reason": " "}), 422, "invalid-parameter")
        assert_problem(admin.post(promote, json={"reason": "r", "force": "yes"}), 422, "invalid-parameter")
        assert_problem(admin.post("/v1/models/99:promote", json={"reason": "r"}), 404, "unknown-model")
        assert_problem(admin.post("/v1/models/..%2f1:promote", json={"reason": "r"}), 404, "unknown-path")
        assert_problem(admin.post(promote, json={"reason": "not cleared"}), 409, "refused")
        assert registry.aliases().champion == BLIND
        try:
            done = admin.post(promote, json={"reason": "knows hostile files", "force": True})
            assert done.json() == {"champion": SHARP, "before": BLIND, "reason": "knows hostile files"}
            wait_for(lambda: admin.get("/v1/model").json()["version"] == str(SHARP), 10, service.log)
            assert_problem(admin.post(f"/v1/models/{BLIND}:rollback", json={"reason": "r"}), 409, "not-champion")
        finally:
            back = admin.post("/v1/models/champion:rollback", json={"reason": "only a test"})
        assert back.json()["champion"] == BLIND
        history = analyst.get("/v1/models").json()["history"]
        assert [(change["action"], change["why"]) for change in history[-2:]] == [
            ("promote", "knows hostile files"),
            ("rollback", "only a test"),
        ]
        entries = admin.get("/v1/audit", params={"subject": f"model {SHARP}"}).json()["items"]
        assert [entry["action"] for entry in entries][:4] == [
            "model.rollback", "model.promote", "model.promote-refused", "model.promote",
        ]  # fmt: skip
        wait_for(lambda: admin.get("/v1/model").json()["version"] == str(BLIND), 10, service.log)


def test_what_is_logged_is_one_json_object_a_line(service: Served) -> None:
    lines = [line for line in service.log.read_text().splitlines() if '"logger": "safepickle' in line]
    assert lines
    for line in lines:
        assert {"at", "level", "logger", "message"} <= set(json.loads(line))


def test_no_address_is_fetched_unless_the_operator_allows_it(service: Served) -> None:
    with service.client() as client:
        response = client.post("/v1/scan:url", json={"url": f"http://127.0.0.1:{service.port}/v1/openapi.json"})
    assert_problem(response, 403, "address-not-allowed")


@pytest.mark.parametrize(
    "path", ["/v1/scan", "/v1/scans", "/v1/scans/x", "/v1/nothing", "/v1/openapi.json", "/metrics"]
)
def test_every_answer_forbids_what_a_browser_could_make_of_it(service: Served, path: str) -> None:
    for key in (None, ADMIN_KEY):
        with service.client(key) as client:
            headers = client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
        assert "access-control-allow-origin" not in headers
        assert "set-cookie" not in headers


@pytest.mark.parametrize(
    "name",
    [
        "<script>alert(1)</script>.pkl", "'; DROP TABLE scans; --", "../../etc/passwd", "..\\..\\boot.ini",
        "\r\nSet-Cookie: a=b",
        "\u202egnp.lkp", "=cmd|'/c calc'!A1", "${jndi:ldap://x}", "%00.pkl", "con",
    ],
)  # fmt: skip
def test_a_name_is_data_wherever_it_comes_from(service: Served, name: str) -> None:
    with service.client() as client:
        shown = client.post("/v1/scan", params={"name": name}, content=BENIGN).json()
        part = client.post("/v1/scan", files={"file": (name, BENIGN)})
        listed = client.get("/v1/scans", params={"name": shown["path"]}).json()["items"]
    assert shown["scan_id"] in [item["scan_id"] for item in listed]
    for answer in (shown["path"], part.json()["path"]):
        assert not set(answer) & set("/\\\r\n\x00")
        assert answer.isprintable()
    assert "set-cookie" not in part.headers


def test_ten_bad_keys_in_a_row_are_each_refused_and_cost_no_good_one(service: Served, keys: dict[str, str]) -> None:
    for number in range(10):
        with service.client(f"sp_{number:043}") as client:
            assert_problem(client.get("/v1/model"), 401, "unauthorized")
    with service.client(keys["scanner"]) as client:
        assert client.get("/v1/model").status_code == 200
