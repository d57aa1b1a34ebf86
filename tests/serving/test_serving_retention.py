"""Files that are kept for a while: in a folder, in fsspec's memory, and of the served process."""

from __future__ import annotations

import asyncio
import datetime
import hashlib
import os
from pathlib import Path

import pytest

from serving.bodies import Spool
from serving.database.clock import now
from serving.retention import NotKept, Retention
from tests.serving.models import BENIGN, benign

DAY = datetime.timedelta(days=1)


def spooled(data: bytes, threshold: int) -> Spool:
    async def fill() -> Spool:
        spool = Spool(threshold)
        for start in range(0, len(data), 1 << 20):
            await spool.write(data[start : start + (1 << 20)])
        await spool.finish()
        return spool

    return asyncio.run(fill())


@pytest.mark.parametrize("kind", ["folder", "memory"])
@pytest.mark.parametrize("data", [b"", BENIGN, bytes(3 << 20)])
def test_a_kept_file_reads_back_until_its_days_are_over(kind: str, data: bytes, tmp_path: Path) -> None:
    address = str(tmp_path / "kept") if kind == "folder" else f"memory://{tmp_path.name}/kept"
    retention = Retention(address, 3)
    sha256 = hashlib.sha256(data).hexdigest()
    today, earlier = now(), now() - 5 * DAY
    for at in (today, earlier, today):
        spool = spooled(data, 1000)
        retention.keep(spool, sha256, at)
        spool.close()
    assert b"".join(retention.read(sha256, earlier)) == data
    assert retention.expire() == [earlier.date().isoformat()]
    with pytest.raises(NotKept):
        retention.read(sha256, earlier)
    assert b"".join(retention.read(sha256, today)) == data
    with pytest.raises(NotKept):
        retention.read("0" * 64, today)


def test_kept_files_are_for_their_owner_and_others_files_stay(tmp_path: Path) -> None:
    retention = Retention(str(tmp_path / "kept"), 1)
    (tmp_path / "kept" / "2020-01-01x").mkdir()
    (tmp_path / "kept" / "notes").write_text("mine")
    retention.keep(spooled(BENIGN, 1000), "a" * 64, now())
    (kept,) = (tmp_path / "kept").glob("*/" + "a" * 64)
    assert os.stat(kept).st_mode & 0o777 == 0o600
    assert os.stat(tmp_path / "kept").st_mode & 0o777 == 0o700
    assert not list((tmp_path / "kept").glob("*/*.part"))
    retention.expire()
    assert (tmp_path / "kept" / "notes").exists()
    assert (tmp_path / "kept" / "2020-01-01x").exists()


def test_a_file_larger_than_memory_is_copied_whole(tmp_path: Path) -> None:
    data = benign(3, 300_000)
    spool = spooled(data, 1000)
    assert spool.file is not None
    assert b"".join(spool.chunks(10_000)) == data
    spool.close()


def test_an_address_without_a_driver_is_refused() -> None:
    with pytest.raises(ValueError, match="RETENTION"):
        Retention("nosuchthing://bucket/x", 1)
