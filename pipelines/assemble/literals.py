"""Push Python values as a pickler of the assembler's protocol would."""

from __future__ import annotations

from typing import NamedTuple

from .stream import Assembler

Value = object
"""``None bool int float str bytes``, a `tuple`, `list` or `dict` of such, or :class:`Named`."""


class Named(NamedTuple):
    """A value that the stream names: pushed as a global."""

    module: str
    name: str


def push(asm: Assembler, value: Value) -> Assembler:
    """Push a value.

    Raises
    ------
    TypeError
        For a value outside of :data:`Value`.
    """
    if isinstance(value, Named):
        return name(asm, value.module, value.name)
    if value is None:
        return asm.none()
    if isinstance(value, bool):
        if asm.protocol >= 2:
            return asm.newtrue() if value else asm.newfalse()
        return asm.int_("01" if value else "00")
    if isinstance(value, int):
        return _push_int(asm, value)
    if isinstance(value, float):
        return asm.binfloat(value) if asm.protocol >= 1 else asm.float_(value)
    if isinstance(value, str):
        return asm.text(value)
    if isinstance(value, bytes):
        return _push_bytes(asm, value)
    if isinstance(value, tuple):
        return _push_tuple(asm, value)
    if isinstance(value, list):
        return _push_list(asm, value)
    if isinstance(value, dict):
        return _push_dict(asm, value)
    raise TypeError(f"{type(value).__name__} values cannot be assembled; compose them from opcodes")


def name(asm: Assembler, module: str, qualname: str) -> Assembler:
    """Push a global the usual way: STACK_GLOBAL from protocol 4 on, GLOBAL before."""
    if asm.protocol >= 4:
        return asm.text(module).text(qualname).stack_global()
    return asm.global_(module, qualname)


def _push_int(asm: Assembler, value: int) -> Assembler:
    if asm.protocol == 0:
        return asm.int_(value) if -(2**31) <= value < 2**31 else asm.long_(value)
    if 0 <= value < 256:
        return asm.binint1(value)
    if 0 <= value < 65536:
        return asm.binint2(value)
    if -(2**31) <= value < 2**31:
        return asm.binint(value)
    return asm.long1(value) if asm.protocol >= 2 else asm.long_(value)


def _push_bytes(asm: Assembler, value: bytes) -> Assembler:
    if asm.protocol >= 3:
        return asm.short_binbytes(value) if len(value) < 256 else asm.binbytes(value)
    if not value:
        return call(asm, Named("__builtin__", "bytes"))
    return call(asm, Named("_codecs", "encode"), value.decode("latin-1"), "latin1")


def _push_tuple(asm: Assembler, value: tuple[Value, ...]) -> Assembler:
    if not value and asm.protocol >= 1:
        return asm.empty_tuple()
    short = asm.protocol >= 2 and 1 <= len(value) <= 3
    if not short:
        asm.mark()
    for item in value:
        push(asm, item)
    if not short:
        return asm.tuple_()
    return (asm.tuple1, asm.tuple2, asm.tuple3)[len(value) - 1]()


def _push_list(asm: Assembler, value: list[Value]) -> Assembler:
    if asm.protocol == 0:
        asm.mark().list_()
        for item in value:
            push(asm, item).append()
        return asm
    asm.empty_list()
    if not value:
        return asm
    if len(value) == 1:
        return push(asm, value[0]).append()
    asm.mark()
    for item in value:
        push(asm, item)
    return asm.appends()


def _push_dict(asm: Assembler, value: dict[Value, Value]) -> Assembler:
    if asm.protocol == 0:
        asm.mark().dict_()
        for key, item in value.items():
            push(push(asm, key), item).setitem()
        return asm
    asm.empty_dict()
    if not value:
        return asm
    if len(value) == 1:
        [(key, item)] = value.items()
        return push(push(asm, key), item).setitem()
    asm.mark()
    for key, item in value.items():
        push(push(asm, key), item)
    return asm.setitems()


def call(asm: Assembler, callee: Named, *args: Value) -> Assembler:
    """Push the result of a call: the callee's name, the argument tuple, REDUCE."""
    return push(push(asm, callee), args).reduce()
