"""The served process when its database, its processes or its models fail."""

from __future__ import annotations

import json
import shutil
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from registry import Registry
from tests.serving.conftest import BLIND, SHARP
from tests.serving.models import BENIGN, HOSTILE, benign, hostile
from tests.serving.served import ADMIN_KEY, Served, wait_for

pytestmark = pytest.mark.slow


@contextmanager
def stopped(processes: list[psutil.Process]) -> Iterator[None]:
    """Processes that hang, for a while."""
    for process in processes:
        process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for process in processes:
            if process.is_running():
                process.send_signal(signal.SIGCONT)


def settled(service: Served) -> bool:
    """Whether everything runs and is ready again."""
    return service.is_complete() and httpx.get(f"http://127.0.0.1:{service.port}/readyz").status_code == 200


def taken(service: Served) -> list[str]:
    """Versions that were taken over, as the log tells it."""
    actions = [json.loads(row[0]) for row in service.query("SELECT payload FROM events WHERE kind = 'model'")]
    return [action["version"] for action in actions if action["action"] == "taken"]


def test_a_locked_database_is_answered_503_and_nothing_is_stored(service: Served) -> None:
    before = service.query("SELECT count(*) FROM scans")
    lock = sqlite3.connect(service.database, isolation_level=None)
    with service.client() as client:
        client.get("/v1/model").raise_for_status()
        lock.execute("BEGIN IMMEDIATE")
        try:
            scanned = client.post("/v1/scan", content=BENIGN)
            labelled = client.post("/v1/feedback", json={"sha256": "0" * 64, "label": "benign", "reason": "r"})
        finally:
            lock.execute("ROLLBACK")
            lock.close()
        for response in (scanned, labelled):
            assert response.status_code == 503, response.text
            assert response.json()["type"].endswith(":database-unavailable")
            assert "retry-after" in response.headers
        assert service.query("SELECT count(*) FROM scans") == before
        assert client.post("/v1/scan", content=BENIGN).status_code == 200


def test_a_database_that_is_gone_is_answered_503_until_it_is_back(service: Served) -> None:
    aside = service.database.with_suffix(".aside")
    with service.client() as client:
        client.get("/v1/model").raise_for_status()
        service.database.rename(aside)
        try:
            assert client.post("/v1/scan", content=BENIGN).status_code == 503
            assert client.get(f"/v1/scans/{'0' * 32}").status_code == 503
            assert client.get("/readyz").status_code == 503
            assert not service.database.exists()
        finally:
            aside.rename(service.database)
        wait_for(lambda: client.post("/v1/scan", content=BENIGN).status_code == 200, 10, service.log)


def test_a_scan_that_hangs_is_given_up_and_the_worker_goes_on(service: Served) -> None:
    with stopped(service.scanners()), service.client() as client:
        started = time.monotonic()
        response = client.post("/v1/scan", content=BENIGN)
        assert response.status_code == 504, response.text
        assert response.json()["type"].endswith(":scan-timeout")
        assert time.monotonic() - started < 6
        assert client.get("/healthz").status_code == 200
    wait_for(lambda: settled(service), 20, service.log)
    with service.client() as client:
        assert client.post("/v1/scan", content=BENIGN).status_code == 200


def test_more_scans_than_can_wait_are_answered_429(service: Served) -> None:
    def scan(number: int) -> httpx.Response:
        with service.client() as client:
            return client.post("/v1/scan", content=benign(number))

    with stopped(service.scanners()), ThreadPoolExecutor(16) as pool:
        responses = list(pool.map(scan, range(16)))
    statuses = {response.status_code for response in responses}
    assert 429 in statuses
    assert statuses <= {200, 429, 504}
    assert all(response.headers["retry-after"] for response in responses if response.status_code == 429)
    wait_for(lambda: settled(service), 20, service.log)


def test_a_killed_scan_process_costs_no_request(service: Served) -> None:
    with service.client() as client:
        for _ in range(3):
            for process in service.scanners():
                process.kill()
            response = client.post("/v1/scan", content=HOSTILE)
            assert response.status_code == 200, response.text
    wait_for(lambda: settled(service), 20, service.log)


def test_a_killed_worker_is_replaced_and_takes_its_processes_with_it(service: Served) -> None:
    victim = service.workers()[0]
    children = victim.children(recursive=True)
    assert children
    victim.kill()
    assert not psutil.wait_procs(children, 5)[1]

    wait_for(lambda: service.is_complete(without=[victim]) and settled(service), 60, service.log)
    with service.client() as client:
        answers = [client.post("/v1/scan", content=hostile(number)) for number in range(8)]
    assert {answer.status_code for answer in answers} == {200}


def test_one_learner_runs_and_another_takes_over_when_it_dies(service: Served) -> None:
    wait_for(lambda: len(service.learners()) == 1, 30, service.log)
    victim = service.learners()[0]
    victim.kill()
    wait_for(lambda: [p.pid for p in service.learners()] not in ([], [victim.pid]), 30, service.log)
    assert len(service.learners()) == 1
    with service.client() as client:
        scan_id = client.post("/v1/scan", content=hostile(6)).json()["scan_id"]
        wait_for(lambda: client.get(f"/v1/scans/{scan_id}").json()["learned"], 30, service.log)


