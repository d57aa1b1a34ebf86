"""One served process shared by the tests of the console, and somebody of each role who is logged in to it."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from registry import Registry
from serving.auth import add_key
from serving.database.engine import Database
from tests.serving.conftest import BLIND, SHARP, cluster, database, make_store, postgresql_database, sqlite_database
from tests.serving.served import Served

__all__ = ["cluster", "database", "make_store", "postgresql_database", "sqlite_database"]


class Console:
    """The service with people logged in.

    Parameters
    ----------
    served
        The running service.
    keys
        A key by the name of each person.
    """

    def __init__(self, served: Served, keys: dict[str, str]) -> None:
        self.served = served
        self.keys = keys
        self.base = f"http://127.0.0.1:{served.port}"

    def client(self, **options: object) -> httpx.Client:
        """A browser without a session, that follows no redirect."""
        return httpx.Client(base_url=self.base, timeout=30, **options)  # type: ignore[arg-type]

    def log_in(self, client: httpx.Client, key: str, **fields: str) -> httpx.Response:
        """Fill in the login form."""
        form = client.get("/console/login")
        return client.post("/console/login", data={"csrf": csrf(form.text), "key": key, **fields})

    @contextlib.contextmanager
    def as_(self, person: str) -> Iterator[httpx.Client]:
        """A browser in which `person` is logged in."""
        with self.client() as client:
            assert self.log_in(client, self.keys[person]).status_code == 303
            yield client

    def scan(self, data: bytes, name: str = "file.pkl") -> dict[str, object]:
        """Scan over the API."""
        with self.served.client() as client:
            answer = client.post("/v1/scan", params={"name": name}, content=data)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def audit(self, action: str) -> list[str]:
        """Subjects of the audit log's entries of one action."""
        return [row[0] for row in self.served.query("select subject from audit where action = ? order by id", action)]


def csrf(page: str) -> str:
    """The token of the forms in a page."""
    found = re.search(r'name="csrf" value="([0-9a-f]{64})"', page)
    assert found, page
    return found[1]


@pytest.fixture(scope="session")
def console(tmp_path_factory: pytest.TempPathFactory, make_store: Callable[[Path], Registry]) -> Iterator[Console]:
    """A service whose champion knows hostile files; version 1 of its store, the blind one, was champion before."""
    folder = tmp_path_factory.mktemp("console")
    store = make_store(folder / "store")
    store.promote(SHARP, "knows hostile files", "tests", force=True)
    assert store.aliases().champions == (BLIND, SHARP)
    served = Served(folder, folder / "store", max_body=3_000_000, scan_processes=1, workers=1, learner_interval=0.1)
    served.start()
    database = Database(f"sqlite:///{served.database}")
    people = {"ann": "analyst", "bob": "analyst", "eve": "admin", "sid": "scanner"}
    with database.write() as connection:
        keys = {name: add_key(connection, role, name, "")[1] for name, role in people.items()}
    database.close()
    yield Console(served, keys)
    served.stop()
