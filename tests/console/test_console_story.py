"""What the scan process tells of a file for the console: bounded in size, and printable."""

from __future__ import annotations

import json
from pathlib import Path

from safepickle.decompile.reading import Readings
from safepickle.limits import DEFAULT_LIMITS
from safepickle.scan import trace_data
from serving.bodies import Spool
from serving.console import story
from serving.model_source import ModelSource
from serving.scan_pool import ScanPool
from serving.settings import Settings
from tests.serving.models import BENIGN, HOSTILE, build_bundle
from tests.serving.records import scanner


def tell(data: bytes) -> story.Plain:
    readings = Readings()
    report = scanner().report(trace_data(data, DEFAULT_LIMITS, readings.add), "file")
    return story.tell(report, readings)


def test_a_story_shows_the_call_and_the_opcode_that_makes_it() -> None:
    (stream,) = tell(HOSTILE)["streams"]
    called = next(line for line in stream["lines"] if "system" in line["text"])
    assert "os.system('echo inert')" in called["text"]
    assert {entry["offset"]: entry["opcode"] for entry in stream["code"]}[called["offset"]] == "REDUCE"


def test_a_story_of_a_huge_file_keeps_its_size_and_what_the_finding_is_about() -> None:
    many = b"".join(b"]q\x00X\x08\x00\x00\x00%08dq\x01a0" % number for number in range(8_000))
    told = tell(b"\x80\x02" + many + HOSTILE[2:])
    assert len(json.dumps(told)) < 1.2 * story.CHARACTERS
    (stream,) = told["streams"]
    assert len(stream["code"]) < story.BEGINNING + 3 * story.AROUND
    assert None in stream["code"], "opcodes were left out, and the listing says where"
    assert stream["code"][-2]["opcode"] == "REDUCE"


def test_a_story_of_many_streams_ends_where_there_is_no_room() -> None:
    told = tell(HOSTILE * 3_000)
    assert told["shortened"]
    assert len(json.dumps(told)) < 1.2 * story.CHARACTERS
    assert told["streams"][0]["lines"]


def test_a_hostile_string_is_written_in_printable_characters() -> None:
    text = "\x1b[2J\u202e</script><script>alert(1)</script>\u2028".encode()
    data = b"\x80\x02cos\nsystem\nX" + len(text).to_bytes(4, "little") + text + b"\x85R."
    told = tell(data)
    shown = [line["text"] for line in told["streams"][0]["lines"]]
    shown += [entry["argument"] for entry in told["streams"][0]["code"]]
    assert any("alert(1)" in one for one in shown)
    assert all(one.isprintable() for one in shown)


def test_what_is_stored_is_read_back_and_another_format_is_nothing() -> None:
    told = tell(HOSTILE)
    assert story.unpack(story.pack(told)) == told
    assert story.unpack(story.pack({**told, "format": 0})) is None
    assert story.unpack(None) is None


def test_a_scan_process_tells_of_flagged_files_or_of_all_as_asked(tmp_path: Path) -> None:
    import asyncio

    async def scan() -> list[bool]:
        pool = ScanPool(Settings(scan_processes=1))
        folder = build_bundle(tmp_path / "copy" / "bundle", blind=False)
        try:
            await pool.exchange(ModelSource("tests", "1", folder, ""))
            told = []
            for data, wish in ((HOSTILE, "flagged"), (BENIGN, "flagged"), (BENIGN, "always"), (HOSTILE, "never")):
                spool = Spool(1 << 20)
                await spool.write(data)
                answer, _, _ = await pool.scan("file", spool, wish)
                told.append(bool(answer.get("story")))
            return told
        finally:
            await pool.close()

    assert asyncio.run(scan()) == [True, False, True, False]
