"""What typeshed tells of the standard library's modules in C."""

from __future__ import annotations

import pytest

pytest.importorskip("mypy", reason="typeshed comes with mypy")
pytest.importorskip("yaml", reason="the pipelines are not installed")

from pipelines.capabilities.native import MODULES, native
from pipelines.capabilities.native import inert as is_inert
from pipelines.capabilities.records import NativeCallable
from safepickle.capabilities.sinks import sink_kind


@pytest.fixture(scope="module")
def callables() -> dict[str, NativeCallable]:
    return native()


def test_callbacks_are_known_by_their_type_even_through_aliases(callables: dict[str, NativeCallable]) -> None:
    expected = {
        "builtins.map": ("func",), "builtins.sorted": ("key",), "_functools.reduce": ("function",),
        "_functools.partial": ("func",), "itertools.starmap": ("function",), "_signal.signal": ("handler",),
        "sys.settrace": ("function",), "_collections.defaultdict": ("default_factory",), "re.Pattern.sub": ("repl",),
        "_contextvars.Context.run": ("callable",), "_thread.start_new_thread": ("function",),
        "_operator.call": ("obj",), "builtins.len": (), "zlib.compress": (), "_struct.unpack": (),
    }  # fmt: skip
    assert {name: callables[name].calls for name in expected} == expected


def test_paths_and_addresses_reach_files_and_the_network(callables: dict[str, NativeCallable]) -> None:
    assert callables["posix.chdir"].reaches == (("file", "path"),)
    assert callables["_socket.socket.connect"].reaches == (("network", "address"),)
    assert callables["posix.stat"].reaches == ()
    assert callables["_sqlite3.connect"].reaches == (("file", "database"),)


def test_root_sinks_are_told_elsewhere(callables: dict[str, NativeCallable]) -> None:
    assert not [name for name in callables if sink_kind(name)]
    for root in ("posix.system", "builtins.eval", "_io.open", "_ctypes.dlopen"):
        assert root not in callables


def test_inherited_methods_of_classes_in_c_are_there(callables: dict[str, NativeCallable]) -> None:
    assert callables["builtins.bool.to_bytes"].kind == "method"
    assert callables["_collections.defaultdict.update"].kind == "method"
    assert "builtins.bool.__reduce_ex__" not in callables


def test_the_type_of_a_result_is_told(callables: dict[str, NativeCallable]) -> None:
    expected = {
        "_sre.compile": "re.Pattern", "re.Pattern.match": "re.Match", "builtins.len": "", "builtins.str.join": "",
        "_collections.deque": "_collections.deque", "builtins.getattr": "builtins.object",
    }  # fmt: skip
    assert {name: callables[name].returns for name in expected} == expected


def test_what_computes_is_inert_and_what_gets_at_other_things_is_not(callables: dict[str, NativeCallable]) -> None:
    for name in ("builtins.len", "_struct.unpack", "_collections.OrderedDict", "_codecs.encode", "builtins.set.add"):
        assert is_inert(callables[name]), name
    for name in ("builtins.getattr", "builtins.setattr", "builtins.map", "posix.chdir", "sys.settrace", "gc.disable",
                 "_operator.methodcaller", "types.MethodType.__call__"):  # fmt: skip
        assert not is_inert(callables[name]), name


def test_most_modules_in_c_are_described(callables: dict[str, NativeCallable]) -> None:
    described = {name.partition(".")[0] for name in callables}
    assert len(described.intersection(MODULES)) > 0.9 * len(MODULES)
