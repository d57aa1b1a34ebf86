"""HDF5: what Keras builds and what may be unpickled is found wherever it is, and all the rest is known to be data."""

from __future__ import annotations

import base64
import gzip
import json
import marshal
import os
import struct
import zipfile
from pathlib import Path
from time import process_time
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from safepickle.bytecode.trace import FileTrace
from safepickle.limits import Limits
from safepickle.scan import Scanner, trace_bytes
from tests.containers.hdf5 import OBJECTS, TEXTS, VERSIONS, hdf5_of
from tests.containers.samples import CALLING_0, CALLING_4, found, kinds, scan, zip_of

CODE = base64.encodebytes(marshal.dumps(compile("print('inert')", "inert", "exec"))).decode()
HOSTILE = b"\x80\x02cos\nsystem\nX\x0a\0\0\0echo inert\x85R."
TWIN = b"\x80\x02}X\x0a\0\0\0echo inertK\x01s."
SCANNER = Scanner()


def layer(class_name: str, **config: Any) -> dict[str, Any]:
    return {"class_name": class_name, "config": config}


LAMBDA = layer("Sequential", layers=[layer("Lambda", function=[CODE, None, None], function_type="lambda")])
PLAIN = layer("Sequential", name="model", layers=[layer("Dense", units=3, activation="relu")])


def calls(trace: FileTrace) -> set[str]:
    return {call.callee.name for stream in trace.walk() for call in stream.calls}


def details(trace: FileTrace) -> str:
    return "; ".join(oddity.detail for oddity in trace.oddities)


def with_text(value: bytes, way: str = "bytes", name: str = "model_config", version: str = "earliest") -> bytes:
    return hdf5_of(lambda file: TEXTS[way](file, value, name), version)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("way", TEXTS)
def test_a_configuration_is_read_however_the_attribute_was_written(way: str, version: str) -> None:
    for model, code in ((LAMBDA, {"marshal.loads", "types.FunctionType"}), (PLAIN, set())):
        trace = trace_bytes(with_text(json.dumps(model).encode(), way, "model_config", version))
        assert (trace.container, trace.complete, calls(trace)) == ("hdf5", True, code), details(trace)
        assert any(entry.name == "keras.layers.Sequential" for stream in trace.walk() for entry in stream.imports)


@pytest.mark.parametrize("way", OBJECTS)
@pytest.mark.parametrize("version", VERSIONS)
def test_a_pickle_is_found_wherever_a_program_may_have_put_it(way: str, version: str) -> None:
    for stream, code in ((HOSTILE, {"os.system"}), (TWIN, set())):
        trace = trace_bytes(hdf5_of(lambda file, stream=stream: OBJECTS[way](file, stream), version))  # type: ignore[misc]
        assert (trace.container, trace.complete, calls(trace)) == ("hdf5", True, code), details(trace)
        assert len(trace.streams) >= 1


def test_verdicts_follow_from_what_was_found() -> None:
    hostile = SCANNER.scan_bytes(with_text(json.dumps(LAMBDA).encode()))
    assert (hostile.verdict, hostile.complete) == ("malicious", True)
    plain = SCANNER.scan_bytes(with_text(json.dumps(PLAIN).encode()))
    assert (plain.verdict, plain.complete) == ("benign", True)
    pickled = SCANNER.scan_bytes(hdf5_of(lambda file: OBJECTS["opaque attribute"](file, HOSTILE)))
    assert pickled.verdict in ("malicious", "suspicious")
    assert (
        "attribute:/@p" in str(pickled.trace.streams[0].place) or ("attribute", "/@p") in pickled.trace.streams[0].place
    )


def test_an_attribute_that_is_no_object_of_keras_and_holds_one_is_read() -> None:
    for inner, code in ((LAMBDA, True), (PLAIN, False)):
        config = {"loss": "mse", "optimizer_config": {"class_name": "Adam", "config": {"x": [inner]}}}
        trace = trace_bytes(with_text(json.dumps(config).encode(), name="training_config"))
        assert ("marshal.loads" in calls(trace), trace.complete) == (code, True)


def test_keys_of_a_configuration_may_be_written_with_escapes() -> None:
    text = json.dumps(LAMBDA).replace("class_name", "\\u0063lass_name").encode()
    assert b"class_name" not in text
    assert "marshal.loads" in calls(trace_bytes(with_text(text)))


