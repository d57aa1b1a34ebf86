"""zip: all members that any reader could find, whatever is wrong with the archive."""

from __future__ import annotations

import lzma
import struct
import time
import zipfile
import zlib

import pytest

from safepickle.limits import Limits
from tests.containers.samples import (
    CALLING_0,
    CALLING_4,
    PLAIN_4,
    PNG,
    TEXT,
    found,
    kinds,
    local_member,
    names,
    patched,
    scan,
    zip_of,
)

METHODS = [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]


@pytest.mark.parametrize("method", METHODS)
def test_members_of_every_method_are_read_and_text_and_images_are_passed_over(method: int) -> None:
    members = {"a.bin": CALLING_4, "readme": TEXT, "picture": PNG, "b": PLAIN_4}
    contents = scan(zip_of(members, method))
    assert (contents.container, contents.complete, contents.oddities) == ("zip", True, ())
    assert found(contents) == [CALLING_4, PLAIN_4]
    assert [region.place for region in contents.regions] == [(("zip", "a.bin"),), (("zip", "b"),)]


def test_a_stored_member_is_a_window_on_the_file_and_not_a_copy() -> None:
    data = zip_of({"a": CALLING_4})
    assert scan(data).regions[0].data is data


def test_a_large_packed_pickle_is_unpacked_to_its_end() -> None:
    data = b"\x80\x04B" + struct.pack("<I", 1_000_000) + bytes(1_000_000) + CALLING_4[2:]
    assert found(scan(zip_of({"a": data}, zipfile.ZIP_DEFLATED))) == [data]


def test_bytes_before_and_after_the_archive_are_noted_and_hide_nothing() -> None:
    contents = scan(b"#!/bin/sh\n" * 900 + zip_of({"a": CALLING_4}) + b"after")
    assert found(contents) == [CALLING_4]
    assert kinds(contents) == {"zip-prefix", "zip-suffix"}


def test_a_comment_is_no_suffix() -> None:
    data = zip_of({"a": CALLING_4})
    assert kinds(scan(data[:-2] + b"\x05\x00hello")) == set()


def test_a_pickle_with_a_zip_appended_is_reported_by_both_readers() -> None:
    data = CALLING_0 + zip_of({"a": PLAIN_4})
    contents = scan(data)
    assert contents.container == "pickle+zip"
    assert found(contents) == [data, PLAIN_4]
    assert "polyglot" in kinds(contents)


def test_a_member_that_only_its_local_header_names_is_found() -> None:
    data = zip_of({"a": PLAIN_4, "b": CALLING_4})
    first = data.index(b"PK\x01\x02")
    second = data.index(b"PK\x01\x02", first + 4)
    contents = scan(data[:second] + struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 1, 1, second - first, first, 0))
    assert found(contents) == [PLAIN_4, CALLING_4]
    assert (kinds(contents), contents.complete) == ({"zip-hidden-member"}, True)


def test_two_archives_of_which_readers_choose_either_are_both_read() -> None:
    contents = scan(zip_of({"a": PLAIN_4}) + zip_of({"b": CALLING_4}))
    assert {PLAIN_4, CALLING_4} <= set(found(contents))


def test_a_member_in_front_of_the_archive_is_found() -> None:
    contents = scan(local_member(b"hidden", CALLING_4) + zip_of({"a": PLAIN_4}))
    assert {PLAIN_4, CALLING_4} <= set(found(contents))
    assert kinds(contents)


def test_a_zip_without_directory_still_gives_its_members() -> None:
    contents = scan(local_member(b"a", CALLING_4) + local_member(b"b", PLAIN_4))
    assert found(contents) == [CALLING_4, PLAIN_4]
    assert kinds(contents) == {"zip-no-directory"}
    assert not contents.complete


