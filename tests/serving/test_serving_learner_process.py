"""Which process becomes the learner."""

from __future__ import annotations

import asyncio
import contextlib
import time

import pytest
import sqlalchemy as sa

from serving.database.engine import Database
from serving.database.tables import ScanNovelty
from serving.database.writer import store_scans
from serving.learner_process import LearnerProcess
from serving.settings import Settings
from tests.serving.models import BENIGN
from tests.serving.records import record_of

pytestmark = pytest.mark.slow

SHORT = 0.6
"""Seconds of a lease: the imports of a learner take longer on any machine."""


def test_of_two_workers_one_has_a_learner_that_learns_however_long_it_takes_to_start(
    sqlite_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = str(sqlite_database.url)
    monkeypatch.setenv("SAFEPICKLE_DATABASE_URL", url)
    monkeypatch.setenv("SAFEPICKLE_LEARNER_INTERVAL", "0.05")
    settings = Settings(database_url=url, lease_seconds=SHORT)
    with sqlite_database.write() as connection:
        store_scans(connection, [record_of(BENIGN, "x")])

    def learned() -> int:
        with sqlite_database.read() as connection:
            return connection.execute(sa.select(sa.func.count()).select_from(ScanNovelty)).scalar_one()

    async def work() -> None:
        workers = [asyncio.create_task(LearnerProcess(settings, sqlite_database).run()) for _ in range(2)]
        try:
            until = time.monotonic() + 90
            while not learned() and time.monotonic() < until:
                await asyncio.sleep(0.1)
        finally:
            for worker in workers:
                worker.cancel()
            for worker in workers:
                with contextlib.suppress(asyncio.CancelledError):
                    await worker

    asyncio.run(work())
    assert learned() == 1
