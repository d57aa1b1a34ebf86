"""skops files: what building the objects of their schema does is read without building them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from safepickle.bytecode.trace import FileTrace
from safepickle.scan import Scanner, trace_bytes
from tests.containers.samples import zip_of

SCANNER = Scanner()


def node(loader: str, name: str, **more: Any) -> dict[str, Any]:
    module, _dot, last = name.rpartition(".")
    return {"__class__": last, "__module__": module, "__loader__": loader, "__id__": id(more), **more}


def value(plain: object) -> dict[str, Any]:
    return node("JsonNode", "builtins.str", content=json.dumps(plain), is_json=True)


def held(kind: str, *parts: dict[str, Any]) -> dict[str, Any]:
    return node(f"{kind.capitalize()}Node", f"builtins.{kind}", content=list(parts))


def attributes(**parts: dict[str, Any]) -> dict[str, Any]:
    keys = held("list", *(node("TypeNode", "builtins.str") for _ in parts))
    return node("DictNode", "builtins.dict", content=parts, key_types=keys)


def saved(root: dict[str, Any], encoding: str = "utf-8") -> bytes:
    return zip_of({"schema.json": json.dumps({**root, "protocol": 2, "_skops_version": "0.16"}).encode(encoding)})


MODEL = node(
    "ObjectNode",
    "sklearn.linear_model._base.LinearRegression",
    content=attributes(
        coef_=node("NdArrayNode", "numpy.ndarray", type="numpy", file="coef.npy"),
        fit_intercept=value(True),
        n_features_in_=value(3),
    ),
)
PARTIAL = node(
    "PartialNode",
    "functools.partial",
    content={
        "func": node("FunctionNode", "os.system"),
        "args": held("tuple", value("echo inert")),
        "kwds": attributes(),
        "namespace": attributes(),
    },
)


def names(trace: FileTrace) -> set[str]:
    return {call.callee.name for stream in trace.walk() for call in stream.calls} | {
        entry.name for stream in trace.walk() for entry in stream.imports
    }


def test_a_plain_estimator_is_an_instance_with_a_state() -> None:
    report = SCANNER.scan_bytes(saved(MODEL))
    assert (report.container, report.verdict, report.complete) == ("skops-zip", "benign", True)
    (made, built) = report.trace.streams[0].calls
    assert (made.opcode, built.opcode) == ("NEWOBJ", "BUILD")
    assert made.callee.name == built.callee.name == "sklearn.linear_model._base.LinearRegression"


@pytest.mark.parametrize(
    "root",
    [
        PARTIAL,
        held("list", value(1), held("tuple", PARTIAL)),
        node("ConstructorFromReduceNode", "os.system", content=held("tuple", value("echo inert"))),
        node("ListNode", "os.system", content=[value("echo inert")]),
        node("NdArrayNode", "os.system", type="numpy", file="a.npy"),
        node("RandomStateNode", "os.system", content=value(1)),
        node("TreeNode", "os.system", content=attributes(), __reduce__={"args": held("tuple", value("echo inert"))}),
        node("FunctionNode", "builtins.function", content={"module_path": "os", "function": "system"}),
        {**MODEL, "content": attributes(hook=node("TypeNode", "os.system"))},
    ],
    ids=lambda root: str(root["__loader__"]),
)
def test_what_is_not_data_is_told(root: dict[str, Any]) -> None:
    trace = trace_bytes(saved(root))
    assert trace.complete
    assert "os.system" in names(trace)


def test_a_partial_of_a_command_is_malicious() -> None:
    report = SCANNER.scan_bytes(saved({**MODEL, "content": attributes(hook=PARTIAL)}))
    assert report.verdict in ("malicious", "suspicious")


def test_a_method_is_taken_from_its_object() -> None:
    root = node("MethodNode", "lab.Model", content={"func": "load", "obj": node("ObjectNode", "lab.Model")})
    assert "lab.Model" in names(trace_bytes(saved(root)))
    assert "builtins.getattr" in names(trace_bytes(saved(root)))


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-8-sig"])
def test_every_encoding_that_json_is_loaded_from_is_read(encoding: str) -> None:
    assert "os.system" in names(trace_bytes(saved(PARTIAL, encoding)))


@pytest.mark.parametrize(
    "root",
    [
        node("UnheardOfNode", "a.B"),
        {"__class__": 1, "__module__": "a", "__loader__": "TypeNode"},
        {"__class__": "B", "__module__": "a"},
        held("list", *[held("list", node("UnheardOfNode", "a.B"))] * 2),
    ],
)
def test_a_schema_that_is_not_understood_leaves_the_file_incomplete(root: dict[str, Any]) -> None:
    assert not trace_bytes(saved(root)).complete


def test_a_deep_schema_is_incomplete() -> None:
    root = value(1)
    for _ in range(100):
        root = held("list", root)
    assert not trace_bytes(saved(root)).complete
