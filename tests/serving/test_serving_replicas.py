"""Two services on one PostgreSQL."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa

from registry import Registry
from serving.database.engine import Database
from serving.database.tables import ApiKey, Event, Scan, ScanNovelty
from tests.serving.conftest import BLIND, SHARP
from tests.serving.models import BENIGN, benign, hostile
from tests.serving.postgres import Cluster
from tests.serving.served import ADMIN_KEY, Served, wait_for

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def replicas(
    cluster: Cluster, tmp_path_factory: pytest.TempPathFactory, make_store: Callable[[Path], Registry]
) -> Iterator[tuple[Served, Served, Database]]:
    """Two services and their database."""
    url = cluster.new_database(migrated=False)
    folder = tmp_path_factory.mktemp("replicas")
    make_store(folder / "store")
    settings = {
        "database_url": url, "workers": 1, "scan_processes": 1, "poll_interval": 0.2, "learner_interval": 0.1,
        "lease_seconds": 2, "database_timeout": 1,
    }  # fmt: skip
    services = [Served(folder / name, folder / "store", **settings) for name in ("one", "two")]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda service: service.start(), services))
    database = Database(url)
    yield services[0], services[1], database
    for service in services:
        service.stop()
    database.close()
    cluster.drop(url)


def count(database: Database, query: sa.Select[int]) -> int:
    with database.read() as connection:
        return connection.execute(query).scalar_one()


def learners(*services: Served) -> int:
    return sum(len(service.learners()) for service in services)


def test_two_services_share_keys_scans_log_champion_and_one_learner(
    replicas: tuple[Served, Served, Database],
) -> None:
    one, two, database = replicas
    assert count(database, sa.select(sa.func.count()).select_from(ApiKey)) == 1

    def scan(number: int) -> tuple[int, str]:
        service = (one, two)[number % 2]
        with service.client() as client:
            response = client.post("/v1/scan", content=hostile(number) if number % 3 else benign(number))
            return response.status_code, response.json()["scan_id"]

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(scan, range(60)))
    assert {status for status, _ in answers} == {200}
    ids = {scan_id for _, scan_id in answers}
    assert len(ids) == 60
    with one.client() as client:
        assert all(client.get(f"/v1/scans/{scan_id}").status_code == 200 for scan_id in sorted(ids)[:10])
    with database.read() as connection:
        events = connection.execute(sa.select(Event.payload).where(Event.kind == "scan")).scalars().all()
    logged = [event["scan_id"] for event in events]
    assert len(logged) == len(set(logged))
    assert ids <= set(logged)
    learned = sa.select(sa.func.count()).select_from(ScanNovelty)
    wait_for(lambda: count(database, learned) == len(logged), 30, one.log)
    wait_for(lambda: learners(one, two) == 1, 20, one.log)


def test_both_follow_a_promotion_and_it_is_logged_once(replicas: tuple[Served, Served, Database]) -> None:
    one, two, database = replicas

    def versions() -> set[str]:
        found = set()
        for service in (one, two):
            with service.client() as client:
                found.add(client.get("/v1/model").json()["version"])
        return found

    with one.client() as client:
        body = {"reason": "knows hostile files", "force": True}
        assert client.post(f"/v1/models/{SHARP}:promote", json=body).status_code == 200
        wait_for(lambda: versions() == {str(SHARP)}, 20, one.log)
        assert client.post("/v1/models/champion:rollback", json={"reason": "a test"}).status_code == 200
        wait_for(lambda: versions() == {str(BLIND)}, 20, one.log)
    with database.read() as connection:
        model = connection.execute(sa.select(Event.payload).where(Event.kind == "model").order_by(Event.id)).scalars()
        taken = [payload["version"] for payload in model if payload["action"] == "taken"]
    assert taken == [str(BLIND), str(SHARP), str(BLIND)]


def test_a_learner_that_slept_past_its_lease_gives_way_to_the_other_service_s(
    replicas: tuple[Served, Served, Database],
) -> None:
    one, two, database = replicas
    scans = sa.select(sa.func.count()).select_from(Scan)
    learned = sa.select(sa.func.count()).select_from(ScanNovelty)

    def learns(service: Served) -> None:
        with service.client() as client:
            assert client.post("/v1/scan", content=BENIGN).status_code == 200
        wait_for(lambda: count(database, learned) == count(database, scans), 60, service.log)

    learns(one)  # what has not begun yet has no lease of its own to sleep past
    wait_for(lambda: learners(one, two) == 1, 20, one.log)
    first, second = (one, two) if one.learners() else (two, one)
    sleeping = first.learners()[0]
    sleeping.suspend()
    try:
        learns(second)
    finally:
        sleeping.resume()
    wait_for(lambda: learners(one, two) == 1, 20, first.log)
    assert count(database, learned) == count(database, scans)


def test_a_service_that_is_told_to_end_answers_what_it_has_begun_and_stores_it(
    replicas: tuple[Served, Served, Database],
) -> None:
    _, service, database = replicas
    data = benign(9, 60_000)
    head = (
        f"POST /v1/scan?name=begun HTTP/1.1\r\nHost: x\r\nX-API-Key: {ADMIN_KEY}\r\nContent-Length: {len(data)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", service.port), timeout=60) as connection:
        connection.sendall(head.encode() + data[:1000])
        time.sleep(0.3)
        service.terminate()
        try:
            time.sleep(0.7)
            connection.sendall(data[1000:])
            assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
            service.wait(60)
        finally:
            service.start()
    assert count(database, sa.select(sa.func.count()).select_from(Scan).where(Scan.name == "begun")) == 1


def test_a_killed_database_is_answered_503_until_it_is_back(
    replicas: tuple[Served, Served, Database], cluster: Cluster
) -> None:
    one, _, database = replicas
    scans = sa.select(sa.func.count()).select_from(Scan)
    before = count(database, scans)
    with one.client() as client:
        assert client.post("/v1/scan", content=BENIGN).status_code == 200
        cluster.kill()
        try:
            answer = client.post("/v1/scan", content=BENIGN)
            assert answer.status_code == 503, answer.text
            assert client.get("/readyz").status_code == 503
            assert client.get("/healthz").status_code == 200
        finally:
            cluster.start()
        wait_for(lambda: client.post("/v1/scan", content=BENIGN).status_code == 200, 20, one.log)
    assert count(database, scans) == before + 2
