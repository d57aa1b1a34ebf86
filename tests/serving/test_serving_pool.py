"""Scan processes of one worker, and what it remembers of them."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from serving.bodies import Spool
from serving.database.engine import Database
from serving.database.rows import SIZES
from serving.database.writer import store_scans
from serving.known_answers import LARGEST, KnownAnswers
from serving.model_source import ModelInfo, ModelSource
from serving.scan_pool import Scanned, ScanPool
from serving.settings import Settings
from tests.serving.models import BENIGN, HOSTILE, benign, build_bundle
from tests.serving.records import record_of

MODEL = ModelInfo("1", "tests", "", "2", 3, (), {})


@asynccontextmanager
async def pool_of(folder: Path, **settings: Any) -> AsyncIterator[ScanPool]:
    """A pool with one process, unless it is told otherwise, and a model that knows hostile files."""
    pool = ScanPool(Settings(**{"scan_processes": 1, **settings}))
    try:
        await pool.exchange(source(folder, blind=False))
        yield pool
    finally:
        await pool.close()


def source(folder: Path, *, blind: bool) -> ModelSource:
    return ModelSource("tests", "1", build_bundle(folder / f"copy-{blind}" / "bundle", blind=blind), "")


def children() -> list[psutil.Process]:
    return [one for one in psutil.Process().children() if '"serving.scan_process"' in one.cmdline()]


async def spooled(data: bytes) -> Spool:
    spool = Spool(1 << 20)
    await spool.write(data)
    return spool


def test_content_that_came_before_needs_no_process_and_gets_its_own_name(tmp_path: Path) -> None:
    async def scan() -> list[Scanned]:
        async with pool_of(tmp_path) as pool:
            first = await pool.scan("first", await spooled(HOSTILE))
            (hanging,) = children()
            hanging.send_signal(signal.SIGSTOP)
            try:
                again = await asyncio.wait_for(pool.scan("again", await spooled(HOSTILE)), 5)
            finally:
                hanging.send_signal(signal.SIGCONT)
            return [first, again]

    first, again = asyncio.run(scan())
    assert (first[0]["file"]["path"], again[0]["file"]["path"]) == ("first", "again")
    assert {**again[0], "file": {**again[0]["file"], "path": "first"}} == first[0]
    assert again[1:] == first[1:]


def test_another_model_scans_what_the_one_before_knew(tmp_path: Path) -> None:
    async def scan() -> list[str]:
        async with pool_of(tmp_path) as pool:
            before = await pool.scan("x", await spooled(HOSTILE))
            await pool.exchange(source(tmp_path, blind=True))
            after = await pool.scan("x", await spooled(HOSTILE))
            return [scanned[0]["file"]["verdict"] for scanned in (before, after)]

    assert asyncio.run(scan()) == ["malicious", "benign"]


def test_no_file_is_blamed_when_all_processes_die_at_once(tmp_path: Path) -> None:
    async def scan() -> Scanned:
        async with pool_of(tmp_path, scan_processes=3) as pool:
            victims = children()
            for process in victims:
                process.send_signal(signal.SIGSTOP)
            scanning = asyncio.create_task(pool.scan("x", await spooled(HOSTILE)))
            await asyncio.sleep(0.1)
            for process in victims:
                process.kill()
            return await scanning

    assert asyncio.run(scan())[0]["file"]["verdict"] == "malicious"


def answer(**changes: Any) -> Scanned:
    file = {"path": "x", "complete": True, "findings": [], **changes}
    return {"file": file, "story": None}, b"trace", MODEL


@pytest.mark.parametrize(
    "scanned", [answer(complete=False), ({**answer()[0]}, bytes(LARGEST + 1), MODEL)], ids=["cut-short", "large"]
)
def test_an_answer_that_is_not_final_or_is_large_is_not_remembered(scanned: Scanned) -> None:
    known = KnownAnswers(2)
    known.put("a", "never", scanned)
    assert known.get("x", "a", "never") is None


def test_the_answers_that_were_used_last_are_remembered_and_no_more() -> None:
    known = KnownAnswers(2)
    for content in "ab":
        known.put(content, "never", answer())
    assert known.get("x", "a", "never") is not None
    known.put("c", "never", answer())
    assert [known.get("x", content, "never") is not None for content in "abc"] == [True, False, True]
    assert known.get("x", "a", "always") is None
    off = KnownAnswers(0)
    off.put("a", "never", answer())
    assert off.get("x", "a", "never") is None


def test_a_process_that_dies_within_a_group_costs_none_of_its_files(tmp_path: Path) -> None:
    async def scan() -> dict[int, Scanned | Exception]:
        done: dict[int, Scanned | Exception] = {}
        async with pool_of(tmp_path, known_answers=0) as pool:
            files = [(str(number), await spooled(benign(number))) for number in range(5)]
            files.append(("hostile", await spooled(HOSTILE)))
            (dying,) = children()
            dying.send_signal(signal.SIGSTOP)
            group = asyncio.create_task(pool.scan_group(files, "never", done.update))
            await asyncio.sleep(0.1)
            assert not done
            os.kill(dying.pid, signal.SIGKILL)
            await group
        return done

    done = asyncio.run(scan())
    said = [scanned[0]["file"] for _, scanned in sorted(done.items()) if isinstance(scanned, tuple)]
    assert [file["path"] for file in said] == ["0", "1", "2", "3", "4", "hostile"]
    assert [file["verdict"] for file in said] == ["benign"] * 5 + ["malicious"]


def test_a_group_that_takes_too_long_is_scanned_file_by_file(tmp_path: Path) -> None:
    async def scan() -> dict[int, Scanned | Exception]:
        done: dict[int, Scanned | Exception] = {}
        async with pool_of(tmp_path, known_answers=0, scan_timeout=2.5) as pool:
            children()[0].send_signal(signal.SIGSTOP)
            await pool.scan_group([("a", await spooled(BENIGN)), ("b", await spooled(HOSTILE))], "never", done.update)
        return done

    done = asyncio.run(scan())
    assert [scanned[0]["file"]["verdict"] for _, scanned in sorted(done.items()) if isinstance(scanned, tuple)] == [
        "benign", "malicious",
    ]  # fmt: skip


def test_any_number_of_scans_is_stored_in_one_transaction(database: Database) -> None:
    records = [record_of(benign(number), f"{number}.pkl") for number in range(2 * max(SIZES) - 1)]
    with database.write() as connection:
        store_scans(connection, records)
    with database.read() as connection:
        rows = connection.exec_driver_sql("SELECT id, name, sha256 FROM scans ORDER BY name").all()
    assert [tuple(row) for row in rows] == sorted(
        ((record.id, record.name, record.sha256) for record in records), key=lambda row: row[1]
    )
