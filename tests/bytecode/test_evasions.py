"""Streams made to be read otherwise by a scanner than by a loader: the call is seen, or the file is incomplete."""

from __future__ import annotations

import base64
import gzip
import pickle
import struct

import pytest

from safepickle.bytecode.trace import Descriptor, Trace
from safepickle.scan import trace_bytes

PAYLOAD = b"cos\nsystem\n(S'echo inert'\ntR."


def walked(data: bytes) -> list[Trace]:
    return trace_bytes(data).walk()


def called(data: bytes) -> set[str]:
    return {call.callee.name for trace in walked(data) for call in trace.calls}


def passed(data: bytes) -> set[str]:
    def names(descriptors: tuple[Descriptor, ...]) -> set[str]:
        own = {found.ref.name for found in descriptors if found.ref is not None}
        return own.union(*(names(found.items) for found in descriptors))

    return set().union(*(names(call.args) for trace in walked(data) for call in trace.calls))


def number(value: int) -> bytes:
    return b"J" + struct.pack("<i", value)


def text(value: bytes) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value


# --- names ---------------------------------------------------------------------------------------

LONG_NAMES = {
    "long": b"\x80\x04" + text(b"os") + text(b"path.os." * 100 + b"system") + b"\x93)R.",
    "endless": b"\x80\x04" + text(b"os") + text(b"path.os." * 20_000 + b"system") + b"\x93)R.",
    "endless, in a line": b"\x80\x04cos\n" + b"path.os." * 20_000 + b"system\n)R.",
    "endless, memoized": b"\x80\x04" + text(b"os") + text(b"path.os." * 20_000 + b"system") + b"q\x010h\x01\x93)R.",
}  # fmt: skip


@pytest.mark.parametrize("data", LONG_NAMES.values(), ids=LONG_NAMES.keys())
def test_a_long_name_keeps_its_end_which_says_what_is_called(data: bytes) -> None:
    (name,) = called(data)
    assert name.startswith("os.path.os.")
    assert name.endswith(".os.system")
    assert len(name) <= 512


FOLDED = {
    "an octal number": b"cbuiltins\nchr\n(I0163\ntR",
    "a list instead of a tuple": b"cbuiltins\nchr\n]K\x73aR",
    "OBJ": b"(cbuiltins\nchr\nK\x73o",
    "INST": b"(K\x73ibuiltins\nchr\n",
}


@pytest.mark.parametrize("letter", FOLDED.values(), ids=FOLDED.keys())
def test_a_name_is_computed_from_any_kind_of_call(letter: bytes) -> None:
    data = b"\x80\x04\x8c\x02oscbuiltins\nstr.join\n\x8c\x00(" + letter + b"\x8c\x05ystemt\x86R"
    assert "os.system" in called(data + b"\x93)R.")


MISLEADING = {
    "a list that is set in place": b"]q\x00(\x8c\x03sys\x8c\x03temeK\x00\x8c\x04harms0",
    "a list that is reversed in place": b"]q\x00(\x8c\x03tem\x8c\x03syse0cbuiltins\nlist.reverse\nh\x00\x85R0",
    "a list that a map reverses": b"]q\x00(\x8c\x03tem\x8c\x03syse0"
    b"cbuiltins\nmap\ncbuiltins\nlist.reverse\n]h\x00a\x86R0",
}  # fmt: skip


@pytest.mark.parametrize("change", list(MISLEADING.values()), ids=list(MISLEADING))
def test_a_name_from_something_that_may_have_changed_is_computed(change: bytes) -> None:
    data = b"\x80\x04" + change + b"\x8c\x02oscbuiltins\nstr.join\n\x8c\x00h\x00\x86R\x93)R."
    kinds = {call.callee.kind for trace in walked(data) for call in trace.calls}
    assert "computed" in kinds


def test_a_method_of_a_result_is_not_taken_for_the_function() -> None:
    # str(result).strip('system') is not 'system'
    data = (
        b"\x80\x04\x8c\x02oscbuiltins\ngetattr\ncbuiltins\nstr\ncvendor\nf\n)R\x85R\x8c\x05strip\x86R"
        b"\x8c\x04safe\x85R\x93)R."
    )
    assert "os.safe" not in called(data)


# --- what is called, and with what ---------------------------------------------------------------

