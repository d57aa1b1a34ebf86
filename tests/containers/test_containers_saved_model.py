"""TensorFlow's SavedModel: operators that open files."""

from __future__ import annotations

import random

import pytest

from safepickle.scan import trace_bytes

from .models import node, saved_model
from .samples import PLAIN_4, kinds, scan, zip_of

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
    contents = scan(saved_model(PLAIN))
    assert (contents.container, contents.complete, kinds(contents)) == ("saved-model", False, {"unsupported-format"})
    assert opened(saved_model(PLAIN)) == []


@pytest.mark.parametrize("data", [saved_model((*PLAIN, *WRITE)), saved_model(PLAIN, WRITE)], ids=["graph", "function"])
def test_a_file_that_an_operator_writes_is_told(data: bytes) -> None:
    assert opened(data) == [("dropped.txt", "wb", 1)]
    assert opened(zip_of({"m/saved_model.pb": data, "m/variables/v": PLAIN_4})) == [("dropped.txt", "wb", 1)]


def test_a_path_that_is_computed_and_one_that_is_read_are_told_too() -> None:
    data = saved_model((node("p", "StringJoin", "a"), node("o", "WriteFile", "p", "a"), node("i", "ReadFile", "q")))
    assert opened(data) == [("", "wb", 2)]


def test_an_operator_that_calls_python_is_pointed_out() -> None:
    assert "calls-python" in kinds(scan(saved_model((node("f", "EagerPyFunc", "x"),))))


def test_a_cut_or_changed_graph_never_fails_and_is_never_complete() -> None:
    data = saved_model((*PLAIN, *WRITE), WRITE)
    rng = random.Random(13)
    for length in range(12, len(data), 3):
        assert not scan(data[:length]).complete
    for _ in range(500):
        changed = bytearray(data)
        for _ in range(rng.choice((1, 2, 8))):
            changed[rng.randrange(4, len(data))] = rng.randrange(256)
        scan(bytes(changed))
