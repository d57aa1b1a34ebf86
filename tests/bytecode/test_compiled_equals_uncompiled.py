"""The compiled machine and the same source uncompiled give equal Traces."""

from __future__ import annotations

import csv
import pickle
from collections import OrderedDict
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from safepickle.limits import Limits
from tests.bytecode.equality import COMPILED, differs, file_differs, mutants

pytestmark = pytest.mark.skipif(not COMPILED, reason="the machine is not compiled here")

SAMPLES = [
    pickle.dumps([OrderedDict(a=1), {"b": [1, 2.5, None, True, b"x" * 10, 2**70]}, {1, 2}, (1, 2, 3, 4)], protocol)
    for protocol in range(6)
] + [
    b"\x80\x04cbuiltins\ntuple\ncbuiltins\nmap\ncfunctools\npartial\ncos\nsystem\n\x85R]\x8c\x04echoa\x86R\x85R.",
    b"\x80\x04ctypes\nSimpleNamespace\n)R}\x8c\x0c__setstate__cos\nsystem\nsbX\x04\0\0\0echob.",
]
TIGHT = Limits(nodes=20, memo=20, stack=160, calls=4, depth=1, streams=3, literal_bytes=40)


@pytest.mark.parametrize("data", SAMPLES, ids=range(8))
def test_equal_on_ordinary_pickles(data: bytes) -> None:
    assert not differs(data)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(SAMPLES), st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=8))
def test_equal_on_changed_pickles(sample: bytes, changes: list[tuple[int, int]]) -> None:
    data = bytearray(sample)
    for at, value in changes:
        data[at % len(data)] = value
    assert not differs(bytes(data))


def test_equal_on_generated_streams() -> None:
    for data in mutants(7, 0, 600, SAMPLES):
        assert not differs(data), data
        assert not differs(data, TIGHT), data


@pytest.mark.slow
def test_equal_on_small_real_files(corpus: Path) -> None:
    csv.field_size_limit(1 << 24)
    with open(corpus / "manifest.csv", encoding="utf-8", newline="") as source:
        files = sorted((row["file"], int(row["size"])) for row in csv.DictReader(source))
    for file, size in files[::5]:
        assert size > 3_000 or not file_differs(str(corpus / file)), file
