"""Whatever CPython's own unpicklers do with a stream is in its Trace.

Streams are made by :mod:`tests.bytecode.generated` and read by :mod:`tests.bytecode.oracle`, never taken from a file.
``python -m tests.bytecode.test_against_cpython SEED COUNT`` tries more of them than a test should.
"""

from __future__ import annotations

import sys
import time
from collections import Counter

import pytest

from safepickle.bytecode.opcodes import CODES
from tests.bytecode.agreement import missing, traced
from tests.bytecode.generated import streams
from tests.bytecode.oracle import Oracle

pytest.importorskip("resource", reason="the subprocess is limited by means of POSIX")


def test_what_the_unpicklers_import_and_call_is_in_the_trace() -> None:
    events: Counter[str] = Counter()
    opcodes: set[str] = set()
    with Oracle() as oracle:
        for data, readings in oracle.read(streams(20_240, 2_500)):
            found = traced(data)
            assert missing(found, readings) == [], data
            events.update(event[0] for reading in readings for event in reading.events)
            opcodes.update(name for trace in found.traces for name in trace.opcodes)
        assert oracle.lost == 0
    assert opcodes == set(CODES)
    assert {"import", "call", "call result", "build", "append", "extend", "setitem", "add"} <= {
        what for what, count in events.items() if count > 10
    }


# Each of these two readers take differently, or one of them takes although it looks damaged.
ODD = {
    "a NUL in a number": b"I5\0 junk\n0cvendor\nf\n)R.",
    "a NUL in a memo key": b"cvendor\nf\np0\0junk\n0g0\n)R.",
    "a number that is none": b"I\0\n0cvendor\nf\n)R.",
    "an underscore in a number": b"I1_0\n0cvendor\nf\np1_0\n0g10\n)R.",
    "a memo key of any size": b"cvendor\nf\np99999999999999999999\n0g99999999999999999999\n)R.",
    "a line without its end": b"(ivendor\nfX",
    "arguments that are no tuple": b"cvendor\nf\n](K\x01K\x02eR.",
    "NEWOBJ with a list": b"cvendor\nf\n](K\x01K\x02e\x81.",
    "a read across the end of a frame": b"\x95\x11\0\0\0\0\0\0\0cvendor\nharmless_f\n)R.",
    "a string across the end of a frame": b"\x80\x04\x95\x0d\0\0\0\0\0\0\0\x8c\x06vendor\x8c\x04xyzfunc\x93)R.",
    "a stream behind the end of a frame": b"\x80\x04\x95\x06\0\0\0\0\0\0\0N.X\xff\0\0cvendor\nf\n)R.",
    "POP of a mark": b"(0(cvendor\nf\n)R0(1.cvendor\nf\n)R.",
    "carriage returns": b"cvendor\r\nf\r\n)R.",
    "a name of another alphabet": "c\u00fcber\ngr\u00f6\u00dfe\n)R.".encode(),
}


@pytest.mark.parametrize("data", ODD.values(), ids=ODD.keys())
def test_what_readers_take_differently_is_traced_as_by_each_of_them(data: bytes) -> None:
    with Oracle() as oracle:
        ((_data, readings),) = oracle.read([data])
    assert any(event[0].startswith("call") for reading in readings for event in reading.events)
    assert missing(traced(data), readings) == []


def main() -> None:
    """Try many streams; print what is missing."""
    seed, count = int(sys.argv[1]), int(sys.argv[2])
    begin = time.monotonic()
    tried = events = wrong = 0
    with Oracle() as oracle:
        for data, readings in oracle.read(streams(seed, count)):
            problems = missing(traced(data), readings)
            tried += 1
            events += sum(len(reading.events) for reading in readings)
            if problems:
                wrong += 1
                print(data, problems)
        lost = oracle.lost
    print(f"{tried} streams, {events} events, {wrong} wrong, {lost} lost, {time.monotonic() - begin:.0f} s")


if __name__ == "__main__":
    main()
