"""What hostile files do to hide a callable: each way with a hostile callee, and with a harmless one.

A mechanism is a function of the callee and its argument. With ``os.system`` the Trace must name it and the verdict
be none but malicious or suspicious; with ``numpy.dtype`` the Trace must name that, and the verdict be benign.
"""

from __future__ import annotations

import base64
import binascii
import bz2
import codecs
import functools
import lzma
import time
import tracemalloc
import zlib
from collections.abc import Callable

import pytest

from pipelines.assemble.stream import Assembler
from safepickle.bytecode.trace import Call
from safepickle.scan import Scanner, trace_bytes
from tests.assemble import Named, nested, push, value

Push = Callable[[Assembler], object]
HOSTILE = (Named("os", "system"), "echo inert")
TWIN = (Named("numpy", "dtype"), "f8")


def at(dotted: str) -> Push:
    """Push the callable of a dotted name: ``module.attribute`` or ``module:dotted.attribute``."""
    module, _, name = dotted.partition(":") if ":" in dotted else dotted.rpartition(".")
    return value(Named(module, name))


def do(callee: str | Push, *arguments: object) -> Push:
    """Push the result of a call; arguments are values or code that pushes one."""
    pushes = [item if callable(item) and not isinstance(item, Named) else value(item) for item in arguments]
    return nested(at(callee) if isinstance(callee, str) else callee, *pushes)


def attr(owner: object, name: object) -> Push:
    return do("builtins.getattr", owner, name)


def key(owner: object, name: object) -> Push:
    return do("operator.getitem", owner, name)


def tuple_of(*pushes: Push) -> Push:
    def write(asm: Assembler) -> None:
        asm.mark()
        for item in pushes:
            item(asm)
        asm.tuple_()

    return write


def list_of(*pushes: Push) -> Push:
    def write(asm: Assembler) -> None:
        asm.empty_list().mark()
        for item in pushes:
            item(asm)
        asm.appends()

    return write


def dict_of(**pushes: Push) -> Push:
    def write(asm: Assembler) -> None:
        asm.empty_dict()
        for name, item in pushes.items():
            asm.text(name)
            item(asm)
            asm.setitem()

    return write


def built(target: Push, state: Push) -> Push:
    def write(asm: Assembler) -> None:
        target(asm)
        state(asm)
        asm.build()

    return write


def newobj(cls: str, *arguments: Push) -> Push:
    def write(asm: Assembler) -> None:
        at(cls)(asm)
        tuple_of(*arguments)(asm)
        asm.newobj()

    return write


def global_of(module: Push, name: Push) -> Push:
    """STACK_GLOBAL with computed operands."""

    def write(asm: Assembler) -> None:
        module(asm)
        name(asm)
        asm.stack_global()

    return write


def stream(write: Push) -> bytes:
    asm = Assembler(4)
    write(asm)
    return asm.assemble()


def calls_of(data: bytes) -> list[Call]:
    return [made for trace in trace_bytes(data).walk() for made in trace.calls]


def callees(data: bytes) -> set[str]:
    return {made.callee.name for made in calls_of(data) if made.callee.kind not in ("result", "computed", "getter")}


Mechanism = Callable[[Named, str], Push]


@pytest.fixture(scope="module")
def scanner() -> Scanner:
    return Scanner()


# --- names: re-exports, resolvers, walks -----------------------------------------------------------


def imported(f: Named) -> Push:
    return do("importlib.import_module", f.module)


