"""TensorFlow's SavedModel: operators that open files."""

from __future__ import annotations

import random

import pytest

from safepickle.scan import trace_bytes

from .samples import PLAIN_4, kinds, scan, zip_of


def varint(value: int) -> bytes:
    low = [value >> shift & 0x7F for shift in range(0, max(value.bit_length(), 1), 7)]
    return bytes([*(byte | 0x80 for byte in low[:-1]), low[-1]])


def field(number: int, *data: bytes | str) -> bytes:
    body = b"".join(part.encode() if isinstance(part, str) else part for part in data)
    return varint(number << 3 | 2) + varint(len(body)) + body


def node(name: str, operator: str, *inputs: str, text: str | None = None) -> bytes:
    value = b"" if text is None else field(5, field(1, "value"), field(2, field(8, b"\x08\x07", field(8, text))))
    return field(1, name) + field(2, operator) + b"".join(field(3, given) for given in inputs) + value


def model(nodes: tuple[bytes, ...], inner: tuple[bytes, ...] = ()) -> bytes:
    """A model with nodes in its graph, and in a function of it."""
    function = field(1, field(1, b"\n\x01f"), *(field(3, one) for one in inner)) if inner else b""
    graph = b"".join(field(1, one) for one in nodes) + (field(2, function) if function else b"")
    return b"\x08\x01" + field(2, field(1, field(1, "v1")), field(2, graph))


PLAIN = (node("x", "Placeholder"), node("w", "VarHandleOp"), node("y", "MatMul", "x", "w"))
WRITE = (
    node("path", "Const", text="dropped.txt"),
    node("data", "Const", text="inert"),
    node("o", "WriteFile", "path", "data"),
)


def opened(data: bytes) -> list[tuple[object, ...]]:
    """What is opened, how, and how many alike there are."""
    return [
        (*(argument.literal for argument in call.args), call.count)
        for stream in trace_bytes(data).walk()
        for call in stream.calls
        if call.callee.name.endswith(".open")
    ]


def test_an_ordinary_graph_opens_nothing_and_stays_incomplete() -> None:
    contents = scan(model(PLAIN))
    assert (contents.container, contents.complete, kinds(contents)) == ("saved-model", False, {"unsupported-format"})
    assert opened(model(PLAIN)) == []


@pytest.mark.parametrize("data", [model((*PLAIN, *WRITE)), model(PLAIN, WRITE)], ids=["graph", "function"])
def test_a_file_that_an_operator_writes_is_told(data: bytes) -> None:
    assert opened(data) == [("dropped.txt", "wb", 1)]
    assert opened(zip_of({"m/saved_model.pb": data, "m/variables/v": PLAIN_4})) == [("dropped.txt", "wb", 1)]


def test_a_path_that_is_computed_and_one_that_is_read_are_told_too() -> None:
    data = model((node("p", "StringJoin", "a"), node("o", "WriteFile", "p", "a"), node("i", "ReadFile", "q")))
    assert opened(data) == [("", "wb", 2)]


def test_an_operator_that_calls_python_is_pointed_out() -> None:
    assert "calls-python" in kinds(scan(model((node("f", "EagerPyFunc", "x"),))))


def test_a_cut_or_changed_graph_never_fails_and_is_never_complete() -> None:
    data = model((*PLAIN, *WRITE), WRITE)
    rng = random.Random(13)
    for length in range(12, len(data), 3):
        assert not scan(data[:length]).complete
    for _ in range(500):
        changed = bytearray(data)
        for _ in range(rng.choice((1, 2, 8))):
            changed[rng.randrange(4, len(data))] = rng.randrange(256)
        scan(bytes(changed))
