"""Where ``pickle``, ``_pickle`` and ``pickletools`` take a stream differently: the laxest is followed, and told of."""

from __future__ import annotations

import pickle
from collections import OrderedDict
from typing import NamedTuple

import pytest

from safepickle.scan import Scanner, trace_bytes
from tests.assemble import Assembler
from tests.bytecode.twins import BENIGN, HOSTILE, Case, called, calls, caught, framed, kinds


@pytest.fixture(scope="module")
def scanner() -> Scanner:
    return Scanner()


def behind(code: bytes) -> Case:
    """The call behind a value that `code` leaves on the stack."""
    return lambda c: called(Assembler(0).raw(code).pop(), c).assemble()


class Difference(NamedTuple):
    oddity: str
    case: Case
    complete: bool = True


DIFFERENCES: dict[str, Difference] = {
    "INT in octal, which pickletools reads in decimal": Difference("unusual-number", behind(b"I0163\n")),
    "INT in hexadecimal, which pickletools refuses": Difference("unusual-number", behind(b"I0x1F\n")),
    "INT with an underscore, which C refuses": Difference("unusual-number", behind(b"I1_000\n")),
    "INT with blanks": Difference("unusual-number", behind(b"I 7 \n")),
    "INT with a NUL, at which C stops": Difference("unusual-number", behind(b"I5\0 junk\n")),
    "INT that is nothing but a NUL": Difference("unusual-number", behind(b"I\0\n")),
    "LONG in hexadecimal": Difference("unusual-number", behind(b"L0x1FL\n")),
    "LONG without L": Difference("", behind(b"L31\n")),
    "LONG with a NUL": Difference("unusual-number", behind(b"L5\0\n")),
    "FLOAT with blanks, which C refuses": Difference("unusual-number", behind(b"F 1.5 \n")),
    "FLOAT with an underscore": Difference("unusual-number", behind(b"F1_0.5\n")),
    "FLOAT with a NUL": Difference("unusual-number", behind(b"F1.5\0junk\n")),
    "FLOAT that is no ordinary number": Difference("", behind(b"Fnan\n0F-inf\n0F.5\n0F5.\n0F1e-5\n")),
    "a memo key with a NUL": Difference("unusual-number", behind(b"Np0\0junk\n0g0\n")),
    "a memo key with an underscore": Difference("unusual-number", behind(b"Np1_0\n0g10\n")),
    "a memo key beyond 2 ** 63, which C refuses": Difference("", behind(b"Np%d\n0g%d\n" % (1 << 70, 1 << 70))),
    "a memo key twice, which pickletools refuses": Difference("memo-key-repeated", behind(b"Np0\n0I1\np0\n")),
    "values left on the stack, which pickletools refuses": Difference(
        "leftover-stack", lambda c: called(Assembler(2).none().none(), c).assemble()
    ),
    "STRING with bytes beyond ASCII, an ordinary thing in Python 2": Difference("", behind(b"S'\xe9\xff'\n")),
    "SHORT_BINSTRING with bytes beyond ASCII": Difference("", behind(b"U\2\xe9\xff")),
    "UNICODE with bytes beyond ASCII": Difference("", behind(b"V\xe9\xff\n")),
    "BINUNICODE with a surrogate": Difference("", behind(b"X\3\0\0\0\xed\xa0\x80")),
    "GLOBAL with carriage returns": Difference(
        "", lambda c: b"c%s\n%s\n(S'%s'\r\ntR." % tuple(part.encode() for part in c)
    ),
    "a frame that ends in front of an argument": Difference(
        "read-across-frame",
        lambda c: called(Assembler(4).frame(2).short_binunicode("abcde").pop(), c).assemble(),
    ),
    "a frame that is too short for what is read": Difference(
        "read-across-frame",
        lambda c: called(Assembler(4).frame(3).short_binunicode("a0000").pop(), c).assemble(),
    ),
    "a frame beyond the file, which pickle refuses": Difference("frame-past-end", framed(1 << 40)),
    "REDUCE with a list, which C refuses": Difference(
        "arguments-no-tuple",
        lambda c: Assembler(2).global_(c.module, c.name).empty_list().text(c.argument).append().reduce().assemble(),
    ),
    "NEWOBJ with a list": Difference(
        "arguments-no-tuple",
        lambda c: Assembler(2).global_(c.module, c.name).empty_list().text(c.argument).append().newobj().assemble(),
    ),
    "BUILD with an empty tuple, which C refuses": Difference(
        "falsy-state", lambda c: called(Assembler(2), c).empty_tuple().build().assemble()
    ),
    "BUILD with zero": Difference("falsy-state", lambda c: called(Assembler(2), c).binint1(0).build().assemble()),
    "BUILD with no text": Difference("falsy-state", lambda c: called(Assembler(2), c).text("").build().assemble()),
    "BUILD with None": Difference("", lambda c: called(Assembler(2), c).none().build().assemble()),
    "BYTEARRAY8, unknown before Python 3.8": Difference("", behind(b"\x96\2\0\0\0\0\0\0\0ab")),
    "NEXT_BUFFER and READONLY_BUFFER": Difference("", behind(b"\x97\x98")),
    "POP of a mark, which Python 2 keeps on the stack": Difference(
        "", lambda c: called(Assembler(2).mark().pop(), c).assemble()
    ),
    "a protocol that no reader knows": Difference(
        "unsupported-protocol", lambda c: called(Assembler(4).proto(9), c).assemble()
    ),
    "a line without its end, which pickle takes less its last byte": Difference(
        "", lambda c: Assembler(0).mark().text(c.argument).inst(c.module, c.name).assemble(stop=False), False
    ),
}  # fmt: skip


