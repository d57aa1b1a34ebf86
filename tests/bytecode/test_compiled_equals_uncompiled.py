"""The compiled machine and the same source uncompiled give equal results."""

from __future__ import annotations

import importlib.util
import pickle
import sys
from collections import OrderedDict
from pathlib import Path
from time import monotonic
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from safepickle.bytecode import machine as built
from safepickle.limits import Limits

SOURCE = Path(built.__file__).with_name("machine.py")
COMPILED = Path(built.__file__).suffix != ".py"


def _uncompiled() -> ModuleType:
    spec = importlib.util.spec_from_file_location("uncompiled_machine", SOURCE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


UNCOMPILED = _uncompiled()


def result(module: Any, data: bytes) -> dict[str, object]:
    machine = module.Machine(data, 0, len(data), Limits(), monotonic() + 60)
    reason = machine.run()
    return {
        "reason": reason,
        "at": machine.stopped_at,
        "position": machine.position,
        "counts": machine.opcode_counts,
        "imports": machine.imports,
        "oddities": machine.oddities,
        "literals": machine.literals,
        "calls": [
            (site.opcode, machine.reference(site.callee), site.offset, site.count, site.uses, site.depth)
            for site in machine.calls
        ],
        "arguments": [repr(_plain(machine.value(site.arguments, 3))) for site in machine.calls],
    }


def _plain(value: Any) -> Any:
    kind = type(value).__name__
    if kind == "Reference":
        return (value.kind, value.name, value.steps)
    if kind == "Instance":
        return (value.callee, _plain(value.arguments), _plain(value.state))
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return value


SAMPLES = [
    pickle.dumps([OrderedDict(a=1), {"b": [1, 2.5, None, True, b"x" * 10, 2**70]}, {1, 2}, (1, 2, 3, 4)], protocol)
    for protocol in range(6)
]


@pytest.mark.skipif(not COMPILED, reason="the machine is not compiled here")
@pytest.mark.parametrize("data", SAMPLES, ids=range(6))
def test_equal_on_ordinary_pickles(data: bytes) -> None:
    assert result(built, data) == result(UNCOMPILED, data)


@pytest.mark.skipif(not COMPILED, reason="the machine is not compiled here")
@settings(max_examples=500, deadline=None)
@given(st.sampled_from(SAMPLES), st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=8))
def test_equal_on_mutants(sample: bytes, changes: list[tuple[int, int]]) -> None:
    data = bytearray(sample)
    for at, value in changes:
        data[at % len(data)] = value
    assert result(built, bytes(data)) == result(UNCOMPILED, bytes(data))