@pytest.mark.parametrize("version", ["v108", "latest"])
def test_a_configuration_of_more_than_a_message_is_read_from_the_heap(version: str) -> None:
    model = layer("Sequential", name="x" * 100_000, layers=LAMBDA["config"]["layers"])
    for way in ("bytes", "among many attributes"):
        trace = trace_bytes(with_text(json.dumps(model).encode(), way, version=version))
        assert ("marshal.loads" in calls(trace), trace.complete) == (True, True), details(trace)


def test_a_lambda_whose_function_is_a_text_that_is_no_name_leaves_the_file_incomplete() -> None:
    for function, complete in (("lambda x: print(x)", False), ("relu", True)):
        model = layer("Sequential", layers=[layer("Lambda", function=function), *LAMBDA["config"]["layers"]])
        trace = trace_bytes(with_text(json.dumps(model).encode()))
        assert (trace.complete, "marshal.loads" in calls(trace)) == (complete, True)


def _tagged(file: Any, value: bytes) -> None:
    """An opaque value that h5py reads as one of numpy's."""
    kind = h5py.h5t.create(h5py.h5t.OPAQUE, len(value))
    kind.set_tag(b"NUMPY:|V%d" % len(value))
    attribute = h5py.h5a.create(file.id, b"p", kind, h5py.h5s.create(h5py.h5s.SCALAR))
    attribute.write(np.array(np.void(value)), kind)


def _unpacked(file: Any, value: bytes, **options: Any) -> None:
    """A chunk to which the filters of its dataset were not applied."""
    size = len(value)
    file.create_dataset("d", (size,), "u1", chunks=(size,), compression="gzip", shuffle=True, **options)
    file["d"].id.write_direct_chunk((0,), value, filter_mask=3)


HIDDEN: dict[str, Any] = {
    "tagged": _tagged,
    "unpacked": _unpacked,
    "unpacked of a growing dataset": lambda file, value: _unpacked(file, value, maxshape=(None,)),
    "unpacked of a fixed dataset": lambda file, value: _unpacked(file, value, maxshape=(2 * len(value),)),
}


@pytest.mark.parametrize("way", HIDDEN)
@pytest.mark.parametrize("version", VERSIONS)
def test_a_pickle_is_found_behind_tags_and_filters_that_say_otherwise(way: str, version: str) -> None:
    for stream, code in ((HOSTILE, {"os.system"}), (TWIN, set())):
        trace = trace_bytes(hdf5_of(lambda file, stream=stream: HIDDEN[way](file, stream), version))  # type: ignore[misc]
        assert (trace.complete, calls(trace), len(trace.streams)) == (True, code, 1), details(trace)


def test_dates_are_numbers() -> None:
    dates = np.array(["2020-01-01"], "<M8[us]")
    for kind in (dates.dtype, np.dtype("<m8[s]")):
        data = hdf5_of(lambda file, kind=kind: file.create_dataset("d", data=dates.astype(h5py.opaque_dtype(kind))))  # type: ignore[misc]
        assert (scan(data).complete, scan(data).regions) == (True, ())


def test_a_global_heap_is_found_whatever_its_reserved_bytes_are() -> None:
    for stream, code in ((HOSTILE, {"os.system"}), (TWIN, set())):
        data = hdf5_of(lambda file, stream=stream: OBJECTS["rows of variable length"](file, stream))  # type: ignore[misc]
        trace = trace_bytes(data.replace(b"GCOL\1\0\0\0", b"GCOL\1\1\2\3"))
        assert (trace.complete, calls(trace), len(trace.streams)) == (True, code, 1)


def test_chunks_too_small_to_tell_what_they_hold_leave_the_file_incomplete() -> None:
    for size, complete in ((2, False), (64, True)):
        data = hdf5_of(lambda file, size=size: file.create_dataset("d", data=np.zeros(256, "u1"), chunks=(size,)))  # type: ignore[misc]
        assert scan(data).complete is complete


def test_a_configuration_is_read_behind_any_number_of_blanks() -> None:
    for model, code in ((LAMBDA, True), (PLAIN, False)):
        config = {"optimizer_config": {"x": [model]}}
        trace = trace_bytes(with_text(b" \n" * 100 + json.dumps(config).encode(), name="training_config"))
        assert ("marshal.loads" in calls(trace), trace.complete) == (code, True)