@pytest.mark.parametrize("difference", DIFFERENCES.values(), ids=DIFFERENCES.keys())
def test_where_readers_differ_the_laxest_is_followed_and_an_oddity_says_so(
    scanner: Scanner, difference: Difference
) -> None:
    hostile, benign = scanner.scan_bytes(difference.case(HOSTILE)), scanner.scan_bytes(difference.case(BENIGN))
    assert caught(hostile)
    assert calls(hostile.trace, HOSTILE) == calls(benign.trace, BENIGN)
    assert benign.verdict == ("benign" if difference.complete else "incomplete")
    assert difference.oddity in (kinds(hostile) & kinds(benign) | {""})


@pytest.mark.parametrize("protocol", range(6))
def test_what_a_pickler_writes_has_no_oddity(scanner: Scanner, protocol: int) -> None:
    value = [
        {"a": (1, -1, 1.5, -1e300, 1 << 80, None, True)},
        ["x" * 300] * 2,
        b"y" * 300,
        {1.0, "z"},
        list(range(300)),
    ]
    report = scanner.scan_bytes(pickle.dumps([value, OrderedDict(a=value)], protocol))
    assert (kinds(report), report.verdict) == (set(), "benign")


def test_a_number_that_no_reader_takes_stops_the_stream(scanner: Scanner) -> None:
    for number in (b"F\n", b"Fabc\n", b"F1.5e\n", b"F-\n", b"F1..5\n", b"Iseven\n", b"LL\n", b"F1.5x\n"):
        assert not scanner.scan_bytes(number + b".").complete
    for number in (b"F-1.5e+17\n", b"F0.1\n", b"F1e5\n", b"FNaN\n", b"Finfinity\n"):
        assert scanner.scan_bytes(number + b".").complete


@pytest.mark.parametrize("frames", [1, 8, 9, 30])
def test_what_short_frames_make_a_reader_lose_is_read_or_the_file_incomplete(frames: int) -> None:
    short = Assembler(4).frame(3).short_binunicode("abcde").pop().fragment()
    # who reads the strings from behind their frames misses as many bytes as lie in each frame
    assert len(trace_bytes(Assembler(4).raw(short * frames).none().assemble()).walk()) == 1
    data = Assembler(4).raw(short * frames).raw(called(Assembler(0), HOSTILE).fragment()).assemble()
    found = trace_bytes(data)
    assert len([trace for trace in found.walk() if trace.place]) == min(frames, 8)
    assert found.complete == (frames <= 8)