PASSED = {
    "behind many arguments": b"cvendor\nf\n(" + b"N" * 40 + b"cos\nsystem\ntR.",
    "in a long list": b"cvendor\nf\n](" + b"N" * 200 + b"cos\nsystem\ne\x85R.",
    "in a long dict": b"cvendor\nf\n}(" + b"".join(number(n) + b"N" for n in range(50)) + b"Ncos\nsystem\nu\x85R.",
    "in a reversed list": b"\x80\x02cvendor\nf\ncbuiltins\nreversed\n]cos\nsystem\na\x85R\x85R.",
    "in keyword arguments": b"\x80\x04cvendor\nf\n(" + b"N" * 30 + b"t}\x8c\x01kcos\nsystem\ns\x92.",
    "in the state of BUILD": b"cvendor\nf\n)R(" + b"N" * 30 + b"cos\nsystem\ntb.",
}


@pytest.mark.parametrize("data", PASSED.values(), ids=PASSED.keys())
def test_a_callable_among_the_arguments_is_described(data: bytes) -> None:
    assert "os.system" in passed(data)


def test_more_callables_than_are_described_make_the_file_incomplete() -> None:
    for count, complete in ((200, True), (300, False)):
        many = b"".join(b"cvendor\nf%d\n" % n for n in range(count))
        data = b"cvendor\nf\n(" + b"N" * 20 + many + b"cos\nsystem\ntR."
        assert trace_bytes(data).complete is complete
        assert ("os.system" in passed(data)) is complete


def test_calls_behind_a_flood_of_distinct_callees_are_recorded() -> None:
    flood = b"".join(b"cvendor\nf%d\n)R0" % n for n in range(9_000))
    assert "os.system" in called(b"\x80\x02" + flood + PAYLOAD)


def test_imports_behind_a_flood_of_distinct_imports_are_recorded() -> None:
    flood = b"".join(b"cvendor\nf%d\n0" % n for n in range(40_000))
    found = trace_bytes(b"\x80\x02" + flood + PAYLOAD)
    assert not found.complete
    assert "os.system" in {entry.name for trace in found.walk() for entry in trace.imports}
    assert "os.system" in {call.callee.name for trace in found.walk() for call in trace.calls}


def test_a_flood_of_the_memo_does_not_end_the_reading() -> None:
    flood = b"".join(b"r" + struct.pack("<I", 1_000 * n) for n in range(1, (1 << 20) + 1_000))
    found = trace_bytes(b"\x80\x02N" + flood + PAYLOAD)
    assert not found.complete
    assert "os.system" in {call.callee.name for trace in found.walk() for call in trace.calls}


# --- streams in bytes of any kind ----------------------------------------------------------------

PROTO4 = b"\x80\x04\x8c\x02os\x94\x8c\x06system\x94\x93\x94\x8c\x04echo\x85R."
BENIGN = pickle.dumps({"weights": [1.0, 2.0]}, 2)
LOADER = b"ctorch.storage\n_load_from_bytes\n"
UNBASE64 = b"\x80\x03" + LOADER + b"cbase64\nb64decode\n%s\x85R\x85R."
TEXTUAL = b"\x80\x02" + LOADER + b"(c_codecs\nencode\n(%s\x8c\x06latin1tRtR."


def latin1(data: bytes) -> bytes:
    return text(data.decode("latin-1").encode())


CARRIED = {
    "protocol 4 without PROTO": b"\x80\x03" + LOADER + b"C" + bytes((len(PROTO4) - 2,)) + PROTO4[2:] + b"\x85R.",
    "INST": b"\x80\x03" + LOADER + b"C\x16(S'echo'\nios\nsystem\n.\x85R.",
    "protocol 0 behind a long string": b"\x80\x03" + LOADER + b"B" + struct.pack("<I", len(PAYLOAD) + 906)
    + text(b"x" * 900) + b"0" + PAYLOAD + b"\x85R.",
    "protocol 0 behind many opcodes": b"\x80\x03" + LOADER + b"B" + struct.pack("<I", len(PAYLOAD) + 600)
    + b"N0" * 300 + PAYLOAD + b"\x85R.",
    "a long latin-1 text": TEXTUAL % latin1(b"\x80\x04" + text(b"x" * 100_000) + b"0" + PROTO4[2:]),
    "base64 with noise": UNBASE64 % text(b"! ".join(bytes((c,)) for c in base64.b64encode(PROTO4))),
    "long base64": UNBASE64 % text(base64.b64encode(b"\x80\x04" + text(b"x" * 100_000) + b"0" + PROTO4[2:])),
    "folded bytes": b"\x80\x03" + LOADER + b"cbuiltins\nbytes\n]("
    + b"".join(b"K" + bytes((c,)) for c in b"cos\nsystem\n)R.") + b"e\x85R\x85R.",
}  # fmt: skip


