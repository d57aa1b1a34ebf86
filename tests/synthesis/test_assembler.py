"""The assembler writes what the standard library's pickletools reads, for every opcode."""

from __future__ import annotations

import pickle
import pickletools
from typing import Any

import pytest

from pipelines.assemble import Assembler, Named, push
from pipelines.assemble.conversion import dumps, in_every_protocol
from pipelines.assemble.encoding import raw_unicode_escape

EVERY_OPCODE = {
    "INT": lambda asm: asm.int_(-5),
    "BININT": lambda asm: asm.binint(-70000),
    "BININT1": lambda asm: asm.binint1(255),
    "BININT2": lambda asm: asm.binint2(65535),
    "LONG": lambda asm: asm.long_(2**70),
    "LONG1": lambda asm: asm.long1(-(2**70)),
    "LONG4": lambda asm: asm.long4(2**3000),
    "STRING": lambda asm: asm.string(b"it's\n"),
    "BINSTRING": lambda asm: asm.binstring(b"text"),
    "SHORT_BINSTRING": lambda asm: asm.short_binstring(b"text"),
    "BINBYTES": lambda asm: asm.binbytes(b"\0\xff"),
    "SHORT_BINBYTES": lambda asm: asm.short_binbytes(b"\0\xff"),
    "BINBYTES8": lambda asm: asm.binbytes8(b"\0\xff"),
    "BYTEARRAY8": lambda asm: asm.bytearray8(b"\0\xff"),
    "NEXT_BUFFER": lambda asm: asm.next_buffer(),
    "READONLY_BUFFER": lambda asm: asm.next_buffer().readonly_buffer(),
    "NONE": lambda asm: asm.none(),
    "NEWTRUE": lambda asm: asm.newtrue(),
    "NEWFALSE": lambda asm: asm.newfalse(),
    "UNICODE": lambda asm: asm.unicode("caf\u00e9 \u20ac \\ \n"),
    "SHORT_BINUNICODE": lambda asm: asm.short_binunicode("\u20ac"),
    "BINUNICODE": lambda asm: asm.binunicode("\u20ac"),
    "BINUNICODE8": lambda asm: asm.binunicode8("\u20ac"),
    "FLOAT": lambda asm: asm.float_(1.5),
    "BINFLOAT": lambda asm: asm.binfloat(-0.25),
    "EMPTY_LIST": lambda asm: asm.empty_list(),
    "APPEND": lambda asm: asm.empty_list().none().append(),
    "APPENDS": lambda asm: asm.empty_list().mark().none().appends(),
    "LIST": lambda asm: asm.mark().none().list_(),
    "EMPTY_TUPLE": lambda asm: asm.empty_tuple(),
    "TUPLE": lambda asm: asm.mark().none().tuple_(),
    "TUPLE1": lambda asm: asm.none().tuple1(),
    "TUPLE2": lambda asm: asm.none().none().tuple2(),
    "TUPLE3": lambda asm: asm.none().none().none().tuple3(),
    "EMPTY_DICT": lambda asm: asm.empty_dict(),
    "DICT": lambda asm: asm.mark().none().none().dict_(),
    "SETITEM": lambda asm: asm.empty_dict().none().none().setitem(),
    "SETITEMS": lambda asm: asm.empty_dict().mark().none().none().setitems(),
    "EMPTY_SET": lambda asm: asm.empty_set(),
    "ADDITEMS": lambda asm: asm.empty_set().mark().none().additems(),
    "FROZENSET": lambda asm: asm.mark().none().frozenset_(),
    "POP": lambda asm: asm.none().none().pop(),
    "DUP": lambda asm: asm.none().dup().tuple2(),
    "MARK": lambda asm: asm.mark().tuple_(),
    "POP_MARK": lambda asm: asm.none().mark().none().pop_mark(),
    "GET": lambda asm: asm.none().put(3).pop().get(3),
    "BINGET": lambda asm: asm.none().binput(3).pop().binget(3),
    "LONG_BINGET": lambda asm: asm.none().long_binput(300).pop().long_binget(300),
    "PUT": lambda asm: asm.none().put(0),
    "BINPUT": lambda asm: asm.none().binput(0),
    "LONG_BINPUT": lambda asm: asm.none().long_binput(70000),
    "MEMOIZE": lambda asm: asm.none().memoize(),
    "EXT1": lambda asm: asm.ext1(240),
    "EXT2": lambda asm: asm.ext2(40000),
    "EXT4": lambda asm: asm.ext4(2**30),
    "GLOBAL": lambda asm: asm.global_("collections", "OrderedDict"),
    "STACK_GLOBAL": lambda asm: asm.text("collections").text("OrderedDict").stack_global(),
    "REDUCE": lambda asm: asm.global_("collections", "OrderedDict").empty_tuple().reduce(),
    "BUILD": lambda asm: asm.global_("argparse", "Namespace").empty_tuple().newobj().empty_dict().build(),
    "INST": lambda asm: asm.mark().inst("argparse", "Namespace"),
    "OBJ": lambda asm: asm.mark().global_("argparse", "Namespace").obj(),
    "NEWOBJ": lambda asm: asm.global_("argparse", "Namespace").empty_tuple().newobj(),
    "NEWOBJ_EX": lambda asm: asm.global_("argparse", "Namespace").empty_tuple().empty_dict().newobj_ex(),
    "PROTO": lambda asm: asm.proto(2).none(),
    "STOP": lambda asm: asm.none(),
    "FRAME": lambda asm: asm.frame(2).none(),
    "PERSID": lambda asm: asm.persid("storage 1"),
    "BINPERSID": lambda asm: asm.text("storage 1").binpersid(),
}