@pytest.mark.parametrize("wide", [False, True])
def test_a_streamed_member_without_directory_ends_at_its_descriptor(wide: bool) -> None:
    sizes = struct.pack("<QQ" if wide else "<II", len(CALLING_4), len(CALLING_4))
    descriptor = b"PK\x07\x08" + bytes(4) + sizes
    data = local_member(b"a", CALLING_4, flags=8, size=0) + descriptor + local_member(b"b", PLAIN_4)
    assert found(scan(data)) == [CALLING_4, PLAIN_4]


def test_headers_that_disagree_are_both_believed() -> None:
    data = zip_of({"abc": zlib.compress(CALLING_4, 9)[2:-4], "other": PLAIN_4})
    contents = scan(patched(data, b"PK\x01\x02", 10, b"\x08\x00"))
    assert CALLING_4 in found(contents)
    assert "zip-header-mismatch" in kinds(contents)


def test_a_name_that_differs_is_a_mismatch_under_both_names() -> None:
    data = patched(zip_of({"data.pkl": CALLING_4}), b"PK\x01\x02", 46, b"data.txt")
    assert "zip-header-mismatch" in kinds(scan(data))
    assert found(scan(data)) == [CALLING_4]


@pytest.mark.parametrize("flag", [0x01, 0x40, 0x2000])
def test_an_encryption_flag_makes_the_file_incomplete_and_hides_no_plain_pickle(flag: int) -> None:
    data = zip_of({"a": CALLING_4})
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data = patched(data, signature, offset, struct.pack("<H", flag))
    contents = scan(data)
    assert found(contents) == [CALLING_4]
    assert kinds(contents) == {"zip-encrypted"}
    assert not contents.complete


def test_a_wrong_checksum_is_noted_and_nothing_more() -> None:
    data = zip_of({"a": CALLING_4})
    for signature, offset in ((b"PK\x03\x04", 14), (b"PK\x01\x02", 16)):
        data = patched(data, signature, offset, b"\1\2\3\4")
    contents = scan(data)
    assert (found(contents), kinds(contents), contents.complete) == ([CALLING_4], {"zip-bad-crc"}, True)


@pytest.mark.parametrize("size", [0, 1, 0x7FFFFFFF, 0xFFFFFFFF])
def test_wrong_sizes_in_all_headers_lose_no_member(size: int) -> None:
    data = zip_of({"a": CALLING_4, "b": PLAIN_4})
    for signature, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        data = patched(data, signature, offset, struct.pack("<I", size))
    regions = found(scan(data))
    assert regions[0].startswith(CALLING_4)
    assert PLAIN_4 in regions


@pytest.mark.parametrize("method", METHODS[1:])
def test_one_corrupt_member_does_not_stop_the_rest(method: int) -> None:
    data = bytearray(zip_of({"bad": PLAIN_4 * 100, "good": CALLING_4}, method))
    for at in range(40, 50):
        data[at] ^= 0xFF
    contents = scan(bytes(data))
    assert CALLING_4 in found(contents)
    assert not contents.complete


def test_an_unknown_method_makes_the_file_incomplete() -> None:
    data = local_member(b"a", b"?" * 30, method=98) + zip_of({"b": PLAIN_4})
    contents = scan(data)
    assert found(contents) == [PLAIN_4]
    assert ("unsupported-format" in kinds(contents), contents.complete) == (True, False)


def test_duplicate_names_are_noted_and_all_are_read() -> None:
    data = zip_of({"a": PLAIN_4, "b": CALLING_4})
    for signature, offset in ((b"PK\x03\x04", 30), (b"PK\x01\x02", 46)):
        data = patched(data, signature, offset, b"a", which=1)
    contents = scan(data)
    assert found(contents) == [PLAIN_4, CALLING_4]
    assert kinds(contents) == {"duplicate-member"}


def test_a_zip_in_a_zip_is_opened_whether_stored_or_packed() -> None:
    inner = zip_of({"x": CALLING_4})
    for method in METHODS[:2]:
        contents = scan(zip_of({"inner": inner}, method))
        assert contents.regions[0].place == (("zip", "inner"), ("zip", "x"))
        assert found(contents) == [CALLING_4]
        assert kinds(contents) == set()


