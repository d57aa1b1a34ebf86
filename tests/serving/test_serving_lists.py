"""Lists of scans, labels, alarms and audit entries, on both databases."""

from __future__ import annotations

import dataclasses
import datetime

import pytest
import sqlalchemy as sa

from serving import auth
from serving.database import listing
from serving.database.audit import Actor, record
from serving.database.engine import Database
from serving.database.idempotency import AnotherRequest, earlier_answer, forget_answers
from serving.database.listing import Page, Span, list_audit, list_drift, list_labels, list_scans
from serving.database.records import NewLabel, add_label
from serving.database.tables import Event, IdempotentScan, Label
from serving.database.writer import ScanRecord, store_scans
from tests.serving.models import benign, hostile
from tests.serving.records import record_of

START = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
MINUTE = datetime.timedelta(minutes=1)


def scans(number: int) -> list[ScanRecord]:
    """Scans a minute apart; every third is hostile, every fifth is of model 2, names repeat."""
    made = []
    for place in range(number):
        data = benign(place % 7) if place % 3 else hostile(place % 7)
        changes = {"model_version": "2" if place % 5 == 0 else "1", "at": START + place * MINUTE}
        made.append(record_of(data, f"file-{place % 4}.pkl", **changes))
    return made


def pages(database: Database, limit: int, **equal: str | int) -> tuple[list[str], int]:
    """All ids of a list, read page by page, and how many pages there were."""
    found: list[str] = []
    before, count = None, 0
    while True:
        with database.read() as connection:
            page = list_scans(connection, dict(equal), Span(), before, limit)
        assert len(page.items) <= limit
        found += [item["scan_id"] for item in page.items]
        count += 1
        if page.next is None:
            return found, count
        before = str(page.next)


@pytest.mark.parametrize(
    "equal",
    [
        {},
        {"verdict": "malicious"},
        {"name": "file-2.pkl"},
        {"model_version": "2", "verdict": "malicious"},
        {"name": "file-1.pkl", "container": "pickle", "model_version": "2", "verdict": "malicious"},
        {"container": "zip"},
    ],
)
def test_pages_hold_every_scan_that_passes_once_and_the_latest_first(
    database: Database, equal: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "EXAMINED", 10)
    monkeypatch.setattr(listing, "CHUNK", 5)
    monkeypatch.setattr(listing, "SECONDS", 60)
    made = scans(64)
    with database.write() as connection:
        store_scans(connection, made)
    wanted = [scan.id for scan in reversed(made) if all(getattr(scan, name) == value for name, value in equal.items())]
    assert pages(database, 7, **equal)[0] == wanted


def test_a_page_looks_at_a_bounded_number_of_rows_and_says_where_to_go_on(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "EXAMINED", 10)
    monkeypatch.setattr(listing, "CHUNK", 5)
    monkeypatch.setattr(listing, "SECONDS", 60)
    made = [
        dataclasses.replace(scan, container="zip" if place == 0 else "pickle") for place, scan in enumerate(scans(50))
    ]
    with database.write() as connection:
        store_scans(connection, made)
    found, count = pages(database, 5, model_version="2", container="zip")
    assert found == [made[0].id]
    assert count == 2


def test_a_span_takes_its_beginning_and_leaves_its_end(database: Database) -> None:
    made = scans(10)
    with database.write() as connection:
        store_scans(connection, made)
    with database.read() as connection:
        page = list_scans(connection, {}, Span(START + 3 * MINUTE, START + 6 * MINUTE), None, 50)
    assert [item["scan_id"] for item in page.items] == [scan.id for scan in reversed(made[3:6])]
    assert page.items[0]["at"] == (START + 5 * MINUTE).isoformat()


def test_a_list_shows_the_label_that_stands_and_who_decided(database: Database) -> None:
    made = scans(4)
    with database.write() as connection:
        store_scans(connection, made)
        key, _ = auth.add_key(connection, "analyst", "ann", "")
        add_label(connection, NewLabel("benign", "known", scan_id=made[1].id), key, "ann", "analyst")
    with database.read() as connection:
        shown = {item["scan_id"]: item for item in list_scans(connection, {}, Span(), None, 50).items}
        labels = list_labels(connection, {"label": "benign", "author": "ann"}, Span(), None, 50)
        none = list_labels(connection, {"label": "malicious"}, Span(), None, 50)
    assert shown[made[1].id]["label"]["label"] == "benign"
    assert shown[made[1].id]["decided_by"] == "label"
    assert shown[made[2].id]["label"] is None
    assert [item["scan_id"] for item in labels.items] == [made[1].id]
    assert none == Page([], None)


