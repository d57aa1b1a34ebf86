"""Small files of every format for coverage-guided fuzzing to begin with: our own bytes, generated."""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable
from pathlib import Path

from tests.containers.hdf5 import OBJECTS, TEXTS, VERSIONS, hdf5_of
from tests.containers.models import (
    field,
    gguf_model,
    node,
    onnx_external,
    onnx_node,
    onnx_of,
    safetensors_of,
    saved_model,
    tflite_of,
)
from tests.containers.samples import (
    CALLING_0,
    CALLING_2,
    CALLING_4,
    LEGACY_MAGIC,
    PACKERS,
    PLAIN_0,
    PLAIN_4,
    PNG,
    TEXT,
    local_member,
    npy_of,
    tar_header,
    tar_of,
    zf_of,
    zip_of,
)
from tests.containers.sevenzip import METHODS, sevenzip_of, with_packed_header

FOUND = Path(__file__).parent / "corpus"
"""Files that reached code which the generated ones do not, one in base64 a line, for each target."""

STREAMS = (
    CALLING_0,
    CALLING_2,
    CALLING_4,
    PLAIN_0,
    PLAIN_4,
    b"(S'inert'\nibuiltins\nlen\n.",
    b"(cbuiltins\nlen\nS'inert'\no.",
    b"\x80\x02cbuiltins\nobject\n)\x81}X\x01\x00\x00\x00aK\x01sb.",
    b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00}\x94\x8c\x01a\x94K\x01s.",
    b"\x80\x05\x96\x04\x00\x00\x00\x00\x00\x00\x00abcd\x97\x98.",
    b"Pid\n.I01\nL5L\nF1.5\nV\\u00e9\n\x8a\x01\x05\x82\x01(K\x01K\x02\x90.",
    LEGACY_MAGIC + PLAIN_4 + CALLING_2 + bytes(16),
    b"\x80\x03cjoblib.numpy_pickle\nNumpyArrayWrapper\n)\x81}(X\x05\x00\x00\x00shapeK\x02\x85X\x05\x00\x00\x00dtype"
    b"cnumpy\ndtype\nX\x02\x00\x00\x00f8\x85Rub" + bytes(16) + b".",
    b"\x80\x03C" + bytes([len(CALLING_2)]) + CALLING_2 + b".",
    b"cpickle\nloads\n(S'" + base64.b64encode(CALLING_0) + b"'\ntR.",
    PLAIN_4 + b"junk" + CALLING_0,
)

TEMPLATES = (
    "{% for m in messages %}{{ '<|' ~ m['role'] + '|>' }}{{ m.content | trim }}{% endfor %}",
    "{% macro f(a, b='__class__') %}{{ a[b] }}{{ varargs }}{% endmacro %}{% call(x) f(1, b=y) %}{{ x }}{% endcall %}",
    "{% set n = namespace(a=1) %}{% set n.a, b = ['__in' ~ 'it__', x.__globals__] %}{{ x|attr(n.a)|join('a') }}",
    "{% set k %}__a__{% endset %}{% with b = k %}{{ (x|map(attribute=b)|list)[0]['os'].f('a') if b }}{% endwith %}",
    "{{ x['%sa%s'|format('__', u)]() }}{% include 'x' %}{% filter upper %}a{% endfilter %}{{ dict(a=1)|first }}",
)
NEMO = b"""a: &x 1
model:
  - _target_: torch.nn.Linear  # a
    size: 4
    'b': "c"
  -
    _target_: 'os.path.join'
"""
HYDRA = '{"a": [{"_target_": "os.path.join", "_args_": ["b", {"_target_": "c.d", "_partial_": true, "e": 1.5}]}]}'
KERAS = b"""{"module": "keras", "class_name": "Sequential", "config": {"layers": [
{"class_name": "Lambda", "config": {"function": ["4wAA", null], "function_type": "lambda"}},
{"module": "a", "class_name": "function", "config": "b"}, {"class_name": "__lambda__", "config": {"code": "4wAA"}}]}}"""
SKOPS = b"""{"__class__": "partial", "__module__": "functools", "__loader__": "PartialNode", "content": {"func":
{"__class__": "join", "__module__": "os.path", "__loader__": "FunctionNode"}, "args": {"__class__": "tuple",
"__module__": "builtins", "__loader__": "TupleNode", "content": [{"__class__": "str", "__module__": "builtins",
"__loader__": "JsonNode", "content": "1"}]}}}"""
ONNX = (
    onnx_of(onnx_external("../w"), onnx_node("Relu")),
    onnx_of(onnx_node("F", "own"), more=field(25, field(1, "F"), field(10, "own"), field(7, field(7, "own")))),
    onnx_of(onnx_node("If", "", field(5, field(6, onnx_external("a/b"), onnx_node("X", "other"))))),
)
GRAPH = (
    node("path", "Const", text="a.txt"),
    node("o", "WriteFile", "path", "data"),
    node("f", "PyFunc", "x"),
)