NAMES: dict[str, Mechanism] = {
    "getattr of a module": lambda f, x: do(attr(imported(f), f.name), x),
    "getattr of a literal's method": lambda f, x: do(
        attr(do("importlib.import_module", do(attr("", "join"), list(f.module))), f.name), x
    ),
    "object.__getattribute__": lambda f, x: do(do("builtins:object.__getattribute__", imported(f), f.name), x),
    "inspect.getattr_static": lambda f, x: do(do("inspect.getattr_static", imported(f), f.name), x),
    "attrgetter": lambda f, x: do(do(do("operator.attrgetter", f.name), imported(f)), x),
    "attrgetter of its twin in C": lambda f, x: do(do(do("_operator.attrgetter", f.name), imported(f)), x),
    "itemgetter of a namespace": lambda f, x: do(
        do(do("operator.itemgetter", f.name), attr(imported(f), "__dict__")), x
    ),
    "methodcaller": lambda f, x: do(do("operator.methodcaller", f.name, x), imported(f)),
    "__import__": lambda f, x: do(attr(do("builtins.__import__", f.module), f.name), x),
    "resolve_name": lambda f, x: do(do("pkgutil.resolve_name", f"{f.module}:{f.name}"), x),
    "locate": lambda f, x: do(do("pydoc.locate", f"{f.module}.{f.name}"), x),
    "Formatter.get_field": lambda f, x: do(
        key(do("string:Formatter.get_field", do("string.Formatter"), f"0.{f.name}", tuple_of(imported(f)), {}), 0), x
    ),
    "a dict of modules": lambda f, x: do(attr(key(at("sys.modules"), f.module), f.name), x),
    "get of a dict of modules": lambda f, x: do(attr(do(attr(at("sys.modules"), "get"), f.module), f.name), x),
    "vars of a module": lambda f, x: do(key(do("builtins.vars", imported(f)), f.name), x),
    "globals of a function": lambda f, x: do(key(attr(Named(f.module, "helper"), "__globals__"), f.name), x),
    "globals of a method": lambda f, x: do(key(attr(at(f"{f.module}:Some.__init__"), "__globals__"), f.name), x),
    "__call__": lambda f, x: do(attr(attr(f, "__call__"), "__call__"), x),
    "a dotted __call__": lambda f, x: do(at(f"{f.module}:{f.name}.__call__"), x),
    "a subimport of cloudpickle": lambda f, x: do(attr(do("cloudpickle.cloudpickle.subimport", f.module), f.name), x),
    "an attribute that BUILD gave": lambda f, x: do(
        attr(built(do("argparse.Namespace"), dict_of(a=value(f))), "a"), x
    ),
    "a weak reference": lambda f, x: do(do(do("weakref.ref", f)), x),
    "the extension registry": lambda f, x: lambda asm: (
        do("copyreg.add_extension", f.module, f.name, 240)(asm),
        asm.pop().ext1(240),
        push(asm, (x,)).reduce(),
    ),
}  # fmt: skip

# --- callables handed over -------------------------------------------------------------------------


def partial(f: object, *arguments: object) -> Push:
    return do("functools.partial", f, *arguments)


