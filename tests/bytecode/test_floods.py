"""Streams made to exhaust a scanner: time is linear in their length, memory bounded, what is given up is named."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.floods import STREAMS, Flood

ROOT = Path(__file__).resolve().parents[2]

# What is measured is the scan alone, in a process of its own, which reads the stream from its input.
MEASURED = """
import json, sys, time
sys.path.insert(0, {root!r})
from safepickle.scan import trace_bytes
data = sys.stdin.buffer.read()
trace_bytes(b"N.")
begin = time.process_time()
found = trace_bytes(data)
seconds = time.process_time() - begin
peak = [line for line in open("/proc/self/status") if line.startswith("VmHWM")][0].split()[1]
json.dump([seconds, int(peak) / 1024, found.complete], sys.stdout)
"""


def measured(data: bytes) -> tuple[float, float, bool]:
    done = subprocess.run(
        [sys.executable, "-I", "-c", MEASURED.format(root=str(ROOT))], input=data, capture_output=True, timeout=100
    )
    assert done.returncode == 0, done.stderr.decode()
    seconds, peak, complete = json.loads(done.stdout)
    return seconds, peak, complete


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")
@pytest.mark.parametrize("flood", STREAMS.values(), ids=STREAMS.keys())
def test_a_flood_takes_linear_time_and_bounded_memory(flood: Flood) -> None:
    small, _peak, _complete = measured(flood(100_000))
    seconds, peak, complete = measured(flood(800_000))
    # An eighth of the bytes takes about an eighth of the time; the rest is noise of a busy machine and fixed costs.
    assert seconds < 2.5 * 8 * small + 0.5
    assert seconds < 30
    assert peak < 64 + 5 * 0.8 or not complete
    assert peak < 160
