"""7z: every file of every folder, whatever the header claims."""

from __future__ import annotations

import base64
import functools
import random
import resource
import struct
import time

import pytest

from safepickle.limits import Limits
from tests.containers.samples import CALLING_0, CALLING_4, PLAIN_4, PNG, TEXT, found, kinds, scan, zip_of
from tests.containers.sevenzip import (
    LZMA2,
    METHODS,
    archive,
    folder_of,
    listing_of,
    number,
    raw,
    sevenzip_of,
    with_packed_header,
)

MEMBERS = {"m/readme": TEXT, "m/data.pkl": CALLING_4, "m/picture": PNG, "m/weights.bin": PLAIN_4}

BY_PY7ZR = base64.b64decode(
    "N3q8ryccAATxN7ohuQAAAAAAAAAWAAAAAAAAAGemfLsBACiABIwIYnVpbHRpbnOUjANsZW6Uk4wFaW5lcnSFUi6ABF2UKEsBSwJlLgDgAKYAhF0AAIEz"
    "B64P0NNtfJ85EJxs6lYajuHOQhv33Yp9YfoqbapvZozSEFG69V2j5r2sabs8lxHj8ibPZIJP3tz2VhOGgQYF/fcdXkzuPmao0nsu8dPBOU+2eWqj6Kul"
    "K3xlm1plSqcprFBODDHj3yMePDBEdRVOPWKq6ZZdAZAtLr+YrMk9AAAAABcGLQEJgIwABwsBAAEhIQEYDICnAAA="
)
"""``m/data.pkl``, an empty file and ``m/weights.bin`` as py7zr 1.1 packs them, with a packed header."""

ENCRYPTED_BY_PY7ZR = base64.b64decode(
    "N3q8ryccAAT1l3QF2gAAAAAAAAAWAAAAAAAAAIp6m+Z3/rzAzF5ReP1KmeUO+BJ9FB6cer2S7fIzHIGIPl06C/RYNoGrhIxVSjtSjRPxBSjgAMIAol0A"
    "AIEzB64P0QEiEbmA7/kg0Wv+3itJYIrBJwcPylU4SIENw/5MYOR1U5sKCH1T5JKad/He0cKVuo2RK5EUFWOddsJTIg3dioTsNxdoE9o16mGg6I+04/0d"
    "MNQSKw7HyH1TO44cMjGhzYXetZD8ZuydSEl6MC8RTKtFiWsve6VXkh+xKjnEvGODJqCrZD/023ajLZ+rybOIIH2blpzbg22oAAAAABcGMAEJgKoABwsB"
    "AAEhIQEYDIDDAAA="
)


@pytest.mark.parametrize("method", METHODS)
def test_members_of_every_method_are_read_and_text_and_images_are_passed_over(method: str) -> None:
    contents = scan(sevenzip_of(MEMBERS, method))
    assert (contents.container, contents.complete, contents.oddities) == ("7z", True, ())
    assert [region.place for region in contents.regions] == [(("7z", "m/data.pkl"),), (("7z", "m/weights.bin"),)]
    assert found(contents) == [CALLING_4, PLAIN_4]


def test_an_archive_of_another_writer_is_read() -> None:
    contents = scan(BY_PY7ZR)
    assert (found(contents), contents.complete, contents.oddities) == ([CALLING_4, PLAIN_4], True, ())


def test_encrypted_members_are_said_to_be_that() -> None:
    contents = scan(ENCRYPTED_BY_PY7ZR)
    assert (found(contents), kinds(contents), contents.complete) == ([], {"7z-encrypted"}, False)
    assert "m/data.pkl" in contents.oddities[0].detail


@pytest.mark.parametrize(("method", "name"), [(b"\x23\x03\x04\x01\x05" + bytes(5), "PPMd"), (b"\x01\x77", "77")])
def test_a_method_that_is_not_unpacked_is_named(method: bytes, name: str) -> None:
    data = archive(b"12345", b"\x01\x04" + folder_of(method, 1, 5, [9]) + b"\x00" + listing_of(["a"]) + b"\x00")
    contents = scan(zip_of({"inner": data, "b": PLAIN_4}))
    assert (kinds(contents), contents.complete) == ({"unsupported-format"}, False)
    assert name in contents.oddities[0].detail


def test_a_torch_file_packed_as_7z_with_a_broken_pickle_gives_away_its_call() -> None:
    broken = CALLING_0[:-1] + b"X\xff\xff\xff\x7f"
    for data in (sevenzip_of({"model/data.pkl": broken}), with_packed_header({"model/data.pkl": broken})):
        for outer in (data, zip_of({"pytorch_model.bin": data})):
            assert found(scan(outer)) == [broken]


