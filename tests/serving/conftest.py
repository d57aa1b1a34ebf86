"""One served process shared by the tests, and the two models it can scan with."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from registry import Registry
from serving.database.engine import Database
from serving.database.migrate import upgrade
from tests.serving.models import build_bundle, register
from tests.serving.postgres import Cluster, binaries
from tests.serving.served import Served

BLIND, SHARP = 1, 2
"""Versions in every store: one takes hostile files for benign ones, the other knows them."""


@pytest.fixture(scope="session")
def make_store(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Registry]:
    """Return a function that makes a store with both versions, the blind one champion."""
    folder = tmp_path_factory.mktemp("models")
    bundles = [build_bundle(folder / "blind", blind=True), build_bundle(folder / "sharp", blind=False)]

    def make(root: Path) -> Registry:
        store = Registry(root)
        assert [register(store, bundle, bundle.name) for bundle in bundles] == [BLIND, SHARP]
        store.promote(BLIND, "first champion", "tests", force=True)
        return store

    return make


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory, make_store: Callable[[Path], Registry]) -> Iterator[Served]:
    """The shared service. Tests that need the database locked or processes stopped undo that themselves."""
    folder = tmp_path_factory.mktemp("service")
    store = folder / "store"
    make_store(store)
    served = Served(
        folder,
        store,
        max_body=3_000_000,
        memory_body=100_000,
        body_timeout=2,
        database_timeout=0.5,
        scan_timeout=3,
        scan_processes=1,
        known_answers=0,
        scan_queue=3,
        key_cache=0.5,
        poll_interval=0.2,
        learner_interval=0.1,
    )
    served.start()
    yield served
    served.stop()


@pytest.fixture(scope="session")
def keys(service: Served) -> dict[str, str]:
    """A key of each role, made with the command."""
    made = {}
    for role in ("scanner", "analyst", "admin"):
        done = service.command("keys", "add", "--role", role, "--name", f"the {role}")
        assert done.returncode == 0, done.stderr
        made[role] = json.loads(done.stdout)["key"]
    return made


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A PostgreSQL of the tests' own."""
    if binaries() is None:
        pytest.skip("no PostgreSQL server is installed here (initdb in the path or in /usr/lib/postgresql)")
    cluster = Cluster(tmp_path_factory.mktemp("postgres"))
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.close()


@pytest.fixture
def sqlite_database(tmp_path: Path) -> Iterator[Database]:
    """A new SQLite database with all tables."""
    url = f"sqlite:///{tmp_path}/serving.db"
    upgrade(url)
    opened = Database(url, 0.5)
    yield opened
    opened.close()


@pytest.fixture
def postgresql_database(cluster: Cluster) -> Iterator[Database]:
    """A new PostgreSQL database with all tables."""
    url = cluster.new_database()
    opened = Database(url, 0.5)
    yield opened
    opened.close()
    cluster.drop(url)


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> Database:
    """A new database with all tables, of each kind in turn."""
    found = request.getfixturevalue(f"{request.param}_database")
    assert isinstance(found, Database)
    return found
