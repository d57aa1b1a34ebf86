"""Many files in one request: the readers of bodies, and the served operation."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import random
import socket
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from serving.outbox import Outbox
from serving.pieces import Closed, MalformedArchive, Opened, Skipped
from serving.tar_stream import MalformedTar, TarStream
from tests.serving.models import BENIGN, HOSTILE, benign, hostile
from tests.serving.served import ADMIN_KEY, Served, wait_for
from tests.serving.test_serving_admin import assert_schema
from tests.serving.test_serving_api import assert_problem

TAR = {"Content-Type": "application/x-tar"}


def tar_of(files: dict[str, bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def read_tar(body: bytes, step: int) -> list[tuple[str, bytes]]:
    """Files of an archive fed in chunks of `step` bytes."""
    stream = TarStream()
    files: list[tuple[str, bytes]] = []
    for start in range(0, len(body), step):
        for piece in stream.feed(body[start : start + step]):
            if isinstance(piece, Opened):
                files.append((piece.name, b""))
            elif isinstance(piece, bytes):
                files[-1] = (files[-1][0], files[-1][1] + piece)
            else:
                assert isinstance(piece, Closed)
    stream.finish()
    return files


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("step", [1, 511, 512, 100_000])
def test_a_tar_archive_is_read_as_it_streams_by_however_it_is_cut(form: int, step: int) -> None:
    files = {"a.pkl": BENIGN, "empty": b"", "folder/b.pkl": bytes(1025), "block": bytes(512)}
    if form != tarfile.USTAR_FORMAT:
        files |= {"long/" * 40 + "name": b"x", "\u00e4\u20ac": b"y"}
    assert read_tar(tar_of(files, form), step) == list(files.items())


def test_links_and_devices_are_skipped_by_name_and_folders_passed_over() -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, kind in (
            ("d", tarfile.DIRTYPE),
            ("s", tarfile.SYMTYPE),
            ("h", tarfile.LNKTYPE),
            ("f", tarfile.FIFOTYPE),
        ):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "/etc/passwd"
            archive.addfile(member)
    skipped = [piece for piece in TarStream().feed(buffer.getvalue()) if isinstance(piece, Skipped)]
    assert [piece.name for piece in skipped] == ["s", "h", "f"]


def test_damaged_archives_end_in_an_error_and_never_in_another() -> None:
    whole = tar_of({"long/" * 40 + "name": bytes(600), "b": b"b" * 700})
    chance = random.Random(3)
    outcomes = set()
    for _ in range(400):
        body = bytearray(whole)
        for _ in range(chance.randrange(1, 4)):
            body[chance.randrange(len(body))] = chance.randrange(256)
        cut = bytes(body[: chance.randrange(len(body))] if chance.random() < 0.5 else body)
        try:
            read_tar(cut, 777)
            outcomes.add("read")
        except MalformedArchive:
            outcomes.add("refused")
    assert outcomes == {"read", "refused"}


@pytest.mark.parametrize(
    "records", [b"99999 path=x\n", b"path=x\n", b"12 size=-5x\n", b"19 GNU.sparse.major=1\n", b"x"]
)
def test_a_damaged_pax_header_is_refused(records: bytes) -> None:
    header = tarfile.TarInfo("pax")
    header.type, header.size = tarfile.XHDTYPE, len(records)
    body = header.tobuf(tarfile.USTAR_FORMAT) + records.ljust(512, b"\0") + tar_of({"a": b"a"})
    with pytest.raises(MalformedTar):
        read_tar(body, 512)


def test_an_outbox_keeps_order_and_a_bounded_memory_while_nobody_reads(tmp_path: Path) -> None:
    async def run() -> None:
        box = Outbox(1000, str(tmp_path))
        lines = [f"{number:05}\n".encode() * 20 for number in range(300)]
        for line in lines[:200]:
            box.put(line)
        reader = box.chunks()
        got = [await anext(reader)]
        assert len(got[0]) <= 1000
        for line in lines[200:]:
            box.put(line)
        box.close()
        got += [chunk async for chunk in reader]
        assert b"".join(got) == b"".join(lines)

    asyncio.run(run())
    assert list(tmp_path.iterdir()) == []


def answers(response: httpx.Response) -> tuple[dict[int, dict[str, Any]], dict[str, Any]]:
    """Lines by index, and the last line."""
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/x-ndjson"
    lines = [json.loads(line) for line in response.text.splitlines()]
    for line in lines:
        assert_schema(line, "BatchLine")
    return {line["index"]: line for line in lines[:-1]}, lines[-1]


@pytest.mark.slow
def test_every_file_of_a_tar_or_form_gets_its_own_answer_and_row(service: Served) -> None:
    files = {f"batch-{n}.pkl": hostile(n) if n % 3 == 0 else benign(n, n) for n in range(40)}
    parts = [("file", (name, data)) for name, data in files.items()]
    with service.client() as client:
        before = service.query("SELECT count(*) FROM scans")[0][0]
        tar, tar_end = answers(client.post("/v1/scans:batch", content=tar_of(files), headers=TAR))
        form, form_end = answers(client.post("/v1/scans:batch", files=parts))
        single = client.post("/v1/scan", params={"name": "batch-3.pkl"}, content=files["batch-3.pkl"]).json()
    for lines in (tar, form):
        assert [(lines[n]["path"], lines[n]["scan"]["sha256"]) for n in range(40)] == [
            (name, hashlib.sha256(data).hexdigest()) for name, data in files.items()
        ]
    assert tar_end == form_end == {"done": True, "files": 40, "scanned": 40, "failed": 0}
    assert tar[3]["scan"]["findings"] == single["findings"]
    assert service.query("SELECT count(*) FROM scans")[0][0] == before + 81


@pytest.mark.slow
def test_a_batch_that_breaks_off_says_that_it_is_not_all(service: Served) -> None:
    body = tar_of({"a.pkl": BENIGN, "b.pkl": HOSTILE})
    with service.client() as client:
        lines, end = answers(client.post("/v1/scans:batch", content=body[:1400], headers=TAR))
        assert (end["done"], end["scanned"], lines[0]["status"]) == (False, 1, 200)
        assert end["problem"]["type"].endswith(":malformed-body")
        _, nothing = answers(client.post("/v1/scans:batch", content=b"", headers=TAR))
        assert nothing["done"] is False
        _, damaged = answers(client.post("/v1/scans:batch", content=b"x" * 5000, headers=TAR))
        assert damaged["done"] is False
        assert_problem(client.post("/v1/scans:batch", content=body), 415, "not-a-batch")
        no_boundary = {"Content-Type": "multipart/form-data"}
        assert_problem(client.post("/v1/scans:batch", content=b"", headers=no_boundary), 400, "malformed-multipart")
        assert client.post("/v1/scan", content=BENIGN).status_code == 200
    assert not list((service.folder / "spool").glob("safepickle-[!m]*"))


@pytest.mark.slow
def test_a_file_that_is_too_large_and_a_link_are_answered_by_their_own_lines(service: Served) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, size in (("first.pkl", 10), ("large.bin", 3_000_001)):
            member = tarfile.TarInfo(name)
            member.size = size
            archive.addfile(member, io.BytesIO(bytes(size)))
        link = tarfile.TarInfo("../../link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
        member = tarfile.TarInfo("../../etc/last.pkl")
        member.size = len(BENIGN)
        archive.addfile(member, io.BytesIO(BENIGN))
    with service.client() as client:
        lines, end = answers(client.post("/v1/scans:batch", content=buffer.getvalue(), headers=TAR))
    assert [lines[n]["status"] for n in range(4)] == [200, 413, 422, 200]
    assert [lines[n]["path"] for n in range(4)] == ["first.pkl", "large.bin", "link", "last.pkl"]
    assert end == {"done": True, "files": 4, "scanned": 2, "failed": 2}


@pytest.mark.slow
def test_whoever_reads_the_answer_only_after_the_upload_waits_for_nobody(service: Served) -> None:
    body = tar_of({f"{n}.pkl": benign(n) for n in range(600)})
    head = (
        f"POST /v1/scans:batch HTTP/1.1\r\nHost: x\r\nX-API-Key: {ADMIN_KEY}\r\nContent-Type: application/x-tar\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(60)
        connection.connect(("127.0.0.1", service.port))
        connection.sendall(head.encode() + body)
        received = b"".join(iter(lambda: connection.recv(65536), b""))
    assert b'"files":600,"scanned":600,"failed":0' in received


@pytest.mark.slow
def test_a_large_batch_needs_no_more_memory_than_a_small_one(service: Served) -> None:
    data = benign(1, 40_000)
    block = tar_of({"x.pkl": data}, tarfile.USTAR_FORMAT)
    member = 512 + len(data) + -len(data) % 512

    def body() -> Iterator[bytes]:
        for _ in range(60):
            yield block[:member]
        yield bytes(1024)

    def resident() -> int:
        return sum(worker.memory_info().rss for worker in service.workers())

    with service.client() as client:
        client.post("/v1/scans:batch", content=tar_of({"x.pkl": data}), headers=TAR)
        before = resident()
        lines, end = answers(client.post("/v1/scans:batch", content=body(), headers=TAR))
    assert end["scanned"] == len(lines) == 60
    assert resident() - before < 30_000_000


@pytest.mark.slow
def test_a_client_that_goes_away_from_a_batch_leaves_nothing_behind(service: Served) -> None:
    body = tar_of({f"{n}.pkl": benign(n, 20_000) for n in range(20)})
    head = (
        f"POST /v1/scans:batch HTTP/1.1\r\nHost: x\r\nX-API-Key: {ADMIN_KEY}\r\nContent-Type: application/x-tar\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    for _ in range(3):
        with socket.create_connection(("127.0.0.1", service.port), timeout=15) as connection:
            connection.sendall(head.encode() + body[: len(body) // 2])
    time.sleep(0.5)

    def open_spools() -> int:
        files = [file for worker in service.workers() for file in psutil.Process(worker.pid).open_files()]
        return sum("safepickle-" in file.path for file in files)

    wait_for(lambda: open_spools() == 0, 10, service.log)
    with service.client() as client:
        assert client.post("/v1/scan", content=BENIGN).status_code == 200
