"""Files made to exhaust a scanner, of any size: assembled from one unit over and over, harmless and never loaded.

:data:`STREAMS` floods the pickle machine, :data:`OPCODES` runs each opcode for itself, :data:`ARCHIVES` what the
machine gets its streams from, :data:`MODELS` the readers of other frameworks' models.
"""

from __future__ import annotations

import gzip
import io
import struct
import zipfile
from collections.abc import Callable

from safepickle.bytecode import opcodes

Flood = Callable[[int], bytes]
"""Bytes of about the size asked for."""

WIDE = b"X\2\0\0\0abq\2" + b"(" + b"h\2" * 16 + b"tq\2" + b"(" + b"h\2" * 16 + b"tq\2" + b"(" + b"h\2" * 16 + b"tq\2"
WRAPPER = b"cjoblib.numpy_pickle\nNumpyArrayWrapper\n)\x81}(X\5\0\0\0dtypecnumpy\ndtype\n("
OBJECTS = b"\x80\3" + WRAPPER + b"X\2\0\0\0O8I00\nI01\ntRub"
BYTES = WRAPPER + b"X\2\0\0\0u1I00\nI01\ntRX\5\0\0\0shapeK\0\x85X\1\0\0\0xh\2ub0"
LONG = b"X\0\0\1\0" + b"a." * 32_768 + b"q\1"


