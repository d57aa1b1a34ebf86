"""Names that a stream computes, calls that no opcode of a call makes, and calls behind floods; each with its twin."""

from __future__ import annotations

import base64
import codecs
from collections.abc import Callable

import pytest

from safepickle.bytecode.trace import Call
from safepickle.scan import FileReport, Scanner
from tests.assemble import Assembler
from tests.bytecode.twins import BENIGN, HOSTILE, Case, called, calls, caught

Write = Callable[[Assembler, str], Assembler]


@pytest.fixture(scope="module")
def scanner() -> Scanner:
    return Scanner()


def texts(asm: Assembler, parts: list[str]) -> Assembler:
    asm.empty_list().mark()
    for part in parts:
        asm.text(part)
    return asm.appends()


def joined(asm: Assembler, text: str) -> Assembler:
    return texts(asm.global_("builtins", "str.join").text(""), [text[:3], text[3:]]).tuple2().reduce()


def reversed_(asm: Assembler, text: str) -> Assembler:
    asm.global_("builtins", "str.join").text("").global_("builtins", "reversed")
    return texts(asm, list(text[::-1])).tuple1().reduce().tuple2().reduce()


def letters(asm: Assembler, text: str) -> Assembler:
    asm.global_("builtins", "str.join").text("").empty_list().mark()
    for letter in text:
        asm.global_("builtins", "chr").binint1(ord(letter)).tuple1().reduce()
    return asm.appends().tuple2().reduce()


def numbers(asm: Assembler, text: str) -> Assembler:
    asm.global_("builtins", "bytes.decode").global_("builtins", "bytes").empty_list().mark()
    for letter in text:
        asm.binint1(ord(letter))
    return asm.appends().tuple1().reduce().tuple1().reduce()


def picked(asm: Assembler, text: str) -> Assembler:
    asm.global_("operator", "itemgetter").binint1(1).tuple1().reduce()
    return texts(asm, ["other", text]).tuple1().reduce()


def decoded(asm: Assembler, text: str) -> Assembler:
    asm.global_("builtins", "bytes.decode").global_("base64", "b64decode")
    return asm.short_binbytes(base64.b64encode(text.encode())).tuple1().reduce().tuple1().reduce()


def rotated(asm: Assembler, text: str) -> Assembler:
    return asm.global_("codecs", "decode").text(codecs.encode(text, "rot13")).text("rot13").tuple2().reduce()


COMPUTED: dict[str, Write] = {
    "str.join": joined,
    "reversed": reversed_,
    "chr": letters,
    "bytes of numbers": numbers,
    "itemgetter": picked,
    "base64": decoded,
    "rot13": rotated,
    "codecs.decode": lambda asm, text: (
        asm.global_("codecs", "decode").short_binbytes(text.encode()).text("utf-8").tuple2().reduce()
    ),
    "str.format": lambda asm, text: (
        asm.global_("builtins", "str.format").text("{}" + text[2:]).text(text[:2]).tuple2().reduce()
    ),
    "str.replace": lambda asm, text: (
        asm.global_("builtins", "str.replace").text(text[:2] + "##" + text[2:]).text("##").text("").tuple3().reduce()
    ),
    "a call that nobody can follow": lambda asm, text: asm.global_("vendor", "name").text(text).tuple1().reduce(),
}  # fmt: skip


@pytest.mark.parametrize("name", COMPUTED)
def test_a_computed_name_is_resolved_or_told_to_be_computed(scanner: Scanner, name: str) -> None:
    asm = COMPUTED[name](Assembler(4).text("os"), "system").stack_global()
    report = scanner.scan_bytes(asm.text("echo inert").tuple1().reduce().assemble())
    callees = {(call.callee.kind, call.callee.name) for trace in report.trace.walk() for call in trace.calls}
    assert ("global", "os.system") in callees or any(kind == "computed" for kind, _name in callees)
    assert report.verdict in ("suspicious", "malicious")
    assert report.complete


ORDINARY = ["str.join", "base64", "codecs.decode", "bytes of numbers"]


@pytest.mark.parametrize("name", ORDINARY)
def test_a_computed_text_that_names_nothing_is_no_oddity(scanner: Scanner, name: str) -> None:
    asm = COMPUTED[name](Assembler(4).empty_dict().text("title"), "Accuracy").setitem()
    report = scanner.scan_bytes(asm.assemble())
    assert report.complete
    assert not [oddity for trace in report.trace.walk() for oddity in trace.oddities]


# --- calls that loading makes without an opcode that calls ---------------------------------------


def thing(asm: Assembler) -> Assembler:
    return asm.global_("vendor", "Thing").empty_tuple().newobj()


def system(asm: Assembler) -> Assembler:
    return asm.global_("os", "system")


def one(asm: Assembler) -> Assembler:
    return asm.binint1(1)


def hooked(asm: Assembler, hook: Write | Callable[[Assembler], Assembler], method: str) -> Assembler:
    """An instance of a class made on the spot, whose method is what `hook` pushes."""
    asm.global_("builtins", "type").text("Thing").empty_tuple().empty_dict().text(method)
    hook(asm)  # type: ignore[call-arg]
    return asm.setitem().tuple3().reduce().empty_tuple().reduce()


