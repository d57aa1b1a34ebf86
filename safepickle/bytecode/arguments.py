"""Where an opcode's argument lies, read from the opcode table: for what is not in a hurry."""

from __future__ import annotations

from .opcodes import ARGUMENTS
from .values import Stop, text_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    import mmap

    Buffer = bytes | mmap.mmap

_WIDTH = {"": 0, "u1": 1, "u2": 2, "u4": 4, "u8": 8, "i4": 4, "f8": 8}
_COUNTED = {"bytes1": 1, "bytes4": 4, "bytes8": 8}
_LATIN = frozenset((0x54, 0x55))
_INST = 0x69


def argument_span(data: Buffer, at: int, end: int) -> tuple[int, int, int]:
    """Begin and end of the argument of the opcode at `at`, and where the next opcode is.

    Lengths and newlines belong to the opcode, not to its argument; of two lines the newline between them does.

    Raises
    ------
    Stop
        When there is no such opcode, or its argument is not all in ``data[at:end]``.
    """
    argument = ARGUMENTS.get(data[at])
    if argument is None:
        raise Stop("invalid opcode", at)
    begin = at + 1
    width = _WIDTH.get(argument)
    if width is not None:
        behind = begin + width
        if behind > end:
            raise Stop("truncated", at)
        return begin, behind, behind
    if argument in _COUNTED:
        return _counted(data, at, end, _COUNTED[argument])
    newline = data.find(b"\n", begin, end)
    if newline < 0:
        raise Stop("truncated", at)
    if argument == "line":
        return begin, newline, newline + 1
    second = data.find(b"\n", newline + 1, end)
    if second < 0:
        # pickle._Unpickler takes the rest but for its last byte for the line, and calls what INST names
        if data[at] != _INST or newline + 1 >= end:
            raise Stop("truncated", at)
        return begin, end - 1, end
    return begin, second, second + 1


def _counted(data: Buffer, at: int, end: int, width: int) -> tuple[int, int, int]:
    begin = at + 1 + width
    if begin > end:
        raise Stop("truncated", at)
    length = int.from_bytes(data[at + 1 : begin], "little")
    if data[at] == 0x8B and length >= 1 << 31:
        raise Stop("negative length", at)
    if length > end - begin:
        raise Stop("truncated", at)
    return begin, begin + length, begin + length


def text_at(data: Buffer, at: int, end: int, longest: int) -> tuple[str | bytes, int]:
    """The text or bytes that the opcode at `at` pushes, of which `longest` bytes are read, and how many it has."""
    begin, behind, _next = argument_span(data, at, end)
    raw = bytes(data[begin : min(behind, begin + longest)])
    code = data[at]
    kind = ARGUMENTS[code]
    if kind == "line":
        return text_line(code, raw), behind - begin
    if code in (0x42, 0x43, 0x8E, 0x96):
        return raw, behind - begin
    return raw.decode("latin-1" if code in _LATIN else "utf-8", "replace"), behind - begin
