"""Arguments of opcodes at random: ordinary ones, and those at which readers differ or give up.

The names in them are only ever looked up in :mod:`tests.bytecode.inert`, where they mean nothing.
"""

from __future__ import annotations

import random
import struct

from safepickle.bytecode.folding import FOLDABLE
from safepickle.bytecode.opcodes import ARGUMENTS, CODES

MODULES = ("vendor", "vendor.models", "acme", "os", "builtins", "__builtin__", "copy_reg", "a")
ODD_MODULES = ("", "über", "x y", "m\r", "m\0", "\udc80", "a" * 300)
NAMES = ("Thing", "make", "system", "Net.load", "range", "a", "_reconstructor", "plain_thing", "listlike", "Plain.x")
ODD_NAMES = ("größe", "f ", "", "Thing\r", "1", "plain\0", "\ud800", "n" * 600, ".", "a..b")
TEXTS = (
    *(b"", b"a", b"echo inert", b"K" * 40, b"'q'", b"\\x41", b"caf\xc3\xa9", b"line\\n", b"cvendor", b"append"),
    *(b"__new__", b"\\", b"\\u0041", b"nul\0nul", b"\x1a", b"two\rlines", b"K." * 3, b"a" * 255),
)  # fmt: skip
ODD_TEXTS = (b"\xff\xfe", b"\xed\xa0\x80", b"\x80\x04N.", b"\xc3", b"a" * 256)
"""Which is no UTF-8, or too long for a length of one byte."""
QUOTED = (
    *(b"'a'", b'"a"', b"'a", b"a", b"'", b"''", b" 'a'", b"'a' ", b"'a'\t", b"'\\'", b"'\\x4'", b"'\\x41'"),
    *(b"'\\N{DIGIT}'", b"'caf\xe9'", b"'\\141\\0'", b"'\\u0041'", b"'a\\", b"'a'b'", b"'\\\n'", b"", b"'\0'"),
    *(b"'\\777'", b"'a\r'"),
)  # fmt: skip
ESCAPED = (
    b"a",
    b"\\u0041",
    b"\\U00000041",
    b"\\u00",
    b"\\",
    b"\\\\u0041",
    b"\xe9",
    b"",
    b"\\U7fffffff",
    b"a\0b",
    b"\\ud800",
)
NUMBERS = (
    *(b"0", b"1", b"00", b"01", b"-1", b"010", b"0x1f", b"1_0", b" 7", b"7 ", b"+3", b"12345678901234567890", b"-0"),
    *(b"0b11", b"1L", b"99999999999L", b"", b"x", b"1\x00", b"1\x002", b"\x00", b"1e3", b"0o17", b"-2147483648"),
    *(b"-0x1", b"0x", b"08", b"-010", b"0_0", b"1__0", b"_1", b"\t5\r", b"5\x0b", b"L", b"-L", b"0L", b"1LL", b"0x1L"),
    *(b"\xd9\xa1", b"9223372036854775807", b"-9223372036854775809", b"+ 1", b"- 1", b"--1", b"001", b"\xa05"),
    *(b"True", b" 01", b"01 ", b"01\r", b"9" * 5000, b"0x" + b"f" * 4400, b"1.0", b" " * 9000 + b"5"),
    *(b"5" + b" " * 9000, b"0x" + b"0" * 9000 + b"5"),
)  # fmt: skip
FLOATS = (
    *(b"1.5", b" 1.5 ", b"1e400", b"nan", b"-inf", b"7", b"1_0.5", b"", b"x", b"1.5\0", b"0x1p3", b"1.5\r"),
    *(b"infinity", b".", b"1e", b"1,5", b"\xa01", b"1.5L", b"+-1", b" " * 9000 + b"1", b"1" + b" " * 9000, b"1" * 9000),
    *(b"1.5\0x", b"\0", b"1_0", b"_1", b"1.e5", b".5", b"-.5e-3", b"1e+5", b"+1.5", b"-nan", b"1E5", b"1.5\x0b"),
)  # fmt: skip
KEYS = (
    *(b"0", b"1", b"2", b"3", b"0", b"1", b"01", b" 1", b"1 ", b"1_0", b"10", b"+1", b"-1", b"1\x00", b"1\x00x"),
    *(b"99999999999999999999", b"4294967296", b"", b"x", b"0x1", b"1L", b"-0", b"\t1\r", b"_1", b"2147483648", b"-5"),
    *(b" " * 9000 + b"1", b"1" + b" " * 9000, b"0" * 40 + b"1"),
    *(b"9223372036854775807", b"9223372036854775808", b"4611686018427387904", b"-9223372036854775809", b"1.0", b"1e1"),
)  # fmt: skip
LENGTHS = (
    0,
    1,
    2,
    0x7F,
    0x80,
    0xFF,
    0x100,
    0xFFFF,
    0x10000,
    0x7FFFFFFF,
    0x80000000,
    0xFFFFFFFF,
    1 << 63,
    (1 << 64) - 1,
)
LONG_KEYS = (0, 1, 2, 3, 64, 127, 128, 255, 256, 1000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
EXTENSION_CODES = (1, 2, 300, 70_000, 0, 9, 255, 65_535, 0x7FFFFFFF, 0xFFFFFFFF)
PERSISTENT = (b"id", b"7", b"", b"caf\xe9", b"a b", b"x\r", b"\0")


def packed(width: int, number: int) -> bytes:
    """A number of any size in `width` bytes."""
    return (number & ((1 << 8 * width) - 1)).to_bytes(width, "little")


def named(source: random.Random) -> tuple[bytes, bytes]:
    """A module and a name."""
    draw = source.random()
    if draw < 0.04:
        module, name = source.choice(_FOLDABLE).rsplit(".", 1)
    elif draw < 0.94:
        module, name = source.choice(MODULES), source.choice(NAMES)
    else:
        module, name = source.choice(MODULES + ODD_MODULES), source.choice(NAMES + ODD_NAMES)
    return module.encode("utf-8", "surrogatepass"), name.encode("utf-8", "surrogatepass")


def text(source: random.Random) -> bytes:
    """Bytes of a string."""
    return source.choice(ODD_TEXTS if source.random() < 0.03 else TEXTS)


def counted(source: random.Random, code: int, content: bytes) -> bytes:
    """Content behind its length, which is wrong in one case of a hundred."""
    width = int(ARGUMENTS[code][-1])
    if source.random() < 0.01:
        return packed(width, source.choice((*LENGTHS, len(content) + 1, len(content) - 1))) + content
    return packed(width, len(content)) + content


def line(source: random.Random, code: int) -> bytes:
    """A line as the opcode has it, an odd one in one case of seven."""
    usual, odd = _LINES[code]
    return source.choice(odd if source.random() < 0.15 else usual) + b"\n"


def argument(source: random.Random, name: str) -> bytes:
    """Any argument of the opcode `name`, but for memo keys."""
    code = CODES[name]
    kind = ARGUMENTS[code]
    if kind.startswith("bytes"):
        content = text(source)
        if kind == "bytes1":
            content = content[:255]
        return counted(source, code, content)
    if kind == "line":
        return line(source, code)
    if kind == "line2":
        module, attribute = named(source)
        return module.replace(b"\n", b"") + b"\n" + attribute.replace(b"\n", b"") + b"\n"
    if name == "BINFLOAT":
        return struct.pack(">d", source.choice((0.0, 1.5, -1e300, float("nan"), float("inf"))))
    if name == "PROTO":
        return bytes((source.choice((0, 1, 2, 3, 4, 5, 5, 6, 255) if source.random() < 0.1 else (2, 3, 4, 5)),))
    if name.startswith("EXT"):
        return packed(int(kind[-1]), source.choice(EXTENSION_CODES[:4] if source.random() < 0.9 else EXTENSION_CODES))
    if not kind:
        return b""
    return packed(int(kind[-1]), source.choice(LENGTHS))


def key(source: random.Random, name: str, number: int) -> bytes:
    """A memo key for the opcode `name`."""
    if name in ("GET", "PUT"):
        return (b"%d" % number if source.random() < 0.97 else source.choice(KEYS)) + b"\n"
    if name in ("BINGET", "BINPUT"):
        return packed(1, number)
    return packed(4, source.choice(LONG_KEYS) if source.random() < 0.02 else number)


_FOLDABLE = sorted(name for name in FOLDABLE.known if "." in name)
_LINES = {
    CODES["INT"]: ((b"5", b"-7", b"01", b"00", b"70000000000"), NUMBERS),
    CODES["LONG"]: ((b"5L", b"-7L", b"70000000000L"), NUMBERS),
    CODES["FLOAT"]: ((b"1.5", b"-2", b"1e5"), FLOATS),
    CODES["STRING"]: ((b"'a'", b'"echo inert"', b"'\\x41'", b"'caf\xe9'"), QUOTED),
    CODES["UNICODE"]: ((b"a", b"\\u0041", b"echo inert", b"\xe9"), ESCAPED),
    CODES["PERSID"]: ((b"id", b"7"), PERSISTENT),
    CODES["GET"]: ((b"0", b"1"), KEYS),
    CODES["PUT"]: ((b"0", b"1"), KEYS),
}
