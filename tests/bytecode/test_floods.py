"""Streams made to exhaust a scanner: time is linear in their length, memory bounded, what is given up is named."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

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

WIDE = b"X\2\0\0\0abq\2" + b"(" + b"h\2" * 16 + b"tq\2" + b"(" + b"h\2" * 16 + b"tq\2" + b"(" + b"h\2" * 16 + b"tq\2"
WRAPPER = b"cjoblib.numpy_pickle\nNumpyArrayWrapper\n)\x81}(X\5\0\0\0dtypecnumpy\ndtype\n("
OBJECTS = b"\x80\3" + WRAPPER + b"X\2\0\0\0O8I00\nI01\ntRub"
BYTES = WRAPPER + b"X\2\0\0\0u1I00\nI01\ntRX\5\0\0\0shapeK\0\x85X\1\0\0\0xh\2ub0"
LONG = b"X\0\0\1\0" + b"a." * 32_768 + b"q\1"


def repeated(head: bytes, unit: bytes, tail: bytes = b"N.") -> Callable[[int], bytes]:
    return lambda size: head + unit * ((size - len(head)) // len(unit)) + tail


def numbered(head: bytes, unit: Callable[[int], bytes], tail: bytes = b"N.") -> Callable[[int], bytes]:
    return lambda size: head + b"".join(unit(n) for n in range(size // len(unit(1_000_000)))) + tail


FLOODS = {
    "empty lists": repeated(b"\x80\4", b"]"),
    "lists in the memo": repeated(b"\x80\4", b"]\x94"),
    "the memo": repeated(b"\x80\4N", b"\x94"),
    "far memo keys": numbered(b"\x80\2N", lambda n: b"r" + struct.pack("<I", n * 500_009 % (1 << 32))),
    "big numbers": repeated(b"\x80\2", b"J\xff\xff\xff\x7f"),
    "tuples of tuples": repeated(b"\x80\2N", b"2\x86"),
    "two lists in turn": repeated(b"\x80\2", b"]q\0]q\1" + b"h\0Na0h\1Na0" * 24 + b"0"),
    "extensions": numbered(b"\x80\2", lambda n: b"\x84" + struct.pack("<I", n + 1) + b"0"),
    "persistent ids": repeated(b"", b"Pa\n0"),
    "globals": numbered(b"", lambda n: b"cvendor\nf%07d\n0" % n),
    "callees": numbered(b"", lambda n: b"cvendor\nf%07d\n)R0" % n),
    "results of results": repeated(b"cvendor\nf\n", b")R"),
    "names of many names": numbered(b"\x80\4" + LONG, lambda n: b"h\1\x8c\7%07d\x930" % n),
    "calls with a long text": repeated(b"\x80\2cvendor\nf\nq\0" + LONG + b"\x85q\2", b"h\0h\2R0"),
    "calls with wide tuples": repeated(b"\x80\2cvendor\nf\nq\0" + WIDE, b"h\0h\2R0"),
    "distinct calls with wide tuples": numbered(b"\x80\2" + WIDE, lambda n: b"cvendor\nf%07d\nh\2R0" % n),
    "folded calls with deep tuples": repeated(
        b"\x80\2cimportlib\nimport_module\nq\0X\2\0\0\0osN" + b"2\x86" * 60 + b"\x86q\1", b"h\0h\1R0"
    ),
    "folded calls with wide tuples": repeated(b"\x80\2cbuiltins\nstr.join\nq\0" + WIDE, b"h\0h\2R0"),
    "folded calls with a long text": repeated(
        b"\x80\2cbuiltins\nstr.replace\nq\0X\0\x10\0\0" + b"a" * 4096 + b"X\1\0\0\0a" + LONG + b"\x87q\2", b"h\0h\2R0"
    ),
    "attributes of attributes": repeated(b"\x80\2cbuiltins\ngetattr\nq\0cos\npath\nq\1", b"0h\0h\1X\1\0\0\0a\x86Rq\1"),
    "beginnings": repeated(b"N.\xff", b"\x80\2NNNN"),
    "beginnings of lines": repeated(b"N.\xff", b"\x80\2P"),
    "letters": repeated(b"N.\xff", b"c"),
    "names behind junk": repeated(b"N.\xff", b"c" * 198 + b"\na\n\xff"),
    "marks behind junk": repeated(b"N.\xff", b"((((((((ia\na\n\xff"),
    "object arrays in object arrays": repeated(b"", OBJECTS),
    "arrays with wide state": repeated(b"\x80\3" + WIDE, BYTES),
    "streams": repeated(b"", b"N."),
    "streams in literals": repeated(b"\x80\4", b"C\4\x80\4N.0"),
}  # fmt: skip


def measured(data: bytes) -> tuple[float, float, bool]:
    done = subprocess.run(
        [sys.executable, "-I", "-c", MEASURED.format(root=str(ROOT))], input=data, capture_output=True, timeout=100
    )
    assert done.returncode == 0, done.stderr.decode()
    seconds, peak, complete = json.loads(done.stdout)
    return seconds, peak, complete


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")
@pytest.mark.parametrize("flood", FLOODS.values(), ids=FLOODS.keys())
def test_a_flood_takes_linear_time_and_bounded_memory(flood: Callable[[int], bytes]) -> None:
    small, _peak, _complete = measured(flood(150_000))
    seconds, peak, complete = measured(flood(1_200_000))
    # An eighth of the bytes takes about an eighth of the time; the rest is noise of a busy machine and fixed costs.
    assert seconds < 2.5 * 8 * small + 0.5
    assert seconds < 30
    assert peak < 64 + 5 * 1.2 or not complete
    assert peak < 160
