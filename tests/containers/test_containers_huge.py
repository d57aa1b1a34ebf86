"""Huge files, sparse on the disk: what a scan costs does not grow with bytes that hold no opcodes."""

from __future__ import annotations

import gc
import gzip
import struct
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path
from time import process_time

import pytest

from safepickle.containers import open_file
from safepickle.limits import DEFAULT_LIMITS
from tests.cli import ROOT
from tests.containers.samples import CALLING_4, found, local_member, scan, zip_of

ALLOWED_KB = 40 << 10
"""Of a whole process."""

MEASURED = """
import resource, sys
from safepickle.scan import Scanner
scanner = Scanner()
for _ in range(3):  # what the model lays out when it is used again is not this file's
    scanner.scan_path(sys.argv[1])
before = resource.getrusage(resource.RUSAGE_SELF)
report = scanner.scan_path(sys.argv[2])
after = resource.getrusage(resource.RUSAGE_SELF)
# unlike ru_maxrss this counts from when the process began, not from the one that started it
peak = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(report.container, report.complete, len(report.trace.streams), peak, after.ru_minflt - before.ru_minflt,
      after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
"""


def measured(path: Path, small: Path) -> tuple[str, bool, int, int, int, float]:
    """Container, completeness, streams; the process's peak in kB, pages touched and seconds that the file took."""
    if not Path("/proc/self/status").exists():
        pytest.skip("the peak of a process's memory is read from /proc")
    small.write_bytes(CALLING_4)
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, str(small), str(path)], cwd=ROOT, capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stderr
    container, complete, streams, peak, pages, seconds = done.stdout.split()
    return container, complete == "True", int(streams), int(peak), int(pages), float(seconds)


def write_torch(path: Path, storages: int, size: int) -> None:
    """A torch zip whose storages are holes, with zip64 fields where they are needed."""
    ones = 0xFFFFFFFF
    members: list[tuple[bytes, int, int, int]] = []
    with path.open("wb") as file:
        names = [(b"archive/data.pkl", CALLING_4), *((b"archive/data/%d" % n, b"") for n in range(storages))]
        for name, data in names:
            length = len(data) or size
            header = file.tell()
            members.append((name, header, length, zlib.crc32(data)))
            extra = struct.pack("<HHQQ", 1, 16, length, length)
            fields = (45, 0, 0, 0, 0, zlib.crc32(data), ones, ones, len(name), len(extra))
            file.write(struct.pack("<4s5H3I2H", b"PK\x03\x04", *fields) + name + extra + data)
            file.seek(header + 30 + len(name) + len(extra) + length)
        begin = file.tell()
        for name, header, length, checksum in members:
            extra = struct.pack("<HHQQQ", 1, 24, length, length, header)
            fields = (45, 45, 0, 0, 0, 0, checksum, ones, ones, len(name), len(extra), 0, 0, 0, 0, ones)
            file.write(struct.pack("<4s6H3I5H2I", b"PK\x01\x02", *fields) + name + extra)
        end = file.tell()
        count = len(members)
        file.write(struct.pack("<4sQHHIIQQQQ", b"PK\x06\x06", 44, 45, 45, 0, 0, count, count, end - begin, begin))
        file.write(struct.pack("<4sIQI", b"PK\x06\x07", 0, end, 1))
        file.write(struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, ones, ones, 0))