CARRIERS: dict[str, Mechanism] = {
    "partial": lambda f, x: do(partial(f, x)),
    "partial of a partial": lambda f, x: do(partial(partial(f), x)),
    "partial made by NEWOBJ": lambda f, x: do(newobj("functools.partial", value(f), value(x))),
    "partial with another state": lambda f, x: do(
        built(partial(Named("builtins", "print")), tuple_of(value(f), value((x,)), value({}), value(None)))
    ),
    "map": lambda f, x: do("builtins.list", do("builtins.map", f, [x])),
    "map by NEWOBJ": lambda f, x: newobj("builtins.tuple", newobj("builtins.map", value(f), value([x]))),
    "map in a chain": lambda f, x: do("collections.deque", do("itertools.chain", do("builtins.map", f, [x]), [1])),
    "map consumed by join": lambda f, x: do("builtins:str.join", "", do("builtins.map", f, [x])),
    "map of a partial": lambda f, x: do("builtins.set", do("builtins.map", partial(f), [x])),
    "filter": lambda f, x: do("builtins.tuple", do("builtins.filter", f, [x])),
    "starmap": lambda f, x: do("builtins.list", do("itertools.starmap", f, [(x,)])),
    "takewhile": lambda f, x: do("builtins.list", do("itertools.takewhile", f, [x])),
    "accumulate": lambda f, x: do("builtins.list", do("itertools.accumulate", [x, x], f)),
    "groupby": lambda f, x: do("builtins.dict", do("itertools.groupby", [x], f)),
    "iter with a sentinel": lambda f, x: do("builtins.next", do("builtins.iter", partial(f, x), 0)),
    "reduce": lambda f, x: do("functools.reduce", f, [x, x]),
    "reduce by getattr": lambda f, x: do(
        do("functools.reduce", Named("builtins", "getattr"), [f.name], imported(f)), x
    ),
    "sorted": lambda f, x: do(
        built(
            partial(Named("builtins", "sorted")),
            tuple_of(at("builtins.sorted"), value(([x],)), dict_of(key=value(f)), value(None)),
        )
    ),
    "cmp_to_key": lambda f, x: do(do("functools.cmp_to_key", f), x),
    "defaultdict": lambda f, x: key(do("collections.defaultdict", partial(f, x)), "k"),
    "Context.run": lambda f, x: do(attr(do("contextvars.Context"), "run"), f, x),
    "an executor": lambda f, x: do(attr(do("concurrent.futures.thread.ThreadPoolExecutor"), "submit"), f, x),
    "an executor's map": lambda f, x: do(attr(do("concurrent.futures.ThreadPoolExecutor"), "map"), f, [x]),
    "Timer": lambda f, x: do(attr(do("threading.Timer", 0, f, (x,)), "start")),
    "Thread": lambda f, x: do(attr(do("threading.Thread", None, f, "name", (x,)), "run")),
    "ExitStack": lambda f, x: do(attr(do("contextlib.ExitStack"), "callback"), f, x),
    "atexit": lambda f, x: do("atexit.register", f, x),
    "finalize": lambda f, x: do("weakref.finalize", Named("builtins", "set"), f, x),
    "re.sub": lambda f, x: do("re.sub", "x", f, x),
    "a pattern's sub": lambda f, x: do(attr(do("re.compile", "x"), "sub"), f, x),
    "Mock": lambda f, x: do(built(do("unittest.mock.Mock"), dict_of(side_effect=value(f))), x),
    "types.new_class": lambda f, x: do("types.new_class", "X", (), {}, f),
    "staticmethod": lambda f, x: do(do("builtins:staticmethod.__get__", do("builtins.staticmethod", f), None), x),
    "property": lambda f, x: do("builtins:property.__get__", do("builtins.property", f), x),
    "classmethod": lambda f, x: do(do("builtins:classmethod.__get__", do("builtins.classmethod", f), None, x)),
    "MethodType": lambda f, x: do(do("types.MethodType", f, x)),
    "operator.call": lambda f, x: do("operator.call", f, x),
    "a pool": lambda f, x: do(attr(do("multiprocessing.pool.Pool"), "map"), f, [x]),
    "lru_cache": lambda f, x: do(do("functools.lru_cache", f), x),
}  # fmt: skip


# --- classes, instances, code ----------------------------------------------------------------------


def appended(target: Push, item: object) -> Push:
    return lambda asm: (target(asm), push(asm, item).append())


CLASSES: dict[str, Mechanism] = {
    **{
        f"{hook} of a class made by type": (
            lambda f, x, hook=hook: do("builtins.type", "X", (), {hook: f, "__module__": "m"})  # type: ignore[misc]
        )
        for hook in ("__repr__", "__eq__", "__del__", "__set_name__", "__init_subclass__", "__reduce__", "__hash__")
    },
    "make_dataclass": lambda f, x: do("dataclasses.make_dataclass", "X", [], (), {"__post_init__": f}),
    "a method planted on a class": lambda f, x: built(
        do("builtins.type", "X", (), {}), tuple_of(value(None), dict_of(__repr__=value(f)))
    ),
    "__setstate__ planted on an instance": lambda f, x: built(
        built(do("types.SimpleNamespace"), dict_of(__setstate__=value(f))), value(x)
    ),
    "append planted on an instance": lambda f, x: appended(
        built(do("types.SimpleNamespace"), dict_of(append=value(f))), x
    ),
}  # fmt: skip

# --- names computed from literals --------------------------------------------------------------------


def spelt(spell: Callable[[str], Push]) -> Mechanism:
    return lambda f, x: do(global_of(spell(f.module), spell(f.name)), x)


def utf8(data: Push) -> Push:
    return do("builtins:bytes.decode", data, "utf-8")


