"""The served process when the disk is full, clients are slow and strangers try keys."""

from __future__ import annotations

import asyncio
import contextlib
import random
import resource
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil
import pytest
from starlette.requests import Request

from registry.store import Registry
from serving.database.engine import Database
from serving.endpoint import identify
from serving.problems import Problem
from serving.rates import Rates
from serving.runtime import Runtime
from serving.settings import Settings
from tests.serving.models import BENIGN, benign
from tests.serving.served import ADMIN_KEY, Served, wait_for

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, make_store: Callable[[Path], Registry]) -> Iterator[Served]:
    """A service of these tests' own: with a small database, and nobody else who tries keys."""
    folder = tmp_path_factory.mktemp("pressure")
    make_store(folder / "store")
    served = Served(
        folder, folder / "store", max_body=300_000_000, memory_body=100_000, body_timeout=2, scan_processes=1
    )
    served.start()
    yield served
    served.stop()


@contextmanager
def full(service: Served, size: int) -> Iterator[None]:
    """Workers that cannot make any file larger than `size`, as if the disk were full."""
    for worker in service.workers():
        resource.prlimit(worker.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    try:
        yield
    finally:
        for worker in service.workers():
            resource.prlimit(worker.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def stored(service: Served) -> tuple[int, int]:
    """(scans, events of scans)."""
    return service.query("SELECT (SELECT count(*) FROM scans), (SELECT count(*) FROM events WHERE kind = 'scan')")[0]


def test_a_disk_that_is_full_during_an_upload_is_answered_507_and_nothing_is_stored(service: Served) -> None:
    before = stored(service)
    with service.client() as client:
        with full(service, 1_500_000):
            refused = client.post("/v1/scan", content=bytes(2_900_000))
            assert refused.status_code == 507, refused.text
            assert refused.json()["type"].endswith(":no-space")
            assert stored(service) == before
            # What needs no disk goes on.
            assert client.post("/v1/scan", content=BENIGN).status_code == 200
        assert client.post("/v1/scan", content=bytes(2_900_000)).status_code == 200
    assert stored(service) == (before[0] + 2, before[1] + 2)
    assert list((service.folder / "spool").glob("safepickle-*")) == [
        path for path in (service.folder / "spool").glob("safepickle-*") if path.is_dir()
    ]


def test_a_disk_that_is_full_when_a_scan_is_stored_is_answered_503_and_nothing_is_stored_by_half(
    service: Served,
) -> None:
    before = stored(service)
    with service.client() as client:
        with full(service, 4096):
            for number in range(3):
                refused = client.post("/v1/scan", content=benign(number))
                assert refused.status_code == 503, refused.text
                assert refused.json()["type"].endswith(":database-unavailable")
            assert stored(service) == before
            assert client.get("/healthz").status_code == 200
        wait_for(lambda: client.post("/v1/scan", content=BENIGN).status_code == 200, 10, service.log)
    assert stored(service) == (before[0] + 1, before[1] + 1)
    assert service.query("PRAGMA integrity_check") == [("ok",)]


def test_clients_that_send_nothing_or_a_byte_at_a_time_keep_nobody_waiting(service: Served) -> None:
    head = f"POST /v1/scan HTTP/1.1\r\nHost: x\r\nX-API-Key: {ADMIN_KEY}\r\nContent-Length: 5000\r\n"
    with ExitStack() as held, service.client() as client:
        idle = [held.enter_context(connected(service)) for _ in range(100)]
        slow = [held.enter_context(connected(service)) for _ in range(100)]
        for connection in idle[50:]:
            connection.sendall(head.encode())
        for connection in slow:
            connection.sendall(head.encode() + b"\r\nx")
        for number in range(10):
            for connection in slow:
                connection.sendall(b"x")
            started = time.monotonic()
            assert client.post("/v1/scan", content=benign(number)).status_code == 200
            assert time.monotonic() - started < 2
        # The client ends its half of the connection in the middle of a file.
        for connection in slow:
            connection.shutdown(socket.SHUT_WR)
        before = stored(service)
        assert client.post("/v1/scan", content=BENIGN).status_code == 200
        assert stored(service) == (before[0] + 1, before[1] + 1)


def connected(service: Served) -> socket.socket:
    return socket.create_connection(("127.0.0.1", service.port), timeout=15)


def statuses_of(service: Served, keys: Sequence[str]) -> list[bytes]:
    """What a stranger is answered who tries keys on a connection of his own."""
    asked = [f"GET /v1/model HTTP/1.1\r\nHost: x\r\nX-API-Key: {key}\r\n\r\n" for key in keys]
    statuses = []
    with connected(service) as stranger, stranger.makefile("rb") as answers:
        stranger.sendall("".join(asked).encode())
        for _ in keys:
            statuses.append(answers.readline().split()[1])
            length = 0
            while (line := answers.readline()) != b"\r\n":
                if line.lower().startswith(b"content-length:"):
                    length = int(line[15:])
            answers.read(length)
    return statuses


def test_thousands_of_bad_keys_are_held_off_and_good_ones_go_on_working(service: Served) -> None:
    statuses: Counter[bytes] = Counter()
    with service.client() as client:
        for start in range(0, 3_000, 50):
            statuses.update(statuses_of(service, [f"not-a-key-of-anybody-{start + at:06}" for at in range(50)]))
            if start % 500 == 0:
                assert client.post("/v1/scan", content=BENIGN).status_code == 200
    assert statuses.keys() == {b"401", b"429"}
    assert statuses[b"401"] >= 100
    assert statuses[b"429"] > 1500


def test_bad_keys_leave_nothing_in_memory(sqlite_database: Database) -> None:
    async def ask() -> int:
        settings = Settings(database_url=str(sqlite_database.url), key_pepper="p", learner=False)
        runtime = Runtime(settings)
        runtime.bad_keys = Rates(0, 1)
        memory = 0
        for number in range(4000):
            scope = {"type": "http", "headers": [(b"x-api-key", b"nobody-%d" % number)], "client": ("10.0.0.1", 1)}
            with pytest.raises(Problem, match="not known"):
                await identify(Request(scope), runtime, "scanner")
            if number == 1000:
                memory = psutil.Process().memory_info().rss
        grown = psutil.Process().memory_info().rss - memory
        await runtime.stop()
        return grown

    assert asyncio.run(ask()) < 3_000_000


def test_a_huge_upload_takes_little_memory_of_any_process(service: Served) -> None:
    noise = random.Random(1).randbytes(1 << 20)
    most = [0]
    done = threading.Event()

    def resident() -> int:
        return sum(process.memory_info().rss for process in (*service.workers(), *service.scanners()))

    def watch() -> None:
        while not done.wait(0.02):
            with contextlib.suppress(psutil.NoSuchProcess):
                most[0] = max(most[0], resident())

    watcher = threading.Thread(target=watch)
    with service.client() as client:
        assert client.post("/v1/scan", content=BENIGN).status_code == 200
        before = resident()
        watcher.start()
        try:
            answer = client.post("/v1/scan", content=(noise for _ in range(200)), timeout=120)
        finally:
            done.set()
            watcher.join()
    assert answer.status_code == 200, answer.text
    assert answer.json()["size"] == 200 << 20
    assert most[0] - before < 60_000_000
