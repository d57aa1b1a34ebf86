"""Streams among bytes that are none: a payload is found wherever it lies, and none is made up of what is no stream."""

from __future__ import annotations

import array
import pickle
import struct

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from safepickle.bytecode.trace import FileTrace
from safepickle.scan import Scanner, trace_bytes

PAYLOADS = {
    "protocol 0": b"cos\nsystem\n(S'echo inert'\ntR.",
    "INST": b"(S'echo inert'\nios\nsystem\n.",
    "protocol 2": b"\x80\x02cos\nsystem\nq\x00X\x04\0\0\0echoq\x01\x85q\x02Rq\x03.",
    "protocol 4": b"\x80\x04\x95\x1d\0\0\0\0\0\0\0\x8c\x02os\x94\x8c\x06system\x94\x93\x94\x8c\x04echo"
    b"\x94\x85\x94R\x94.",
    "protocol 4 without its head": b"\x8c\x02os\x8c\x06system\x93\x8c\x04echo\x85R.",
    "texts of protocol 0": b"Vos\nVsystem\n\x93Vecho\n\x85R.",
    "without STOP": b"\x80\x02cos\nsystem\nX\x04\0\0\0echo\x85R",
}


def called(found: FileTrace) -> set[str]:
    return {call.callee.name for trace in found.walk() for call in trace.calls}


junk = st.one_of(
    st.binary(max_size=300),
    st.binary(max_size=20).map(lambda part: part * 40),
    st.text(max_size=100).map(lambda text: text.encode("utf-8", "replace")),
    st.lists(st.floats(width=32), max_size=40).map(lambda numbers: array.array("f", numbers).tobytes()),
    st.sampled_from(
        (b"N.", b"\x80\x02N.", b"\0" * 64, b"(dp0\n", b"\x80\x04\x95", b"cos\npath\n", b"\x80", b"c", b"(")
    ),
)


@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS.keys())
@given(before=junk, after=junk)
@settings(max_examples=60, deadline=None)
@example(before=b"N.ab", after=b"")
@example(before=b"N.\n", after=b"\xff")
def test_a_payload_among_junk_is_found(payload: bytes, before: bytes, after: bytes) -> None:
    # A pickle comes first, so that the bytes behind it are read at all; what is a name or a number in the junk ends
    # with it, or the payload would be a part of that to a loader as well.
    if not _swallows(before + b"\n\n"):
        assert "os.system" in called(trace_bytes(b"\x80\x02N." + before + b"\n\n" + payload + after))


def _swallows(before: bytes) -> bool:
    """Whether junk may end in a string that takes the payload in, as to a loader."""
    counted = {0x8C: 1, 0x43: 1, 0x55: 1, 0x58: 4, 0x42: 4, 0x54: 4, 0x8A: 1, 0x8B: 4, 0x8D: 8, 0x8E: 8, 0x96: 8}
    return any(
        at + 1 + width + int.from_bytes(before[at + 1 : at + 1 + width], "little") > len(before)
        for at, code in enumerate(before)
        if (width := counted.get(code, 0)) and at + 1 + width <= len(before) + 8
    )


@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS.keys())
@given(names=st.lists(st.from_regex(r"[a-z]{1,12}", fullmatch=True), max_size=8), numbers=st.binary(max_size=64))
@settings(max_examples=30, deadline=None)
def test_a_payload_behind_a_broken_model_is_found(payload: bytes, names: list[str], numbers: bytes) -> None:
    whole = pickle.dumps({name: [numbers, index, name] for index, name in enumerate(names)}, 2)
    for cut in (len(whole) - 1, len(whole) // 2):
        assert "os.system" in called(trace_bytes(whole[:cut] + b"\xff" * 300 + b"\n\n" + payload))


SOURCE = (
    *(b"import os\n", b"os.system('echo')\n", b"def system(c):\n", b"    return eval(c)\n", b"c\n", b"i\n", b"(\n"),
    *(b"from os\nimport system\n", b"# cost\nsystems\n", b"exec\n", b"builtins\n", b"subprocess\n", b"R.\n"),
    *(b"posix\n", b"\n", b"sys.exit(1)\n"),
)  # fmt: skip
data = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20), st.binary(max_size=20)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=8), inner, max_size=4), st.tuples(inner, inner)
    ),
    max_leaves=12,
)
bystanders = st.one_of(
    st.lists(st.sampled_from(SOURCE), max_size=12).map(b"".join),
    st.binary(max_size=400),
    st.lists(st.integers(0, 2**32 - 1), max_size=60).map(lambda words: struct.pack(f"<{len(words)}I", *words)),
    st.text(max_size=200).map(lambda text: text.encode("utf-8", "replace")),
)


@given(value=data, protocol=st.integers(0, 5), tail=bystanders, cut=st.one_of(st.just(0), st.integers(1, 40)))
@settings(max_examples=120, deadline=None)
def test_plain_data_with_other_bytes_behind_it_is_not_malicious(
    value: object, protocol: int, tail: bytes, cut: int
) -> None:
    dumped = pickle.dumps(value, protocol)
    file = dumped[: max(1, len(dumped) - cut)] + tail
    calls = called(trace_bytes(file))
    if cut == 0:
        assert calls <= {"_codecs.encode", "builtins.bytes", "builtins.bytearray"}
    if cut == 0 or not calls:  # the bytes behind a cut may happen to be a call
        assert Scanner().scan_bytes(file, "data.pkl").verdict != "malicious"


@given(
    st.lists(st.sampled_from((*b"N]}()0189KMJatsuelpqrhj\x80\x85\x86\x87\x88\x89\x8c\x8f\x90\x94\x95",)), max_size=80)
)
@settings(max_examples=150, deadline=None)
def test_what_calls_nothing_is_never_malicious_however_odd_its_opcodes(codes: list[int]) -> None:
    report = Scanner().scan_bytes(bytes(codes), "data.pkl")
    assume(
        not any(stream.calls or stream.imports for stream in report.trace.walk())
    )  # what fills None calls its method
    assert (report.verdict, report.score) == ("benign" if report.complete else "incomplete", 0.0)
