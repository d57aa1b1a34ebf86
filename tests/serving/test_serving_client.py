"""``safepickle.client`` against the real service."""

from __future__ import annotations

import hashlib
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from registry import Registry
from safepickle.client import BatchBrokenOff, Client, ServiceError
from tests.serving.conftest import BLIND
from tests.serving.models import BENIGN, HOSTILE, benign, hostile
from tests.serving.served import ADMIN_KEY, ROOT, Served

pytestmark = pytest.mark.slow


@pytest.fixture
def client(service: Served) -> Client:
    """A client of the shared service, as its admin."""
    return Client(f"http://127.0.0.1:{service.port}/", ADMIN_KEY)


def test_a_file_is_scanned_from_disk_and_from_memory(client: Client, tmp_path: Path) -> None:
    (tmp_path / "na\u00efve &=.pkl").write_bytes(benign(7, 50_000))
    answer = client.scan(tmp_path / "na\u00efve &=.pkl")
    assert answer["path"] == "na\u00efve &=.pkl"
    assert answer["sha256"] == hashlib.sha256(benign(7, 50_000)).hexdigest()
    again = client.scan_bytes(HOSTILE, "h.pkl", idempotency_key="from the client")
    assert client.scan_bytes(HOSTILE, "h.pkl", idempotency_key="from the client") == again
    assert client.get_scan(again["scan_id"])["verdict"] == again["verdict"]


def test_a_batch_gives_a_line_for_each_file(client: Client, tmp_path: Path) -> None:
    paths = []
    for number in range(30):
        paths.append(tmp_path / f"{number}.pkl")
        paths[-1].write_bytes(hostile(number) if number % 2 else benign(number, number * 300))
    lines = {line["index"]: line for line in client.batch(paths)}
    assert [lines[n]["scan"]["sha256"] for n in range(30)] == [
        hashlib.sha256(path.read_bytes()).hexdigest() for path in paths
    ]
    assert list(client.batch([])) == []


def test_what_the_service_says_is_raised(client: Client, service: Served) -> None:
    with pytest.raises(ServiceError) as raised:
        client.get_scan("missing")
    assert (raised.value.status, raised.value.kind) == (404, "unknown-scan")
    stranger = Client(f"http://127.0.0.1:{service.port}", "no-key-at-all-no-key-at-all")
    with pytest.raises(ServiceError) as raised:
        next(stranger.batch([]))
    assert raised.value.status == 401
    with pytest.raises(ServiceError) as raised:
        Client("http://127.0.0.1:1", timeout=1).model()
    assert raised.value.status == 0
    with pytest.raises(ServiceError, match="address-not-allowed"):
        client.scan_url("https://example.com/x")
    with pytest.raises(ValueError, match="https"):
        Client("ftp://example.com")


def test_labels_lists_and_models_are_reached(client: Client, service: Served) -> None:
    scan = client.scan_bytes(hostile(77), "client.pkl")
    said = client.label("malicious", "echo", scan_id=scan["scan_id"])
    assert [label["label_id"] for label in client.labels(sha256=scan["sha256"])] == [said["label_id"]]
    for number in range(3):
        client.scan_bytes(benign(number), "client-pages.pkl")
    assert len(list(client.scans(name="client-pages.pkl", limit="2"))) == 3
    assert isinstance(client.queue(5), list)
    assert isinstance(list(client.drift()), list)
    assert client.models()["champion"] == BLIND == int(client.model()["version"])
    with pytest.raises(ServiceError, match="refused"):
        client.promote(2, "not cleared")
    assert Registry(service.store).aliases().champion == BLIND


def test_what_says_later_is_tried_again(client: Client, service: Served) -> None:
    client.model()
    lock = sqlite3.connect(service.database, isolation_level=None, check_same_thread=False)
    lock.execute("BEGIN IMMEDIATE")
    timer = threading.Timer(1.2, lambda: lock.execute("ROLLBACK"))
    timer.start()
    try:
        assert client.scan_bytes(BENIGN)["size"] == len(BENIGN)
    finally:
        timer.join()
        lock.close()


def test_a_batch_whose_file_goes_away_is_no_silent_success(client: Client, tmp_path: Path) -> None:
    (tmp_path / "a.pkl").write_bytes(BENIGN)
    with pytest.raises((OSError, ServiceError, BatchBrokenOff)):
        list(client.batch([tmp_path / "a.pkl", tmp_path / "missing.pkl"]))


def test_the_client_needs_nothing_but_the_standard_library() -> None:
    code = (
        "import sys; import safepickle.client; known = sys.stdlib_module_names; "
        "print({m.split('.')[0] for m in sys.modules} - known - {'safepickle', '__main__'})"
    )
    done = subprocess.run([sys.executable, "-S", "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "set()", done.stderr
