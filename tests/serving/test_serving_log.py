"""The log under concurrent writers, and a database server that dies."""

from __future__ import annotations

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from serving.database import leases
from serving.database.clock import now
from serving.database.engine import Database, DatabaseUnavailable
from serving.database.tables import Event
from serving.follower import record_model_event
from tests.serving.postgres import Cluster


def append(connection: sa.Connection, number: int) -> None:
    connection.execute(sa.insert(Event).values(at=now(), kind="label", payload={"number": number}))


def numbers_after(database: Database, last: int) -> list[tuple[int, int]]:
    with database.read() as connection:
        rows = connection.execute(sa.select(Event.id, Event.payload).where(Event.id > last).order_by(Event.id)).all()
    return [(row.id, row.payload["number"]) for row in rows]


def test_a_reader_that_follows_the_ids_misses_no_event_of_writers_that_commit_in_any_order(
    database: Database,
) -> None:
    writers, each = 4, 15
    patient = Database(database.url.render_as_string(hide_password=False), 20)

    def write(writer: int) -> None:
        chance = random.Random(writer)
        for number in range(each):
            with patient.write() as connection:
                append(connection, writer * each + number)
                time.sleep(chance.random() * 0.004)

    seen: list[int] = []
    done = threading.Event()

    def follow() -> None:
        last = 0
        while True:
            ending = done.is_set()
            found = numbers_after(patient, last)
            seen.extend(number for _, number in found)
            last = found[-1][0] if found else last
            if ending:
                return

    with ThreadPoolExecutor(writers + 1) as pool:
        reader = pool.submit(follow)
        for writing in [pool.submit(write, writer) for writer in range(writers)]:
            writing.result()
        done.set()
        reader.result()
    patient.close()
    assert sorted(seen) == list(range(writers * each))


def test_an_event_has_no_id_while_another_transaction_that_appended_is_open(database: Database) -> None:
    with database.write() as connection:
        append(connection, 1)
        assert numbers_after(database, 0) == []
        with pytest.raises(DatabaseUnavailable), database.write() as other:
            append(other, 2)
    with database.write() as connection:
        append(connection, 3)
    assert [number for _, number in numbers_after(database, 0)] == [1, 3]


def test_workers_that_take_over_a_model_at_once_log_it_once(database: Database) -> None:
    patient = Database(database.url.render_as_string(hide_password=False), 20)
    payload: dict[str, object] = {"action": "taken", "version": "2"}
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: record_model_event(patient, payload), range(8)))
    patient.close()
    with database.read() as connection:
        assert connection.execute(sa.select(Event.payload).where(Event.kind == "model")).scalars().all() == [payload]


def test_of_many_that_want_a_lease_at_once_one_gets_it(database: Database) -> None:
    patient = Database(database.url.render_as_string(hide_password=False), 20)

    def acquire(number: int) -> bool:
        with patient.write() as connection:
            return leases.acquire(connection, "job", f"holder {number}", 30)

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(acquire, range(8))) == 1
    patient.close()


def test_a_killed_server_loses_nothing_stored_and_is_used_again_when_it_is_back(
    cluster: Cluster, postgresql_database: Database
) -> None:
    with postgresql_database.write() as connection:
        append(connection, 1)
    cluster.kill()
    try:
        with pytest.raises(DatabaseUnavailable):
            numbers_after(postgresql_database, 0)
        with pytest.raises(DatabaseUnavailable), postgresql_database.write() as connection:
            append(connection, 2)
    finally:
        cluster.start()
    with postgresql_database.write() as connection:
        append(connection, 3)
    assert [number for _, number in numbers_after(postgresql_database, 0)] == [1, 3]


def test_a_session_that_the_server_ended_within_a_transaction_stored_nothing(
    cluster: Cluster, postgresql_database: Database
) -> None:
    def fail(connection: sa.Connection) -> None:
        append(connection, 1)
        connection.execute(sa.text("SELECT pg_terminate_backend(pg_backend_pid())"))

    with pytest.raises(DatabaseUnavailable), postgresql_database.write() as connection:
        fail(connection)
    assert numbers_after(postgresql_database, 0) == []