def test_an_attribute_that_ends_in_a_dot_is_a_pickle_where_it_imports() -> None:
    trace = trace_bytes(with_text(b"cos\nsystem\n.", name="note"))
    assert [entry.name for stream in trace.streams for entry in stream.imports] == ["os.system"]
    for words in (b"Nothing to see here.", b"(c) by the authors.", b"In use since 2019."):
        assert trace_bytes(with_text(words, name="note")).streams == ()


def test_values_that_were_never_written_are_what_fills_them() -> None:
    data = hdf5_of(lambda file: file.create_dataset("d", (9,), f"S{len(CALLING_0)}", fillvalue=CALLING_0))
    assert (scan(data).complete, set(found(scan(data)))) == (True, {CALLING_0})


def test_files_within_attributes_are_opened() -> None:
    contents = scan(hdf5_of(lambda file: file.attrs.create("z", np.void(gzip.compress(CALLING_4)))))
    assert (contents.complete, found(contents)) == (True, [CALLING_4])


@pytest.mark.parametrize("block", [512, 4096, 1 << 17])
def test_a_file_behind_a_user_block_is_read_whatever_the_block_is(block: int) -> None:
    data = bytearray(hdf5_of(lambda file: TEXTS["bytes"](file, b"cos\nsystem\n.", "n"), userblock_size=block))
    assert (scan(bytes(data)).container, len(scan(bytes(data)).regions)) == ("hdf5", 1)
    data[: len(CALLING_0)] = CALLING_0
    contents = scan(bytes(data))
    assert (contents.container, len(contents.regions)) == ("pickle+hdf5", 2)


def numbers(file: Any) -> None:
    """Everything that is data alone."""
    file["floats"] = np.arange(4000.0).reshape(40, 100)
    file.create_dataset("packed", data=np.zeros((100, 10)), chunks=True, compression="lzf", maxshape=(None, 10))
    file.create_dataset("images", data=np.full((9, 28, 28), 7, "u1"), chunks=(1, 28, 28), compression="lzf")
    file.create_dataset("grows", (0,), maxshape=(None,), dtype="i8")
    file.create_dataset("complex", data=np.ones(3, "c16"))
    file["names"] = np.array([b"alpha", b"beta", b"in a row"] * 3000)
    file.create_dataset("words", data=["one of them", "two of them"] * 50, dtype=h5py.string_dtype())
    file["table"] = np.zeros(5, [("name", "S10"), ("values", "f4", (2, 3)), ("flag", "?")])
    file["dates"] = np.array([1, 2], "M8[s]").astype(h5py.opaque_dtype("M8[s]"))
    file["enum"] = np.array([1, 2]).astype(h5py.enum_dtype({"A": 1, "B": 2}, "i1"))
    file["refs"] = np.array([file["floats"].ref], dtype=h5py.ref_dtype)
    file.attrs["empty"] = h5py.Empty("S10")
    file["soft"] = h5py.SoftLink("/floats")
    file["again"] = file["/"]
    group = file.create_group("ordered", track_order=True)
    for index in range(300):
        group.create_group(f"group {index}").attrs["layer_names0"] = np.array([b"dense", b"kernel"])


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("ordered", [False, True])
def test_numbers_words_links_and_types_are_data(version: str, ordered: bool) -> None:
    contents = scan(hdf5_of(numbers, version, track_order=ordered))
    assert (contents.complete, contents.regions, contents.oddities) == (True, (), ())


def external_data(file: Any) -> None:
    file.create_dataset("d", (4,), "f4", external=[("weights.bin", 0, 16)])


def virtual(file: Any) -> None:
    layout = h5py.VirtualLayout((4,), "f4")
    layout[:] = h5py.VirtualSource("other.h5", "d", (4,))
    file.create_virtual_dataset("d", layout)


def other_file(file: Any) -> None:
    file["d"] = h5py.ExternalLink("other.h5", "/d")


def opaque_chunks(file: Any) -> None:
    file.create_dataset("d", data=np.array([b"a" * 30] * 9, "V30"), chunks=(3,), compression="lzf")


def pickle_in_chunks(file: Any) -> None:
    file.create_dataset("d", data=np.frombuffer(HOSTILE, "u1"), chunks=(len(HOSTILE) - 1,), compression="gzip")


