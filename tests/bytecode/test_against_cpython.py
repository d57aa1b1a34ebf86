"""Whatever CPython's own unpicklers do with a stream is in its Trace, and what none of them does is not.

Streams are made by :mod:`tests.bytecode.generated` and read by :mod:`tests.bytecode.oracle`, never taken from a file.
``make fuzz`` tries a million; what that found is named in test_what_readers_take_differently.
"""

from __future__ import annotations

import pickle
import shutil
import subprocess
import uuid
from collections import Counter

import pytest

from safepickle.bytecode.opcodes import CODES
from tests.bytecode.agreement import disagreements, traced
from tests.bytecode.fuzz import judged, minimised
from tests.bytecode.generated import streams
from tests.bytecode.oracle import Oracle

pytest.importorskip("resource", reason="the subprocess is limited by means of POSIX")

SEED = 20_240


def test_what_the_unpicklers_import_and_call_is_in_the_trace() -> None:
    events: Counter[str] = Counter()
    opcodes: Counter[str] = Counter()
    loaded = 0
    with Oracle() as oracle:
        for data, observed in oracle.read(streams(SEED, 5_000)):
            problems, executed = judged(data, observed, as_file=len(data) % 8 == 0)
            assert problems == [], data.hex()
            events.update(event[0] for reading in observed.readings for event in reading.events)
            opcodes.update(executed)
            loaded += any(reading.start == 0 and reading.end >= 0 for reading in observed.readings)
        assert oracle.lost == []
    assert set(opcodes) == set(CODES)
    assert loaded > 600
    assert {what for what, count in events.items() if count > 10} == {
        *("import", "call", "call result", "build", "state", "append", "extend", "setitem", "add", "persistent_load"),
        "touch",
    }


@pytest.mark.parametrize("version", ["3.8", "3.10", "3.12", "3.13", "3.14"])
def test_what_the_unpicklers_of_another_python_import_and_call_is_in_the_trace(version: str) -> None:
    interpreter = f"python{version}"
    if shutil.which(interpreter) is None or subprocess.run((interpreter, "-c", ""), check=False).returncode:
        pytest.skip(f"there is no {interpreter} here")
    with Oracle(interpreter) as oracle:
        for data, observed in oracle.read(streams(SEED + 1, 400)):
            assert judged(data, observed, as_file=False)[0] == [], data.hex()


# Each of these two readers take differently, or one of them takes although it looks damaged.
ODD = {
    "a NUL in a number": b"I5\0 junk\n0cvendor\nf\n)R.",
    "a NUL in a memo key": b"cvendor\nf\np0\0junk\n0g0\n)R.",
    "a number that is none": b"I\0\n0cvendor\nf\n)R.",
    "an underscore in a number": b"I1_0\n0cvendor\nf\np1_0\n0g10\n)R.",
    "a memo key of any size": b"cvendor\nf\np99999999999999999999\n0g99999999999999999999\n)R.",
    "a number behind blanks": b"I" + b" " * 9000 + b"5\n0L" + b"\t" * 9000 + b"5L\n0cvendor\nf\n)R.",
    "a fraction behind blanks": b"F" + b" " * 9000 + b"1.5\n0cvendor\nf\n)R.",
    "a memo key among blanks": b"cvendor\nf\np" + b" " * 9000 + b"1\n0g1" + b" " * 9000 + b"\n)R.",
    "a line without its end": b"(ivendor\nfX",
    "arguments that are no tuple": b"cvendor\nf\n](K\x01K\x02eR.",
    "NEWOBJ with a list": b"cvendor\nf\n](K\x01K\x02e\x81.",
    "a read across the end of a frame": b"\x95\x11\0\0\0\0\0\0\0cvendor\nharmless_f\n)R.",
    "a string across the end of a frame": b"\x80\x04\x95\x0d\0\0\0\0\0\0\0\x8c\x06vendor\x8c\x04xyzfunc\x93)R.",
    "a stream behind the end of a frame": b"\x80\x04\x95\x06\0\0\0\0\0\0\0N.X\xff\0\0cvendor\nf\n)R.",
    "a frame whose length reaches over the end of the frame around it": (
        b"\x80\x04\x95\x08\0\0\0\0\0\0\0N0N0\x95\x04\0\0\x01\0\0\0\0\0\0\0cvendor\nf\n)R."
    ),
    "a broken stream whose rest another reader loses": (
        b"N.\x80\x04\x95\x1e\0\0\0\0\0\0\0(U(" + b"K" * 27 + b"\x8c\x07" + b"n" * 37 + b"\x91((tivendor\nf\nVK"
    ),
    "POP of a mark": b"(0(cvendor\nf\n)R0(1.cvendor\nf\n)R.",
    "carriage returns": b"cvendor\r\nf\r\n)R.",
    "a name of another alphabet": "c\u00fcber\ngr\u00f6\u00dfe\n)R.".encode(),
    "a number that a frame cuts in two": b"\x80\x04\x95\x05\0\0\0\0\0\0\0}I\x80\0\0\0\nQ",
    "a call before a memo key of the stream before": b"cvendor\nf\np0\n0N.(g0\no0Pid\ng0\n)R.",
    "a memo key that is another object's than in the stream before": (
        b"\x80\4Pid\n\x94.\x80\4cvendor\nf\n0\x8c\1a\x94g0\nNNs0h\1cvendor\nf\n)R."
    ),
}


@pytest.mark.parametrize("data", ODD.values(), ids=ODD.keys())
def test_what_readers_take_differently_is_traced_as_by_each_of_them(data: bytes) -> None:
    with Oracle() as oracle:
        ((_data, observed),) = oracle.read([data])
    assert any(event[0] in ("call", "persistent_load") for reading in observed.readings for event in reading.events)
    assert disagreements(traced(data), observed) == []


def test_a_pickle_cut_off_within_its_frame_is_read_once() -> None:
    whole = pickle.dumps([uuid.UUID(int=7), "x" * 300], 4)
    for cut in range(1, 330, 7):
        (trace,) = traced(whole[:-cut]).traces
        assert trace.children == ()


def test_the_unpicklers_can_reach_nothing_real() -> None:
    # each asks for what would be the real thing to an unpickler that is not held back
    reaching = [b"cos\ngetpid\n)R.", b"cbuiltins\nopen\n(S'/dev/null'\ntR.", b"\x82\x01.", b"Pid\n."]
    with Oracle() as oracle:
        for _data, observed in oracle.read(reaching):
            for reading in observed.readings:
                assert reading.end > 0
                assert {event[0] for event in reading.events} <= {"import", "call", "persistent_load"}


def test_a_find_is_cut_down_to_what_makes_it_one() -> None:
    assert minimised(b"N0" * 40 + b"cos\nsystem\n." + b"junk" * 9, lambda data: b"cos\nsys" in data) == b"cos\nsys"
