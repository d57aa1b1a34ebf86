"""The pickle machine: what it sees of a stream, whatever the stream does to hide it."""

from __future__ import annotations

import codecs
import io
import pickle
import pickletools
import warnings
from collections import Counter, OrderedDict, defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.assemble.stream import Assembler
from safepickle.bytecode.names import canonical
from safepickle.bytecode.opcodes import ARGUMENTS, CODES, OPCODES
from safepickle.bytecode.region import Budget, trace_region
from safepickle.bytecode.trace import Call, Trace
from safepickle.limits import Limits


def region(data: bytes, limits: Limits | None = None) -> list[Trace]:
    return list(trace_region(data, 0, len(data), (), Budget(limits or Limits())).traces)


def trace(data: bytes, limits: Limits | None = None) -> Trace:
    return region(data, limits)[0]


def calls(data: bytes) -> list[tuple[str, str]]:
    return [(call.opcode, call.callee.name) for stream in region(data) for call in stream.calls]


def only_call(data: bytes) -> Call:
    (call,) = trace(data).calls
    return call


def system(asm: Assembler) -> Assembler:
    return asm.global_("os", "system").text("echo inert").tuple1().reduce()


def test_the_opcode_table_is_that_of_the_standard_library() -> None:
    table = {(ord(op.code), op.name, op.proto) for op in pickletools.opcodes}
    assert {(code, name, protocol) for code, name, _argument, protocol in OPCODES} == table
    assert len(OPCODES) == len(CODES) == len(ARGUMENTS) == 68


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(max_size=300),
    lambda inner: (
        st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=5), inner, max_size=4) | st.tuples(inner, inner)
    ),
    max_leaves=20,
)


@settings(max_examples=300, deadline=None)
@given(value=VALUES, protocol=st.integers(0, 5))
def test_every_opcode_of_an_ordinary_pickle_is_counted_and_the_stream_is_complete(value: object, protocol: int) -> None:
    data = pickle.dumps(value, protocol)
    found = trace(data)
    assert found.opcodes == Counter(op.name for op, _argument, _at in pickletools.genops(data))
    assert found.coverage.state == "complete"
    assert found.length == len(data)