SPELLINGS: dict[str, Callable[[str], Push]] = {
    "join": lambda s: do("builtins:str.join", "", list(s)),
    "join of a reversed text": lambda s: do("builtins:str.join", "", do("builtins.reversed", s[::-1])),
    "join of map chr": lambda s: do(
        "builtins:str.join", "", do("builtins.map", Named("builtins", "chr"), [ord(c) for c in s])
    ),
    "format": lambda s: do(attr("{}{}", "format"), s[:1], s[1:]),
    "percent": lambda s: do("operator.mod", "%s%s", (s[:1], s[1:])),
    "replace": lambda s: do(attr(s[0] + "!!" + s[1:], "replace"), "!!", ""),
    "slice": lambda s: key("xx" + s, do("builtins.slice", 2, None)),
    "a slice backwards": lambda s: key(s[::-1], do("builtins.slice", None, None, -1)),
    "split": lambda s: key(do("builtins:str.split", f"a,{s}", ","), 1),
    "lower": lambda s: do("builtins:str.lower", s.upper()),
    "strip": lambda s: do(attr(f"  {s} ", "strip")),
    "operator.add": lambda s: do("operator.add", s[:1], s[1:]),
    "operator.concat": lambda s: do("_operator.concat", s[:1], s[1:]),
    "reduce of add": lambda s: do("functools.reduce", Named("operator", "add"), list(s)),
    "bytes of numbers": lambda s: utf8(do("builtins.bytes", list(s.encode()))),
    "a bytearray": lambda s: utf8(do("builtins.bytearray", list(s.encode()))),
    "fromhex": lambda s: utf8(do("builtins:bytes.fromhex", s.encode().hex())),
    "unhexlify": lambda s: utf8(do("binascii.unhexlify", s.encode().hex().encode())),
    "base64": lambda s: utf8(do("base64.b64decode", base64.b64encode(s.encode()))),
    "base32": lambda s: utf8(do("base64.b32decode", base64.b32encode(s.encode()))),
    "base85": lambda s: utf8(do("base64.b85decode", base64.b85encode(s.encode()))),
    "ascii85": lambda s: utf8(do("base64.a85decode", base64.a85encode(s.encode()))),
    "uu": lambda s: utf8(do("binascii.a2b_uu", binascii.b2a_uu(s.encode()))),
    "rot13": lambda s: do("codecs.decode", codecs.encode(s, "rot13"), "rot13"),
    "hex codec": lambda s: utf8(do("codecs.decode", s.encode().hex().encode(), "hex")),
    "zlib codec": lambda s: utf8(do("codecs.decode", zlib.compress(s.encode()), "zlib")),
    "zlib": lambda s: utf8(do("zlib.decompress", zlib.compress(s.encode()))),
    "bz2": lambda s: utf8(do("bz2.decompress", bz2.compress(s.encode()))),
    "lzma": lambda s: utf8(do("lzma.decompress", lzma.compress(s.encode()))),
    "utf-16": lambda s: do("codecs.decode", s.encode("utf-16-le"), "utf-16-le"),
    "to_bytes": lambda s: utf8(do("builtins:int.to_bytes", int.from_bytes(s.encode(), "big"), len(s), "big")),
    "struct": lambda s: utf8(key(do("struct.unpack", f"{len(s)}s", s.encode()), 0)),
    "struct.pack": lambda s: utf8(do("struct.pack", f"{len(s)}B", *s.encode())),
    "__name__": lambda s: attr(Named("vendor", s), "__name__"),
    "translate": lambda s: do(
        attr(codecs.encode(s, "rot13"), "translate"), {ord(codecs.encode(c, "rot13")): c for c in s}
    ),
    "xor of numbers": lambda s: utf8(
        do("builtins.bytes", do("builtins.list", do("builtins.map", Named("operator", "xor"),
            [ord(c) ^ 7 for c in s], [7] * len(s))))
    ),
}  # fmt: skip


def code_of(f: Named, x: str) -> Push:
    """A code object that names the callable: what it would run is in bytes that nobody reads."""
    head = (0, 0, 0, 0, 1, 64, b"\x97\x00", (None, x), (f.module, f.name), (), "f", "f", 1, b"", b"")
    return do("types.CodeType", *head)


CODE: dict[str, Mechanism] = {
    "a function made of code": lambda f, x: do(do("types.FunctionType", code_of(f, x), {})),
    "a function that cloudpickle makes": lambda f, x: do(
        do("cloudpickle.cloudpickle._make_function", code_of(f, x), {}, None, None, None)
    ),
    "a mapped function made of code": lambda f, x: do(
        "builtins.list", do("builtins.map", do("types.FunctionType", code_of(f, x), {}), [1])
    ),
}