@pytest.mark.parametrize("data", CARRIED.values(), ids=CARRIED.keys())
def test_a_pickle_that_a_call_is_given_is_read_however_it_is_written(data: bytes) -> None:
    assert "os.system" in called(data)


ALIKE = {
    "latin-1 text": lambda inner: b"c_codecs\nencode\n(" + latin1(inner) + b"\x8c\x06latin1tR0",
    "base64": lambda inner: b"cbase64\nb64decode\n" + text(base64.b64encode(inner)) + b"\x85R0",
    "protocol 0": lambda inner: LOADER + b"B" + struct.pack("<I", len(inner) - 2) + inner[2:] + b"\x85R0",
}


@pytest.mark.parametrize("write", ALIKE.values(), ids=ALIKE.keys())
def test_a_pickle_that_looks_like_an_earlier_argument_is_read_too(write: object) -> None:
    assert callable(write)
    harmless = PROTO4.replace(b"system", b"getpid")
    data = b"\x80\x03" + write(harmless) * 3 + write(PROTO4) + b"N."
    assert "os.system" in called(data)


def test_a_pickle_behind_thousands_in_one_literal_makes_the_file_incomplete_at_least() -> None:
    literal = b"\x80\x02N." * 11_000 + PAYLOAD
    found = trace_bytes(b"\x80\x03B" + struct.pack("<I", len(literal)) + literal + b".")
    assert not found.complete


def test_a_bomb_in_a_literal_makes_the_file_incomplete() -> None:
    bomb = gzip.compress(gzip.compress(bytes(1 << 24), mtime=0) * 40, mtime=0)
    found = trace_bytes(b"\x80\x03B" + struct.pack("<I", len(bomb)) + bomb + b".")
    assert found.complete or any("budget" in oddity.kind for trace in found.walk() for oddity in trace.oddities)


# --- several streams -----------------------------------------------------------------------------

BEHIND = {
    "letters": b"N.\xff\xffabccos\nsystem\n(S'echo'\ntR.",
    "a letter that is an opcode": b"N.\xff\xffincos\nsystem\n(S'echo'\ntR.",
    "arguments first": b"N.\xff\xff(S'echo'\nios\nsystem\n.",
    "arguments first, behind a bracket": b"N.\xff\xff((S'echo'\nios\nsystem\n.",
    "BINUNICODE": b"N.\xff\xff" + text(b"os") + text(b"system") + b"\x93)R.",
    "stored strings": b"N.\xff\xff\x8c\x02osr\x09\0\0\0\x8c\x06systemp7\n\x93)R.",
    "SHORT_BINSTRING and UNICODE": b"N.\xff\xffU\x02osVsystem\n\x93)R.",
    "STRING": b"N.\xff\xffS'os'\nS'system'\n\x93)R.",
    "BINUNICODE8": b"N.\xff\xff\x8d\x02\0\0\0\0\0\0\0os\x94\x8c\x06system\x94\x93)R.",
    "a damaged stream": b"\x80\x04N\xff" + PROTO4,
    "carriage returns": b"N.\xff\xffcos\r\nsystem\r\n)R.",
}


@pytest.mark.parametrize("data", BEHIND.values(), ids=BEHIND.keys())
def test_a_stream_behind_junk_is_found(data: bytes) -> None:
    assert {name.replace("\r", "") for name in called(data)} >= {"os.system"}


def test_a_stream_that_needs_the_memo_of_the_one_before_is_read_with_it() -> None:
    # pickle.Unpickler keeps its memo from one load to the next
    found = trace_bytes(b"\x80\x02cos\nsystem\nq\x000X\x04\0\0\0echoq\x010N.h\x00h\x01\x85R.")
    assert "os.system" in {call.callee.name for trace in found.walk() for call in trace.calls}
    assert not found.complete


def test_bytes_behind_a_stream_stay_a_matter_of_course() -> None:
    for tail in (b"hello", b"\0\0\0\0", b"junk and more of it", b"h\x05k", b"x" * 1000):
        found = trace_bytes(b"\x80\x02N." + tail)
        assert found.complete, tail


@pytest.mark.parametrize("path", [b"]", b"}", b"(K\x01t", b"N"])
def test_an_attribute_path_that_is_no_text_hides_no_call(path: bytes) -> None:
    resolved = b"cxmlrpc.server\nresolve_dotted_attribute\n(cjson\nloads\n" + path + b"tR0"
    file = trace_bytes(b"\x80\x02" + resolved + b"cos\nsystem\nX\x0a\0\0\0echo inert\x85R.")
    assert {call.callee.name for stream in file.streams for call in stream.calls} >= {"os.system"}
    assert not {oddity.kind for oddity in file.oddities} & {"internal-error"}
