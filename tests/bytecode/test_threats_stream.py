"""What hostile streams do to be read otherwise than they are loaded, each beside its benign twin.

A case is written once and assembled twice, opcode by opcode: with a call of ``os.system``, which must be in the Trace
and cost the file its benign verdict, and with a call of ``decimal.Decimal``, which must pass with the same calls.
Cases that damage a stream cannot be complete; their twins are ``incomplete`` and never suspicious.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from safepickle.bytecode.region import Budget, trace_region
from safepickle.limits import Limits
from safepickle.scan import Scanner
from tests.assemble import Assembler
from tests.bytecode.twins import BENIGN, HOSTILE, Callee, Case, applied, called, calls, caught, framed


@pytest.fixture(scope="module")
def scanner() -> Scanner:
    return Scanner()


# --- where the operands of STACK_GLOBAL come from ------------------------------------------------

STORES: dict[str, Callable[[Assembler, int], Assembler]] = {
    "PUT": Assembler.put,
    "BINPUT": Assembler.binput,
    "LONG_BINPUT": Assembler.long_binput,
    "MEMOIZE": lambda asm, _key: asm.memoize(),
}
RECALLS: dict[str, Callable[[Assembler, int], Assembler]] = {
    "GET": Assembler.get,
    "BINGET": Assembler.binget,
    "LONG_BINGET": Assembler.long_binget,
}


def through_memo(store: str, recall: str) -> Case:
    def case(callee: Callee) -> bytes:
        asm = STORES[store](Assembler(4).text(callee.name), 0)
        asm = STORES[store](asm.text(callee.module), 1).pop().pop()
        return applied(RECALLS[recall](RECALLS[recall](asm, 1), 0).stack_global(), callee)

    return case


def far_keys(first: int, second: int) -> Case:
    def case(callee: Callee) -> bytes:
        asm = Assembler(4).text(callee.module).put(first).pop().text(callee.name).put(second).pop()
        return applied(asm.get(first).get(second).stack_global(), callee)

    return case


MEMO: dict[str, Case] = {
    f"{store} and {recall}": through_memo(store, recall) for store, recall in itertools.product(STORES, RECALLS)
} | {
    "sparse keys": far_keys(7, 70_000),
    "keys near 2 ** 31": far_keys((1 << 31) - 1, 1 << 31),
    "keys beyond 2 ** 64": far_keys(1 << 64, (1 << 64) + 1),
    "overwritten keys": lambda c: applied(
        Assembler(4).text("json").binput(0).pop().text("dumps").binput(1).pop().text(c.module).binput(0).pop()
        .text(c.name).binput(1).pop().binget(0).binget(1).stack_global(), c
    ),
    "MEMOIZE behind PUT, which counts entries": lambda c: applied(
        Assembler(4).text("json").binput(7).pop().text(c.module).memoize().pop().text(c.name).memoize().pop()
        .binget(1).binget(2).stack_global(), c
    ),
}  # fmt: skip

GAPS: dict[str, Case] = {
    "POP": lambda c: applied(
        Assembler(4).text(c.module).text("json").pop().text(c.name).none().pop().stack_global(), c
    ),
    "POP_MARK": lambda c: applied(
        Assembler(4).text(c.module).mark().text("json").text("dumps").pop_mark().text(c.name).stack_global(), c
    ),
    "POP of a mark": lambda c: applied(
        Assembler(4).text(c.module).mark().pop().text(c.name).mark().pop().stack_global(), c
    ),
    "DUP": lambda c: applied(
        Assembler(4).text(c.module).dup().pop().text(c.name).dup().dup().pop().pop().stack_global(), c
    ),
    "empty tuples": lambda c: applied(
        Assembler(4).text(c.module).empty_tuple().pop().text(c.name).mark().tuple_().pop().stack_global(), c
    ),
    "decoy names": lambda c: applied(
        Assembler(4).text(c.module).text(c.name).stack_global().text("json").text("dumps").pop().pop(), c
    ),
    "a decoy global": lambda c: applied(
        Assembler(4).text(c.module).text(c.name).stack_global().global_("collections", "OrderedDict").pop(), c
    ),
}  # fmt: skip

# --- how strings are written ---------------------------------------------------------------------


def escaped(text: str) -> bytes:
    return b"".join(b"\\x%02x" % letter for letter in text.encode())


def octal(text: str) -> bytes:
    return b"".join(b"\\%03o" % letter for letter in text.encode())


def raw_escaped(text: str) -> bytes:
    return b"".join(b"\\u%04x" % ord(letter) for letter in text)


WRITTEN: dict[str, Callable[[Assembler, str], Assembler]] = {
    "STRING": lambda asm, text: asm.string(text.encode()),
    "STRING in double quotes": lambda asm, text: asm.raw(b'S"' + text.encode() + b'"\n'),
    "STRING with blanks around": lambda asm, text: asm.raw(b"S  '" + text.encode() + b"' \n"),
    "STRING with hexadecimal escapes": lambda asm, text: asm.raw(b"S'" + escaped(text) + b"'\n"),
    "STRING with octal escapes": lambda asm, text: asm.raw(b"S'" + octal(text) + b"'\n"),
    "BINSTRING": lambda asm, text: asm.binstring(text.encode()),
    "SHORT_BINSTRING": lambda asm, text: asm.short_binstring(text.encode()),
    "UNICODE": Assembler.unicode,
    "UNICODE with escapes": lambda asm, text: asm.raw(b"V" + raw_escaped(text) + b"\n"),
    "BINUNICODE": Assembler.binunicode,
    "SHORT_BINUNICODE": Assembler.short_binunicode,
    "BINUNICODE8": Assembler.binunicode8,
    "SHORT_BINBYTES": lambda asm, text: asm.short_binbytes(text.encode()),
    "BINBYTES": lambda asm, text: asm.binbytes(text.encode()),
    "BINBYTES8": lambda asm, text: asm.binbytes8(text.encode()),
}


def operands(write: Callable[[Assembler, str], Assembler]) -> Case:
    return lambda c: applied(write(write(Assembler(4), c.module), c.name).stack_global(), c)


STRINGS = {name: operands(write) for name, write in WRITTEN.items()}

# --- what calls, and what becomes of the result --------------------------------------------------

CALLS: dict[str, Case] = {
    "REDUCE": lambda c: called(Assembler(0), c).assemble(),
    "INST": lambda c: Assembler(0).mark().text(c.argument).inst(c.module, c.name).assemble(),
    "OBJ": lambda c: Assembler(1).mark().global_(c.module, c.name).text(c.argument).obj().assemble(),
    "NEWOBJ": lambda c: Assembler(2).global_(c.module, c.name).text(c.argument).tuple1().newobj().assemble(),
    "NEWOBJ_EX": lambda c: (
        Assembler(4).global_(c.module, c.name).text(c.argument).tuple1().empty_dict().newobj_ex().assemble()
    ),
    "a result that is popped": lambda c: called(Assembler(2), c).pop().none().assemble(),
    "a result that POP_MARK drops": lambda c: called(Assembler(2).mark(), c).pop_mark().none().assemble(),
    "a result that BUILD swallows": lambda c: (
        called(Assembler(2).global_("collections", "OrderedDict").empty_tuple().reduce(), c).build().assemble()
    ),
    "a result in a slot state": lambda c: called(
        Assembler(2).global_("collections", "OrderedDict").empty_tuple().reduce().none().empty_dict().text("a"), c
    ).setitem().tuple2().build().assemble(),
    "a result that SETITEM swallows": lambda c: called(Assembler(2).empty_dict().text("a"), c).setitem().assemble(),
    "a result that APPEND swallows": lambda c: called(Assembler(2).empty_list(), c).append().assemble(),
    "a result that is the key of a dict": lambda c: called(Assembler(2).empty_dict(), c).none().setitem().assemble(),
    "a result in a set": lambda c: called(Assembler(4).empty_set().mark(), c).additems().assemble(),
    "a result that is a persistent id": lambda c: called(Assembler(2), c).binpersid().assemble(),
    "a result that is an argument": lambda c: (
        called(Assembler(2).global_("collections", "OrderedDict"), c).tuple1().reduce().assemble()
    ),
}  # fmt: skip

# --- damage, and what lies around a stream -------------------------------------------------------


def ordinary() -> bytes:
    return Assembler(2).empty_dict().text("epoch").binint1(7).setitem().assemble()


def before(tail: bytes) -> Case:
    return lambda c: called(Assembler(4), c).raw(tail).assemble(stop=False)


BROKEN: dict[str, Case] = {
    "no STOP": before(b""),
    "truncated in an argument": before(b"X\xff\0\0\0abc"),
    "truncated in a length": before(b"X\xff\0"),
    "an invalid opcode": before(b"\xff."),
    "an undefined memo key": before(b"h\x63."),
    "an undefined key as text": before(b"g99\n."),
    "STACK_GLOBAL with a number": before(b"\x8c\x02osK\x01\x93."),
    "STACK_GLOBAL with a tuple": before(b"\x8c\x02os)\x93."),
    "STACK_GLOBAL without operands": before(b"00\x93."),
    "REDUCE without operands": before(b"R."),
    "POP of nothing": before(b"000."),
    "a mark that is missing": before(b"t."),
    "a number that is none": before(b"Iseven\n."),
    "a length below zero": before(b"T\xff\xff\xff\xff."),
    "a length of 2 ** 63": before(b"\x8e" + struct.pack("<Q", 1 << 63) + b"."),
    "a length of 2 ** 64 - 1": before(b"\x8d" + b"\xff" * 8 + b"."),
}

AROUND: dict[str, Case] = {
    "a second stream": lambda c: ordinary() + called(Assembler(2), c).assemble(),
    "a hundredth stream": lambda c: ordinary() * 99 + called(Assembler(2), c).assemble(),
    "a stream behind NULs": lambda c: ordinary() + b"\0" * 5_000 + called(Assembler(2), c).assemble(),
    "a stream behind line ends": lambda c: ordinary() + b"\r\n\r\n" + called(Assembler(2), c).assemble(),
    "a stream behind text": lambda c: ordinary() + b"-- and here is\nmore --\n" + called(Assembler(2), c).assemble(),
    "a stream without PROTO behind junk": lambda c: ordinary() + b"\xff\xfe\xff" + called(Assembler(0), c).assemble(),
    "a stream from the stack behind junk": lambda c: ordinary() + b"\xff\xff" + applied(
        Assembler(4).text(c.module).text(c.name).stack_global(), c
    )[2:],
    "a stream behind a raw array": lambda c: ordinary() + struct.pack("<200d", *range(200))
    + called(Assembler(2), c).assemble(),
    "a stream behind a damaged one": lambda c: ordinary()[:-2] + b"\xff\xff" + called(Assembler(2), c).assemble(),
    "text in front that is none": lambda c: b"(lp0\nS'text'\np1\na" + called(Assembler(0), c).append().assemble(),
}  # fmt: skip


FRAMES: dict[str, Case] = {
    "a frame that fits": lambda c: called(Assembler(4, framed=True), c).assemble(),
    "no frame": framed(),
    "a frame of nothing": framed(0),
    "a frame that ends early": framed(-3),
    "a frame that reaches beyond the file": framed(1 << 40),
    "a frame of 2 ** 64 - 1": framed((1 << 64) - 1),
    "frames that overlap": framed(-2, -1),
    "frames within a frame": framed(-1, -2, -3),
    "PROTO twice": lambda c: called(Assembler(4).proto(2).proto(4), c).assemble(),
    "PROTO late": lambda c: Assembler(0).global_(c.module, c.name).proto(4).text(c.argument).tuple1().reduce()
    .assemble(),
    "PROTO of another version": lambda c: called(Assembler(0).proto(1), c).assemble(),
    "protocol 0 without PROTO": lambda c: called(Assembler(0), c).assemble(),
    "protocol 0 that prints": lambda c: Assembler(0).global_(c.module, c.name).mark().unicode(c.argument).tuple_()
    .put(0).reduce().put(1).assemble(),
    "protocol 4 opcodes under protocol 0": lambda c: applied(
        Assembler(0).short_binunicode(c.module).short_binunicode(c.name).stack_global(), c
    ),
}  # fmt: skip

COMPLETE = {
    f"{group}: {name}": case
    for group, cases in {
        "memo": MEMO, "gap": GAPS, "operand": STRINGS, "call": CALLS, "around": AROUND, "frame": FRAMES,
    }.items()
    for name, case in cases.items()
}  # fmt: skip
DAMAGED = {"around: a stream behind a damaged one"}


@pytest.mark.parametrize("name", COMPLETE | BROKEN)
def test_the_call_is_caught_and_its_benign_twin_passes(scanner: Scanner, name: str) -> None:
    case = (COMPLETE | BROKEN)[name]
    hostile, benign = scanner.scan_bytes(case(HOSTILE)), scanner.scan_bytes(case(BENIGN))
    assert caught(hostile)
    assert calls(hostile.trace, HOSTILE) == calls(benign.trace, BENIGN)
    assert hostile.complete == benign.complete
    assert benign.verdict == ("incomplete" if name in BROKEN or name in DAMAGED else "benign")


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(sorted(COMPLETE | BROKEN)), min_size=1, max_size=3), st.data())
def test_no_mutation_makes_it_raise(names: list[str], draw: st.DataObject) -> None:
    data = bytearray(b"".join((COMPLETE | BROKEN)[name](HOSTILE) for name in names))
    for _ in range(draw.draw(st.integers(0, 6))):
        data[draw.draw(st.integers(0, len(data) - 1))] = draw.draw(st.integers(0, 255))
    trace_region(bytes(data), 0, len(data), (), Budget(Limits()))
