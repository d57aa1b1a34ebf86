"""``safepickle disasm``: every opcode with what it means, on sound and damaged files."""

from __future__ import annotations

import json
import pickle
import pickletools
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest

from tests.cli import HOSTILE, TRUNCATED, run, write

ORDINARY = {"a": [1, -2, 1 << 80, 2.5, None, True], "b": OrderedDict(x=(1, 2, 3, 4)), "c": {b"bytes", "text" * 20}}


def listed(*arguments: str | Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in run("disasm", "--json", *arguments).stdout.splitlines()]


@pytest.mark.parametrize("protocol", range(6))
def test_opcodes_and_offsets_are_those_of_pickletools(tmp_path: Path, protocol: int) -> None:
    data = pickle.dumps(ORDINARY, protocol)
    stream, *opcodes = listed(write(tmp_path, model=data) / "model.pkl")
    assert stream == {"stream": "", "offset": 0, "length": len(data)}
    known = [(at, opcode.name) for opcode, _argument, at in pickletools.genops(data)]
    assert [(one["offset"], one["opcode"]) for one in opcodes] == known
    assert opcodes[-1]["height"] == 0
    assert all(one["height"] >= 0 for one in opcodes)


def test_the_finding_stands_beside_its_opcode(tmp_path: Path) -> None:
    file = write(tmp_path, model=HOSTILE) / "model.pkl"
    marked = [one for one in listed(file) if one.get("findings")]
    assert [(one["opcode"], one["findings"][0]["rule"]) for one in marked] == [("REDUCE", "call-process")]
    done = run("disasm", file)
    (line,) = [line for line in done.stdout.decode().splitlines() if "REDUCE" in line]
    assert line.split()[:3] == ["29", "1", "REDUCE"]
    assert line.endswith("\u2190 starts a process: os.system('echo inert') [critical]")
    assert done.returncode == 1


def test_a_memo_entry_says_where_it_was_put(tmp_path: Path) -> None:
    twice = ["text"]
    text = run("disasm", write(tmp_path, model=pickle.dumps((twice, twice), 4)) / "model.pkl").stdout.decode()
    assert "; as memo 0" in text
    assert "; put at 12" in text


def test_a_damaged_stream_is_listed_up_to_the_damage(tmp_path: Path) -> None:
    *_opcodes, last = listed(write(tmp_path, model=TRUNCATED) / "model.pkl")
    assert (last["opcode"], last["argument"]) == ("stop", "truncated")
    *opcodes, last = listed(write(tmp_path, other=HOSTILE[:-1] + b"\xff") / "other.pkl")
    assert (last["opcode"], last["argument"], last["offset"]) == ("stop", "invalid opcode", 30)
    assert opcodes[-1]["opcode"] == "REDUCE"


def test_all_streams_of_all_members_are_listed_and_one_can_be_chosen(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "model.pt", "w") as archive:
        archive.writestr("a/data.pkl", HOSTILE + pickle.dumps(1))
        archive.writestr("b/other.pkl", pickle.dumps([2]))
    streams = [one["stream"] for one in listed(tmp_path / "model.pt") if "stream" in one]
    assert streams == ["zip:a/data.pkl", "zip:a/data.pkl", "zip:b/other.pkl"]
    streams = [one["stream"] for one in listed("--member", "other", tmp_path / "model.pt") if "stream" in one]
    assert streams == ["zip:b/other.pkl"]


def test_a_stretch_and_a_number_of_opcodes_can_be_chosen(tmp_path: Path) -> None:
    file = write(tmp_path, model=HOSTILE) / "model.pkl"
    assert [one["offset"] for one in listed("--from", "0xd", "--to", "30", file)[1:]] == [13, 28, 29]
    assert [one["opcode"] for one in listed("--limit", "2", file)[1:]] == ["PROTO", "GLOBAL"]


def test_no_sequence_of_a_file_reaches_the_terminal(tmp_path: Path) -> None:
    nasty = "\x1b[2J\u202e\u2028\x9b".encode()
    lines = b"c" + nasty + b"\nx\n0V" + nasty + b"\nS'" + nasty + b"'\nP" + nasty + b"\nI1\x1b\n"
    text = run(
        "disasm", write(tmp_path, model=b"X" + bytes([len(nasty), 0, 0, 0]) + nasty + lines) / "model.pkl"
    ).stdout
    assert all(line.isprintable() for line in text.decode().split("\n"))
    assert text.count(b"\n") > 4
