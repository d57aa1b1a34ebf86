"""Keras models: what building one from its configuration does is read without building it."""

from __future__ import annotations

import base64
import io
import json
import marshal
import pickle
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from safepickle.bytecode.trace import Call, FileTrace
from safepickle.features import SCHEMA, Knowledge, Prevalence
from safepickle.features.per_call import telling
from safepickle.scan import Scanner, trace_bytes
from tests.containers.samples import zip_of

CODE = base64.encodebytes(marshal.dumps(compile("print('inert')", "inert", "exec"))).decode()
SCANNER = Scanner()
HDF5 = b"\x89HDF\r\n\x1a\n"


def layer(class_name: str, module: str | None = "keras.layers", **config: Any) -> dict[str, Any]:
    return {"module": module, "class_name": class_name, "config": config, "registered_name": None}


def function(module: str, name: str) -> dict[str, Any]:
    return {"module": module, "class_name": "function", "config": name, "registered_name": name}


def sequential(*layers: dict[str, Any]) -> dict[str, Any]:
    return layer("Sequential", "keras", name="model", layers=list(layers))


def archive(model: Any, encoding: str = "utf-8", **members: bytes) -> bytes:
    whole = {"metadata.json": b'{"keras_version": "3.15.1"}', "model.weights.h5": HDF5 + bytes(500), **members}
    return zip_of({"config.json": json.dumps(model).encode(encoding), **whole})


LAMBDA = layer("Lambda", function={"class_name": "__lambda__", "config": {"code": CODE, "defaults": None}})
PLAIN = sequential(layer("InputLayer", batch_shape=[None, 4]), layer("Dense", units=3, activation="relu"))


def calls(trace: FileTrace) -> set[str]:
    return {call.callee.name for stream in trace.walk() for call in stream.calls}


def imports(trace: FileTrace) -> set[str]:
    return {entry.name for stream in trace.walk() for entry in stream.imports}


def test_a_plain_model_names_its_layers_and_calls_nothing() -> None:
    trace = trace_bytes(archive(PLAIN))
    assert (trace.container, trace.complete) == ("keras-zip", True)
    assert {"keras.Sequential", "keras.layers.Dense", "keras.layers.InputLayer"} <= imports(trace)
    assert calls(trace) == set()
    assert not [odd for odd in trace.oddities if odd.kind == "unsupported-format"]


def test_code_of_a_lambda_is_told_as_what_it_becomes() -> None:
    report = SCANNER.scan_bytes(archive(sequential(LAMBDA)))
    assert {"marshal.loads", "types.FunctionType"} <= calls(report.trace)
    assert (report.verdict, report.complete) == ("malicious", True)
    assert "marshal.loads" in report.findings[0].title


@pytest.mark.parametrize(
    "old",
    [
        {"class_name": "Lambda", "config": {"function": [CODE, None, None], "function_type": "lambda"}},
        {"class_name": "Lambda", "config": {"function": CODE, "function_type": "lambda", "module": "__main__"}},
    ],
)
def test_code_of_an_old_lambda_is_found(old: dict[str, Any]) -> None:
    model = {"class_name": "Sequential", "config": {"layers": [old]}}
    assert "marshal.loads" in calls(trace_bytes(archive(model)))


def test_a_class_that_is_not_of_keras_is_called_with_what_the_file_says() -> None:
    found = calls(trace_bytes(archive(sequential(layer("Blur", "lab.layers", radius=3)))))
    assert found == {"lab.layers.Blur.from_config"}


def test_a_function_that_is_named_is_called() -> None:
    found = trace_bytes(archive(sequential(layer("Activation", activation=function("os", "system")))))
    assert calls(found) == {"os.system"}


def test_what_the_loading_program_registered_is_nothing_that_the_file_imports() -> None:
    trace = trace_bytes(archive(sequential(layer("Own", None, units=2))))
    assert (trace.complete, imports(trace)) == (True, {"keras.Sequential"})


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_every_encoding_that_json_is_loaded_from_is_read(encoding: str) -> None:
    assert "marshal.loads" in calls(trace_bytes(archive(sequential(LAMBDA), encoding)))


def test_a_model_without_the_other_members_is_read() -> None:
    assert "marshal.loads" in calls(trace_bytes(zip_of({"config.json": json.dumps(sequential(LAMBDA)).encode()})))


def test_a_configuration_on_its_own_is_read() -> None:
    trace = trace_bytes(json.dumps(sequential(LAMBDA)).encode())
    assert (trace.container, trace.complete) == ("keras-json", True)
    assert "marshal.loads" in calls(trace)