@pytest.mark.parametrize("mechanism", CODE.values(), ids=CODE.keys())
def test_a_call_of_a_function_made_of_code_names_what_the_code_names(scanner: Scanner, mechanism: Mechanism) -> None:
    data = stream(mechanism(*HOSTILE))
    (made,) = [made for made in calls_of(data) if made.callee.name == "os.system"]
    assert made.opcode == "carried"
    assert made.args[0].literal == "echo inert"
    assert scanner.scan_bytes(data).verdict == "malicious"
    assert not callees(stream(mechanism(Named("vendor", "f"), "x"))) & {"os.system", "vendor.f"}


def test_a_function_that_is_made_and_not_called_calls_nothing() -> None:
    write = do("cloudpickle.cloudpickle._make_function", code_of(*HOSTILE), {}, None, None, None)
    assert "os.system" not in callees(stream(write))


# --- what changes the program that loads -------------------------------------------------------------

TAMPERING: dict[str, tuple[Push, str, str]] = {
    "an item of a named dict": (
        lambda asm: (at("os.environ")(asm), push(asm, "PATH"), push(asm, "x"), asm.setitem()), "setitem", "os.environ",
    ),
    "update of a named dict": (do("os:environ.update", {"PATH": "x"}), "setitem", "os.environ"),
    "dict.update": (do("builtins:dict.update", Named("os", "environ"), {"PATH": "x"}), "setitem", "os.environ"),
    "operator.setitem": (do("operator.setitem", Named("os", "environ"), "PATH", "x"), "setitem", "os.environ"),
    "list.append": (do("builtins:list.append", Named("sys", "path"), "/x"), "append", "sys.path"),
    "insert into a named list": (do("warnings:filters.insert", 0, "x"), "append", "warnings.filters"),
    "clear of a named list": (do("logging:root.handlers.clear"), "setitem", "logging.root.handlers"),
    "an entry of a table of copyreg": (
        lambda asm: (at("copyreg.dispatch_table")(asm), value(Named("vendor", "C"))(asm), at("vendor.f")(asm),
                     asm.setitem()), "setitem", "copyreg.dispatch_table",
    ),
    "setattr": (
        do("builtins.setattr", Named("builtins", "print"), "x", Named("vendor", "f")), "BUILD", "builtins.print",
    ),
    "BUILD on a module": (built(at("vendor.module"), dict_of(x=value(1))), "BUILD", "vendor.module"),
}  # fmt: skip


@pytest.mark.parametrize(("write", "opcode", "name"), TAMPERING.values(), ids=TAMPERING.keys())
def test_a_change_to_something_of_the_program_is_evidence(
    scanner: Scanner, write: Push, opcode: str, name: str
) -> None:
    data = stream(write)
    assert (opcode, name) in {(made.opcode, made.callee.name) for made in calls_of(data)}
    report = scanner.scan_bytes(data)
    assert "build-on-global" in {finding.rule for finding in report.findings}
    if name == "vendor.module" and report.verdict == "benign":
        pytest.xfail("files that libraries save build on globals too, and a number is all that is put there")
    assert report.verdict in ("malicious", "suspicious")


@pytest.mark.parametrize("method", ["update", "setdefault"])
def test_a_change_to_what_the_file_makes_itself_is_none_to_the_program(method: str) -> None:
    data = stream(do(attr(do("collections.OrderedDict"), method), {"a": 1}))
    assert {made.opcode for made in calls_of(data)} == {"REDUCE"}


# --- what stays unknown, and what is harmless ----------------------------------------------------------


WALKS: dict[str, Push] = {
    "object": attr(Named("builtins", "object"), "__subclasses__"),
    "a literal": attr(attr(attr((), "__class__"), "__base__"), "__subclasses__"),
}


@pytest.mark.parametrize("subclasses", WALKS.values(), ids=WALKS.keys())
def test_a_walk_over_subclasses_ends_in_a_computed_callee(scanner: Scanner, subclasses: Push) -> None:
    write = do(key(attr(attr(key(do(subclasses), 137), "__init__"), "__globals__"), "system"), "echo inert")
    (last,) = [made for made in calls_of(stream(write)) if made.args and made.args[0].literal == "echo inert"]
    assert last.callee.kind == "computed"
    assert last.callee.name.endswith(".system")
    assert "computed-callee" in {finding.rule for finding in scanner.scan_bytes(stream(write)).findings}


