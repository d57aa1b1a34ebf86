"""What lies in folders besides models: special files, links, unreadable, huge and oddly named files."""

from __future__ import annotations

import json
import os
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from tests.cli import BENIGN, HOSTILE, run, write


def verdicts(folder: Path, *arguments: str) -> dict[str, dict[str, Any]]:
    files = json.loads(run("scan", "--format", "json", *arguments, folder).stdout)["files"]
    return {os.path.basename(file["path"]): file for file in files}


def reason(file: dict[str, Any]) -> str:
    assert file["verdict"] == "incomplete"
    assert file["complete"] is False
    detail: str = file["oddities"][0]["detail"]
    return detail


def test_a_fifo_and_a_socket_are_reported_and_never_opened(tmp_path: Path) -> None:
    write(tmp_path, model=BENIGN)
    os.mkfifo(tmp_path / "fifo")
    with socket.socket(socket.AF_UNIX) as listening:
        cwd = os.getcwd()
        os.chdir(tmp_path)  # the address of a socket must be short
        try:
            listening.bind("socket")
        finally:
            os.chdir(cwd)
        found = verdicts(tmp_path)
    assert found["model.pkl"]["verdict"] == "benign"
    assert "FIFO" in reason(found["fifo"])
    assert "socket" in reason(found["socket"])


@pytest.mark.parametrize("command", ["trace", "explain"])
def test_trace_and_explain_do_not_wait_for_a_fifo(tmp_path: Path, command: str) -> None:
    os.mkfifo(tmp_path / "fifo")
    done = run(command, tmp_path / "fifo")
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"FIFO" in done.stderr


def test_a_device_named_on_the_command_line_is_not_opened() -> None:
    done = run("scan", "/dev/zero")
    assert done.returncode == 3
    assert b"character device" in done.stdout


def test_a_missing_file_is_incomplete_and_the_others_are_scanned(tmp_path: Path) -> None:
    write(tmp_path, model=HOSTILE)
    done = run("scan", tmp_path / "missing.pkl", tmp_path / "model.pkl")
    assert done.returncode == 1
    assert done.stdout.index(b"missing.pkl") < done.stdout.index(b"model.pkl")
    assert run("scan", tmp_path / "missing.pkl").returncode == 3


def test_a_file_that_cannot_be_opened_is_incomplete_with_the_reason(tmp_path: Path) -> None:
    write(tmp_path, model=BENIGN)
    if os.geteuid() == 0:  # no permission stops root; a link to itself stops everybody
        (tmp_path / "closed.pkl").symlink_to("closed.pkl")
    else:
        (tmp_path / "closed.pkl").write_bytes(BENIGN)
        (tmp_path / "closed.pkl").chmod(0)
    found = verdicts(tmp_path)
    assert found["model.pkl"]["verdict"] == "benign"
    assert reason(found["closed.pkl"])


def test_links_to_files_are_scanned_and_loops_of_folders_end(tmp_path: Path) -> None:
    write(tmp_path / "blobs", model=HOSTILE)
    inner = tmp_path / "scanned" / "inner"
    inner.mkdir(parents=True)
    (inner / "linked.pkl").symlink_to(tmp_path / "blobs" / "model.pkl")
    (inner / "loop").symlink_to(tmp_path / "scanned")
    (inner / "out").symlink_to(tmp_path / "blobs")
    (inner / "dead").symlink_to("nowhere")
    found = verdicts(tmp_path / "scanned")
    assert sorted(found) == ["dead", "linked.pkl", "out"]
    assert found["linked.pkl"]["verdict"] == "malicious"
    assert "outside" in reason(found["out"])
    assert "leads nowhere" in reason(found["dead"])


def test_an_empty_file_is_not_benign_unless_it_was_understood(tmp_path: Path) -> None:
    (found,) = verdicts(write(tmp_path, empty=b"")).values()
    assert found["size"] == 0
    assert (found["verdict"], found["complete"]) in {("incomplete", False), ("benign", True)}


def test_a_folder_without_any_file_is_not_called_benign(tmp_path: Path) -> None:
    done = run("scan", tmp_path)
    assert done.returncode == 3
    assert b"no file was found" in done.stderr


def test_a_folder_without_model_files_gets_an_answer_for_each_file(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing to load here\n" * 50)
    (tmp_path / "photo.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 4)
    found = verdicts(tmp_path)
    assert sorted(found) == ["notes.txt", "photo.png"]
    assert all(file["verdict"] in ("benign", "incomplete") for file in found.values())


@pytest.mark.timeout(180)
def test_a_sparse_file_of_5_gb_is_answered_within_seconds(tmp_path: Path) -> None:
    with open(tmp_path / "sparse.pkl", "wb") as file:
        file.write(HOSTILE)
        file.truncate(5 << 30)
    begin = time.monotonic()
    (found,) = verdicts(tmp_path).values()
    assert time.monotonic() - begin < 90  # most of it is the kernel filling its cache
    assert found["size"] == 5 << 30
    assert found["verdict"] == "malicious"


HOSTILE_NAME = "\x1b[2K\x1b[1A\x1b]0;owned\x07\u202egnp.\rBENIGN  safe.pkl"


def test_escapes_in_a_file_name_never_reach_the_terminal(tmp_path: Path) -> None:
    (tmp_path / HOSTILE_NAME).write_bytes(HOSTILE)
    for format in ("text", "json", "jsonl"):
        done = run("scan", "--format", format, tmp_path)
        text = done.stdout.decode()
        assert not {"\x1b", "\x07", "\r", "\u202e"} & set(text)
        assert done.returncode == 1
    assert os.path.basename(next(iter(verdicts(tmp_path)))) == HOSTILE_NAME


def test_escapes_in_a_callable_name_never_reach_the_terminal(tmp_path: Path) -> None:
    data = b"\x80\x02cos\x1b[31m\nsys\x1b[2Ktem\x07\nX\x0a\x00\x00\x00echo inert\x85R."
    file = write(tmp_path, model=data) / "model.pkl"
    for arguments in (["scan"], ["explain"], ["trace", "--literals"], ["scan", "--format", "json"]):
        done = run(*arguments, file)
        assert not {0x1B, 0x07, 0x0D} & set(done.stdout + done.stderr)


def test_a_file_name_that_is_not_utf8_is_scanned_and_reported(tmp_path: Path) -> None:
    name = os.fsencode(tmp_path) + b"/caf\xe9.pkl"
    with open(name, "wb") as file:
        file.write(HOSTILE)
    for jobs in ("1", "2"):
        done = run("scan", "--jobs", jobs, tmp_path, env={"PYTHONIOENCODING": "ascii"})
        assert done.returncode == 1
        assert b"caf\\udce9.pkl" in done.stdout


def test_a_name_with_a_line_break_stays_on_its_line(tmp_path: Path) -> None:
    (tmp_path / "a\nBENIGN  b.pkl").write_bytes(HOSTILE)
    assert not any(line.startswith("BENIGN") for line in run("scan", tmp_path).stdout.decode().splitlines())
