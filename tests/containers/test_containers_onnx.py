"""ONNX models: what they make a loader do, and operators that nobody here knows."""

from __future__ import annotations

import random
import zipfile

import onnx
import pytest
from onnx import TensorProto, helper

from safepickle.scan import trace_bytes

from .models import field, onnx_node, onnx_of
from .samples import scan, zip_of

VALUE = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])


def external(location: str, name: str = "w") -> TensorProto:
    """A tensor whose data lie in another file."""
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
    for key, value in (("location", location), ("offset", "0"), ("length", "4")):
        tensor.external_data.add(key=key, value=value)
    return tensor


def model(*nodes: onnx.NodeProto, tensors: tuple[TensorProto, ...] = (), functions: tuple[object, ...] = ()) -> bytes:
    graph = helper.make_graph(list(nodes) or [helper.make_node("Relu", ["x"], ["y"])], "g", [VALUE], [VALUE], tensors)
    domains = {node.domain for node in graph.node}
    made = helper.make_model(
        graph, functions=functions, opset_imports=[helper.make_opsetid(domain, 1) for domain in sorted(domains)]
    )
    return bytes(made.SerializeToString())


def opened(data: bytes) -> list[tuple[str, int]]:
    """Paths that a loader of the file opens; of those that look alike the first, and how many there are."""
    return [
        (call.args[0].literal, call.count)
        for stream in trace_bytes(data).walk()
        for call in stream.calls
        if call.callee.name.endswith(".open")
    ]


INNER = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "inner", [], [VALUE], [external("../../etc/inner")])
CONDITION = helper.make_node("If", ["x"], ["y"], then_branch=INNER, else_branch=INNER)


@pytest.mark.parametrize(
    "data",
    [
        model(),
        model(tensors=(external("weights.bin"), external("data/weights.bin", "v"), external("a..b/c", "u"))),
        model(helper.make_node("QAttention", ["x"], ["y"], domain="com.microsoft")),
        model(helper.make_node("Scaler", ["x"], ["y"], domain="ai.onnx.ml")),
    ],
    ids=["plain", "data beside it", "operators of the runtime", "operators of machine learning"],
)
def test_an_ordinary_model_is_complete_and_does_nothing(data: bytes) -> None:
    for contents in (scan(data), scan(zip_of({"m.onnx": data})), scan(zip_of({"m.onnx": data}, zipfile.ZIP_DEFLATED))):
        assert (contents.complete, contents.regions, contents.oddities) == (True, (), ())
    assert scan(data).container == "onnx"


@pytest.mark.parametrize("location", ["../../etc/shadow", "/etc/shadow", "..\\up", "C:\\Users\\x", "C:x", "a/../../b"])
def test_data_outside_of_the_folder_is_a_file_that_loading_opens(location: str) -> None:
    assert opened(model(tensors=(external(location),))) == [(location, 1)]


def test_tensors_of_inner_graphs_constants_and_functions_are_read_too() -> None:
    constant = helper.make_node("Constant", [], ["c"], value=external("../constant"))
    function = helper.make_function(
        "own", "F", ["a"], ["b"], [helper.make_node("Constant", [], ["b"], value=external("../function"))],
        [helper.make_opsetid("", 1)],
    )  # fmt: skip
    assert opened(model(CONDITION)) == [("../../etc/inner", 1)]
    data = model(constant, helper.make_node("F", ["c"], ["y"], domain="own"), functions=(function,))
    assert opened(data) == [("../constant", 2)]
    assert scan(data).complete


def test_operators_of_a_foreign_domain_leave_the_model_incomplete() -> None:
    contents = scan(model(helper.make_node("PyOp", ["x"], ["y"], domain="ai.onnx.contrib")))
    assert not contents.complete
    assert "ai.onnx.contrib" in contents.oddities[0].detail
    assert not scan(model(helper.make_node("X", ["x"], ["y"], domain="com.microsofty"))).complete
    assert not scan(model(helper.make_node("EPContext", ["x"], ["y"], domain="com.microsoft"))).complete


def test_a_function_defines_the_operator_of_its_name_and_no_other_of_its_domain() -> None:
    function = field(25, field(1, "F"), field(10, "own"))
    assert scan(onnx_of(onnx_node("F", "own"), more=function)).complete
    assert not scan(onnx_of(onnx_node("F", "own"), onnx_node("G", "own"), more=function)).complete


def test_a_cut_or_changed_model_is_incomplete_or_read_and_never_fails() -> None:
    data = model(CONDITION, tensors=(external("../w"),))
    end = data.rindex(b"b\x0f\n\x01x")
    for length in range(12, len(data)):
        assert not scan(data[:length]).complete or length > end, length
    rng = random.Random(3)
    for _ in range(500):
        changed = bytearray(data)
        for _ in range(rng.choice((1, 2, 8))):
            changed[rng.randrange(4, len(data))] = rng.randrange(256)
        scan(bytes(changed))


def test_messages_too_deep_within_others_are_incomplete_and_many_beside_each_other_are_read() -> None:
    deep = b""
    for _ in range(3000):
        for number in (6, 5, 1):  # a graph in an attribute of a node
            deep = field(number, deep)
    for graph, complete in ((deep, False), (b"\x0a\x00" * 400_000, True)):
        contents = scan(onnx_of(graph))
        assert (contents.container, contents.complete) == ("onnx", complete)
