"""Splicing keeps the host whole: frames fit, memo keys point to where they pointed, and it still unpickles."""

from __future__ import annotations

import pickle
import pickletools
from random import Random
from typing import Any

import pytest

from pipelines.assemble import Assembler, place
from pipelines.assemble.hosts import Host
from pipelines.assemble.literals import push
from pipelines.assemble.wrap import WEIGHTS, WRAPS
from pipelines.savers import plain

SHARED = ["shared", 1.5]
VALUE = {
    "a": [SHARED, SHARED, {"x": SHARED}],
    "long": [f"text {number}" for number in range(400)],
    "b": (1, 2, "text 7"),
}


def _host(protocol: int) -> Host:
    return Host("host", "python", "group", "train", pickle.dumps(VALUE, protocol))


def _write(asm: Assembler) -> None:
    """Literals that use the memo as hostile code would."""
    push(asm, [1, 2, 3]).store("list").pop()
    asm.text("text").store("text").pop().recall("list")


def _check_frames(data: bytes) -> None:
    end = 0
    for opcode, argument, position in pickletools.genops(data):
        assert position is not None
        if opcode.name == "FRAME":
            assert isinstance(argument, int)
            assert position >= end
            end = position + 9 + argument
            assert end <= len(data)


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("where", ["before", "inside", "after", "returned", "paired", "stored"])
def test_a_host_with_spliced_literals_still_loads_to_the_same_value(where: str, protocol: int) -> None:
    host = _host(protocol)
    for seed in range(8):
        data = place.PLACES[where](host, _write, Random(seed))
        _check_frames(data)
        # plain literals of our own making: neither the host nor the code names anything
        assert not {"GLOBAL", "STACK_GLOBAL", "INST"} & {opcode.name for opcode, _, _ in pickletools.genops(data)}
        loaded: Any = pickle.loads(data)  # noqa: S301
        if where == "returned":
            assert loaded == [1, 2, 3]
        elif where == "paired":
            assert sorted(map(str, loaded)) == sorted(map(str, (VALUE, [1, 2, 3])))
        elif where == "stored":
            assert [1, 2, 3] in _leaves(loaded)
        else:
            assert loaded == VALUE
            assert loaded["a"][0] is loaded["a"][2]["x"]


def _leaves(value: Any) -> list[Any]:
    found = [value]
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ():
        found += _leaves(item)
    return found


def test_taking_a_host_apart_and_joining_it_gives_the_same_bytes() -> None:
    for protocol in range(6):
        host = _host(protocol)
        assert host.splice(host.end, b"", lambda asm: None, b"") == host.data
        assert host.protocol == protocol


def test_a_later_stream_leaves_the_first_one_untouched() -> None:
    host = _host(4)
    data = place.PLACES["later_stream"](host, _write, Random(1))
    assert data.startswith(host.data)
    assert len(data) > len(host.data)


def test_a_truncated_host_has_the_code_but_no_end() -> None:
    for seed in range(10):
        data = place.PLACES["truncated_host"](_host(2), lambda asm: push(asm, "the code"), Random(seed))
        assert b"the code" in data
        with pytest.raises(Exception, match=r"truncated|exhausted|not enough|expected|ran out"):
            pickle.loads(data)  # noqa: S301 - literals only


@pytest.mark.parametrize("container", WRAPS)
def test_each_container_gives_the_same_bytes_for_the_same_stream(container: str) -> None:
    data = pickle.dumps(VALUE, 4)
    assert container in WEIGHTS
    first, second = (WRAPS[container](data, Random(5)) for _ in range(2))
    assert first == second
    assert (first == data) == (container == "raw")


def test_plain_objects_are_the_same_for_the_same_seed() -> None:
    first, second = ([saved.data for saved in plain.produce(Random("x"), 66, "train")] for _ in range(2))
    assert first == second