@pytest.mark.parametrize("protocol", range(6))
def test_imports_and_calls_are_those_that_the_unpickler_would_make(protocol: int) -> None:
    made: list[str] = []

    class Watcher(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> object:
            made.append(canonical(module, name))
            return super().find_class(module, name)

    data = pickle.dumps([OrderedDict(a=1), defaultdict(list, b=[2]), Counter("ab")], protocol)
    Watcher(io.BytesIO(data)).load()
    assert {entry.name for entry in trace(data).imports} == set(made)


def test_a_reduce_is_a_call_with_its_arguments_described() -> None:
    call = only_call(system(Assembler(2)).assemble())
    assert (call.opcode, call.callee.kind, call.callee.name) == ("REDUCE", "global", "os.system")
    assert [(arg.type, arg.looks, arg.length, arg.literal) for arg in call.args] == [("str", "shell", 10, "echo inert")]
    assert call.result == ("returned",)


COMPUTED = {
    "getattr": b"\x80\x04\x8c\x08builtins\x8c\x07getattr\x93cos\npath\n\x8c\x06system\x86R\x8c\x04echo\x85R.",
    "import_module": b"\x80\x04cbuiltins\ngetattr\ncimportlib\nimport_module\n\x8c\x02os\x85R"
    b"\x8c\x06system\x86R\x8c\x04echo\x85R.",
    "attrgetter": b"\x80\x04coperator\nattrgetter\n\x8c\x06system\x85Rcimportlib\nimport_module\n\x8c\x02os\x85R\x85R"
    b"\x8c\x04echo\x85R.",
    "join": b"\x80\x04\x8c\x02oscbuiltins\nstr.join\n\x8c\x00]\x8c\x03sysa\x8c\x03tema\x86R\x93\x8c\x04echo\x85R.",
    "rot13": b"\x80\x04\x8c\x02osc_codecs\ndecode\n\x8c\x06flfgrz\x8c\x05rot13\x86R\x93\x8c\x04echo\x85R.",
    "base64": b"\x80\x04\x8c\x02oscbuiltins\nbytes.decode\ncbase64\nb64decode\nC\x08c3lzdGVt\x85R\x85R\x93"
    b"\x8c\x04echo\x85R.",
    "partial": b"\x80\x04cfunctools\npartial\ncos\nsystem\n\x8c\x04echo\x86R)R.",
}  # fmt: skip


@pytest.mark.parametrize("data", COMPUTED.values(), ids=COMPUTED.keys())
def test_a_computed_callee_is_resolved(data: bytes) -> None:
    called = [call.callee for call in trace(data).calls]
    assert called[-1].name.endswith("system")
    assert called[-1].kind in ("global", "attribute", "carrier")


def test_a_name_from_an_unknown_call_is_computed() -> None:
    data = b"\x80\x04\x8c\x02oscvendor\nname\n)R\x93\x8c\x04echo\x85R."
    found = trace(data)
    assert found.calls[-1].callee.kind == "computed"
    assert "computed-global" in {oddity.kind for oddity in found.oddities}


def test_build_on_a_global_is_told_from_build_on_an_instance() -> None:
    on_global = trace(b"\x80\x02cjson\ndecoder\n}X\x01\0\0\0aK\x01sb.")
    on_instance = trace(pickle.dumps(Exception("x"), 2))
    assert "build-on-global" in {oddity.kind for oddity in on_global.oddities}
    assert "build-on-global" not in {oddity.kind for oddity in on_instance.oddities}


def test_implicit_calls_on_results_are_recorded() -> None:
    data = b"\x80\x02cvendor\nThing\n)R(K\x01K\x02e(K\x01K\x02uK\x01K\x02sK\x01a."
    assert [opcode for opcode, _name in calls(data)] == ["REDUCE", "extend", "setitem", "setitem", "append"]


def test_persistent_ids_and_extensions_are_recorded() -> None:
    assert calls(b"\x80\x02\x82\x01)R.") == [("ext", "copyreg.extension.1"), ("REDUCE", "copyreg.extension.1")]
    assert [call.opcode for call in trace(b"Pname\n.").calls] == ["persistent_load"]


def test_a_forest_of_equal_calls_is_one_entry_with_a_count() -> None:
    data = b"\x80\x02(" + b"cvendor\nTree\nK\x01\x85R" * 500 + b"t."
    (call,) = trace(data).calls
    assert call.count == 500
    assert call.result == ("stored",)


def test_one_hostile_call_among_many_of_the_same_callee_stays_visible() -> None:
    quiet = b"cvendor\nTree\nX\x04\0\0\0name\x85R"
    loud = b"cvendor\nTree\nX\x0a\0\0\0echo inert\x85R"
    found = trace(b"\x80\x02(" + quiet * 200 + loud + quiet * 200 + b"t.")
    assert sorted(call.args[0].looks for call in found.calls) == ["identifier", "shell"]


@settings(max_examples=400, deadline=None)
@given(st.binary(max_size=200))
def test_no_bytes_make_it_raise(data: bytes) -> None:
    for found in region(data):
        assert found.coverage.state in ("complete", "stopped", "limited")


@pytest.mark.parametrize("key", [b"-1", b"9" * 5001, b"abc", b""], ids=["-1", "endless", "abc", "none"])
def test_impossible_memo_keys_stop_the_stream(key: bytes) -> None:
    assert trace(b"Np" + key + b"\n.").coverage.state == "stopped"


def test_truncation_at_every_byte_is_noticed() -> None:
    data = pickle.dumps({"a": [1, 2.0, "x" * 300, b"y" * 300], "b": OrderedDict(c=1)}, 4)
    for end in range(1, len(data)):
        found = trace_region(data, 0, end, (), Budget(Limits()))
        assert not found.complete, end


def test_lengths_beyond_the_file_stop_the_stream() -> None:
    for head in (b"X\xff\xff\xff\xff", b"\x8d" + b"\xff" * 8, b"\x8e" + b"\xff" * 7 + b"\x7f", b"T\xff\xff\xff\x7f"):
        assert trace(b"\x80\x04" + head + b"abc.").coverage.reason == "truncated"


def test_leftovers_on_the_stack_are_an_oddity_and_their_calls_dropped() -> None:
    found = trace(b"\x80\x02cvendor\nt\n)RN.")
    assert "leftover-stack" in {oddity.kind for oddity in found.oddities}
    assert found.calls[0].result == ("dropped",)


@given(st.binary(max_size=40).filter(lambda raw: b"\n" not in raw))
def test_string_escapes_are_decoded_as_the_unpickler_does(raw: bytes) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            expected = codecs.escape_decode(raw)[0].decode("latin-1")
        except ValueError:
            return  # the unpickler raises
    (call,) = trace(b"cvendor\nf\n(S'" + raw + b"'\ntR.").calls
    assert call.args[0].literal == expected