def test_zip64_records_are_followed() -> None:
    header = local_member(b"a", CALLING_4)
    extra = struct.pack("<HHQQQ", 1, 24, len(CALLING_4), len(CALLING_4), 0)
    ones = 0xFFFFFFFF
    central = struct.pack(
        "<4s6H3I5H2I", b"PK\x01\x02", 45, 45, 0, 0, 0, 0, 0, ones, ones, 1, len(extra), 0, 0, 0, 0, ones
    )
    central += b"a" + extra
    end64 = struct.pack("<4sQHHIIQQQQ", b"PK\x06\x06", 44, 45, 45, 0, 0, 1, 1, len(central), len(header))
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, len(header) + len(central), 1)
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, ones, ones, 0)
    contents = scan(header + central + end64 + locator + end)
    assert (found(contents), kinds(contents) - {"zip-bad-crc"}, contents.complete) == ([CALLING_4], set(), True)


def test_names_that_leave_the_folder_are_noted() -> None:
    contents = scan(zip_of({"../../etc/x": PLAIN_4, "/abs": PLAIN_4, "C:\\x": PLAIN_4}))
    assert [oddity.kind for oddity in contents.oddities] == ["path-traversal"] * 3


def test_symbolic_links_are_noted() -> None:
    data = patched(zip_of({"a": b"/etc/passwd"}), b"PK\x01\x02", 38, struct.pack("<I", 0xA1FF << 16))
    assert kinds(scan(data)) == {"symlink"}


def test_overlapping_members_are_noted() -> None:
    data = zip_of({"a": PLAIN_4, "b": PLAIN_4})
    data = patched(data, b"PK\x01\x02", 42, struct.pack("<I", 0), which=1)
    assert "zip-overlap" in kinds(scan(data)) or "zip-header-mismatch" in kinds(scan(data))
    assert found(scan(data)).count(PLAIN_4) >= 2


def test_every_truncation_of_a_zip_keeps_the_members_before_it() -> None:
    data = zip_of({"a": CALLING_4, "b": PLAIN_4})
    for end in range(data.index(b"PK\x03\x04", 4), len(data)):
        contents = scan(data[:end])
        assert found(contents)[0] == CALLING_4
        assert not contents.complete


def test_members_beyond_the_budget_are_not_opened() -> None:
    contents = scan(zip_of({str(number): PLAIN_4 for number in range(9)}), Limits(members=5))
    assert len(contents.regions) == 5
    assert kinds(contents) == {"budget:members"}
    assert not contents.complete


def test_floods_of_headers_take_time_in_proportion_to_the_file() -> None:
    streamed = local_member(b"a", b"", flags=8) * 60_000
    plain = local_member(b"a", b"") * 60_000
    for data in (streamed, plain, plain + b"PK\x05\x06" + bytes(18)):
        began = time.process_time()
        contents = scan(data, Limits(members=1_000))
        assert time.process_time() - began < 10
        assert not contents.complete


def test_a_promised_pickle_is_a_region_whatever_it_begins_with() -> None:
    contents = scan(zip_of({"model.pkl": b"\x00no pickle"}))
    assert names(contents) == ["model.pkl"]


def test_a_lzma_member_without_end_mark_is_complete() -> None:
    packer = lzma.LZMACompressor(lzma.FORMAT_ALONE)
    alone = packer.compress(CALLING_4) + packer.flush()
    data = b"\x09\x04\x05\x00" + alone[:5] + alone[13:]
    contents = scan(
        struct.pack("<4s5H3I2H", b"PK\x03\x04", 20, 0, 14, 0, 0, 0, len(data), len(CALLING_4), 1, 0) + b"a" + data
    )
    assert found(contents) == [CALLING_4]
