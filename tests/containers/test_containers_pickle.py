"""Raw pickles: recognised by trying, told apart from text, numbers and other formats."""

from __future__ import annotations

import random

import pytest

from safepickle.containers.pickle_walk import looks_like_pickle, surely_pickle
from tests.containers.samples import (
    CALLING_0,
    CALLING_2,
    CALLING_4,
    LEGACY_MAGIC,
    PLAIN_0,
    PLAIN_4,
    PNG,
    TEXT,
    found,
    kinds,
    scan,
    zip_of,
)

PICKLES = {
    "protocol 0 call": CALLING_0,
    "protocol 2 call": CALLING_2,
    "protocol 4 call": CALLING_4,
    "protocol 0 list": PLAIN_0,
    "protocol 4 list": PLAIN_4,
    "inst": b"(S'inert'\nibuiltins\nlen\n.",
    "obj": b"(cbuiltins\nlen\nS'inert'\no.",
    "empty dict": b"}.",
    "python 2 string": b"S'caf\xe9'\n.",
    "unicode": b"V\\u00e9\n.",
    "marks first": b"(((cbuiltins\nlen\n(S'inert'\ntR.",
    "pushed and popped first": b"N0" * 100 + CALLING_0,
    "a run of one opcode first": b"N" * 100_000 + CALLING_0,
    "two streams": b"N." + CALLING_0,
    "padded with NULs": PLAIN_0 + bytes(4096),
    "long line first": b"V" + b"A" * 3_000_000 + b"\n0" + CALLING_0,
    "long blanks in a memo key": b"Np" + b" " * 5000 + b"1\n0" + CALLING_0,
    "crammed into a frame": b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\xff" + CALLING_4[2:],
}

OTHERS = {
    "prose": TEXT,
    "source": b"class Net(nn.Module):\n    def __init__(self):\n        pass\n",
    "import": b"import os\nos.getcwd()\n",
    "words": b"cat\ndog\nsheep\n",
    "numbers": b"1.0 2.0 3.0\n4.0 5.0 6.0\n",
    "json": b'{"a": [1, 2, 3]}',
    "abbreviation": b"N.B. this is text",
    "queens": b"NQueens problem\n",
    "parenthesis": b"(see the manual)\n",
    "png": PNG,
    "zeros": bytes(4096),
    "floats": b"\x00\x00\x80\x3f" * 1000,
    "header of a newer protocol": b"\x80\x63cbuiltins\nlen\n",
}


@pytest.mark.parametrize("data", PICKLES.values(), ids=PICKLES)
def test_a_pickle_is_found_as_a_file_and_as_a_member(data: bytes) -> None:
    assert found(scan(data)) == [data]
    assert found(scan(zip_of({"weights": data}))) == [data]


@pytest.mark.parametrize("data", OTHERS.values(), ids=OTHERS)
def test_a_member_that_is_no_pickle_is_no_region_and_leaves_the_file_complete(data: bytes) -> None:
    contents = scan(zip_of({"member": data, "other": PLAIN_4}))
    assert found(contents) == [PLAIN_4]
    assert contents.complete


@pytest.mark.parametrize("data", [CALLING_0, CALLING_2, CALLING_4])
@pytest.mark.parametrize("damage", [b"", b"\xff\xff", b"R" * 9, b"c"])
def test_a_member_that_is_damaged_after_its_call_is_still_a_region(data: bytes, damage: bytes) -> None:
    broken = data[:-1] + damage
    assert found(scan(zip_of({"member": broken}))) == [broken]


def test_every_prefix_of_a_binary_pickle_with_a_global_is_a_region_as_a_member() -> None:
    for end in range(4, len(CALLING_2)):
        assert found(scan(zip_of({"member": CALLING_2[:end]}))) == [CALLING_2[:end]]


def test_a_broken_file_that_imports_something_is_read_as_a_pickle_though_it_is_text() -> None:
    data = b"cposix\nsystem\n#\n(S'echo'\ntR."
    assert scan(data).container == "pickle"
    assert found(scan(data)) == [data]


def test_random_numbers_are_hardly_ever_taken_for_a_pickle() -> None:
    dice = random.Random(20_240_501)
    samples = [dice.randbytes(400) for _ in range(5_000)]
    assert sum(looks_like_pickle(data, 0, len(data)) for data in samples) < 15
    assert sum(surely_pickle(data, 0, len(data)) for data in samples) < 3


def test_the_region_goes_to_the_last_byte_of_the_file() -> None:
    data = PLAIN_4 + b"junk between" + CALLING_4 + b"junk after"
    assert found(scan(data)) == [data]


def test_legacy_torch_is_known_by_its_magic_number_in_binary_and_in_digits() -> None:
    for magic in (LEGACY_MAGIC, b"L119547037146038801333356L\n."):
        contents = scan(magic + b"\x80\x02M\xe9\x03." + PLAIN_4 + bytes(64))
        assert (contents.container, contents.regions[0].role) == ("torch-legacy", "legacy-torch")


def test_joblib_is_known_by_the_module_of_its_array_wrapper() -> None:
    contents = scan(b"\x80\x03cjoblib.numpy_pickle\nNumpyArrayWrapper\n)\x81}b" + bytes(80) + b".")
    assert (contents.container, contents.regions[0].role, contents.complete) == ("joblib", "joblib", True)


def test_unknown_content_is_incomplete_and_a_pickle_within_it_is_still_evidence() -> None:
    contents = scan(b"\x00\x01\x02junk" + CALLING_4)
    assert (contents.container, contents.complete) == ("unknown", False)
    assert found(contents) == [CALLING_4]
    assert "embedded-pickle" in kinds(contents)


def test_an_empty_file_is_incomplete() -> None:
    contents = scan(b"")
    assert (contents.container, contents.complete, kinds(contents)) == ("empty", False, {"empty"})
