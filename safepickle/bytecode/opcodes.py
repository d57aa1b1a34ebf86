"""The 68 pickle opcodes as data.

Source: PEP 307, PEP 3154, PEP 574 and CPython's ``Lib/pickletools.py``.
"""

from __future__ import annotations

OPCODES: tuple[tuple[int, str, str, int], ...] = (
    # code, name, argument, protocol that introduced it
    (0x28, "MARK", "", 0),
    (0x29, "EMPTY_TUPLE", "", 1),
    (0x2E, "STOP", "", 0),
    (0x30, "POP", "", 0),
    (0x31, "POP_MARK", "", 1),
    (0x32, "DUP", "", 0),
    (0x42, "BINBYTES", "bytes4", 3),
    (0x43, "SHORT_BINBYTES", "bytes1", 3),
    (0x46, "FLOAT", "line", 0),
    (0x47, "BINFLOAT", "f8", 1),
    (0x49, "INT", "line", 0),
    (0x4A, "BININT", "i4", 1),
    (0x4B, "BININT1", "u1", 1),
    (0x4C, "LONG", "line", 0),
    (0x4D, "BININT2", "u2", 1),
    (0x4E, "NONE", "", 0),
    (0x50, "PERSID", "line", 0),
    (0x51, "BINPERSID", "", 1),
    (0x52, "REDUCE", "", 0),
    (0x53, "STRING", "line", 0),
    (0x54, "BINSTRING", "bytes4", 1),
    (0x55, "SHORT_BINSTRING", "bytes1", 1),
    (0x56, "UNICODE", "line", 0),
    (0x58, "BINUNICODE", "bytes4", 1),
    (0x5D, "EMPTY_LIST", "", 1),
    (0x61, "APPEND", "", 0),
    (0x62, "BUILD", "", 0),
    (0x63, "GLOBAL", "line2", 0),
    (0x64, "DICT", "", 0),
    (0x65, "APPENDS", "", 1),
    (0x67, "GET", "line", 0),
    (0x68, "BINGET", "u1", 1),
    (0x69, "INST", "line2", 0),
    (0x6A, "LONG_BINGET", "u4", 1),
    (0x6C, "LIST", "", 0),
    (0x6F, "OBJ", "", 1),
    (0x70, "PUT", "line", 0),
    (0x71, "BINPUT", "u1", 1),
    (0x72, "LONG_BINPUT", "u4", 1),
    (0x73, "SETITEM", "", 0),
    (0x74, "TUPLE", "", 0),
    (0x75, "SETITEMS", "", 1),
    (0x7D, "EMPTY_DICT", "", 1),
    (0x80, "PROTO", "u1", 2),
    (0x81, "NEWOBJ", "", 2),
    (0x82, "EXT1", "u1", 2),
    (0x83, "EXT2", "u2", 2),
    (0x84, "EXT4", "i4", 2),
    (0x85, "TUPLE1", "", 2),
    (0x86, "TUPLE2", "", 2),
    (0x87, "TUPLE3", "", 2),
    (0x88, "NEWTRUE", "", 2),
    (0x89, "NEWFALSE", "", 2),
    (0x8A, "LONG1", "bytes1", 2),
    (0x8B, "LONG4", "bytes4", 2),
    (0x8C, "SHORT_BINUNICODE", "bytes1", 4),
    (0x8D, "BINUNICODE8", "bytes8", 4),
    (0x8E, "BINBYTES8", "bytes8", 4),
    (0x8F, "EMPTY_SET", "", 4),
    (0x90, "ADDITEMS", "", 4),
    (0x91, "FROZENSET", "", 4),
    (0x92, "NEWOBJ_EX", "", 4),
    (0x93, "STACK_GLOBAL", "", 4),
    (0x94, "MEMOIZE", "", 4),
    (0x95, "FRAME", "u8", 4),
    (0x96, "BYTEARRAY8", "bytes8", 5),
    (0x97, "NEXT_BUFFER", "", 5),
    (0x98, "READONLY_BUFFER", "", 5),
)
"""Argument kinds: ``u1 u2 u4 u8 i4 f8`` little-endian numbers (``f8`` big-endian), ``line`` up to a
newline, ``line2`` two such lines, ``bytes1 bytes4 bytes8`` a length of that many bytes, then the bytes."""

NAMES: dict[int, str] = {code: name for code, name, _argument, _protocol in OPCODES}
CODES: dict[str, int] = {name: code for code, name, _argument, _protocol in OPCODES}
ARGUMENTS: dict[int, str] = {code: argument for code, _name, argument, _protocol in OPCODES}
PROTOCOLS: dict[int, int] = {code: protocol for code, _name, _argument, protocol in OPCODES}
