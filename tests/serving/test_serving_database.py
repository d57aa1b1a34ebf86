"""The database: migrations, transactions, the append-only log, keys and leases, on real SQLite and PostgreSQL."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from serving import auth
from serving.database import leases
from serving.database.clock import now
from serving.database.engine import Database, DatabaseUnavailable
from serving.database.migrate import alembic_config, upgrade
from serving.database.records import load_scan
from serving.database.tables import ApiKey, AuditEntry, Base, Event, Scan
from serving.database.writer import ScanWriter, store_scans
from serving.problems import Problem
from tests.serving.models import BENIGN, HOSTILE, benign
from tests.serving.postgres import Cluster
from tests.serving.records import record_of
from tests.serving.served import ROOT


def count(database: Database, table: type[Base]) -> int:
    with database.read() as connection:
        return int(connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one())


def test_migrations_make_the_tables_of_the_models(database: Database) -> None:
    with database.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


@pytest.fixture(params=["sqlite", "postgresql"])
def new_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a database that has no tables yet."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/new/serving.db"
    cluster: Cluster = request.getfixturevalue("cluster")
    return cluster.new_database(migrated=False)


def test_many_processes_may_migrate_and_make_the_first_key_at_once(new_url: str) -> None:
    code = (
        "import sys; from serving.database.migrate import upgrade; from serving.database.engine import Database; "
        "from serving.auth import ensure_admin; upgrade(sys.argv[1]); ensure_admin(Database(sys.argv[1]), '')"
    )
    started = [
        subprocess.Popen([sys.executable, "-c", code, new_url], cwd=ROOT, stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    printed = [process.communicate(timeout=60)[1] for process in started]
    assert [process.returncode for process in started] == [0] * 3, printed
    assert len([line for line in printed if "admin key, shown only this once" in line]) == 1
    database = Database(new_url)
    assert count(database, ApiKey) == 1
    database.close()


def test_a_database_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/serving.db"
    upgrade(url)
    connection = sqlite3.connect(tmp_path / "serving.db")
    connection.execute("UPDATE alembic_version SET version_num = 'from-the-future'")
    connection.commit()
    connection.close()
    with pytest.raises(DatabaseUnavailable, match="another version"):
        upgrade(url)


@pytest.mark.parametrize("url", ["mysql://x/y", "sqlite://"])
def test_a_database_of_another_kind_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"(?i)sqlite"):
        Database(url)


def test_migrations_can_be_taken_back_one_by_one(database: Database) -> None:
    with database.engine.connect() as connection:
        config = alembic_config()
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
        assert sa.inspect(connection).get_table_names() == ["alembic_version"]
    upgrade(database.url.render_as_string(hide_password=False))
    assert count(database, Scan) == 0


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "serving.db").write_bytes(b"this is not a database" * 100)
    with pytest.raises(DatabaseUnavailable):
        upgrade(f"sqlite:///{tmp_path}/serving.db")
    assert (tmp_path / "serving.db").read_bytes() == b"this is not a database" * 100


@pytest.mark.parametrize("change", ["UPDATE events SET kind = 'x'", "DELETE FROM labels", "DELETE FROM audit"])
def test_nobody_can_change_the_log(database: Database, change: str) -> None:
    record = record_of(HOSTILE, "x")
    with database.write() as connection:
        store_scans(connection, [record])
        key, _ = auth.add_key(connection, "analyst", "a", "")
        connection.execute(sa.insert(AuditEntry).values(at=now(), actor="a", action="x", subject="y", detail={}))
        connection.execute(
            sa.text(
                "INSERT INTO labels (at, scan_id, sha256, label, author_id, author, role, reason, model_version) "
                "VALUES ('2026-01-01', :scan, 'x', 'benign', :key, 'a', 'analyst', 'r', '1')"
            ),
            {"scan": record.id, "key": key},
        )
    with pytest.raises(sa.exc.IntegrityError, match="append-only"), database.write() as connection:
        connection.execute(sa.text(change))


def test_a_transaction_that_fails_stores_nothing(database: Database) -> None:
    def fail(connection: sa.Connection) -> None:
        store_scans(connection, [record_of(HOSTILE, "x")])
        raise RuntimeError

    with pytest.raises(RuntimeError), database.write() as connection:
        fail(connection)
    assert (count(database, Scan), count(database, Event)) == (0, 0)


def test_a_lock_that_lasts_is_an_error_and_one_that_ends_is_waited_for(sqlite_database: Database) -> None:
    assert sqlite_database.file is not None
    lock = sqlite3.connect(sqlite_database.file, isolation_level=None, check_same_thread=False)
    lock.execute("BEGIN IMMEDIATE")
    with pytest.raises(DatabaseUnavailable, match="locked"), sqlite_database.write():
        pass
    with sqlite_database.read() as connection:
        connection.execute(sa.select(Event.id)).all()
    asyncio.run(_store_while_locked(sqlite_database, lock))
    lock.close()
    assert count(sqlite_database, Scan) == 1


async def _store_while_locked(database: Database, lock: sqlite3.Connection) -> None:
    writer = ScanWriter(database)
    storing = asyncio.create_task(writer.store(record_of(BENIGN, "x")))
    await asyncio.sleep(0.2)
    lock.execute("ROLLBACK")
    await storing
    writer.close()


def test_a_removed_database_is_not_written_to(sqlite_database: Database, tmp_path: Path) -> None:
    assert count(sqlite_database, Event) == 0
    (tmp_path / "serving.db").rename(tmp_path / "aside.db")
    with pytest.raises(DatabaseUnavailable), sqlite_database.write() as connection:
        store_scans(connection, [record_of(BENIGN, "x")])
    assert not (tmp_path / "serving.db").exists()
    (tmp_path / "aside.db").rename(tmp_path / "serving.db")
    assert count(sqlite_database, Scan) == 0


def test_one_bad_record_does_not_take_the_others_of_its_batch_with_it(database: Database) -> None:
    async def store() -> list[object]:
        writer = ScanWriter(database)
        twin = record_of(BENIGN, "x")
        records = [record_of(benign(number), "x") for number in range(5)]
        jobs = [writer.store(record) for record in (*records, twin, twin)]
        answers = await asyncio.gather(*jobs, return_exceptions=True)
        writer.close()
        return list(answers)

    answers = asyncio.run(store())
    assert sum(isinstance(answer, Exception) for answer in answers) == 1
    assert (count(database, Scan), count(database, Event)) == (6, 6)


def test_a_stored_scan_reads_back_as_it_was(database: Database) -> None:
    record = record_of(HOSTILE, "model.pkl")
    with database.write() as connection:
        store_scans(connection, [record])
    with database.read() as connection:
        shown = load_scan(connection, record.id)
    for name in ("sha256", "size", "container", "verdict", "score", "complete", "findings", "detectors", "oddities"):
        assert shown[name] == getattr(record, name)
    assert shown["at"] == record.at.isoformat()
    assert (shown["novelty"], shown["learned"], shown["label"]) == (None, False, None)


def test_a_key_is_known_only_with_its_pepper_and_only_until_it_is_revoked(database: Database) -> None:
    with database.write() as connection:
        number, key = auth.add_key(connection, "analyst", "ann", "pepper")
    assert auth.Authenticator(database, "pepper", 5).identify(key) == auth.Principal(number, "ann", "analyst")
    for pepper, sent in (("", key), ("pepper", key + "x"), ("pepper", "")):
        with pytest.raises(Problem) as raised:
            auth.Authenticator(database, pepper, 5).identify(sent)
        assert raised.value.status == 401
    remembering = auth.Authenticator(database, "pepper", 0.2)
    assert remembering.recall(key) is None
    remembering.identify(key)
    with database.write() as connection:
        assert auth.revoke_key(connection, number)
    assert remembering.recall(key) is not None
    assert remembering.recall(key + "x") is None
    time.sleep(0.25)
    assert remembering.recall(key) is None
    with pytest.raises(Problem):
        remembering.identify(key)


@pytest.mark.parametrize(("role", "name", "key"), [("root", "a", ""), ("admin", "", ""), ("admin", "a", "short")])
def test_a_key_that_cannot_be_is_refused(database: Database, role: str, name: str, key: str) -> None:
    with pytest.raises(ValueError), database.write() as connection:  # noqa: PT011 - the texts are for people
        auth.add_key(connection, role, name, "", key)


def test_a_lease_has_one_holder_until_it_expires_or_is_given_back(database: Database) -> None:
    def acquire(holder: str, seconds: float = 30) -> bool:
        with database.write() as connection:
            return leases.acquire(connection, "job", holder, seconds)

    assert acquire("a")
    assert acquire("a")
    assert not acquire("b")
    with database.write() as connection:
        leases.release(connection, "job", "b")
    assert not acquire("b")
    with database.write() as connection:
        leases.release(connection, "job", "a")
    assert acquire("b", 0.1)
    time.sleep(0.15)
    assert acquire("a")
    assert not acquire("b")
