"""Pickles inside the strings and bytes of pickles: read however they are wrapped, and normal in themselves."""

from __future__ import annotations

import base64
import bz2
import gzip
import lzma
import pickle
import zlib
from collections.abc import Callable

import pytest

from safepickle.bytecode.trace import Trace
from safepickle.limits import Limits
from safepickle.scan import Scanner, trace_bytes
from tests.assemble import Assembler
from tests.bytecode.twins import BENIGN, HOSTILE, Callee, called, calls, caught

Wrap = Callable[[Assembler, bytes], Assembler]


@pytest.fixture(scope="module")
def scanner() -> Scanner:
    return Scanner()


def inner(callee: Callee, protocol: int) -> bytes:
    return called(Assembler(protocol), callee).assemble()


def through(module: str, name: str, push: Wrap) -> Wrap:
    """What the function makes of the pushed value, as a stream writes it."""
    return lambda asm, data: push(asm.global_(module, name), data).tuple1().reduce()


def latin1(asm: Assembler, data: bytes) -> Assembler:
    """How bytes are written in protocols 0 to 2."""
    return asm.global_("_codecs", "encode").binunicode(data.decode("latin-1")).text("latin1").tuple2().reduce()


def base64_text(asm: Assembler, data: bytes) -> Assembler:
    return asm.text(base64.b64encode(data).decode())


WRAPS: dict[str, Wrap] = {
    "BINBYTES": Assembler.binbytes,
    "BINBYTES8": Assembler.binbytes8,
    "BYTEARRAY8": Assembler.bytearray8,
    "BINSTRING": Assembler.binstring,
    "latin-1 text": latin1,
    "UNICODE in latin-1": lambda asm, data: (
        asm.global_("_codecs", "encode").unicode(data.decode("latin-1")).text("latin1").tuple2().reduce()
    ),
    "base64": through("base64", "b64decode", base64_text),
    "base64 with line ends": through(
        "base64", "decodebytes", lambda asm, data: asm.binbytes(base64.encodebytes(data))
    ),
    "base64 for URLs": through(
        "base64", "urlsafe_b64decode", lambda asm, data: asm.binbytes(base64.urlsafe_b64encode(data))
    ),
    "hexadecimal": through("binascii", "unhexlify", lambda asm, data: asm.text(data.hex())),
    "zlib": through("zlib", "decompress", lambda asm, data: asm.binbytes(zlib.compress(data))),
    "gzip": through("gzip", "decompress", lambda asm, data: asm.binbytes(gzip.compress(data))),
    "bz2": through("bz2", "decompress", lambda asm, data: asm.binbytes(bz2.compress(data))),
    "xz": through("lzma", "decompress", lambda asm, data: asm.binbytes(lzma.compress(data))),
    "lzma": through(
        "lzma", "decompress", lambda asm, data: asm.binbytes(lzma.compress(data, format=lzma.FORMAT_ALONE))
    ),
    "zlib in latin-1 text": through("zlib", "decompress", lambda asm, data: latin1(asm, zlib.compress(data))),
    "zlib in base64": through(
        "zlib", "decompress", through("base64", "b64decode", lambda asm, data: base64_text(asm, zlib.compress(data)))
    ),
    "gzip in hexadecimal": through(
        "gzip", "decompress",
        through("binascii", "unhexlify", lambda asm, data: asm.text(gzip.compress(data).hex())),
    ),
    "a pickle in a pickle": lambda asm, data: asm.binbytes(
        Assembler(3).global_("torch.storage", "_load_from_bytes").binbytes(data).tuple1().reduce().assemble()
    ),
}  # fmt: skip


def loading(wrap: Wrap, data: bytes) -> bytes:
    return wrap(Assembler(3).global_("torch.storage", "_load_from_bytes"), data).tuple1().reduce().assemble()


@pytest.mark.parametrize("protocol", [0, 1, 2, 4])
@pytest.mark.parametrize("wrap", WRAPS.values(), ids=WRAPS.keys())
def test_a_nested_call_is_caught_and_a_nested_model_passes(scanner: Scanner, wrap: Wrap, protocol: int) -> None:
    hostile = scanner.scan_bytes(loading(wrap, inner(HOSTILE, protocol)))
    benign = scanner.scan_bytes(loading(wrap, inner(BENIGN, protocol)))
    assert caught(hostile)
    assert calls(hostile.trace, HOSTILE) == calls(benign.trace, BENIGN)
    assert hostile.complete
    assert benign.complete


