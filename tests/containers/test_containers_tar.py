"""tar: own header reader, tolerant of damage."""

from __future__ import annotations

import io
import tarfile

import pytest

from safepickle.limits import Limits
from tests.containers.samples import CALLING_0, CALLING_4, PLAIN_4, PNG, TEXT, found, kinds, scan, tar_header, tar_of


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_tars_of_every_form_are_read_with_long_names(form: int) -> None:
    name = "folder/" * 20 + "model.bin"
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=form) as archive:
        for member, data in ((name, CALLING_4), ("readme", TEXT), ("picture", PNG), ("b", PLAIN_4)):
            info = tarfile.TarInfo(member)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    contents = scan(target.getvalue())
    assert (contents.container, contents.complete, contents.oddities) == ("tar", True, ())
    assert [region.place for region in contents.regions] == [(("tar", name),), (("tar", "b"),)]
    assert found(contents) == [CALLING_4, PLAIN_4]


def test_a_truncated_tar_still_gives_its_earlier_members() -> None:
    data = tar_of({"a": CALLING_4, "b": PLAIN_4, "c": CALLING_4})
    for end in range(1024, len(data) - 1024, 7):
        contents = scan(data[:end])
        assert found(contents)[0] == CALLING_4


def test_a_member_cut_short_makes_the_file_incomplete() -> None:
    contents = scan(tar_of({"a": CALLING_4})[: 512 + len(CALLING_4) - 1])
    assert (found(contents), kinds(contents)) == ([CALLING_4[:-1]], {"truncated-member"})
    assert not contents.complete


def test_members_behind_a_damaged_header_and_behind_the_end_are_found() -> None:
    first, second = tar_of({"a": PLAIN_4})[:1024], tar_of({"b": CALLING_4})
    assert found(scan(first + b"x" * 512 + second)) == [PLAIN_4, CALLING_4]
    contents = scan(first + bytes(1024) + second)
    assert found(contents) == [PLAIN_4, CALLING_4]
    assert kinds(contents) == {"tar-after-end"}


def test_bytes_after_the_archive_that_are_no_tar_make_it_incomplete() -> None:
    assert not scan(tar_of({"a": PLAIN_4}) + b"something else").complete
    assert scan(tar_of({"a": PLAIN_4}) + bytes(8192)).complete


def test_links_have_no_data_and_names_that_leave_the_folder_are_noted() -> None:
    data = tar_header(b"link", 5000, b"2") + tar_of({"../x": CALLING_4})
    contents = scan(data)
    assert found(contents) == [CALLING_4]
    assert kinds(contents) == {"path-traversal"}


def test_a_pickle_written_into_the_name_of_the_first_member_is_reported_by_both_readers() -> None:
    data = tar_header(CALLING_0, len(PLAIN_4)) + PLAIN_4 + bytes(512 - len(PLAIN_4)) + bytes(1024)
    contents = scan(data)
    assert contents.container == "pickle+tar"
    assert found(contents) == [data, PLAIN_4]


def test_numbers_in_base_256_are_understood() -> None:
    block = bytearray(tar_header(b"a", 0))
    block[124:136] = b"\x80" + len(CALLING_4).to_bytes(11, "big")
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    assert found(scan(bytes(block) + CALLING_4 + bytes(2048))) == [CALLING_4]


def test_members_beyond_the_budget_are_not_opened() -> None:
    contents = scan(tar_of({str(number): PLAIN_4 for number in range(9)}), Limits(members=5))
    assert (len(contents.regions), kinds(contents), contents.complete) == (5, {"budget:members"}, False)
