"""npy and npz: raw arrays are passed over, object arrays are pickles, headers are parsed without evaluation."""

from __future__ import annotations

import io

import numpy
import pytest

from safepickle.containers.npy_header import HeaderError, item_size, parse
from tests.containers.samples import CALLING_0, CALLING_4, PLAIN_4, found, kinds, npy_of, scan, zip_of

DTYPES = [
    "f4", ">f8", "i2", "?", "c16", "S7", "U3", "V5", "M8[ns]", "m8[D]", "f2", "u8",
    [("a", "f4"), ("b", "S3")], [("a", [("x", "i1"), ("y", "f8")]), ("b", "f4", (2, 3))],
]  # fmt: skip


def saved(array: numpy.ndarray) -> bytes:
    target = io.BytesIO()
    numpy.save(target, array, allow_pickle=False)
    return target.getvalue()


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 5)], ids=str)
def test_plain_arrays_as_numpy_writes_them_are_understood_to_the_byte(dtype: object, shape: tuple[int, ...]) -> None:
    data = saved(numpy.zeros(shape, dtype))
    contents = scan(data)
    assert (contents.container, contents.complete, contents.regions, contents.oddities) == ("npy", True, (), ())
    assert found(scan(data + CALLING_4)) == [CALLING_4]


@pytest.mark.parametrize("descr", ["'|O'", "'O'", "'|O8'", "'object'", "'f4,O'", "[('a', '<f4'), ('b', '|O')]",
                                   "('|O', (2,))", "[('a', [('b', 'O')])]", "None", "3"])  # fmt: skip
@pytest.mark.parametrize("version", [1, 2, 3])
def test_what_may_hold_objects_is_a_region_after_the_header(descr: str, version: int) -> None:
    contents = scan(npy_of(descr, "(1,)", CALLING_4, version))
    assert found(contents) == [CALLING_4]
    assert (contents.container, contents.regions[0].role) == ("npy", "npy")


@pytest.mark.parametrize("header", ["{'descr': '<f4'.upper(), 'shape': ()}", "__import__('os')", "{", "",
                                    "{'shape': ()}", "{'descr': '<f4', 'shape': (1e3,)}",
                                    "{'descr': '''<f4''', 'shape': ()}",
                                    "{'descr': '<f4', 'shape': (" + "9" * 19 + "," + "9" * 19 + ")}"])  # fmt: skip
def test_a_header_that_is_no_plain_literal_is_incomplete_and_what_follows_is_a_region(header: str) -> None:
    text = header.encode()
    data = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + CALLING_4
    contents = scan(data)
    assert found(contents) == [CALLING_4]
    assert (kinds(contents), contents.complete) == ({"npy-header"}, False)


def test_deep_nesting_is_refused() -> None:
    with pytest.raises(HeaderError):
        parse(b"(" * 100_000, 0)


def test_headers_of_python_2_are_understood() -> None:
    assert parse(b"{'descr': '<f8', 'fortran_order': False, 'shape': (3L, 4L), }  \n", 80).data_size == 96


def test_sizes_of_items_are_those_of_numpy() -> None:
    for dtype in DTYPES:
        real = numpy.dtype(dtype)
        assert item_size(numpy.lib.format.dtype_to_descr(real)) == real.itemsize


def test_arrays_that_follow_each_other_are_all_read() -> None:
    plain = saved(numpy.arange(10))
    data = plain * 20 + npy_of("'|O'", "(1,)", CALLING_4)
    assert found(scan(data)) == [CALLING_4]
    assert scan(plain * 20).complete


def test_a_truncated_array_is_noted_and_harmless() -> None:
    contents = scan(saved(numpy.arange(10))[:-1])
    assert (kinds(contents), contents.complete) == ({"truncated-array"}, True)


def test_every_truncation_of_the_header_is_incomplete_or_harmless() -> None:
    data = npy_of("'|O'", "(1,)", CALLING_4)
    for end in range(7, data.index(CALLING_4)):
        assert not scan(data[:end]).complete


@pytest.mark.parametrize("method", [0, 8])
def test_npz_gives_its_object_arrays_and_passes_over_the_others(method: int) -> None:
    noise = numpy.random.default_rng(3).random(50_000)
    members = {"a.npy": saved(noise), "b.npy": npy_of("'|O'", "(1,)", CALLING_4), "c.npy": saved(numpy.zeros(3))}
    contents = scan(zip_of(members, method))
    assert (contents.container, contents.complete) == ("npz", True)
    assert [(region.place, region.role) for region in contents.regions] == [((("zip", "b.npy"),), "npy")]
    assert found(contents) == [CALLING_4]


def test_a_raw_pickle_under_the_name_of_an_array_is_a_region() -> None:
    assert found(scan(zip_of({"a.npy": CALLING_0, "b.npy": PLAIN_4}))) == [CALLING_0, PLAIN_4]