def repeated(head: bytes, unit: bytes, tail: bytes = b"N.") -> Flood:
    """`unit` as often as it fits."""
    return lambda size: head + unit * ((size - len(head)) // len(unit)) + tail


def numbered(head: bytes, unit: Callable[[int], bytes], tail: bytes = b"N.") -> Flood:
    """``unit(n)`` for n from 0, as many as fit."""
    return lambda size: head + b"".join(map(unit, range(size // len(unit(1_000_000))))) + tail


STREAMS: dict[str, Flood] = {
    "empty lists": repeated(b"\x80\4", b"]"),
    "lists in the memo": repeated(b"\x80\4", b"]\x94"),
    "lists in lists": repeated(b"\x80\4]", b"]a"),
    "deep lists": repeated(b"\x80\4", b"](", b"e" * 1000 + b"."),
    "the memo": repeated(b"\x80\4N", b"\x94"),
    "far memo keys": numbered(b"\x80\2N", lambda n: b"r" + struct.pack("<I", n * 500_009 % (1 << 32))),
    "text memo keys": numbered(b"N", lambda n: b"p%d\n" % (n * 500_009)),
    "huge memo keys": numbered(b"N", lambda n: b"p9%029d\n" % n),
    "memo read": repeated(b"\x80\4]q\0", b"h\0"),
    "big numbers": repeated(b"\x80\2", b"J\xff\xff\xff\x7f"),
    "long numbers": repeated(b"\x80\2", b"\x8b\0\0\2\0" + b"\1" * 131_072),
    "long text numbers": repeated(b"", b"L" + b"1" * 100_000 + b"L\n"),
    "tuples of tuples": repeated(b"\x80\2N", b"2\x86"),
    "nested tuples": repeated(b"\x80\2N", b"\x85"),
    "triple tuples": repeated(b"\x80\2N", b"22\x87"),
    "tuples of many": repeated(b"\x80\2", b"(" + b"N" * 60 + b"t"),
    "two lists in turn": repeated(b"\x80\2", b"]q\0]q\1" + b"h\0Na0h\1Na0" * 24 + b"0"),
    "dicts of dicts": repeated(b"\x80\2}", b"N}s"),
    "extensions": numbered(b"\x80\2", lambda n: b"\x84" + struct.pack("<I", n + 1) + b"0"),
    "kept extensions": numbered(b"\x80\2", lambda n: b"\x84" + struct.pack("<I", n + 1)),
    "persistent ids": repeated(b"", b"Pa\n0"),
    "distinct persistent ids": numbered(b"", lambda n: b"Pid%d\n0" % n),
    "globals": numbered(b"", lambda n: b"cvendor\nf%07d\n0" % n),
    "globals of the standard library": numbered(b"", lambda n: b"cos\nf%07d\n0" % n),
    "globals with long names": numbered(b"", lambda n: b"cvendor\n" + b"a.b" * 300 + b"f%07d\n0" % n),
    "globals from the stack": numbered(b"\x80\4\x8c\6vendor\x94", lambda n: b"h\0\x8c\7%07d\x930" % n),
    "callees": numbered(b"", lambda n: b"cvendor\nf%07d\n)R0" % n),
    "callees of the standard library": numbered(b"", lambda n: b"cos\nf%07d\n)R0" % n),
    "instances": numbered(b"", lambda n: b"(ivendor\nf%07d\n0" % n),
    "results of results": repeated(b"cvendor\nf\n", b")R"),
    "results of one": repeated(b"\x80\2cvendor\nf\nq\0", b"h\0)R"),
    "results with state": repeated(b"\x80\2cvendor\nf\nq\0", b"h\0)\x81}Nb0"),
    "names of many names": numbered(b"\x80\4" + LONG, lambda n: b"h\1\x8c\7%07d\x930" % n),
    "calls with a long text": repeated(b"\x80\2cvendor\nf\nq\0" + LONG + b"\x85q\2", b"h\0h\2R0"),
    "calls with distinct texts": numbered(b"\x80\4cvendor\nf\nq\0", lambda n: b"h\0\x8c\7%07d\x85R0" % n),
    "calls with wide tuples": repeated(b"\x80\2cvendor\nf\nq\0" + WIDE, b"h\0h\2R0"),
    "distinct calls with wide tuples": numbered(b"\x80\2" + WIDE, lambda n: b"cvendor\nf%07d\nh\2R0" % n),
    "folded calls with deep tuples": repeated(
        b"\x80\2cimportlib\nimport_module\nq\0X\2\0\0\0osN" + b"2\x86" * 60 + b"\x86q\1", b"h\0h\1R0"
    ),
    "folded calls with wide tuples": repeated(b"\x80\2cbuiltins\nstr.join\nq\0" + WIDE, b"h\0h\2R0"),
    "folded calls with a long text": repeated(
        b"\x80\2cbuiltins\nstr.replace\nq\0X\0\x10\0\0" + b"a" * 4096 + b"X\1\0\0\0a" + LONG + b"\x87q\2", b"h\0h\2R0"
    ),
    "attributes of attributes": repeated(b"\x80\2cbuiltins\ngetattr\nq\0cos\npath\nq\1", b"0h\0h\1X\1\0\0\0a\x86Rq\1"),
    "distinct attributes": numbered(
        b"\x80\4cbuiltins\ngetattr\nq\0cos\npath\nq\1", lambda n: b"h\0h\1\x8c\7%07d\x86R" % n
    ),
    "folded texts": repeated(b"\x80\2cbuiltins\nstr.upper\nq\0X\xc8\0\0\0" + b"a" * 200 + b"\x85q\2", b"h\0h\2R"),
    "items of everything": repeated(b"\x80\4cvendor\nf\n)Rq\0", b"h\0NNs0h\0Na0h\0(Ne0h\0(NNu0"),
    "open marks": repeated(b"", b"("),
    "frames": repeated(b"\x80\4", b"\x95\0\0\0\0\0\0\0\0"),
    "frames that are too short": repeated(b"\x80\4", b"\x95\1\0\0\0\0\0\0\0\x8c\1a0"),
    "frames that overlap": repeated(b"\x80\4", b"\x95\xff\xff\xff\x7f\0\0\0\0"),
    "unset memo keys": repeated(b"", b"\x80\2h\7"),
    "beginnings": repeated(b"N.\xff", b"\x80\2NNNN"),
    "beginnings of lines": repeated(b"N.\xff", b"\x80\2P"),
    "beginnings of long strings": repeated(b"N.\xff", b"\x80\2X\0\1\0\0"),
    "beginnings with a global": repeated(b"N.\xff", b"\x80\2cos\ngetpid\n\xff"),
    "letters": repeated(b"N.\xff", b"c"),
    "stack globals behind junk": repeated(b"N.\xff", b"\x8c\2os\x8c\6getpid\x93\xff"),
    "names behind junk": repeated(b"N.\xff", b"c" * 198 + b"\na\n\xff"),
    "lines behind junk": repeated(b"N.\xff", b"cos\n"),
    "marks behind junk": repeated(b"N.\xff", b"((((((((ia\na\n\xff"),
    "strings behind junk": repeated(b"N.\xff", b"\x8c\1a\x8c\1a\x93"),
    "noise": lambda size: b"N.\xff" + bytes((n * n * 31 + (n >> 8) * 7) & 0xFF for n in range(65_536)) * (size >> 16),
    "object arrays in object arrays": repeated(b"", OBJECTS),
    "arrays with wide state": repeated(b"\x80\3" + WIDE, BYTES),
    "streams": repeated(b"", b"N."),
    "streams with a call": repeated(b"", b"cvendor\nf\n)R."),
    "streams in literals": repeated(b"\x80\4", b"C\4\x80\4N.0"),
    "streams that are arguments": repeated(b"\x80\4cvendor\nf\nq\0", b"h\0C\x0ecvendor\nf\n)R.\x85R0"),
    "base64 that is an argument": repeated(b"\x80\4cvendor\nf\nq\0", b"h\0\x8c\x18Y3ZlbmRvcgpmCilSLjAwMDAw\x85R0"),
    "texts like base64": numbered(b"\x80\4cvendor\nf\nq\0", lambda n: b"h\0\x8c\x18%024d\x85R0" % n),
    "long literals": repeated(b"\x80\3", b"B\0\0\1\0" + b"\x80\2" + b"N" * 65_534 + b"0"),
    "invalid bytes": repeated(b"N.", b"\xff"),
    "blanks": repeated(b"N.", b"\0"),
}  # fmt: skip

# Opcodes that need something on the stack, or an argument that means something: what is repeated for them.
_UNITS = {
    "MARK": b"(", "STOP": b"N.", "POP": b"N0", "POP_MARK": b"(N1", "DUP": b"N2", "FLOAT": b"F1.5\n", "INT": b"I7\n",
    "LONG": b"L7L\n", "STRING": b"S'ab'\n", "UNICODE": b"Vab\n", "PERSID": b"Pab\n", "BINPERSID": b"NQ",
    "REDUCE": b"cvendor\nf\n)R", "APPEND": b"]Na", "BUILD": b"cvendor\nf\n)RNb", "GLOBAL": b"cvendor\nf\n",
    "DICT": b"(NNd", "APPENDS": b"](Ne", "GET": b"Np0\ng0\n", "BINGET": b"Nq\0h\0", "INST": b"(ivendor\nf\n",
    "LONG_BINGET": b"Nr\0\0\0\0j\0\0\0\0", "LIST": b"(Nl", "OBJ": b"(cvendor\nf\no", "PUT": b"Np0\n",
    "BINPUT": b"Nq\0", "LONG_BINPUT": b"Nr\0\0\0\0", "SETITEM": b"}NNs", "TUPLE": b"(Nt", "SETITEMS": b"}(NNu",
    "PROTO": b"\x80\4", "NEWOBJ": b"cvendor\nf\n)\x81", "TUPLE1": b"N\x85", "TUPLE2": b"NN\x86", "TUPLE3": b"NNN\x87",
    "ADDITEMS": b"\x8f(N\x90", "FROZENSET": b"(N\x91", "NEWOBJ_EX": b"cvendor\nf\n)}\x92",
    "STACK_GLOBAL": b"\x8c\6vendor\x8c\1f\x93", "MEMOIZE": b"N\x94", "READONLY_BUFFER": b"\x97\x98",
}  # fmt: skip
_WIDTHS = {"u1": 1, "u2": 2, "u4": 4, "i4": 4, "u8": 8, "f8": 8}


def _unit(code: int, name: str, argument: str) -> bytes:
    if name in _UNITS:
        return _UNITS[name]
    if argument.startswith("bytes"):
        return bytes((code,)) + (2).to_bytes(int(argument[5:]), "little") + b"ab"
    return bytes((code,)) + b"\1" * _WIDTHS.get(argument, 0)


OPCODES: dict[str, Flood] = {
    name: repeated(b"", _unit(code, name, argument)) for code, name, argument, _protocol in opcodes.OPCODES
}
"""A run of each opcode, with no more around it than it needs to be executed."""


def _members(size: int) -> bytes:
    """A zip with one small pickle for every 150 bytes."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for number in range(size // 150):
            archive.writestr(f"a/{number:06d}.pkl", b"cvendor\nf\n(S'inert'\ntR.")
    return file.getvalue()


def _zip_bomb(size: int) -> bytes:
    """A zip of deflated zeros behind one opcode."""
    file = io.BytesIO()
    with (
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("a/data.pkl", "w", force_zip64=True) as member,
    ):
        member.write(b"N." + bytes(1 << 20))
        for _ in range(size // 1024):
            member.write(bytes(1 << 20))
    return file.getvalue()


def _gzip_bomb(size: int) -> bytes:
    """A gzip of many members, each of a megabyte of zeros; the first begins like a pickle."""
    member = gzip.compress(bytes(1 << 20), mtime=0)
    return gzip.compress(b"N." + bytes(1 << 20), mtime=0) + member * (size // len(member))


ARCHIVES: dict[str, Flood] = {
    "a zip of many members": _members,
    "a zip bomb": _zip_bomb,
    "a gzip bomb": _gzip_bomb,
    "a gzip of a flood": lambda size: gzip.compress(STREAMS["lists in the memo"](size), 1, mtime=0),
}


def _onnx(unit: bytes) -> Flood:
    """A model of ONNX whose graph has a field over and over."""

    def flood(size: int) -> bytes:
        graph = unit * (size // len(unit))
        length = bytes(len(graph) >> shift & 0x7F | 0x80 for shift in (0, 7, 14, 21)) + bytes([len(graph) >> 28])
        return b"\x08\x08\x12\x01p\x3a" + length + graph

    return flood


def _gguf(size: int) -> bytes:
    """A vocabulary of empty words."""
    key = b"tokenizer.ggml.tokens"
    head = b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, len(key)) + key + struct.pack("<IIQ", 9, 8, size // 8)
    return head + bytes(size // 8 * 8)


def _attributes(size: int) -> bytes:
    """An object of HDF5 with one attribute after the other."""
    text = struct.pack("<BBHIB", 0x13, 0, 0, 5, 2) + b"\0\0\0" + b"words"
    length = 9 + 8 + len(text)

    def attribute(number: int) -> bytes:
        return struct.pack("<BHBBBHHHB", 12, length, 0, 3, 0, 8, 8, 4, 0) + b"%07d\0" % number + text

    messages = b"".join(map(attribute, range(size // (length + 4))))
    first = struct.pack("<BHBQQ", 16, 16, 0, 48 + 6 + 4 + 20 + 4, len(messages) + 8)
    size = 48 + 6 + 4 + len(first) + 4 + len(messages) + 8
    superblock = b"\x89HDF\r\n\x1a\n\x03\x08\x08\0" + struct.pack("<4QI", 0, (1 << 64) - 1, size, 48, 0)
    block = b"OCHK" + messages + bytes(4)
    return superblock + b"OHDR\x02\x02" + struct.pack("<I", len(first)) + first + bytes(4) + block


MODELS: dict[str, Flood] = {
    "fields of ONNX": _onnx(b"\x10\x00"),
    "nodes of ONNX": _onnx(b"\x0a\x05\x22\x03Add"),
    "words of GGUF": _gguf,
    "attributes of HDF5": _attributes,
}