PLACES: dict[str, Callable[[bytes], bytes]] = {
    "an item": lambda data: pickle.dumps({"state": data}, 4),
    "an attribute": lambda data: (
        Assembler(4).global_("vendor", "Model").empty_tuple().newobj().empty_dict().text("state").binbytes(data)
        .setitem().build().assemble()
    ),
    "an argument of any function": lambda data: (
        Assembler(4).global_("vendor", "restore").binbytes(data).tuple1().reduce().assemble()
    ),
}  # fmt: skip


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES.keys())
def test_a_nested_pickle_with_a_call_is_evidence_wherever_it_lies(
    scanner: Scanner, place: Callable[[bytes], bytes]
) -> None:
    assert caught(scanner.scan_bytes(place(inner(HOSTILE, 4))))
    harmless = scanner.scan_bytes(place(pickle.dumps({"weights": [1.0, 2.0], "epoch": 3}, 4)))
    assert len(harmless.trace.walk()) == 2
    assert harmless.complete


def test_a_nested_pickle_is_normal_in_itself(scanner: Scanner) -> None:
    report = scanner.scan_bytes(pickle.dumps({"optimizer": pickle.dumps({"lr": 0.1})}))
    assert (report.verdict, len(report.trace.walk())) == ("benign", 2)


# --- text that looks a little like a pickle ------------------------------------------------------

VOCABULARY = [
    "cos", "(lp0", "I1", "N.", "K", "}", "]", "()", "cat", "import os", "cbuiltins", "S'a'", "V.", "F1.5", "i", "c",
    "calculate the integral of x. then", "(see section 1).", "I.", "Nothing.", "]]", "p0", "g1", "t.", "a.", "0", "1.",
    "centre\nof the\nmatter.", "cities\nand towns\n", "(in brackets)\nand so on\n.", "items\nare few\n", "os.system",
    "exec('x')", "subprocess", "Vocabulary\n.", "chapter\none\n(R.", "Iowa\n", "(I\n", "Paris\n.", "}}.", "lambda x: x",
    "in the\nbeginning\nwas", "(1) first\n(2) second\n", "clear\nand simple\nR", "c\n\n", "ios\nand android\n.",
]  # fmt: skip


def test_words_are_no_pickles(scanner: Scanner) -> None:
    for protocol in range(6):
        report = scanner.scan_bytes(pickle.dumps({word: number for number, word in enumerate(VOCABULARY)}, protocol))
        assert (report.verdict, len(report.trace.walk())) == ("benign", 1)


@pytest.mark.parametrize("word", [*VOCABULARY, "abc. " * 400, "deadbeef" * 20, base64.b64encode(bytes(range(200)))])
def test_a_word_that_a_function_is_given_is_no_pickle(word: str | bytes) -> None:
    asm = Assembler(4).global_("vendor", "Tokenizer")
    asm = asm.binbytes(word) if isinstance(word, bytes) else asm.binunicode(word)
    assert len(trace_bytes(asm.tuple1().reduce().assemble()).walk()) == 1


# --- budgets -------------------------------------------------------------------------------------


def odd(traces: list[Trace]) -> set[str]:
    return {oddity.kind for trace in traces for oddity in trace.oddities}


@pytest.mark.parametrize("depth", [3, 50])
def test_pickles_within_pickles_are_bounded(depth: int) -> None:
    data = inner(HOSTILE, 3)
    for _ in range(depth):
        data = pickle.dumps(data, 3)
    found = trace_bytes(data)
    assert ("budget:depth" in odd(found.walk())) == (depth > Limits().depth)
    assert found.complete == (depth <= Limits().depth)


def test_what_nested_pickles_unpack_to_is_bounded() -> None:
    bomb = loading(WRAPS["gzip"], inner(BENIGN, 4)[:-1] + b"0\x8e\0\0\0\4\0\0\0\0" + bytes(4 << 24) + b"0N.")
    assert trace_bytes(bomb).complete
    found = trace_bytes(bomb, Limits(unpacked_bytes=1 << 20))
    assert not found.complete
    assert any(kind.startswith("budget:") for kind in odd(found.walk()))
