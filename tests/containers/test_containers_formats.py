"""Formats that are recognised and not read."""

from __future__ import annotations

import struct

import pytest

from tests.containers.samples import CALLING_4, PLAIN_4, PNG, found, kinds, scan, zip_of

SAFETENSORS = struct.pack("<Q", 2) + b"{}" + bytes(16)

UNREAD = {
    "hdf5": b"\x89HDF\r\n\x1a\n" + bytes(100),
    "saved-model": b"\x08\x01\x12\x0b\x0a\x09\x22\x07abcdefg",
    "elf": b"\x7fELF" + bytes(60),
}


@pytest.mark.parametrize("name", UNREAD)
def test_what_may_carry_code_or_cannot_be_unpacked_is_named_and_incomplete(name: str) -> None:
    for contents in (scan(UNREAD[name]), scan(zip_of({"m": UNREAD[name], "b": PLAIN_4}))):
        assert (kinds(contents), contents.complete) == ({"unsupported-format"}, False)
        assert name in contents.oddities[0].detail
    assert scan(UNREAD[name]).container == name


def test_damaged_hdf5_behind_a_user_block_is_known() -> None:
    assert scan(bytes(512) + UNREAD["hdf5"]).container == "hdf5"


@pytest.mark.parametrize(("name", "data"), [("safetensors", SAFETENSORS), ("png", PNG)])
def test_what_cannot_carry_code_is_complete(name: str, data: bytes) -> None:
    contents = scan(data)
    assert (contents.container, contents.complete, contents.regions) == (name, True, ())


def test_safetensors_with_a_zip_appended_is_reported_by_both_readers() -> None:
    contents = scan(SAFETENSORS + zip_of({"a": CALLING_4}))
    assert contents.container == "zip+safetensors"
    assert found(contents) == [CALLING_4]
