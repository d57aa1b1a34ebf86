"""A private PostgreSQL for the tests: its own folder, its own socket, nothing on the network."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import psycopg

from serving.database.migrate import upgrade

START_SECONDS = 30.0
SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "16MB",
    "max_connections": "60",
    "jit": "off",
}


def binaries() -> Path | None:
    """Folder with ``initdb`` and ``postgres``, None when there is none on this machine."""
    found = shutil.which("initdb")
    if found is not None:
        return Path(found).resolve().parent
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return installed[-1].parent if installed else None


class Cluster:
    """One server with databases for the tests; as root it runs as another user, since it refuses root.

    Parameters
    ----------
    folder
        Of the server's log.
    parent
        Where the folder with the data is made; None is the system's for temporary files. Its path is short.
    settings
        Of the server, beside and before :data:`SETTINGS`.
    """

    def __init__(self, folder: Path, parent: Path | None = None, settings: Mapping[str, str] | None = None) -> None:
        found = binaries()
        assert found is not None
        self._binaries = found
        # The path of a socket is short, and pytest's folders are closed to others.
        self.folder = Path(tempfile.mkdtemp(prefix="safepickle-pg-", dir=parent))
        self._settings = SETTINGS | dict(settings or {})
        self._user = _unprivileged()
        if self._user is not None:
            os.chown(self.folder, self._user, -1)
        self._log = folder / "postgres.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._made = 0

    def start(self) -> None:
        """Make the cluster if there is none yet, and start the server."""
        data = self.folder / "data"
        if not data.exists():
            self._run("initdb", "-D", data, "-U", "tests", "-A", "trust", "-E", "UTF8", "--no-sync", "--locale=C")
        options = [part for name, value in self._settings.items() for part in ("-c", f"{name}={value}")]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [self._binaries / "postgres", "-D", data, "-k", self.folder, *options],
                stdout=log, stderr=log, user=self._user, cwd=self.folder,
            )  # fmt: skip
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                psycopg.connect(self._conninfo("postgres")).close()
                return
            except psycopg.OperationalError:
                assert time.monotonic() < deadline, self._log.read_text()
                assert self._process.poll() is None, self._log.read_text()
                time.sleep(0.05)

    @property
    def pid(self) -> int:
        """Of the server's first process."""
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        """Kill the server and its sessions at once, as ``kill -9`` of each would."""
        assert self._process is not None
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait(20)

    def close(self) -> None:
        """End the server and remove its folder."""
        if self._process is not None and self._process.poll() is None:
            self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def new_database(self, *, migrated: bool = True) -> str:
        """The address of a new database, with the service's tables or empty."""
        if migrated and self._made == 0:
            self._create("template_of_tests", "template1")
            upgrade(self._url("template_of_tests"))
        self._made += migrated
        name = f"test_{time.time_ns():x}"
        self._create(name, "template_of_tests" if migrated else "template1")
        return self._url(name)

    def drop(self, url: str) -> None:
        """Remove a database, whoever uses it."""
        self._execute(f'DROP DATABASE "{url.partition("?")[0].rpartition("/")[2]}" WITH (FORCE)')

    def _create(self, name: str, template: str) -> None:
        self._execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')

    def _execute(self, statement: str) -> None:
        with psycopg.connect(self._conninfo("postgres"), autocommit=True) as connection:
            connection.execute(statement.encode())

    def _url(self, name: str) -> str:
        return f"postgresql://tests@/{name}?host={self.folder}"

    def _conninfo(self, name: str) -> str:
        return f"host={self.folder} user=tests dbname={name}"

    def _run(self, program: str, *arguments: str | Path) -> None:
        done = subprocess.run(
            [self._binaries / program, *arguments], user=self._user, cwd=self.folder, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr


def _unprivileged() -> int | None:
    if os.getuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name).pw_uid
        except KeyError:
            continue
    raise AssertionError("root needs a user 'postgres' or 'nobody' to run PostgreSQL as")