Push = Callable[[Assembler], Assembler]
IMPLICIT: dict[str, tuple[str, Callable[[Push], Assembler]]] = {
    "APPEND": ("append", lambda item: item(thing(Assembler(4))).append()),
    "APPENDS": ("extend", lambda item: item(thing(Assembler(4)).mark()).appends()),
    "SETITEM": ("setitem", lambda item: item(thing(Assembler(4)).text("a")).setitem()),
    "SETITEMS": ("setitem", lambda item: item(thing(Assembler(4)).mark().text("a")).setitems()),
    "ADDITEMS": ("add", lambda item: item(thing(Assembler(4)).mark()).additems()),
    "BUILD, with __setstate__": (
        "BUILD",
        lambda item: item(thing(Assembler(4)).empty_dict().text("a")).setitem().build(),
    ),
    "BUILD, with a slot state": (
        "BUILD",
        lambda item: item(thing(Assembler(4)).none().empty_dict().text("a")).setitem().tuple2().build(),
    ),
    "persistent_load": ("persistent_load", lambda item: item(Assembler(4).text("storage")).tuple2().binpersid()),
    "the extension registry": ("ext", lambda item: item(Assembler(4).ext1(7)).tuple1().reduce()),
    "the key of a dict, by __hash__": (
        "REDUCE", lambda item: hooked(Assembler(4).empty_dict(), item, "__hash__").none().setitem(),
    ),
    "an item of a set, by __eq__": (
        "REDUCE", lambda item: hooked(Assembler(4).empty_set().mark(), item, "__eq__").additems(),
    ),
    "a dropped result, by __del__": ("REDUCE", lambda item: hooked(Assembler(4), item, "__del__").pop().none()),
    "a table of reducers": (
        "setitem",
        lambda item: item(Assembler(4).global_("copyreg", "dispatch_table").global_("vendor", "Thing")).setitem(),
    ),
}  # fmt: skip


def found(report: FileReport, opcode: str) -> list[Call]:
    return [call for trace in report.trace.walk() for call in trace.calls if call.opcode == opcode]


@pytest.mark.parametrize("name", IMPLICIT)
def test_an_implicit_call_is_recorded_with_what_it_is_handed(scanner: Scanner, name: str) -> None:
    opcode, write = IMPLICIT[name]
    hostile, benign = scanner.scan_bytes(write(system).assemble()), scanner.scan_bytes(write(one).assemble())
    assert found(hostile, opcode)
    assert found(benign, opcode)
    assert hostile.verdict in ("suspicious", "malicious")
    assert hostile.complete
    assert benign.complete


PLAIN = ["APPEND", "APPENDS", "SETITEM", "SETITEMS", "BUILD, with __setstate__", "BUILD, with a slot state"]


@pytest.mark.parametrize("name", PLAIN)
def test_an_implicit_call_with_ordinary_values_passes(scanner: Scanner, name: str) -> None:
    report = scanner.scan_bytes(IMPLICIT[name][1](one).assemble())
    assert report.verdict != "malicious"
    assert not [finding for finding in report.findings if finding.severity in ("high", "critical")]


def test_what_is_only_imported_is_no_call(scanner: Scanner) -> None:
    report = scanner.scan_bytes(Assembler(4).global_("vendor", "Thing").assemble())
    assert [entry.name for entry in report.trace.streams[0].imports] == ["vendor.Thing"]
    assert not report.trace.streams[0].calls
    assert report.verdict == "benign"
    shell = scanner.scan_bytes(Assembler(4).global_("os", "system").assemble())
    assert not shell.trace.streams[0].calls
    assert any(finding.callee == "os.system" for finding in shell.findings)


# --- calls behind what is meant to exhaust a scanner ---------------------------------------------


def behind(flood: bytes) -> Case:
    return lambda c: called(Assembler(4).raw(flood), c).assemble()


FLOODS: dict[str, Case] = {
    "DUP and TUPLE2": behind(b"N" + b"2\x86" * 100_000 + b"0"),
    "nested tuples": behind(b"N" + b"\x85" * 100_000 + b"0"),
    "nested lists": behind(b"](" * 50_000 + b"1" * 50_000),
    "a huge LONG": behind(b"\x8b\0\0\2\0" + b"\1" * 131_072 + b"0"),
    "a huge text number": behind(b"L" + b"9" * 100_000 + b"L\n0"),
    "open marks": behind(b"(" * 50_000 + b"1" * 50_000),
    "memo entries": behind(b"N" + b"\x94" * 100_000 + b"0"),
    "frames": behind(b"\x95\0\0\0\0\0\0\0\0" * 10_000),
    "a long text": behind(b"X\0\0\x10\0" + b"a" * (1 << 20) + b"0"),
    "ordinary calls": behind(b"ccollections\nOrderedDict\n)R0" * 5_000),
}


@pytest.mark.parametrize("flood", FLOODS.values(), ids=FLOODS.keys())
def test_a_call_behind_a_flood_is_caught_and_its_twin_is_not(scanner: Scanner, flood: Case) -> None:
    hostile, benign = scanner.scan_bytes(flood(HOSTILE)), scanner.scan_bytes(flood(BENIGN))
    assert caught(hostile)
    assert calls(hostile.trace, HOSTILE) == calls(benign.trace, BENIGN)
    assert benign.verdict in ("benign", "incomplete")
    assert benign.complete == (benign.verdict == "benign")