def test_labels_of_a_span_are_all_listed_though_the_clocks_of_replicas_differ(database: Database) -> None:
    (made,) = scans(1)
    # In the order in which they came: the second and the fifth are from a replica that is fifty minutes behind.
    minutes = [0, 250, 300, 301, 252, 303, 600]
    with database.write() as connection:
        store_scans(connection, [made])
        key, _ = auth.add_key(connection, "analyst", "ann", "")
        for minute in minutes:
            values = {"at": START + minute * MINUTE, "scan_id": made.id, "sha256": made.sha256, "label": "benign"}
            who = {"author_id": key, "author": "ann", "role": "analyst", "reason": str(minute), "model_version": "1"}
            connection.execute(sa.insert(Label).values(**values, **who))
    spans = {
        Span(since=START + 251 * MINUTE): ["600", "303", "252", "301", "300"],
        Span(until=START + 301 * MINUTE): ["252", "300", "250", "0"],
        Span(START + 250 * MINUTE, START + 301 * MINUTE): ["252", "300", "250"],
        Span(START + 700 * MINUTE): [],
        Span(until=START): [],
    }
    with database.read() as connection:
        for span, wanted in spans.items():
            assert [item["reason"] for item in list_labels(connection, {}, span, None, 50).items] == wanted
            assert [
                item["reason"] for item in list_labels(connection, {"author": "ann"}, span, None, 50).items
            ] == wanted


def test_drift_alarms_are_listed_with_their_evidence_and_nothing_else_is(database: Database) -> None:
    with database.write() as connection:
        for number, kind in enumerate(("model", "drift", "label", "drift")):
            values = {"at": START + number * MINUTE, "kind": kind, "payload": {"stream": kind, "number": number}}
            connection.execute(sa.insert(Event).values(values))
    with database.read() as connection:
        first = list_drift(connection, Span(), None, 1)
        assert isinstance(first.next, int)
        second = list_drift(connection, Span(), first.next, 1)
    assert [item["number"] for item in first.items + second.items] == [3, 1]
    assert second.next is None


def test_making_rotating_and_revoking_keys_is_audited_without_the_keys(database: Database) -> None:
    with database.write() as connection:
        number, key = auth.add_key(connection, "scanner", "build", "p", by=Actor("root", None))
        after, rotated = auth.rotate_key(connection, number, "p", datetime.timedelta(seconds=0))
        assert auth.revoke_key(connection, after)
        record(connection, "model.promote", "model 3", {"reason": "better"}, Actor("ann", number))
    with database.read() as connection:
        entries = list_audit(connection, {}, Span(), None, 50).items
        assert [entry["action"] for entry in list_audit(connection, {"actor": "ann"}, Span(), None, 5).items] == [
            "model.promote"
        ]
    assert [entry["action"] for entry in reversed(entries)] == [
        "key.add", "key.add", "key.rotate", "key.revoke", "model.promote",
    ]  # fmt: skip
    assert key not in repr(entries)
    assert rotated not in repr(entries)


def test_a_key_ends_when_it_expires_and_the_old_one_of_a_rotation_after_its_grace(database: Database) -> None:
    keys = auth.Authenticator(database, "", 60)
    soon = auth.now() + datetime.timedelta(seconds=0.4)
    with database.write() as connection:
        number, key = auth.add_key(connection, "scanner", "build", "", expires_at=soon)
    keys.identify(key)
    assert keys.recall(key) is not None
    with database.write() as connection:
        _, rotated = auth.rotate_key(connection, number, "", datetime.timedelta(seconds=0))
    with pytest.raises(auth.Problem, match="expired"):
        auth.Authenticator(database, "", 60).identify(key)
    assert keys.identify(rotated).name == "build"
    with pytest.raises(ValueError, match="works"), database.write() as connection:
        auth.rotate_key(connection, number, "", datetime.timedelta())


def test_a_remembered_key_is_forgotten_when_it_expires(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = auth.Authenticator(database, "", 3600)
    with database.write() as connection:
        _, key = auth.add_key(connection, "scanner", "b", "", expires_at=auth.now() + datetime.timedelta(seconds=100))
    keys.identify(key)
    assert keys.recall(key) is not None
    moment = auth.time.monotonic()
    monkeypatch.setattr(auth.time, "monotonic", lambda: moment + 101)
    assert keys.recall(key) is None


def test_an_answer_is_given_again_to_the_same_request_and_refused_to_another(database: Database) -> None:
    with database.write() as connection:
        key, _ = auth.add_key(connection, "scanner", "build", "")
        scan = dataclasses.replace(record_of(hostile(1), "a.pkl"), api_key_id=key, idempotency_key="k")
        store_scans(connection, [scan])
    with database.read() as connection:
        again = earlier_answer(connection, key, "k", scan.sha256, "a.pkl")
        assert again is not None
        assert again["scan_id"] == scan.id
        assert earlier_answer(connection, key, "another", scan.sha256, "a.pkl") is None
        assert earlier_answer(connection, key + 1, "k", scan.sha256, "a.pkl") is None
        for sha256, name in (("0" * 64, "a.pkl"), (scan.sha256, "b.pkl")):
            with pytest.raises(AnotherRequest):
                earlier_answer(connection, key, "k", sha256, name)
    with database.write() as connection:
        connection.execute(sa.update(IdempotentScan).values(at=START))
        assert earlier_answer(connection, key, "k", scan.sha256, "a.pkl") is None
        assert forget_answers(connection) == 1
