"""Backups: from each database into each, and files that are no good."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from serving import auth
from serving.backup import TRANSIENT, BadBackup, back_up, restore
from serving.database.engine import Database
from serving.database.migrate import upgrade
from serving.database.records import NewLabel, add_label
from serving.database.tables import Base, Event, Scan
from serving.database.writer import store_scans
from serving.learner import Learner, check
from tests.serving.models import benign, hostile
from tests.serving.records import record_of


def contents(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    with database.read() as connection:
        return {
            table.name: [tuple(row) for row in connection.execute(sa.select(table).order_by(*table.primary_key))]
            for table in Base.metadata.sorted_tables
            if table.name not in TRANSIENT
        }


def fill(database: Database) -> str:
    """Scans, labels, keys and what the learner made of them; return a key."""
    records = [record_of(hostile(n) if n % 2 else benign(n), f"na\u00efve {n}.pkl") for n in range(20)]
    with database.write() as connection:
        number, key = auth.add_key(connection, "analyst", "ann", "pepper")
        store_scans(connection, records)
        add_label(connection, NewLabel("malicious", "echo", scan_id=records[1].id), number, "ann", "analyst")
    learner = Learner(database, 30, "learner")
    while learner.step():
        pass
    return key


@pytest.fixture(params=["sqlite", "postgresql"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """An empty database of each kind."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path}/target.db"
        upgrade(url)
    else:
        url = request.getfixturevalue("cluster").new_database()
    opened = Database(url)
    yield opened
    opened.close()


def test_a_restored_database_equals_the_one_that_was_backed_up_and_goes_on(
    database: Database, target: Database, tmp_path: Path
) -> None:
    key = fill(database)
    before = contents(database)
    counts = back_up(database, tmp_path / "backup.gz")
    assert os.stat(tmp_path / "backup.gz").st_mode & 0o777 == 0o600
    assert counts == {name: len(rows) for name, rows in before.items()}
    assert restore(target, tmp_path / "backup.gz") == counts
    after = contents(target)
    restored = after["audit"].pop()
    assert "database.restore" in restored
    assert after == before
    assert auth.Authenticator(target, "pepper", 1).identify(key).name == "ann"
    with target.read() as connection:
        assert check(connection)
    with target.write() as connection:
        store_scans(connection, [record_of(hostile(99), "new.pkl")])
        assert connection.execute(sa.select(sa.func.max(Event.id))).scalar_one() == before["events"][-1][0] + 1


def test_a_backup_goes_into_an_empty_database_only(database: Database, tmp_path: Path) -> None:
    fill(database)
    before = contents(database)
    back_up(database, tmp_path / "backup.gz")
    with pytest.raises(BadBackup, match="empty"):
        restore(database, tmp_path / "backup.gz")
    assert contents(database) == before


def test_a_damaged_backup_restores_nothing(sqlite_database: Database, target: Database, tmp_path: Path) -> None:
    fill(sqlite_database)
    back_up(sqlite_database, tmp_path / "good.gz")
    packed = (tmp_path / "good.gz").read_bytes()
    lines = gzip.decompress(packed).splitlines(keepends=True)
    head = json.loads(lines[0])
    damaged = [
        packed[: len(packed) // 2],
        packed[:-20] + bytes(20),
        b"",
        b"not packed",
        gzip.compress(b"[]\n"),
        gzip.compress(b"".join(lines[:-1])),
        gzip.compress(b"".join(lines[:-2] + lines[-1:])),
        gzip.compress(b"".join(lines[:-5]) + b"[1]\n"),
        gzip.compress(json.dumps({**head, "revision": "0001"}).encode() + b"\n" + b"".join(lines[1:])),
        gzip.compress(json.dumps({**head, "format": 99}).encode() + b"\n" + b"".join(lines[1:])),
    ]
    for content in damaged:
        (tmp_path / "bad.gz").write_bytes(content)
        with pytest.raises(BadBackup):
            restore(target, tmp_path / "bad.gz")
    with target.read() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(Scan)).scalar_one() == 0
