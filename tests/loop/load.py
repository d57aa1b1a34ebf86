"""Single scans without a pause, by clients that repeat a request only where the service's promise allows it."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

import httpx
import psutil

from tests.serving.models import benign, hostile
from tests.serving.served import Served, wait_for

RECOVERY = 20.0
"""Seconds after the death of a web worker in which its connections may break."""
PATIENCE = 60.0


class Load:
    """Clients that scan one file after another, none of which is like another.

    Tolerated, and repeated with the same ``Idempotency-Key``: 429 with Retry-After, and a broken connection within
    :data:`RECOVERY` of the death of a web worker, which the test tells. Everything else is a failure.

    Parameters
    ----------
    service
        That is asked.
    clients
        Threads, each with one request at a time on a connection of its own.
    pause
        Seconds between two requests of a client.
    """

    def __init__(self, service: Served, clients: int = 2, pause: float = 0.1) -> None:
        self._service = service
        self._pause = pause
        self._done = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(number,)) for number in range(clients)]
        self.hostile_share = 0.05
        self.answers: dict[str, dict[str, Any]] = {}
        self.failures: list[str] = []
        self.repeated: Counter[str] = Counter()
        self.slowest = 0.0
        self._broken: list[float] = []
        self._deaths: list[float] = []

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join()

    def kill_worker(self) -> None:
        """Kill a web worker and wait until there are two again, each with its scan process."""
        victim = self._service.workers()[0]
        self._deaths.append(time.monotonic())
        victim.kill()
        self.settle([victim])
        self._deaths.append(time.monotonic())

    def kill_scanners(self) -> None:
        """Kill every scan process and wait until there are new ones."""
        victims = self._service.scanners()
        for process in victims:
            process.kill()
        self.settle(victims)

    def kill_learner(self) -> None:
        """Kill the learner and wait until there is another."""
        wait_for(self._service.learners, 60, self._service.log)
        victim = self._service.learners()[0]
        victim.kill()
        wait_for(lambda: {p.pid for p in self._service.learners()} - {victim.pid}, 60, self._service.log)

    def settle(self, victims: Sequence[psutil.Process]) -> None:
        """Wait until others are there in the place of the killed and a dozen more requests were answered."""
        wait_for(lambda: self._service.is_complete(without=victims), 90, self._service.log)
        self.go_on()

    def go_on(self, requests: int = 12) -> None:
        """Wait until so many more requests were answered."""
        before = len(self.answers)
        wait_for(lambda: self.failures or len(self.answers) >= before + requests, PATIENCE, self._service.log)
        assert not self.failures, self.failures

    def _run(self, client: int) -> None:
        number = 0
        while not self._done.is_set():
            number += 1
            flag = number % max(2, round(1 / self.hostile_share)) == 0
            data = (hostile if flag else benign)(client * 1_000_000 + number)
            self._scan(f"load-{client}-{number}", data)
            self._done.wait(self._pause)

    def _scan(self, name: str, data: bytes) -> None:
        started = time.monotonic()
        while time.monotonic() - started < PATIENCE:
            asked = time.monotonic()
            try:
                with self._service.client() as client:
                    answer = client.post(
                        "/v1/scan", params={"name": name}, content=data, headers={"Idempotency-Key": name}
                    )
            except httpx.TransportError as error:
                self.repeated[type(error).__name__] += 1
                self._broken.append(time.monotonic())
                time.sleep(0.2)
                continue
            self.slowest = max(self.slowest, time.monotonic() - asked)
            if answer.status_code == 429 and "retry-after" in answer.headers:
                self.repeated["429"] += 1
                time.sleep(min(2.0, float(answer.headers["retry-after"])))
                continue
            if answer.status_code != 200:
                self.failures.append(f"{name}: {answer.status_code} {answer.text[:300]}")
                return
            self.answers[name] = answer.json()
            return
        self.failures.append(f"{name}: not answered within {PATIENCE:g} s")

    def check(self) -> None:
        """No request failed, none was stored twice or not at all, and each event is in the log and learned once."""
        query = self._service.query
        assert not self.failures, self.failures
        unexplained = [at for at in self._broken if not any(0 <= at - death < RECOVERY for death in self._deaths)]
        assert not unexplained, f"{len(unexplained)} connections broke although no worker had died: {self.repeated}"
        stored = [(row[0], row[1]) for row in query("SELECT name, id FROM scans WHERE name LIKE 'load-%'")]
        assert sorted(stored) == sorted((name, answer["scan_id"]) for name, answer in self.answers.items())
        scans = [row[0] for row in query("SELECT id FROM scans ORDER BY id")]
        events = [row[0] for row in query("SELECT json_extract(payload, '$.scan_id') FROM events WHERE kind = 'scan'")]
        assert sorted(events) == scans, "each scan is one event"
        labels = "SELECT count(*), count(DISTINCT json_extract(payload, '$.label_id')) FROM events WHERE kind = 'label'"
        assert query(labels)[0][0] == query("SELECT count(*) FROM labels")[0][0]
        wait_for(lambda: len(query("SELECT scan_id FROM scan_novelties")) == len(scans), 60, self._service.log)
        learned = [row[0] for row in query("SELECT scan_id FROM scan_novelties ORDER BY scan_id")]
        assert learned == scans, "each scan was learned once"
        alarms = query(
            "SELECT json_extract(payload, '$.event_id', '$.stream', '$.test') FROM events WHERE kind = 'drift'"
        )
        assert len(set(alarms)) == len(alarms), "each alarm is one event"
        said = self._service.command("learner", "check")
        assert said.returncode == 0, said.stderr

    def versions(self) -> list[str]:
        """Champions in the order in which the log says that they were taken over."""
        rows = self._service.query(
            "SELECT json_extract(payload, '$.version') FROM events WHERE kind = 'model' "
            "AND json_extract(payload, '$.action') = 'taken' ORDER BY id"
        )
        return [row[0] for row in rows]

    def serves(self, version: int, seconds: float = 20.0) -> None:
        """Wait until every answer is of this version."""

        def all_of_it() -> bool:
            started = len(self.answers)
            self.go_on(8)
            return {answer["model_version"] for answer in list(self.answers.values())[started + 2 :]} == {str(version)}

        wait_for(all_of_it, seconds, self._service.log)
