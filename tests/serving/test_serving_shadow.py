"""The challenger in shadow: each scan once, after every crash, and never shown as a verdict."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from registry import Registry
from serving import auth, shadow
from serving.database import leases
from serving.database.engine import Database, DatabaseUnavailable
from serving.database.records import NewLabel, add_label, load_scan
from serving.database.tables import ShadowScore
from serving.database.writer import store_scans
from serving.learner_job import JOB
from serving.shadow import Shadow, report
from tests.serving.conftest import BLIND, SHARP
from tests.serving.models import benign, hostile
from tests.serving.records import record_of


@pytest.fixture
def store(tmp_path: Path, make_store: Callable[[Path], Registry]) -> Registry:
    """The blind model is champion, the sharp one challenger."""
    made = make_store(tmp_path / "store")
    made.set_challenger(SHARP, "the gate passed", "tests")
    return made


def scan(database: Database, *files: bytes, **changes: object) -> list[str]:
    records = [record_of(data, "x", **changes) for data in files]
    with database.write() as connection:
        store_scans(connection, records)
    return [record.id for record in records]


def scored(database: Database) -> list[tuple[str, int, str]]:
    with database.read() as connection:
        rows = connection.execute(sa.select(ShadowScore.scan_id, ShadowScore.version, ShadowScore.verdict))
        return sorted((row.scan_id, row.version, row.verdict) for row in rows)


def run(database: Database, store: Registry, holder: str = "one") -> None:
    job = Shadow(database, store.root, 30, holder)
    while job.step():
        pass


def test_live_scans_from_the_challengers_beginning_on_are_judged_once(database: Database, store: Registry) -> None:
    scan(database, hostile(1))
    run(database, store)
    assert scored(database) == [], "what was scanned before it came is no live scan"
    ids = scan(database, hostile(2), benign(3), verdict="benign")
    run(database, store)
    run(database, store)
    assert scored(database) == sorted([(ids[0], SHARP, "malicious"), (ids[1], SHARP, "benign")])
    with database.read() as connection:
        assert load_scan(connection, ids[0])["verdict"] == "benign", "the challenger's word is not shown"


def test_a_crash_while_storing_loses_and_doubles_nothing(
    database: Database, store: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shadow, "BATCH", 2)
    run(database, store)
    ids = scan(database, *(hostile(number) for number in range(7)))
    keep, calls = Shadow._store, 0

    def failing(self: Shadow, *arguments: object) -> None:
        nonlocal calls
        calls += 1
        if calls % 2:
            raise DatabaseUnavailable("the disk is full")
        keep(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Shadow, "_store", failing)
    for _ in range(20):
        try:
            Shadow(database, store.root, 30, "one").step()
        except DatabaseUnavailable:
            continue
    assert [row[0] for row in scored(database)] == sorted(ids)


def test_who_does_not_hold_the_lease_stores_nothing(database: Database, store: Registry) -> None:
    run(database, store)
    scan(database, hostile(1))
    with database.write() as connection:
        leases.release(connection, JOB, "one")
        leases.acquire(connection, JOB, "another", 30)
    Shadow(database, store.root, 30, "one").step()
    assert scored(database) == []


def test_the_report_tells_what_would_change_and_trusts_labels(database: Database, store: Registry) -> None:
    run(database, store)
    ids = scan(database, hostile(1), hostile(2), benign(3), verdict="benign")
    run(database, store)
    with database.read() as connection:
        first = report(connection, SHARP)
    assert (first.scans, first.same, first.cleared, first.flagged_more, first.flagged_less) == (3, 1, 3, 2, 0)
    assert first.verdicts == {"benign > benign": 1, "benign > malicious": 2}
    assert {example["scan_id"] for example in first.examples} == set(ids[:2])
    with database.write() as connection:
        key = auth.add_key(connection, "analyst", "ann", "")[0]
        add_label(connection, NewLabel("malicious", "r", scan_id=ids[0]), key, "ann", "analyst")
    with database.read() as connection:
        assert report(connection, SHARP).flagged_more == 1


def test_without_a_challenger_or_with_a_damaged_one_nothing_is_judged(database: Database, store: Registry) -> None:
    next((store.root / "versions" / str(SHARP) / "bundle").glob("*.safetensors")).write_bytes(b"damaged")
    scan(database, hostile(1))
    run(database, store)
    store.set_challenger(None, "rejected", "tests")
    run(database, store)
    store.set_challenger(BLIND, "champion already", "tests")
    run(database, store)
    assert scored(database) == []
    assert json.loads(json.dumps(store.aliases().challenger)) == BLIND
