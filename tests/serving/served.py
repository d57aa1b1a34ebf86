"""A real served process: ``bentoml serve`` with two workers, on a database and a store of its own."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import httpx
import psutil

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 90.0
ADMIN_KEY = "admin-key-of-the-tests-0001"


AUDIT = """
import os, sys
log = os.open({log!r}, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
def watch(event, arguments):
    if event == "pickle.find_class":
        os.write(log, f"unpickled {{arguments}} in {{sys.argv}}\\n".encode())
sys.addaudithook(watch)
os.write(log, b"watching\\n")
"""
"""Notes in every Python process of the service whether it unpickles anything that has a name in it."""


class Served:
    """Starts the service, stops it, and knows its processes and keys.

    Parameters
    ----------
    folder
        For the database, the log and temporary files.
    store
        Of the registry.
    settings
        ``SAFEPICKLE_`` settings by field name.
    """

    def __init__(self, folder: Path, store: Path, **settings: object) -> None:
        self.folder = folder
        self.store = store
        self.database = folder / "serving.db"
        self.log = folder / "service.log"
        self.audit = folder / "audit.log"
        site = folder / "site"
        site.mkdir(parents=True, exist_ok=True)
        (site / "sitecustomize.py").write_text(AUDIT.format(log=str(self.audit)))
        self.port = _free_port()
        spool = folder / "spool"
        spool.mkdir(parents=True, exist_ok=True)
        fields = {
            "database_url": f"sqlite:///{self.database}",
            "registry": store,
            "spool": spool,
            "admin_key": ADMIN_KEY,
            "workers": 2,
            "scan_processes": 2,
            **settings,
        }
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("SAFEPICKLE_")},
            "BENTOML_DO_NOT_TRACK": "True",
            "BENTOML_HOME": str(folder / "bentoml"),
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": str(site),
            **{f"SAFEPICKLE_{name.upper()}": str(value) for name, value in fields.items()},
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *, ready: bool = True) -> None:
        """Start, and wait until it is ready (or at least answers)."""
        serve = [sys.executable, "-m", "bentoml", "serve", "serving.service:SafePickleService"]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*serve, "--host", "127.0.0.1", "--port", str(self.port)],
                cwd=ROOT,
                env=self.environment,
                stdout=log,
                stderr=log,
            )
        wait_for(lambda: self._answers("/readyz" if ready else "/healthz"), START_SECONDS, self.log)
        wait_for(lambda: len(self.workers()) == int(self.environment["SAFEPICKLE_WORKERS"]), 10, self.log)

    def stop(self) -> None:
        """Stop in order, as an operator does."""
        assert self._process is not None
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                for process in self.processes():
                    process.kill()
                self._process.wait()

    def terminate(self) -> None:
        """Tell it to end, as a container's runtime does."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)

    def wait(self, seconds: float) -> None:
        """Wait until it has ended."""
        assert self._process is not None
        self._process.wait(seconds)

    def kill(self) -> None:
        """Kill everything at once, as a power cut does."""
        assert self._process is not None
        found = self.processes()
        psutil.Process(self._process.pid).kill()
        for process in found:
            if process.is_running():
                process.kill()
        self._process.wait()
        psutil.wait_procs(found, 10)

    def processes(self, mark: str = "") -> list[psutil.Process]:
        """Descendants of the service with `mark` in their command line."""
        assert self._process is not None
        found = []
        for process in psutil.Process(self._process.pid).children(recursive=True):
            try:
                if mark in " ".join(process.cmdline()):
                    found.append(process)
            except psutil.NoSuchProcess:
                continue
        return found

    def workers(self) -> list[psutil.Process]:
        """The workers that answer requests."""
        return self.processes("_bentoml_impl.worker.service")

    def scanners(self) -> list[psutil.Process]:
        """The processes that read files."""
        return self.processes('"serving.scan_process"')

    def is_complete(self, without: Sequence[psutil.Process] = ()) -> bool:
        """Whether all workers run with all their scan processes, none of which is one of those."""
        workers, scanners = self.workers(), self.scanners()
        expected = int(self.environment["SAFEPICKLE_WORKERS"])
        each = int(self.environment["SAFEPICKLE_SCAN_PROCESSES"])
        found = {process.pid for process in (*workers, *scanners)}
        complete = len(workers) == expected and len(scanners) == expected * each
        return complete and not any(process.pid in found for process in without)

    def learners(self) -> list[psutil.Process]:
        """The learner's process."""
        return self.processes('"serving.learner"')

    def client(self, key: str | None = ADMIN_KEY, **options: Any) -> httpx.Client:
        """A client that sends `key`."""
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        return httpx.Client(base_url=f"http://127.0.0.1:{self.port}", headers=headers, timeout=30, **options)

    def command(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """``python -m serving ARGUMENTS`` with the service's settings."""
        return subprocess.run(
            [sys.executable, "-m", "serving", *map(str, arguments)],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
        )

    def query(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Read the database from outside."""
        connection = sqlite3.connect(f"{self.database.as_uri()}?mode=ro", uri=True, timeout=10)
        try:
            return connection.execute(statement, values).fetchall()
        finally:
            connection.close()

    def _answers(self, path: str) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log.read_text()
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}{path}", timeout=5).status_code == 200
        except httpx.TransportError:
            return False


def wait_for(holds: Callable[[], object], seconds: float, log: Path | None = None) -> float:
    """Wait until `holds()`; return how long it took."""
    started = time.monotonic()
    while not holds():
        waited = time.monotonic() - started
        assert waited < seconds, f"not within {seconds} s; log:\n{log.read_text() if log else ''}"
        time.sleep(0.05)
    return time.monotonic() - started


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
