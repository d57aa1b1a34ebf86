"""Models of other frameworks made to exhaust a reader: time is linear, and a budget that ran out is named."""

from __future__ import annotations

import struct
from time import process_time

import pytest

from benchmarks.floods import MODELS, Flood
from safepickle.limits import DEFAULT_LIMITS, Limits

from .models import node as graph_node
from .models import onnx_external, onnx_node, onnx_of, saved_model, varint
from .samples import kinds, scan
from .test_containers_hdf5 import header_of


def seconds(data: bytes, limits: Limits = DEFAULT_LIMITS) -> float:
    began = process_time()
    scan(data, limits)
    return process_time() - began


@pytest.mark.parametrize("flood", MODELS.values(), ids=MODELS)
def test_a_flood_is_read_in_proportion_to_its_length_until_the_time_is_up(flood: Flood) -> None:
    small, large = flood(40_000), flood(320_000)
    assert scan(large).complete
    assert seconds(large) < 2.5 * 8 * seconds(small) + 0.5
    contents = scan(large, Limits(seconds=0.005))
    assert (contents.complete, "budget:seconds" in kinds(contents)) == (False, True)


@pytest.mark.parametrize(
    "data",
    [
        onnx_of(b"".join(onnx_node(f"Op{number}", "other") for number in range(200))),
        onnx_of(b"".join(onnx_external(f"../{number}") for number in range(200))),
        saved_model(tuple(graph_node(f"n{number}", "Const", text="a") for number in range(200))),
        saved_model(tuple(graph_node(f"n{number}", "ReadFile", "a") for number in range(200))),
        header_of(struct.pack("<BHB", 0x0D, 0, 0) * 200, 200),
    ],
    ids=["operators", "files", "texts", "operators on files", "messages of HDF5"],
)
def test_names_and_parts_that_are_remembered_are_counted(data: bytes) -> None:
    assert "budget:members" not in kinds(scan(data))
    contents = scan(data, Limits(members=100))
    assert (contents.complete, "budget:members" in kinds(contents)) == (False, True)


def test_a_number_that_parsers_cut_to_32_bits_is_no_field() -> None:
    graph = onnx_external("../w")
    cut = varint(1 << 32 | 7 << 3 | 2) + varint(len(graph)) + graph
    contents = scan(onnx_of(onnx_node("Relu")) + cut)
    assert (contents.complete, kinds(contents)) == (False, {"onnx-damaged"})
