"""Where in bytes that belong to no stream one could begin.

A stream of protocol 2 or later begins with PROTO. An older one, or one whose head is damaged, gives itself away by
what it must do before it can call anything: name a global. From there the search goes back to the first opcode
that the naming needs.
"""

from __future__ import annotations

from .names import is_stdlib
from .opcodes import ARGUMENTS

TYPE_CHECKING = False
if TYPE_CHECKING:
    import mmap
    from collections.abc import Iterator

    Buffer = bytes | mmap.mmap

_WINDOW = 1 << 18
_NAME_BYTES = 200
_ARGUMENTS_BYTES = 512
"""Bytes before INST in which the MARK below its arguments is looked for."""
_IN_NAMES = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_."
_DIGITS = b"0123456789"


def candidates(data: Buffer, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Offsets at which a stream could begin, each with the offset of what gave it away.

    Offsets that share the latter are different readings of the same bytes: where among letters a module's name
    begins is not to be told. Those apart, they come in the order of the bytes. An offset of INST stands for all those
    at which the arguments below it may begin: :func:`marks_before`.
    """
    import re

    view = data if isinstance(data, bytes) else memoryview(data)  # single bytes of a map are slow to come by
    proto = re.compile(rb"\x80[\x00-\x05]")
    named = re.compile(rb"\n[A-Za-z_][A-Za-z0-9_.]{0,200}\r?\n")
    for low in range(start, end, _WINDOW):
        high = min(end, low + _WINDOW)
        found = [(match.start(), match.start()) for match in proto.finditer(data, low, min(end, high + 1))]
        reach = min(end, high + _NAME_BYTES + 4)
        match = named.search(data, low, reach)
        while match is not None and match.start() < high:
            found.extend(_global_before(view, match.start(), start))
            match = named.search(data, match.start() + 1, reach)
        at = data.find(b"\x93", low, high)
        while at >= 0:
            found.extend((begin, at) for begin in _operands_before(view, at, start))
            at = data.find(b"\x93", at + 1, high)
        # what is found within one line stays together, in the order of its finding
        yield from sorted(found, key=lambda offsets: offsets[1])


def read_across(data: Buffer, opcode: int, frame_end: int, end: int) -> int:
    """Where the read begins that reaches from within a frame over its end; -1 when none does.

    Parameters
    ----------
    data, end
        The bytes, and where they end.
    opcode
        Offset of the opcode whose argument is read.
    frame_end
        Offset behind the frame.
    """
    argument = ARGUMENTS.get(data[opcode], "")
    begin = opcode + 1
    if argument.startswith("line"):
        newline = data.find(b"\n", begin, frame_end)
        if newline < 0 or argument == "line":
            return begin if newline < 0 else -1
        return newline + 1 if data.find(b"\n", newline + 1, frame_end) < 0 else -1
    width = int(argument[-1]) if argument else 0
    if begin + width > frame_end:
        return begin
    if data[opcode] == 0x96 or not (argument.startswith("bytes") or data[opcode] == 0x95):
        return -1  # BYTEARRAY8 alone is read in parts
    behind = begin + width + int.from_bytes(data[begin : begin + width], "little")
    return begin + width if behind > frame_end else -1


def _global_before(data: bytes | memoryview, newline: int, low: int) -> Iterator[tuple[int, int]]:
    """GLOBAL or INST whose first line ends at `newline`: with the longest module name, and with known ones."""
    line = bytes(data[max(low, newline - _NAME_BYTES) : newline])
    begin = newline - len(line)
    line = line.rstrip(b"\r")
    run = line[len(line.rstrip(_IN_NAMES)) :]
    first = begin + len(line) - len(run)
    longest = {0x63: True, 0x69: True}
    for index in range(len(run) - 1):
        code = run[index]
        module = run[index + 1 :]
        if code not in longest or module[0] in b".0123456789":
            continue
        if not longest[code] and not is_stdlib(module.decode("ascii")):
            continue
        longest[code] = False
        yield first + index, newline


def marks_before(data: Buffer, inst: int, low: int) -> Iterator[int]:
    """Offsets of what may be the MARK below the arguments of INST at `inst`, the nearest first, none before `low`."""
    low = max(low, inst - _ARGUMENTS_BYTES)
    mark = data.rfind(b"(", low, inst)
    while mark >= 0:
        yield mark
        mark = data.rfind(b"(", low, mark)


def _operands_before(data: bytes | memoryview, end: int, low: int) -> Iterator[int]:
    """Offsets of two string opcodes that are followed by STACK_GLOBAL at `end`."""
    for second in _string_before(data, end, low):
        yield from _string_before(data, second, low)


def _string_before(data: bytes | memoryview, end: int, low: int) -> Iterator[int]:
    """Offsets of opcodes that push a name and, perhaps stored in the memo, end at `end`."""
    for behind in _before_store(data, end, low):
        line = behind > low and data[behind - 1] == 0x0A
        last = behind - 1 if line else behind
        if line and last > low and data[last - 1] in b"'\"":
            quoted = bytes(data[max(low, last - 1 - _NAME_BYTES) : last - 1])
            begin = last - 1 - (len(quoted) - len(quoted.rstrip(_IN_NAMES)))
            if begin - 2 >= low and data[begin - 1] == data[last - 1] and data[begin - 2] == 0x53:
                yield begin - 2
            continue
        name = bytes(data[max(low, last - _NAME_BYTES) : last])
        longest = len(name) - len(name.rstrip(_IN_NAMES))
        for length in range(1, longest + 1):
            at = last - length - 1
            if line:
                if at >= low and data[at] == 0x56:
                    yield at
            elif at - 1 >= low and data[at] == length and data[at - 1] in b"\x8cU":
                yield at - 1
            elif at - 4 >= low and data[at - 3 : at + 1] == length.to_bytes(4, "little") and data[at - 4] in b"XT":
                yield at - 4
            elif at - 8 >= low and data[at - 7 : at + 1] == length.to_bytes(8, "little") and data[at - 8] == 0x8D:
                yield at - 8


def _before_store(data: bytes | memoryview, end: int, low: int) -> Iterator[int]:
    """`end`, and where a PUT, BINPUT, LONG_BINPUT or MEMOIZE that ends there begins."""
    yield end
    if end - 1 > low and data[end - 1] == 0x94:
        yield end - 1
    if end - 2 > low and data[end - 2] == 0x71:
        yield end - 2
    if end - 5 > low and data[end - 5] == 0x72:
        yield end - 5
    if end - 1 > low and data[end - 1] == 0x0A:
        line = bytes(data[max(low, end - 12) : end - 1])
        digits = len(line) - len(line.rstrip(_DIGITS))
        at = end - 2 - digits
        if digits and at > low and data[at] == 0x70:
            yield at
