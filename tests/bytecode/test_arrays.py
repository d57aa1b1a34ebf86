"""Raw arrays in joblib's streams: stepped over as joblib does, and read as a plain unpickler does as well."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import joblib
import numpy as np
import pytest

from safepickle.bytecode.arrays import array_layout
from safepickle.bytecode.trace import FileTrace
from safepickle.bytecode.values import UNKNOWN, Instance
from safepickle.scan import trace_bytes

PAYLOAD = b"cos\nsystem\n(S'echo inert'\ntR"
HIDDEN = b"X" + struct.pack("<I", len(PAYLOAD) + 1) + PAYLOAD + b"0"
"""Swallowed as a string by who is five bytes too early, which is what the tests below try to bring about."""
WRAPPER = b"cjoblib.numpy_pickle\nNumpyArrayWrapper\n"
FLOAT64 = b"cnumpy\ndtype\n(X\x02\0\0\0f8I00\nI01\ntR(K\x03X\x01\0\0\0<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"


def state(dtype: bytes = FLOAT64, shape: bytes = b"K\x02\x85", more: bytes = b"") -> bytes:
    return b"}(X\x05\0\0\0shape" + shape + b"X\x05\0\0\0dtype" + dtype + more + b"u"


def stream(announced: bytes, raw: bytes, rest: bytes = b"0N.") -> bytes:
    return b"\x80\x03" + announced + b"b" + raw + rest


def called(found: FileTrace) -> set[str]:
    return {call.callee.name for trace in found.walk() for call in trace.calls}


def new(wrapper: bytes = WRAPPER) -> bytes:
    return wrapper + b")\x81"


ARRAYS = {
    "floats": np.arange(10.0),
    "a matrix": np.ones((30, 40), dtype=np.int32, order="F"),
    "a scalar": np.array(5),
    "none": np.empty((0, 3)),
    "text": np.array(["a", "bcd"]),
    "bytes": np.array([b"a", b"bcd"]),
    "times": np.array(["2020-01-01"], dtype="datetime64[D]"),
    "records": np.zeros(3, dtype=[("a", "i4"), ("b", "f8")]),
    "objects": np.array([None, "x", [1, 2]], dtype=object),
    "half": np.zeros(7, dtype=np.float16),
    "truth": np.zeros(7, dtype=bool),
    "big-endian": np.zeros(7, dtype=">i8"),
    "complex": np.zeros(7, dtype=complex),
    "long double": np.zeros(7, dtype=np.longdouble),
}


@pytest.mark.parametrize("array", ARRAYS.values(), ids=ARRAYS.keys())
def test_what_joblib_writes_is_read_to_its_last_byte(array: np.ndarray) -> None:
    file = io.BytesIO()
    joblib.dump({"first": array, "then": [array, "text"], "last": np.arange(3)}, file)
    found = trace_bytes(file.getvalue())
    assert found.complete
    assert {trace.coverage.state for trace in found.walk()} == {"complete"}


def test_arrays_that_are_announced_alike_are_stepped_over_alike() -> None:
    dtype = FLOAT64 + b"q\x07"
    again = b"0h\x08)\x81" + state(b"h\x07") + b"b" + bytes(16)
    data = stream(new(WRAPPER + b"q\x08") + state(dtype), bytes(16), again * 5 + b"0" + PAYLOAD + b".")
    found = trace_bytes(data)
    assert found.complete
    assert "os.system" in called(found)


def test_a_dtype_that_is_changed_between_two_arrays_announced_alike_is_read_anew() -> None:
    # the second state makes of the items objects, which joblib pickles instead of writing their bytes
    dtype = FLOAT64 + b"q\x07"
    objects = b"0h\x07(K\x03X\x01\0\0\0|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x3ftb0"
    again = objects + b"h\x08)\x81" + state(b"h\x07") + b"b" + b"\x80\x04" + PAYLOAD + b"."
    data = stream(new(WRAPPER + b"q\x08") + state(dtype), bytes(16), again + b"0N.")
    found = trace_bytes(data)
    assert found.complete
    (child,) = found.streams[0].children
    assert [call.callee.name for call in child.calls] == ["os.system"]


def test_a_payload_behind_an_array_is_found() -> None:
    assert "os.system" in called(trace_bytes(stream(new() + state(), bytes(16), b"0" + PAYLOAD + b".")))


# What follows makes joblib skip another number of bytes than the file seems to say.
LYING = {
    "another function than dtype": state(FLOAT64.replace(b"cnumpy\ndtype", b"cnumpy\nresult_type")),
    "a dtype from a call of the result of dtype": state(b"cvendor\nf\n" + FLOAT64 + b"\x85R"),
    "digits of another alphabet": state(FLOAT64.replace(b"X\x02\0\0\0f8", b"X\x03\0\0\0f" + "\u0668".encode())),
    "a superscript": state(FLOAT64.replace(b"X\x02\0\0\0f8", b"X\x03\0\0\0f\xc2\xb2")),
    "an unknown length": state(shape=b"cvendor\nf\n)R\x85"),
    "a product that overflows": state(shape=b"\x8a\x05\0\0\0\0\x01\x8a\x05\0\0\0\0\x01\x8a\x05\0\0\0\0\x01\x87"),
    "a negative length": state(shape=b"J\xfe\xff\xff\xff\x85"),
    "a list as shape": state(shape=b"]K\x02a"),
    "alignment from a call": state(more=b"X\x1b\0\0\0numpy_array_alignment_bytescvendor\nf\n)R"),
    "a key from a call": state(more=b"cvendor\nf\n)RK\x05\x85"),
    "more entries than are kept": state(more=b"".join(b"K" + bytes((n,)) + b"N" for n in range(40))),
    "a state that a function changed": state() + b"q\x07cbuiltins\ndict.update\nh\x07}\x86R0",
    "a state in a frame": state() + b"\x95\x0a\0\0\0\0\0\0\0",
    "a state of slots": b"N" + state() + b"\x86",
}


@pytest.mark.parametrize("announced", LYING.values(), ids=LYING.keys())
def test_an_array_of_doubtful_size_makes_the_file_incomplete(announced: bytes) -> None:
    data = stream(new() + announced, bytes(16) + HIDDEN * 3)
    assert not trace_bytes(data).complete


@pytest.mark.parametrize("announced", LYING.values(), ids=LYING.keys())
def test_what_a_plain_unpickler_calls_is_seen_where_joblib_gets_stuck(announced: bytes) -> None:
    context = b"cos\nsystem\nq\x01X\x04\0\0\0echoq\x0200"
    data = b"\x80\x03" + context + new() + announced + b"b" + b"h\x01h\x02\x85R."
    assert "os.system" in called(trace_bytes(data))


MADE = {
    "NEWOBJ": new(),
    "REDUCE": WRAPPER + b")R",
    "_reconstructor": b"ccopy_reg\n_reconstructor\n(" + WRAPPER + b"c__builtin__\nobject\nNtR",
    "object.__new__": b"cbuiltins\nobject.__new__\n" + WRAPPER + b"\x85R",
    "a dotted name": b"\x80\x04\x8c\x06joblib\x8c\x1enumpy_pickle.NumpyArrayWrapper\x93)\x81",
    "getattr": b"cbuiltins\ngetattr\ncimportlib\nimport_module\nX\x13\0\0\0joblib.numpy_pickle\x85R"
    b"X\x11\0\0\0NumpyArrayWrapper\x86R)R",
    "a list": b"coperator\nitemgetter\nK\x00\x85R]" + new() + b"a\x85R",
    "a subclass": b"cbuiltins\ntype\n(X\x01\0\0\0X" + WRAPPER + b"\x85}tR)R",
    "the memo": new() + b"q\x09" + state() + b"b" + bytes(16) + b"0h\x09",
}


@pytest.mark.parametrize("made", MADE.values(), ids=MADE.keys())
def test_an_array_is_known_however_its_wrapper_was_made(made: bytes) -> None:
    # joblib steps over the array; who does not takes its bytes for a string that swallows the payload
    swallowing = b"X" + struct.pack("<I", 11 + len(PAYLOAD) + 2) + bytes(11)
    data = stream(made + state(), swallowing, b"0" + PAYLOAD + b"." + bytes(64))
    assert "os.system" in called(trace_bytes(data))


def test_what_a_plain_unpickler_calls_between_is_seen() -> None:
    # behind the wrapper lie opcodes, which joblib takes for the array
    context = b"cos\nsystem\nq\x01X\x04\0\0\0echoq\x0200"
    code = b"h\x01h\x02\x85R0"
    data = b"\x80\x03" + context + new() + state(shape=b"K\x01\x85") + b"b" + code + b"N" * (8 - len(code)) + b"0N."
    found = trace_bytes(data)
    assert "os.system" in called(found)
    assert "read-differs-without-arrays" in {oddity.kind for trace in found.walk() for oddity in trace.oddities}


def test_a_pickle_that_only_a_plain_unpickler_sees_is_a_child() -> None:
    loads = b"cpickle\nloads\nq\x010"
    literal = b"\x80\x03" + PAYLOAD + b"."
    code = b"h\x01C" + bytes((len(literal),)) + literal + b"\x85R0"
    data = b"\x80\x03" + loads + new() + state(shape=b"K\x10\x85") + b"b" + code + b"N" * (128 - len(code)) + b"0N."
    assert "os.system" in called(trace_bytes(data))


def test_the_size_in_the_state_of_a_dtype_of_fixed_size_is_not_believed() -> None:
    # numpy ignores it; who believes it reads the last byte of the array, and takes what follows for a string
    lying = state(FLOAT64.replace(b"NNNJ\xff\xff\xff\xff", b"NNNK\x01"))
    swallowing = bytes(2) + b"X" + struct.pack("<I", 9 + len(PAYLOAD) + 2) + bytes(9)
    found = trace_bytes(stream(new() + lying, swallowing, b"0" + PAYLOAD + b"." + bytes(64)))
    assert "os.system" in called(found)


def test_numbers_whose_flags_say_that_they_are_objects_are_read_as_a_pickle() -> None:
    lying = state(FLOAT64.replace(b"K\x00tb", b"K\x01tb"))
    found = trace_bytes(stream(new() + lying, b"cvendor\nf\n)R.", b"0" + PAYLOAD + b"."))
    assert found.complete
    assert {"vendor.f", "os.system"} <= called(found)


def test_a_build_on_an_array_is_no_array() -> None:
    data = stream(new() + state(), bytes(16), b"(K\x01N)Ntb0" + PAYLOAD + b".")
    assert "os.system" in called(trace_bytes(data))


@pytest.mark.parametrize("depth", [5, 2_000])
def test_object_arrays_within_object_arrays_are_bounded(depth: int) -> None:
    objects = FLOAT64.replace(b"f8", b"O8")
    level = b"\x80\x03" + new() + state(objects) + b"b"
    found = trace_bytes(level * depth + b"N." * (depth + 1))
    assert found.complete == (depth < 8)


def test_many_object_arrays_are_bounded() -> None:
    objects = FLOAT64.replace(b"f8", b"O8")
    data = b"\x80\x03" + (new() + state(objects) + b"bN.0") * 12_000 + b"N."
    assert not trace_bytes(data).complete


def test_the_layout_of_a_dtype_without_state_goes_by_its_code() -> None:
    plain = Instance("numpy.dtype", ("f8", False, True), None)
    assert array_layout({"dtype": plain, "shape": (2, 3)}) == (48, False)
    assert array_layout({"dtype": plain, "shape": (2, 3), "numpy_array_alignment_bytes": 16}) == (48, True)
    assert array_layout({"dtype": plain, "shape": (2, UNKNOWN)}) is None
    assert array_layout({"dtype": Instance("numpy.dtype", ("f8",), UNKNOWN), "shape": ()}) is None


def test_real_joblib_files_are_read_to_their_last_byte(corpus: Path) -> None:
    files = [path for path in sorted((corpus / "files").iterdir()) if path.name.endswith(".joblib")]
    assert files
    read = [path for path in files if trace_bytes(path.read_bytes()).complete]
    assert len(read) >= 0.9 * len(files)
