"""The decompiler and the machine agree: every call of the Trace is decompiled, and no other."""

from __future__ import annotations

import csv
import os
import pickle
from collections import Counter
from pathlib import Path

import pytest

from safepickle.bytecode.trace import Trace
from safepickle.decompile import decompile
from safepickle.decompile.reading import Readings
from safepickle.decompile.rendering import render
from safepickle.limits import Limits
from safepickle.scan import trace_data
from tests.bytecode.generated import streams

CORPUS = os.environ.get("SAFEPICKLE_CORPUS", "")
LARGEST = 200_000


def disagreements(data: bytes) -> list[str]:
    """Calls that only one of the two knows, in words."""
    readings = Readings()
    file = trace_data(data, Limits(), readings.add)
    problems = []
    for trace in file.walk():
        if any(oddity.kind.startswith("budget:") for oddity in trace.oddities):
            continue
        reading = readings.of(trace)
        assert reading is not None, (trace.place, trace.offset)
        decompiled = decompile(reading, record=True)
        problems += [f"{trace.place} {trace.offset}: {problem}" for problem in _differing(trace, decompiled.events)]
        assert all(line.text.isprintable() for line in render(decompiled, reading, frozenset()))
    return problems


def _differing(trace: Trace, events: list[tuple[str, int]]) -> list[str]:
    known = set(events)
    calls = [call for call in trace.calls if call.offset >= 0]
    problems = [f"not decompiled: {call}" for call in calls if (call.opcode, call.offset) not in known]
    if any(oddity.kind == "memo-of-earlier-stream" for oddity in trace.oddities):
        return problems  # such a Trace has what comes after the damage only
    counted: Counter[str] = Counter()
    for call in calls:
        counted[call.opcode] += call.count
    decompiled = Counter(opcode for opcode, _offset in events)
    return problems + ([] if decompiled == counted else [f"{decompiled} decompiled, {counted} traced"])


@pytest.mark.parametrize("seed", range(4))
def test_generated_streams_make_the_same_calls(seed: int) -> None:
    for data in streams(4_000 + seed, 400):
        assert disagreements(data) == [], data


@pytest.mark.skipif(not CORPUS, reason="SAFEPICKLE_CORPUS names no folder of real files")
def test_real_files_make_the_same_calls() -> None:
    with open(Path(CORPUS) / "manifest.csv", encoding="utf-8") as manifest:
        files = [row["file"] for row in csv.DictReader(manifest) if int(row["size"] or 0) <= LARGEST]
    assert files
    for file in files[::12]:
        assert disagreements((Path(CORPUS) / file).read_bytes()) == [], file


def test_the_same_is_true_of_a_list_that_is_filled_after_it_was_handed_on() -> None:
    items: list[object] = []
    items.append((items, 1))
    assert disagreements(pickle.dumps(items, protocol=4)) == []