@pytest.mark.parametrize(
    "namespace",
    [at("numpy.__builtins__"), attr(do("sys._getframe"), "f_builtins"), attr(Named("os", "walk"), "__builtins__"),
     key(do("builtins.globals"), "__builtins__"), key(attr(Named("os", "walk"), "__globals__"), "__builtins__"),
     attr(attr(Named("builtins", "print"), "__self__"), "__dict__")],
    ids=["numpy", "a frame", "a function", "globals", "globals of a function", "__self__"],
)  # fmt: skip
def test_builtins_are_reached_on_any_way(namespace: Push) -> None:
    assert "builtins.eval" in callees(stream(do(key(namespace, "eval"), "print(1)")))


HARMLESS: dict[str, tuple[Push, str]] = {
    "the text of a sink": (attr(Named("builtins", "eval"), "__doc__"), "builtins.getattr"),
    "Keras": (
        do(attr(Named("keras.src.models.sequential", "Sequential"), "_unpickle_model"), do("io.BytesIO", b"abc")),
        "keras.src.models.sequential.Sequential._unpickle_model",
    ),
    "a partial that nothing calls": (partial(Named("builtins", "print"), "x"), "functools.partial"),
    "a class with ordinary attributes": (
        do("builtins.type", "X", (), {"__module__": "m", "shape": Named("numpy", "ndarray")}), "builtins.type",
    ),
    "a defaultdict that is filled": (
        lambda asm: (do("collections.defaultdict", Named("builtins", "list"))(asm), push(asm, "a"), push(asm, 1),
                     asm.setitem()), "collections.defaultdict",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("write", "name"), HARMLESS.values(), ids=HARMLESS.keys())
def test_what_benign_files_do_too_makes_no_other_call(write: Push, name: str) -> None:
    data = stream(write)
    assert name in callees(data)
    assert not [made for made in calls_of(data) if made.opcode == "carried"]
    assert not {made.callee.kind for made in calls_of(data)} & {"computed", "unknown"}


def test_code_in_the_state_of_an_instance_is_described_however_many_attributes_it_has() -> None:
    program = "def _parse_args(self):\n    import os\n    return 1\n"
    state = {**{f"a{index}": index for index in range(40)}, "template": program}
    data = stream(built(do("scipy.stats._distn_infrastructure.rv_continuous"), value(state)))
    (build,) = [made for made in calls_of(data) if made.opcode == "BUILD"]
    assert "code" in {item.looks for item in build.args[0].items}


# --- budgets -------------------------------------------------------------------------------------------

BOMBS: dict[str, Push] = {
    "a wide format": do(attr("{:999999999}", "format"), 1),
    "a wide percent": do("operator.mod", "%999999999d", 1),
    "padding": do("builtins:str.zfill", "1", 999_999_999),
    "repetition": do("operator.mul", "x", 999_999_999),
    "a power": do("builtins.pow", 10, 999_999_999),
    "a shift": do("operator.lshift", 1, 999_999_999),
    "bytes of a length": do("builtins.bytes", 999_999_999),
    "a layout": do("struct.pack", "999999999x"),
    "a range": do("builtins.list", do("builtins.range", 999_999_999)),
    "a compressed literal": do("zlib.decompress", zlib.compress(bytes(1 << 24))),
    "to_bytes": do("builtins:int.to_bytes", 1, 999_999_999, "big"),
    "repetition of a bytearray": do("operator.mul", lambda asm: asm.bytearray8(b"x"), 999_999_999),
    "a wide percent of a bytearray": do("operator.mod", lambda asm: asm.bytearray8(b"%999999999d"), 1),
    "tuples of tuples": functools.reduce(
        lambda items, _: do("operator.mul", tuple_of(items), 4_000), range(8), value("x")
    ),
    "partials of partials": functools.reduce(lambda made, _: partial(made, "x" * 4_000), range(300), at("vendor.f")),
    "a chain of doubling": functools.reduce(lambda text, _: do("operator.mul", text, 2), range(64), value("x" * 64)),
}


@pytest.mark.parametrize("write", BOMBS.values(), ids=BOMBS.keys())
def test_a_literal_that_would_be_huge_is_not_computed(write: Push) -> None:
    began = time.process_time()
    (trace,) = trace_bytes(stream(write)).walk()
    assert trace.coverage.state == "complete"
    assert time.process_time() - began < 1


def test_partials_of_partials_do_not_take_memory_by_their_square() -> None:
    step = b"h\x00h\x01N\x86Rq\x010"
    tracemalloc.start()
    try:
        found = trace_bytes(b"\x80\x04cfunctools\npartial\nq\x000cvendor\nf\nq\x010" + step * 5_000 + b"N.")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found.walk()
    assert peak < 64 << 20


def test_nested_maps_end() -> None:
    write: Push = value("x" * 60)
    for _ in range(8):
        write = do("builtins.map", partial(Named("builtins", "map"), Named("builtins", "ord")), write)
    began = time.process_time()
    found = trace_bytes(stream(do("builtins.list", write)) * 20)
    assert found.walk()
    assert time.process_time() - began < 5


MECHANISMS: dict[str, Mechanism] = {
    **NAMES,
    **CARRIERS,
    **CLASSES,
    **{f"a name by {name}": spelt(spell) for name, spell in SPELLINGS.items()},
}


RIGHT_ALREADY = frozenset(
    ("globals of a function", "__call__", "a subimport of cloudpickle", "an attribute that BUILD gave", "partial",
     "partial of a partial", "partial made by NEWOBJ", "partial with another state", "map", "map by NEWOBJ",
     "map in a chain", "map consumed by join", "map of a partial", "filter", "starmap", "takewhile", "accumulate",
     "groupby", "iter with a sentinel", "defaultdict", "ExitStack", "staticmethod", "property", "classmethod",
     "MethodType", "a method planted on a class", "__setstate__ planted on an instance",
     "append planted on an instance", "a name by join", "a name by join of a reversed text",
     "a name by join of map chr", "a name by format", "a name by percent", "a name by replace", "a name by slice",
     "a name by a slice backwards", "a name by split", "a name by lower", "a name by strip",
     "a name by operator.add", "a name by operator.concat", "a name by bytes of numbers", "a name by a bytearray",
     "a name by fromhex", "a name by unhexlify", "a name by base32", "a name by base85", "a name by ascii85",
     "a name by uu", "a name by rot13", "a name by hex codec", "a name by zlib codec", "a name by zlib",
     "a name by bz2", "a name by lzma", "a name by utf-16", "a name by to_bytes", "a name by struct",
     "a name by struct.pack", "a name by __name__", "a name by translate", "a name by xor of numbers",
     "globals of a method", "__repr__ of a class made by type", "__eq__ of a class made by type",
     "__del__ of a class made by type", "__set_name__ of a class made by type",
     "__init_subclass__ of a class made by type", "__reduce__ of a class made by type",
     "__hash__ of a class made by type", "a name by base64")
)  # fmt: skip
"""Twins that the model judges right. The others have a right Trace too, and the model takes them for hostile for the
mechanism alone, which no benign file has that it was trained on; one that it comes to judge right passes."""
ALARMING = ("exec", "process", "native", "deserialize", "file", "network")


@pytest.mark.parametrize("mechanism", MECHANISMS.values(), ids=MECHANISMS.keys())
def test_the_trace_names_what_is_called_and_the_verdict_is_not_benign(scanner: Scanner, mechanism: Mechanism) -> None:
    data = stream(mechanism(*HOSTILE))
    assert "os.system" in callees(data)
    assert scanner.scan_bytes(data).verdict in ("malicious", "suspicious")


@pytest.mark.parametrize("name", MECHANISMS)
def test_the_trace_of_the_harmless_twin_names_what_is_called_and_nothing_worse(scanner: Scanner, name: str) -> None:
    data = stream(MECHANISMS[name](*TWIN))
    assert "numpy.dtype" in callees(data)
    report = scanner.scan_bytes(data)
    assert report.complete
    rules = {finding.rule for finding in report.findings}
    assert not rules & {f"{how}-{kind}" for how in ("call", "passes", "import") for kind in ALARMING}
    assert not rules & {"computed-callee", "result-callee"}
    if name not in RIGHT_ALREADY and report.verdict != "benign":
        pytest.xfail(f"the model takes it for {report.verdict}")
    assert report.verdict == "benign"