UNREAD = {
    "other files": external_data,
    "virtual dataset": virtual,
    "link to another file": other_file,
    "packed by the filter": opaque_chunks,
    "only the first": pickle_in_chunks,
}


@pytest.mark.parametrize("why", UNREAD)
def test_what_is_not_read_is_named_and_the_rest_is_evidence(why: str) -> None:
    def build(file: Any) -> None:
        UNREAD[why](file)
        file.attrs["p"] = np.void(CALLING_4)

    contents = scan(hdf5_of(build))
    assert (contents.complete, kinds(contents)) == (False, {"unsupported-format"})
    assert any(why in oddity.detail for oddity in contents.oddities), contents.oddities
    assert CALLING_4 in found(contents)


def patched(data: bytes, at: int, value: bytes) -> bytes:
    return data[:at] + value + data[at + len(value) :]


def damaged() -> dict[str, tuple[bytes, str]]:
    old = hdf5_of(lambda file: [file.create_group(f"g{index}") for index in range(30)])
    new = hdf5_of(lambda file: TEXTS["among many attributes"](file, b"words", "n"), "v108")
    deep = hdf5_of(lambda file: [file.create_group(f"g{index}") for index in range(900)])
    inner = next(at for at in range(len(deep)) if deep[at : at + 6] == b"TREE\0\1")
    return {
        "signature alone": (old[:8], "superblock"),
        "unknown superblock": (patched(old, 8, b"\4"), "version 4"),
        "addresses of three bytes": (patched(old, 13, b"\3"), "addresses of 3"),
        "truncated": (old[:-1], "missing at its end"),
        "cut in half": (old[: len(old) // 2], "missing at its end"),
        "several parts": (patched(old, 48, bytes(8)), "several parts"),
        "no heap": (old.replace(b"HEAP", b"HEAX"), "HEAP"),
        "no symbols": (old.replace(b"SNOD", b"SNOX"), "SNOD"),
        "unknown header": (patched(old, int.from_bytes(old[64:72], "little"), b"\7"), "version 7"),
        "tree within itself": (patched(deep, inner + 32, struct.pack("<Q", inner)), "twice"),
        "filters in a heap": (patched(new, new.index(b"FRHP") + 7, b"\1"), "packed by filters"),
        "no blocks": (new.replace(b"FHDB", b"FHDX"), "FHDB"),
        "no records": (new.replace(b"BTLF", b"BTLX"), "BTLF"),
    }


DAMAGED = damaged()


@pytest.mark.parametrize("name", DAMAGED)
def test_damage_leaves_the_file_incomplete_and_says_what_it_is(name: str) -> None:
    data, reason = DAMAGED[name]
    contents = scan(data)
    assert (contents.container, contents.complete) == ("hdf5", False)
    assert any(reason in oddity.detail for oddity in contents.oddities), contents.oddities


def test_a_configuration_in_a_damaged_file_is_evidence() -> None:
    data = with_text(json.dumps(LAMBDA).encode()).replace(b"HEAP", b"XXXX")
    trace = trace_bytes(patched(data, 8, b"\7"))
    assert ("marshal.loads" in calls(trace), trace.complete) == (True, False)


def header_of(messages: bytes, count: int) -> bytes:
    """A superblock of the third version and a root group whose messages are in a continuation block."""
    block = b"OCHK" + messages + bytes(4)
    first = struct.pack("<BHBQQ", 16, 16, 0, 48 + 6 + 4 + 20 + 4, len(block))
    size = 48 + 6 + 4 + len(first) + 4 + len(block)
    superblock = b"\x89HDF\r\n\x1a\n\x03\x08\x08\0" + struct.pack("<4QI", 0, (1 << 64) - 1, size, 48, 0)
    return superblock + b"OHDR\x02\x02" + struct.pack("<I", len(first)) + first + bytes(4) + block


def attribute(index: int, value: bytes) -> bytes:
    name = b"%07d\0" % index
    kind = struct.pack("<BBHI", 0x13, 0, 0, len(value))
    body = struct.pack("<BBHHHB", 3, 0, len(name), len(kind), 4, 0) + name + kind + b"\2\0\0\0" + value
    return struct.pack("<BHB", 12, len(body), 0) + body


def test_a_flood_of_attributes_ends_at_the_budget() -> None:
    messages = b"".join(attribute(index, CALLING_4 if index == 5 else b"words") for index in range(3000))
    data = header_of(messages, 3000)
    assert scan(data).complete
    contents = scan(data, Limits(members=1000))
    assert (contents.complete, kinds(contents), found(contents)) == (False, {"budget:members"}, [CALLING_4])


def test_a_continuation_that_points_to_itself_ends() -> None:
    block = 48 + 6 + 4 + 20 + 4
    messages = attribute(1, CALLING_4) + struct.pack("<BHBQQ", 16, 16, 0, block, 4 + 20 + 4)
    again = messages + attribute(2, HOSTILE)
    assert len(found(scan(header_of(again, 2)))) == 2


@pytest.mark.parametrize("kind", range(0x1A))
def test_a_message_of_no_bytes_ends_nothing_but_itself(kind: int) -> None:
    contents = scan(header_of(struct.pack("<BHB", kind, 0, 0) + attribute(1, CALLING_4), 2))
    assert found(contents) == [CALLING_4]


def test_the_time_is_kept_within_one_file() -> None:
    data = header_of(b"".join(attribute(index, b"words") for index in range(3000)), 3000)
    contents = scan(data, Limits(seconds=0.0))
    assert (contents.complete, "budget:seconds" in kinds(contents)) == (False, True)


def test_weights_of_gigabytes_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "weights.h5"
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps(LAMBDA)
        weights = file.create_dataset("weights", (5 << 28,), "f4")
        weights[-1] = 1.0
    assert os.path.getsize(path) > 5 << 30
    began = process_time()
    report = SCANNER.scan_path(path)
    assert (report.complete, "marshal.loads" in calls(report.trace)) == (True, True)
    assert process_time() - began < 2


def test_a_member_of_an_archive_is_read_to_its_end() -> None:
    data = hdf5_of(
        lambda file: [file.create_dataset("w", data=np.zeros(100_000)), file.attrs.create("p", np.void(HOSTILE))]
    )
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        trace = trace_bytes(zip_of({"a/model.h5": data}, method))
        assert (trace.complete, calls(trace)) == (True, {"os.system"})


MADE = [
    *(hdf5_of(lambda file, way=way: OBJECTS[way](file, TWIN)) for way in list(OBJECTS)[::3]),  # type: ignore[misc]
    *(with_text(json.dumps(PLAIN).encode(), way, version=version) for way in list(TEXTS)[::3] for version in VERSIONS),
]


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(MADE), st.data())
def test_whatever_is_changed_in_a_file_it_is_read_quickly_or_incomplete(data: bytes, draw: st.DataObject) -> None:
    changed = bytearray(data)
    parts = [at for at in range(len(data)) if data[at : at + 4].isupper() and data[at : at + 4].isalpha()] or [0]
    for _ in range(draw.draw(st.integers(1, 6))):
        at = draw.draw(st.integers(0, len(data) - 1) | st.sampled_from(parts).map(lambda part: part + 4))
        at = min(at + draw.draw(st.integers(0, 40)), len(data) - 1)
        value = draw.draw(st.sampled_from([b"\0", b"\1", b"\xff", b"\xff" * 8, data[at // 2 : at // 2 + 8]]))
        changed[at : at + len(value)] = value
    del changed[draw.draw(st.integers(16, len(changed)) | st.just(len(changed))) :]
    began = process_time()
    trace = trace_bytes(bytes(changed))
    assert process_time() - began < 5
    assert not any(oddity.kind == "internal-error" for oddity in trace.oddities)
    assert FileTrace.from_json(trace.to_json()) == trace


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from(list(VERSIONS)),
    st.booleans(),
    st.lists(st.lists(st.sampled_from(list(TEXTS)[:5]), max_size=12), min_size=1, max_size=12),
)
def test_every_attribute_that_h5py_writes_is_looked_at(version: str, ordered: bool, groups: list[list[str]]) -> None:
    written: list[bytes] = []

    def build(file: Any) -> None:
        for number, ways in enumerate(groups):
            group = file.create_group(f"group/{'n' * number}{number}", track_order=ordered)
            for index, way in enumerate(ways):
                written.append(b"cmodule\nname%d_%d\n." % (number, index))
                TEXTS[way](group, written[-1], f"attribute {index}")

    contents = scan(hdf5_of(build, version, track_order=ordered))
    assert contents.complete
    assert sorted(stream.partition(b".")[0] + b"." for stream in found(contents)) == sorted(written)