def test_a_promoted_champion_serves_within_two_seconds_and_no_request_fails(service: Served) -> None:
    registry = Registry(service.store)
    assert registry.aliases().champion == BLIND
    seen: list[tuple[float, str, int, str]] = []
    taken_before = taken(service).count(str(SHARP))
    done = threading.Event()

    def ask() -> None:
        while not done.is_set():
            # A connection of its own each time, so that both workers answer.
            with service.client() as client:
                response = client.post("/v1/scan", content=HOSTILE)
            answer = response.json()
            seen.append(
                (time.monotonic(), answer.get("model_version", ""), response.status_code, answer.get("verdict", ""))
            )

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        time.sleep(0.7)
        promoted = time.monotonic()
        registry.promote(SHARP, "knows more", "tests", force=True)
        time.sleep(3)
    finally:
        done.set()
        for thread in threads:
            thread.join()
        registry.rollback("end of the test", "tests")
    assert {status for _, _, status, _ in seen} == {200}
    verdicts = {version: verdict for _, version, _, verdict in seen}
    assert verdicts == {str(BLIND): "benign", str(SHARP): "malicious"}
    last_old = max(moment for moment, version, _, _ in seen if version == str(BLIND))
    assert last_old - promoted < 2, f"an old answer {last_old - promoted:.2f} s after the promotion"
    assert taken(service).count(str(SHARP)) == taken_before + 1
    wait_for(lambda: versions(service) == {str(BLIND)}, 5, service.log)


def versions(service: Served) -> set[str]:
    """Model versions that answer, asked so often that both workers do."""
    found = set()
    for _ in range(12):
        response = httpx.get(f"http://127.0.0.1:{service.port}/v1/model", headers={"X-API-Key": ADMIN_KEY})
        found.add(response.json()["version"])
    return found


def flipped(data: bytes) -> bytes:
    """The same length, with the last bytes changed."""
    return data[:-8] + bytes(byte ^ 0x55 for byte in data[-8:])


@pytest.mark.parametrize("damage", ["arrays", "manifest", "ledger"])
def test_a_tampered_champion_is_refused_and_the_old_one_keeps_serving(
    service: Served, tmp_path: Path, damage: str
) -> None:
    ledger = service.store / "aliases.json"
    version = Registry(service.store).get(SHARP)
    path = {"arrays": version.bundle / "arrays.safetensors", "manifest": version.path / "manifest.json"}.get(damage)
    shutil.copytree(service.store, tmp_path / "store")
    Registry(tmp_path / "store").promote(SHARP, "before the damage", "tests", force=True)
    promoted = (tmp_path / "store" / "aliases.json").read_bytes()
    kept = {file: file.read_bytes() for file in (ledger, path) if file is not None}
    try:
        if path is not None:
            path.write_bytes(flipped(kept[path]))
        replace(ledger, promoted if path is not None else flipped(kept[ledger]))
        with service.client() as client:
            wait_for(lambda: client.get("/v1/model").json()["refused"], 10, service.log)
            assert versions(service) == {str(BLIND)}
            assert client.post("/v1/scan", content=HOSTILE).json()["model_version"] == str(BLIND)
            assert client.get("/readyz").status_code == 200
    finally:
        for file, data in kept.items():
            replace(file, data)
    with service.client() as client:
        wait_for(lambda: not client.get("/v1/model").json()["refused"], 15, service.log)
    assert versions(service) == {str(BLIND)}


def replace(path: Path, data: bytes) -> None:
    """Write a file in one step, as the registry does."""
    part = path.with_name(path.name + ".part-of-a-test")
    part.write_bytes(data)
    part.replace(path)


def test_after_a_power_cut_every_answered_scan_is_there_and_the_learner_equals_a_replay(
    tmp_path: Path, make_store: Callable[[Path], Registry]
) -> None:
    make_store(tmp_path / "store")
    service = Served(tmp_path, tmp_path / "store", learner_interval=0.05, lease_seconds=2)
    service.start()
    answered: list[str] = []

    def ask() -> None:
        try:
            with service.client() as client:
                for number in range(10_000):
                    answered.append(client.post("/v1/scan", content=benign(number, number % 9)).json()["scan_id"])
        except (httpx.TransportError, ValueError):
            return

    asking = threading.Thread(target=ask)
    asking.start()
    wait_for(lambda: service.query("SELECT count(*) FROM checkpoints")[0][0] and len(answered) > 60, 60, service.log)
    service.kill()
    asking.join()
    assert set(answered) <= {row[0] for row in service.query("SELECT id FROM scans")}
    assert service.query("SELECT count(*) FROM scans") == service.query(
        "SELECT count(*) FROM events WHERE kind = 'scan'"
    )

    service.start()
    try:
        wait_for(
            lambda: service.query("SELECT count(*) FROM scan_novelties") == service.query("SELECT count(*) FROM scans"),
            60,
            service.log,
        )
    finally:
        service.stop()
    check = service.command("learner", "check")
    assert check.returncode == 0, check.stderr
    assert "equals a replay" in check.stdout
