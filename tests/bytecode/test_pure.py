"""The table of pure functions: whatever they are handed, they take neither memory nor time to speak of."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from safepickle.scan import trace_bytes

ROOT = Path(__file__).resolve().parents[2]

# In a process of its own whose memory is limited: evaluate() does not catch what running out of it raises.
EVALUATING = """
import itertools, random, resource, sys, time
sys.path.insert(0, {root!r})
from safepickle.bytecode.pure import FUNCTIONS, evaluate
import base64, bz2, binascii, codecs, lzma, zlib
resource.setrlimit(resource.RLIMIT_AS, (400 << 20, 400 << 20))
values = (
    10**9, 2**40, 2**62, -2**62, 2**2000, 0, -1, "%999999999d", "{{:>999999999}}", "a" * 9000, b"a" * 9000, "latin1",
    bytearray(b"60"), [10**9] * 9, (2**40, "x"), {{"a": 10**9}}, 1e300, None, True, "utf-16", b"QUFB",
)
chosen = random.Random(7)
slowest = 0.0, ""
for name, function in FUNCTIONS.items():
    tuples = [(), *((value,) for value in values), *itertools.product(values, repeat=2)]
    tuples += [tuple(chosen.choices(values, k=chosen.choice((3, 4)))) for _ in range(200)]
    for arguments in tuples:
        began = time.process_time()
        try:
            evaluate(function, arguments, None)
        except MemoryError:
            sys.exit(f"{{name}}{{arguments!r:.200}} takes too much memory")
        slowest = max(slowest, (time.process_time() - began, f"{{name}}{{arguments!r:.200}}"))
print(len(FUNCTIONS), *slowest)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited by a means of Linux")
def test_no_pure_function_can_be_made_to_take_memory_or_time_by_what_it_is_handed() -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-c", EVALUATING.format(root=str(ROOT))], capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0, done.stderr
    functions, seconds, call = done.stdout.split(maxsplit=2)
    assert (int(functions) > 100, float(seconds) < 0.5) == (True, True), call


@pytest.mark.parametrize(
    "data",
    [
        b"(\x8b\6\0\0\0abcdefibase64\nb64decode\n.",
        b"(\x8a\7cvendoricodecs\nlatin_1_decode\n.",
        b"\x80\2cbase64\nb64encode\nU\1aU\3abc\x86R.",
    ],
)
def test_arguments_that_a_pure_function_does_not_take_leave_a_call_unfolded(data: bytes) -> None:
    (trace,) = trace_bytes(data).streams
    assert [call.callee.name.split(".")[0] for call in trace.calls] in (["base64"], ["codecs"])