TORCH = {"archive/data.pkl": CALLING_4, "archive/data/0": bytes(50), "archive/version": b"3\n"}


_MOST_HDF5 = 4096
"""Bytes of a file that the fuzzers do not cut."""


def _small_hdf5(way: str, value: bytes, version: str) -> bytes:
    def build(file: object) -> None:
        if way in TEXTS:
            TEXTS[way](file, value, "a")
        else:
            OBJECTS[way](file, value)

    return hdf5_of(build, version)


FILES: dict[str, Callable[[], list[bytes]]] = {
    "pickle": lambda: list(STREAMS),
    "zip": lambda: [
        zip_of(TORCH),
        zip_of({"a": CALLING_4, "b": TEXT}, 8),
        zip_of({"a": CALLING_4}, 12),
        zip_of({"a": CALLING_4}, 14),
        zip_of({"a.npy": npy_of("'|O'", "()", CALLING_4)}),
        zip_of({"inner": zip_of({"x": CALLING_0})}),
        local_member(b"a", CALLING_4, flags=8, size=0) + b"PK\x07\x08" + struct.pack("<III", 0, 30, 30),
        CALLING_0 + zip_of({"a": PLAIN_4}),
    ],
    "tar": lambda: [
        tar_of({"a": CALLING_4, "b": PLAIN_4}),
        tar_header(b"long", 5, b"L") + b"name\0" + bytes(507) + tar_of({"a": CALLING_0}),
        tar_header(b"pax", 14, b"x") + b"14 path=a/b.c\n" + bytes(498) + tar_of({"a": PLAIN_0}),
        tar_of({"sys_info": PLAIN_4, "pickle": CALLING_4, "storages": PLAIN_0, "tensors": PLAIN_0}),
    ],
    "npy": lambda: [
        npy_of("'<f4'", "(2,)", bytes(8)) + npy_of("'|O'", "()", CALLING_4),
        npy_of("[('a', '<i2'), ('b', '|O')]", "(1, 2)", CALLING_4, 2),
    ],
    "json": lambda: [
        b'{"a": {"b": "%s"}, "c": ["d\\"e"]}' % base64.b64encode(CALLING_4),
        b'["\\u0067ASV", {"_target_": "x"}]',
    ],
    "keras": lambda: [KERAS],
    "skops": lambda: [SKOPS],
    "hydra": lambda: [NEMO, HYDRA.encode()],
    "jinja": lambda: [text.encode() for text in TEMPLATES],
    "text": lambda: [TEXT, NEMO, b"a: !!python/name:b\n", b"\xff\xfea\0", *(text.encode() for text in TEMPLATES)],
    "onnx": lambda: list(ONNX),
    "saved-model": lambda: [saved_model(GRAPH), saved_model(GRAPH[1:], GRAPH[:1])],
    "tflite": lambda: [tflite_of(), tflite_of("One", "Two")],
    "gguf": lambda: [gguf_model(text) for text in TEMPLATES[:2]],
    "safetensors": lambda: [safetensors_of({"a": "b"}), safetensors_of({"config": HYDRA})],
    "known": lambda: [PNG, struct.pack("<Q", 2) + b"{}", b"\x08\x08\x12\x07pytorch", TEXT],
    "hdf5": lambda: [
        data
        for version in VERSIONS
        for ways, value in ((TEXTS, b'{"class_name": "A", "config": {}}'), (OBJECTS, CALLING_2))
        for way in ways
        if len(data := _small_hdf5(way, value, version)) <= _MOST_HDF5
    ],
    "7z": lambda: [
        *(sevenzip_of({"a": CALLING_4, "b": PLAIN_4}, method, [0x20, 0x20]) for method in METHODS),
        with_packed_header({"a": CALLING_4}),
    ],
    "zf": lambda: [zf_of(CALLING_4)],
    **{codec: lambda pack=pack: [pack(CALLING_4), pack(PLAIN_4) * 2] for codec, pack in PACKERS.items()},
}
"""Files by the reader that accepts them, or by what is read in them."""


def seeds(target: str) -> list[bytes]:
    """Files for a target: a reader, ``machine`` (streams alone) or ``all``."""
    if target == "all":
        files = [data for make in FILES.values() for data in make()]
    else:
        files = FILES["pickle" if target == "machine" else target]()
    known = FOUND / f"{target}.txt"
    if known.exists():
        files += [base64.b64decode(line) for line in known.read_text().splitlines()]
    return files