@pytest.mark.parametrize(
    "model",
    [
        {},
        {"class_name": 7, "config": {}},
        {"module": 7, "class_name": "Dense", "config": {}},
        layer("Lambda", function={"class_name": "__lambda__", "config": {"code": 7}}),
        json.loads("[" * 80 + "]" * 80),
    ],
)
def test_a_configuration_that_is_not_understood_leaves_the_model_incomplete(model: Any) -> None:
    assert not trace_bytes(archive(model)).complete


@pytest.mark.parametrize("deep", [100, 100_000])
def test_a_deep_configuration_is_incomplete(deep: int) -> None:
    text = '{"class_name": "A", "config": ' * deep + "1" + "}" * deep
    assert not trace_bytes(zip_of({"config.json": text.encode(), "metadata.json": b"{}"})).complete


@pytest.mark.parametrize("part", [b"[],", b"{},", b"0.1,"])
def test_a_flood_of_parts_is_not_read(part: bytes) -> None:
    """What 4 MB of them become would take hundreds."""
    text = b'{"class_name":"A","config":[' + part * (0x480000 // len(part)) + b"1]}"
    trace = trace_bytes(text)
    assert (trace.complete, trace.streams) == (False, ())


def test_a_pickled_model_is_read_through_its_bytes() -> None:
    for model, found in ((PLAIN, False), (sequential(LAMBDA), True)):
        trace = trace_bytes(pickle.dumps({"model": io.BytesIO(archive(model))}, 4))
        assert trace.complete
        assert ("marshal.loads" in calls(trace)) is found


def test_weights_are_data_and_a_pickle_in_their_place_is_found() -> None:
    trace = trace_bytes(archive(PLAIN, **{"model.weights.h5": b"\x80\x02cos\nsystem\nU\necho inert\x85R."}))
    assert "os.system" in calls(trace)


def test_a_configuration_within_damaged_hdf5_is_evidence_and_the_file_stays_incomplete() -> None:
    for model, found in ((PLAIN, False), (sequential(LAMBDA), True)):
        trace = trace_bytes(HDF5 + bytes(100) + b"model_config\0" + json.dumps(model).encode() + bytes(900))
        assert ("marshal.loads" in calls(trace), trace.complete) == (found, False)


def test_json_of_others_stays_what_it_was() -> None:
    config = b'{"architectures": ["Net"], "hidden_size": 4}'
    trace = trace_bytes(zip_of({"config.json": config, "data.txt": b"words"}))
    assert (trace.container, trace.complete, imports(trace)) == ("zip", True, set())


LOADER = b"cbuiltins\ngetattr\nckeras.models\nSequential\nX\x0f\0\0\0_unpickle_model\x86R"


def loaded(*files: bytes) -> list[tuple[float, ...]]:
    """Rows of the calls of a stream that hands the first of some files in memory to the loader of Keras."""
    made = [pickle.dumps(io.BytesIO(data), 4)[2:].removeprefix(b"\x95")[8:-1] for data in files]
    trace = trace_bytes(b"\x80\x04" + b"0".join((*made[1:], LOADER + made[0] + b"\x85R")) + b".")
    knowledge = Knowledge(Prevalence({}, 0))
    return [
        row for row, _stream, entry in telling(trace.walk(), knowledge)
        if isinstance(entry, Call) and entry.callee.name.endswith("_unpickle_model")
    ]  # fmt: skip


def test_a_loader_of_a_model_that_was_understood_adds_nothing_to_it() -> None:
    flows = [SCHEMA.call_names.index(f"flows_{kind}") for kind in ("deserialize", "import", "file")]
    unread = b"binary \x00\x01\x02" * 4
    (told,) = loaded(archive(PLAIN))
    (untold,) = loaded(unread)
    (decoy,) = loaded(unread, archive(PLAIN))
    assert [told[flow] for flow in flows] == [0, 0, 0]
    assert all(untold[flow] for flow in flows)
    assert decoy == untold


NAMES = st.sampled_from(["Dense", "Lambda", "function", "__lambda__", "__tensor__", "", "os.system", "\ud800"])
MODELS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just(CODE),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["function", "code", "value", "layers", "function_type"]), inner, max_size=3)
        | st.fixed_dictionaries({"class_name": NAMES | inner, "config": inner}, optional={"module": NAMES | inner})
    ),
    max_leaves=20,
)


@settings(max_examples=200, deadline=None)
@given(MODELS)
def test_whatever_a_configuration_says_is_read_or_incomplete(model: object) -> None:
    trace = trace_bytes(json.dumps({"module": "keras", "class_name": "Sequential", "config": model}).encode())
    assert trace.container == "keras-json"
    assert trace.complete is not any(odd.kind == "unsupported-format" for odd in trace.oddities)
    assert not any(odd.kind == "internal-error" for odd in trace.oddities)
    assert all(stream.coverage.state == "complete" for stream in trace.streams)