def test_of_a_torch_zip_of_ten_gigabytes_only_the_directory_and_the_pickle_are_read(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    write_torch(path, storages=20, size=512 << 20)
    assert path.stat().st_size > 10 << 30
    container, complete, streams, peak, pages, seconds = measured(path, tmp_path / "small.pkl")
    assert (container, complete, streams) == ("torch-zip", True, 1)
    # a page of each storage, which may have been a pickle, and a few for the rest; allocations need pages as well
    assert pages < 500
    assert (peak < ALLOWED_KB, seconds < 0.1) == (True, True), (peak, seconds)


@pytest.mark.parametrize("opcode", [b"B", b"\x8e", b"\x96"])
def test_half_a_gigabyte_of_bytes_in_a_pickle_is_stepped_over(tmp_path: Path, opcode: bytes) -> None:
    path = tmp_path / "model.pkl"
    size = 524_000_000
    with path.open("wb") as file:
        head = b"\x80\x05" + opcode + size.to_bytes(4 if opcode == b"B" else 8, "little")
        file.write(head)
        file.seek(len(head) + size)
        file.write(b"0" + CALLING_4[2:])
    container, complete, streams, peak, _pages, seconds = measured(path, tmp_path / "small.pkl")
    assert (container, complete, streams) == ("pickle", True, 1)
    assert (peak < ALLOWED_KB, seconds < 0.1) == (True, True), (peak, seconds)


def test_what_a_small_file_unpacks_to_is_not_kept_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "model.pkl.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(b"\x80\x04B" + (200 << 20).to_bytes(4, "little"))
        for _ in range(200):
            file.write(bytes(1 << 20))
        file.write(b"0" + CALLING_4[2:])
    container, complete, streams, peak, *_ = measured(path, tmp_path / "small.pkl")
    assert (container, complete, streams) == ("gzip(pickle)", True, 1)
    assert peak < (64 << 10) + 5 * (path.stat().st_size >> 10)


BLANK_SIZE = 200 << 20


@pytest.mark.parametrize(
    ("head", "tail"),
    [
        (b"N.", b""),
        (b"\x80\4\x8e" + (BLANK_SIZE + 4).to_bytes(8, "little") + b"PK\3\4", b"0" + CALLING_4[2:]),
        (b"V", b"\n0" + CALLING_4[2:]),
        (b"N.\xff", CALLING_4),
    ],
    ids=["blanks", "a literal that begins like a zip", "a line", "junk before a stream"],
)
def test_of_a_huge_file_that_is_read_to_its_end_little_stays_in_memory(
    tmp_path: Path, head: bytes, tail: bytes
) -> None:
    path = tmp_path / "model.pkl"
    with path.open("wb") as file:
        file.write(head)
        file.seek(BLANK_SIZE + len(head) - 4)
        file.write(bytes(4) + tail)
    _container, _complete, streams, peak, *_ = measured(path, tmp_path / "small.pkl")
    assert streams == (1 if not tail or head[:1] != b"N" else 2)
    assert peak < ALLOWED_KB


def seconds_of(data: bytes, times: int) -> float:
    """Seconds of opening `data`, at best; what other tests left for the garbage collector to look at does not count."""
    best = float("inf")
    gc.freeze()
    try:
        for _ in range(times):
            began = process_time()
            contents = open_file(data, DEFAULT_LIMITS)
            best = min(best, process_time() - began)
            assert contents.complete
    finally:
        gc.unfreeze()
    return best


def test_members_take_time_in_proportion_to_their_number() -> None:
    def torch(storages: int) -> bytes:
        first, name = local_member(b"archive/data.pkl", CALLING_4), b"archive/data/#####"
        member = local_member(name, bytes(8))
        fields = (20, 20, 0, 0, 0, 0, zlib.crc32(bytes(8)), 8, 8, len(name), *[0] * 5)
        entry = struct.pack("<4s6H3I5HI", b"PK\x01\x02", *fields)
        parts, entries = [first], [entry[:28] + b"\x10\0" + entry[30:] + bytes(4) + b"archive/data.pkl"]
        for n in range(storages):
            parts.append(member.replace(b"#####", b"%05d" % n))
            header = len(first) + n * len(member)
            entries.append(entry + header.to_bytes(4, "little") + name.replace(b"#####", b"%05d" % n))
        size = sum(map(len, entries))
        entries[0] = entries[0].replace(entry[16:28], struct.pack("<3I", zlib.crc32(CALLING_4), *[len(CALLING_4)] * 2))
        count, at = min(storages + 1, 0xFFFF), len(first) + storages * len(member)
        end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, count, count, size, at, 0)
        return b"".join((*parts, *entries, end))

    assert open_file(torch(100), DEFAULT_LIMITS).oddities == ()
    few, many = seconds_of(torch(5_000), 3), seconds_of(torch(50_000), 1)
    assert many < 10 * few * 1.6 + 0.1, (few, many)


def test_more_members_than_the_budget_are_not_opened_and_the_file_is_incomplete() -> None:
    limits = DEFAULT_LIMITS.replace(members=1000)
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        contents = open_file(zip_of({str(n): CALLING_4 for n in range(1001)}, method), limits)
        assert (len(contents.regions), contents.complete) == (1000, False)


def test_bytes_padded_beyond_any_cap_hide_no_stream() -> None:
    data = bytes(40 << 20)
    assert found(scan(zip_of({"a": b"\x80\x04B" + len(data).to_bytes(4, "little") + data + b"0" + CALLING_4[2:]})))
