"""An assembler for pickle streams that knows every opcode and executes none."""

from __future__ import annotations

import struct
from typing import Self

from .encoding import raw_unicode_escape

HIGHEST_PROTOCOL = 5


class Assembler:
    """Write a pickle stream opcode by opcode; every method returns the assembler, so that calls chain.

    Nothing is checked: broken and hostile streams are what this class is for.

    Parameters
    ----------
    protocol
        Written as PROTO when 2 or higher, and decides which encodings :func:`~.literals.push` and :meth:`text` use.
    framed
        Put the body into one FRAME.
    memo
        Memo entries that exist before this fragment, for code that is spliced into another stream.
    memoize
        Whether MEMOIZE is the ordinary way to store (protocol 4 and 5); by default decided by the protocol.

    Examples
    --------
    >>> Assembler(0).global_("builtins", "print").mark().unicode("hello").tuple_().reduce().assemble()
    b'cbuiltins\\nprint\\n(Vhello\\ntR.'
    """

    def __init__(self, protocol: int = 4, *, framed: bool = False, memo: int = 0, memoize: bool | None = None) -> None:
        self.protocol = protocol
        self.framed = framed
        self.memoizes = protocol >= 4 if memoize is None else memoize
        self._body = bytearray()
        self._entries = memo
        self._keys: dict[str, int] = {}

    # --- the whole -------------------------------------------------------------------------------

    def fragment(self) -> bytes:
        """The code written so far, without PROTO, FRAME and an added STOP."""
        return bytes(self._body)

    def assemble(self, *, stop: bool = True) -> bytes:
        """The whole stream: PROTO (protocol 2 and higher), FRAME if asked for, the code, STOP."""
        body = bytes(self._body) + (b"." if stop else b"")
        if self.framed:
            body = b"\x95" + struct.pack("<Q", len(body)) + body
        return (bytes((0x80, self.protocol)) if self.protocol >= 2 else b"") + body

    def raw(self, code: bytes) -> Self:
        """Append bytes as they are."""
        self._body += code
        return self

    def _number(self, code: bytes, layout: str, value: int | float) -> Self:
        return self.raw(code + struct.pack(layout, value))

    def _counted(self, code: bytes, layout: str, value: bytes) -> Self:
        return self.raw(code + struct.pack(layout, len(value)) + value)

    def _line(self, code: bytes, *lines: str) -> Self:
        return self.raw(code + b"".join(line.encode("utf-8") + b"\n" for line in lines))

    # --- memo ------------------------------------------------------------------------------------

    @property
    def entries(self) -> int:
        """Memo entries that exist at this point, those before the fragment included."""
        return self._entries

    def store(self, name: str, how: str = "") -> Self:
        """Store the top of the stack under a name of ours, by ``put``, ``binput``, ``long_binput`` or ``memoize``."""
        key = self._entries
        how = how or ("memoize" if self.memoizes else "binput" if self.protocol >= 1 and key < 256 else "put")
        self._keys[name] = key
        if how == "memoize":
            return self.memoize()
        if how == "put" or (how == "binput" and key < 256):
            return self.put(key) if how == "put" else self.binput(key)
        return self.long_binput(key)

    def recall(self, name: str, how: str = "") -> Self:
        """Push what :meth:`store` kept under that name, by ``get``, ``binget`` or ``long_binget``."""
        key = self._keys[name]
        how = how or ("binget" if self.protocol >= 1 else "get")
        if how == "get":
            return self.get(key)
        return self.binget(key) if how == "binget" and key < 256 else self.long_binget(key)

    def put(self, key: int) -> Self:
        self._entries += 1
        return self._line(b"p", str(key))

    def binput(self, key: int) -> Self:
        self._entries += 1
        return self._number(b"q", "<B", key)

    def long_binput(self, key: int) -> Self:
        self._entries += 1
        return self._number(b"r", "<I", key)

    def memoize(self) -> Self:
        self._entries += 1
        return self.raw(b"\x94")

    def get(self, key: int) -> Self:
        return self._line(b"g", str(key))

    def binget(self, key: int) -> Self:
        return self._number(b"h", "<B", key)

    def long_binget(self, key: int) -> Self:
        return self._number(b"j", "<I", key)

    # --- numbers and constants -------------------------------------------------------------------

    def none(self) -> Self:
        return self.raw(b"N")

    def newtrue(self) -> Self:
        return self.raw(b"\x88")

    def newfalse(self) -> Self:
        return self.raw(b"\x89")

    def int_(self, value: int | str) -> Self:
        return self._line(b"I", str(value))

    def long_(self, value: int | str) -> Self:
        return self._line(b"L", f"{value}L")

    def binint(self, value: int) -> Self:
        return self._number(b"J", "<i", value)

    def binint1(self, value: int) -> Self:
        return self._number(b"K", "<B", value)

    def binint2(self, value: int) -> Self:
        return self._number(b"M", "<H", value)

    def long1(self, value: int) -> Self:
        return self._counted(b"\x8a", "<B", _two_complement(value))

    def long4(self, value: int) -> Self:
        return self._counted(b"\x8b", "<i", _two_complement(value))

    def float_(self, value: float | str) -> Self:
        return self._line(b"F", value if isinstance(value, str) else repr(value))

    def binfloat(self, value: float) -> Self:
        return self._number(b"G", ">d", value)

    # --- text and bytes --------------------------------------------------------------------------

    def text(self, value: str) -> Self:
        """Push a string with the opcode that a pickler of this protocol would use."""
        if self.protocol == 0:
            return self.unicode(value)
        short = self.protocol >= 4 and len(value.encode("utf-8", "surrogatepass")) < 256
        return self.short_binunicode(value) if short else self.binunicode(value)

    def string(self, value: bytes) -> Self:
        """STRING: quoted, with the escapes of Python 2's ``repr``, except that high bytes stay as they are."""
        quoted = value.replace(b"\\", b"\\\\").replace(b"'", b"\\'").replace(b"\n", b"\\n")
        return self.raw(b"S'" + quoted + b"'\n")

    def binstring(self, value: bytes) -> Self:
        return self._counted(b"T", "<i", value)

    def short_binstring(self, value: bytes) -> Self:
        return self._counted(b"U", "<B", value)

    def unicode(self, value: str) -> Self:
        return self.raw(b"V" + raw_unicode_escape(value) + b"\n")

    def short_binunicode(self, value: str) -> Self:
        return self._counted(b"\x8c", "<B", value.encode("utf-8", "surrogatepass"))

    def binunicode(self, value: str) -> Self:
        return self._counted(b"X", "<I", value.encode("utf-8", "surrogatepass"))

    def binunicode8(self, value: str) -> Self:
        return self._counted(b"\x8d", "<Q", value.encode("utf-8", "surrogatepass"))

    def short_binbytes(self, value: bytes) -> Self:
        return self._counted(b"C", "<B", value)

    def binbytes(self, value: bytes) -> Self:
        return self._counted(b"B", "<I", value)

    def binbytes8(self, value: bytes) -> Self:
        return self._counted(b"\x8e", "<Q", value)

    def bytearray8(self, value: bytes) -> Self:
        return self._counted(b"\x96", "<Q", value)

    def next_buffer(self) -> Self:
        return self.raw(b"\x97")

    def readonly_buffer(self) -> Self:
        return self.raw(b"\x98")

    # --- containers ------------------------------------------------------------------------------

    def mark(self) -> Self:
        return self.raw(b"(")

    def empty_list(self) -> Self:
        return self.raw(b"]")

    def list_(self) -> Self:
        return self.raw(b"l")

    def append(self) -> Self:
        return self.raw(b"a")

    def appends(self) -> Self:
        return self.raw(b"e")

    def empty_tuple(self) -> Self:
        return self.raw(b")")

    def tuple_(self) -> Self:
        return self.raw(b"t")

    def tuple1(self) -> Self:
        return self.raw(b"\x85")

    def tuple2(self) -> Self:
        return self.raw(b"\x86")

    def tuple3(self) -> Self:
        return self.raw(b"\x87")

    def empty_dict(self) -> Self:
        return self.raw(b"}")

    def dict_(self) -> Self:
        return self.raw(b"d")

    def setitem(self) -> Self:
        return self.raw(b"s")

    def setitems(self) -> Self:
        return self.raw(b"u")

    def empty_set(self) -> Self:
        return self.raw(b"\x8f")

    def additems(self) -> Self:
        return self.raw(b"\x90")

    def frozenset_(self) -> Self:
        return self.raw(b"\x91")

    # --- stack -----------------------------------------------------------------------------------

    def pop(self) -> Self:
        return self.raw(b"0")

    def pop_mark(self) -> Self:
        return self.raw(b"1")

    def dup(self) -> Self:
        return self.raw(b"2")

    # --- names and calls -------------------------------------------------------------------------

    def global_(self, module: str, name: str) -> Self:
        return self._line(b"c", module, name)

    def stack_global(self) -> Self:
        return self.raw(b"\x93")

    def inst(self, module: str, name: str) -> Self:
        return self._line(b"i", module, name)

    def obj(self) -> Self:
        return self.raw(b"o")

    def newobj(self) -> Self:
        return self.raw(b"\x81")

    def newobj_ex(self) -> Self:
        return self.raw(b"\x92")

    def reduce(self) -> Self:
        return self.raw(b"R")

    def build(self) -> Self:
        return self.raw(b"b")

    def ext1(self, code: int) -> Self:
        return self._number(b"\x82", "<B", code)

    def ext2(self, code: int) -> Self:
        return self._number(b"\x83", "<H", code)

    def ext4(self, code: int) -> Self:
        return self._number(b"\x84", "<i", code)

    def persid(self, identifier: str) -> Self:
        return self._line(b"P", identifier)

    def binpersid(self) -> Self:
        return self.raw(b"Q")

    # --- structure -------------------------------------------------------------------------------

    def proto(self, version: int) -> Self:
        return self._number(b"\x80", "<B", version)

    def frame(self, length: int) -> Self:
        return self._number(b"\x95", "<Q", length)

    def stop(self) -> Self:
        return self.raw(b".")


def _two_complement(value: int) -> bytes:
    """Shortest little-endian two's complement; nothing at all for 0 (as :func:`pickle.encode_long`)."""
    if value == 0:
        return b""
    length = (value if value >= 0 else ~value).bit_length() // 8 + 1
    return value.to_bytes(length, "little", signed=True)