def test_every_opcode_has_a_case_here() -> None:
    assert set(EVERY_OPCODE) == {opcode.name for opcode in pickletools.opcodes}
    assert len(EVERY_OPCODE) == 68


@pytest.mark.parametrize("name", EVERY_OPCODE)
def test_each_opcode_reads_back_and_leaves_a_clean_stack(name: str) -> None:
    data = EVERY_OPCODE[name](Assembler(4)).assemble()
    assert name in [opcode.name for opcode, _, _ in pickletools.genops(data)]
    memo: dict[Any, Any] = {}
    pickletools.dis(data, out=_Nowhere(), memo=memo)


class _Nowhere:
    def write(self, text: str) -> None:
        assert isinstance(text, str)


VALUES = (
    None, True, False, 0, 255, 65535, -1, 2**31, -(2**80), 0.5, "", "text", "\u20ac\n\\", "x" * 300, b"", b"\xff\0", (),
    (1,), (1, 2), (1, 2, 3, 4), [], [1, [2]], {}, {"a": (1, "b")},
)  # fmt: skip


@pytest.mark.parametrize("protocol", range(6))
def test_literals_are_pushed_as_a_pickler_would_push_them(protocol: int) -> None:
    for value in VALUES:
        assembled = push(Assembler(protocol), value).assemble()
        ours = [(op.name, argument) for op, argument, _ in pickletools.genops(assembled)]
        theirs = [
            (op.name, argument)
            for op, argument, _ in pickletools.genops(pickletools.optimize(pickle.dumps(value, protocol)))
            if op.name != "FRAME"
        ]
        assert ours == theirs, (value, protocol)


def test_a_frame_spans_the_whole_body() -> None:
    data = Assembler(4, framed=True).text("hello").assemble()
    assert data == b"\x80\x04\x95\x08\0\0\0\0\0\0\0\x8c\x05hello."


def test_stored_values_are_recalled_by_every_opcode() -> None:
    asm = Assembler(4)
    for how in ("put", "binput", "long_binput", "memoize"):
        asm.text(how).store(how, how)
    for how, back in (("put", "get"), ("binput", "binget"), ("long_binput", "long_binget"), ("memoize", "binget")):
        asm.recall(how, back)
    keys = [argument for op, argument, _ in pickletools.genops(asm.tuple_().assemble()) if op.name.endswith("GET")]
    assert keys == [0, 1, 2, 3]


def test_text_protocol_strings_survive_newlines_and_escapes() -> None:
    value = "a\nb\\c\r\0\x1a\u20ac\u00e9"
    assert b"\n" not in raw_unicode_escape(value)
    [(_, argument, _), _stop] = pickletools.genops(Assembler(0).unicode(value).assemble())
    assert argument == value


def test_conversion_declares_the_protocol_it_was_asked_for() -> None:
    for protocol, data in in_every_protocol({"a": [1, "x"], "b": (None, 2.5)}).items():
        opcodes = list(pickletools.genops(data))
        assert max(op.proto for op, _, _ in opcodes) <= protocol
        assert (opcodes[0][0].name == "PROTO") == (protocol >= 2)
    assert dumps([1] * 9, 4, python=True) != dumps([1] * 9, 0)


def test_what_cannot_be_assembled_is_refused() -> None:
    with pytest.raises(TypeError, match="compose them from opcodes"):
        push(Assembler(4), object())


def test_names_are_written_by_protocol() -> None:
    assert push(Assembler(2), Named("os", "sep")).assemble() == b"\x80\x02cos\nsep\n."
    assert b"\x93" in push(Assembler(4), Named("os", "sep")).assemble()