def test_packed_headers_are_followed_a_few_times() -> None:
    assert found(scan(with_packed_header(MEMBERS, 3))) == [CALLING_4, PLAIN_4]
    contents = scan(with_packed_header(MEMBERS, 9))
    assert (kinds(contents), contents.complete) == ({"7z-header"}, False)


def test_every_truncation_is_incomplete() -> None:
    for data in (sevenzip_of(MEMBERS, "copy"), with_packed_header(MEMBERS), BY_PY7ZR):
        for end in range(7, len(data)):
            assert not scan(data[:end]).complete


def test_a_pickle_in_an_archive_without_its_header_is_still_evidence() -> None:
    contents = scan(sevenzip_of({"a": CALLING_4}, "copy")[: 32 + len(CALLING_4)])
    assert found(contents) == [CALLING_4]
    assert not contents.complete


def test_bytes_that_belong_to_no_file_are_read() -> None:
    whole = PLAIN_4 + CALLING_4
    header = folder_of(b"\x01\x00", 1, len(whole), [len(PLAIN_4)]) + b"\x00"
    contents = scan(archive(whole, b"\x01\x04" + header + listing_of(["a"]) + b"\x00"))
    assert found(contents) == [PLAIN_4, CALLING_4]
    assert kinds(contents) == {"7z-size-mismatch"}


def test_names_and_links_that_leave_the_folder_are_noted() -> None:
    contents = scan(sevenzip_of({"../a": PLAIN_4, "b": b"/etc/passwd"}, attributes=[0, 0xA1FF << 16 | 0x8000]))
    assert kinds(contents) == {"path-traversal", "symlink"}


def test_a_bomb_stops_at_the_bytes_it_may_unpack() -> None:
    bomb = sevenzip_of({"a": CALLING_4 + bytes(8 << 20)})
    contents = scan(bomb, Limits(unpacked_bytes=4 << 20, ratio=1 << 30))
    assert (kinds(contents) >= {"budget:unpacked_bytes"}, contents.complete) == (True, False)
    assert found(contents)[0].startswith(CALLING_4)


@functools.cache
def header_bombs() -> dict[str, bytes]:
    """Headers that ask for much: counts, and many things of a byte each in a packed header."""

    def packed(header: bytes) -> bytes:
        inner = raw(header, LZMA2)
        return archive(inner, b"\x17" + folder_of(METHODS["lzma2"][0], 1, len(inner), [len(header)]) + b"\x00")

    huge = number(1 << 62)
    folders = b"\x01\x04\x07\x0b" + number(800_000) + b"\x00" + b"\x01\x01\x00" * 800_000
    return {
        "files": archive(b"", b"\x01\x05" + huge + b"\x00\x00"),
        "files of a packed header": packed(b"\x01\x05" + number(3 << 20) + bytes(3 << 20)),
        "folders": archive(b"", b"\x01\x04\x07\x0b" + huge + b"\x00\x00"),
        "folders of a packed header": packed(folders),
        "packed streams": packed(b"\x01\x04\x06\x00" + number(5 << 19) + b"\x09" + bytes(3 << 20)),
        "streams in a folder": packed(
            b"\x01\x04" + folder_of(b"\x01\x00", 1, 5, [9]) + b"\x08\x0d" + number(5 << 19) + b"\x09" + bytes(3 << 20)
        ),
        "properties": archive(b"", b"\x01\x04\x07\x0b\x01\x00\x01\x21\x21" + huge),
        "packed size": archive(b"", b"\x01\x04" + folder_of(b"\x01\x00", 1, 1 << 62, [1 << 62]) + b"\x00\x00"),
        "dictionary": archive(
            b"\x01\x00\x00a\x00", b"\x01\x04" + folder_of(b"\x21\x21\x01\x28", 1, 5, [1 << 40]) + b"\x00\x00"
        ),
        "header": archive(b"", b"")[:20] + struct.pack("<QI", 1 << 60, 0),
        "ring": archive(b"12345", b"\x01\x04" + folder_of(b"\x01\x00\x01\x00\x00\x00", 2, 5, [9, 9]) + b"\x00\x00"),
    }


@pytest.mark.parametrize("name", header_bombs())
def test_a_header_that_asks_for_much_gets_little(name: str) -> None:
    data = header_bombs()[name]
    peak, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    contents = scan(data)
    assert time.process_time() - began < 5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak < 200_000
    assert not contents.complete


def test_damaged_archives_never_raise() -> None:
    dice = random.Random(7)
    seeds = [sevenzip_of(MEMBERS, method) for method in METHODS] + [BY_PY7ZR, ENCRYPTED_BY_PY7ZR]
    limits = Limits(unpacked_bytes=1 << 20)
    for _ in range(600):
        data = bytearray(dice.choice(seeds))
        for _ in range(dice.choice((1, 1, 4))):
            data[dice.randrange(12, len(data))] = dice.choice((0, 1, 0xFF, dice.randrange(256)))
        scan(bytes(data), limits)
