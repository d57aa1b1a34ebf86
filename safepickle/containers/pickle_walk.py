# cython: annotation_typing=False
"""Whether bytes begin like a pickle: a walk over the first opcodes that counts stack items and runs nothing.

A member of an archive is not a pickle because its first byte happens to be ``(`` or ``c``; but one that a loader could
start to execute must not be missed because of what comes later. Nothing can be executed without a global, an extension
code or a persistent id, so the walk asks for a stream that names one and goes on to call something, for one that ends
in STOP, or for a long run of opcodes that never takes more from the stack than is there.

Every literal that may be a file is walked too, so that this file is compiled where a compiler was at hand: it is
Cython's pure-Python mode, with the C types of ``pickle_walk.pxd`` beside it and bounds checks on.
"""

from __future__ import annotations

from ..bytecode.opcodes import CODES, OPCODES
from ..record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from .contents import Buffer

WALKED_OPCODES = 128
"""Opcodes after which an unbroken walk is convincing."""

RUN_BYTES = 1 << 20
"""Bytes of one repeated opcode that are stepped over as if they were one opcode."""

LINE_BYTES = 64 << 20
"""Bytes in which the end of a line is searched; the walk takes a longer line for the rest of the stream."""

NAME_BYTES = 1024
"""Bytes of a module's or attribute's name; no importable name is longer. Of longer lines this much is checked."""

_EFFECTS = {
    # opcode: (items it needs on the stack, change of the stack's height); opcodes not listed push one item
    "STOP": (1, -1), "POP": (1, -1), "DUP": (1, 1), "BINPERSID": (1, 0), "REDUCE": (2, -1), "APPEND": (2, -1),
    "BUILD": (2, -1), "PUT": (1, 0), "BINPUT": (1, 0), "LONG_BINPUT": (1, 0), "MEMOIZE": (1, 0), "SETITEM": (3, -2),
    "PROTO": (0, 0), "FRAME": (0, 0), "NEWOBJ": (2, -1), "NEWOBJ_EX": (3, -2), "STACK_GLOBAL": (2, -1),
    "TUPLE1": (1, 0), "TUPLE2": (2, -1), "TUPLE3": (3, -2), "READONLY_BUFFER": (1, 0),
}  # fmt: skip

_TO_MARK = {
    # opcode: (items it needs below the mark, above the mark, whether it pushes a result)
    "POP_MARK": (0, 0, 0), "APPENDS": (1, 0, 0), "DICT": (0, 0, 1), "INST": (0, 0, 1), "LIST": (0, 0, 1),
    "OBJ": (0, 1, 1), "TUPLE": (0, 0, 1), "SETITEMS": (1, 0, 0), "ADDITEMS": (1, 0, 0), "FROZENSET": (0, 0, 1),
}  # fmt: skip

_FIXED = {"u1": 1, "u2": 2, "u4": 4, "i4": 4, "f8": 8, "u8": 8}
_COUNTED = {"bytes1": 1, "bytes4": 4, "bytes8": 8}
_LINES = {"line": 1, "line2": 2}


def _table(values: Mapping[str, int], other: int = 0) -> bytes:
    """Numbers by opcode name as a table by code; `other` for opcodes that are not among them."""
    table = bytearray(256)
    for code, name, _argument, _protocol in OPCODES:
        table[code] = values.get(name, other)
    return bytes(table)


def _flags(*names: str) -> bytes:
    return _table(dict.fromkeys(names, 1))


_UP = 2  # tables hold no negative numbers
_VALID = _table({}, 1)
_NEEDS = _table({name: needs for name, (needs, _change) in _EFFECTS.items()})
_CHANGE = _table({name: change + _UP for name, (_needs, change) in _EFFECTS.items()}, 1 + _UP)
_ENDS_AT_MARK = _flags(*_TO_MARK)
_BELOW, _ABOVE, _PUSHES = (_table({name: row[column] for name, row in _TO_MARK.items()}) for column in range(3))
_FIXED_WIDTH, _COUNT_WIDTH, _LINE_COUNT = (
    _table({name: widths.get(argument, 0) for _code, name, argument, _protocol in OPCODES})
    for widths in (_FIXED, _COUNTED, _LINES)
)
_SIGNED = _flags("BINSTRING", "LONG4")
FIRST = _flags(*(name for _code, name, _a, _p in OPCODES if name not in _TO_MARK and not _EFFECTS.get(name, (0,))[0]))
"""Opcodes that a stream may begin with: flags by code."""
_CALLING = _flags("REDUCE", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "BUILD")
IMPORTING = _flags("GLOBAL", "INST", "STACK_GLOBAL")
"""Opcodes that name a global: flags by code."""
NAMING = _flags("GLOBAL", "INST", "STACK_GLOBAL", "EXT1", "EXT2", "EXT4", "PERSID", "BINPERSID")
"""Opcodes that name something to import."""
_MARK, _POP, _PROTO, _STOP, _PERSID, _STRING = 0x28, 0x30, 0x80, 0x2E, 0x50, 0x53
_OF_NUMBERS = _flags("INT", "LONG", "FLOAT", "GET", "PUT")
_OF_NAMES = _flags("GLOBAL", "INST")

_NUMBER = frozenset(b"0123456789abcdefABCDEFxXoOlLinftyINFTY+-._ \t\r\v\f")
_NOT_IN_NAMES = frozenset(b"()[]{}:;,\"'=\x7f").union(range(0x21))

# How a walk ended, and an argument that cannot be stepped over.
_BROKEN, _BEYOND, _ENDLESS, _ALL_READ = -1, -2, -3, -4
_ENDINGS = {_BROKEN: "broken", _BEYOND: "window", _ENDLESS: "long", _ALL_READ: "end"}
# What a walk saw, in one number: the opcodes, these flags, 8 times how it ended, and the streams.
_HEADED, _NAMED, _CALLED = 0x100, 0x200, 0x400
_ENDED_SHIFT, _STREAMS_SHIFT = 11, 14


class Walk(Record):
    """How far a walk came.

    Parameters
    ----------
    opcodes
        Opcodes walked, over all streams.
    headed
        The first opcode is PROTO with a protocol that exists.
    named, called
        One of the opcodes asked for that name something to import was met; something was called after that.
    streams
        Streams that reached STOP.
    ended
        Why the walk ended: ``broken`` (an unpickler would raise here), ``window`` (the bytes at hand ended within an
        opcode), ``end`` (after a STOP the bytes ended, but for blanks or NULs), ``long`` (nothing wrong so far).
    """

    opcodes: int
    headed: bool
    named: bool
    called: bool
    streams: int
    ended: str


def walk(data: Buffer, start: int, end: int, naming: bytes = NAMING) -> Walk:
    """Walk the first opcodes of ``data[start:end]``; `naming` flags the opcodes that count as naming something."""
    seen = _walked(data, start, end, naming)
    return Walk(
        seen & 0xFF,
        seen & _HEADED != 0,
        seen & _NAMED != 0,
        seen & _CALLED != 0,
        seen >> _STREAMS_SHIFT,
        _ENDINGS[-((seen >> _ENDED_SHIFT) & 7)],
    )


def imports_something(data: bytes, long: int) -> bool:
    """Whether the first opcodes of `data` come to name a global, or could still do so where the walk ended.

    Where `data` has `long` bytes and more, they may be cut, so that a walk that runs off their end could.
    """
    seen = _walked(data, 0, len(data), IMPORTING)
    ended = -((seen >> _ENDED_SHIFT) & 7)
    return seen & _NAMED != 0 or (seen & 0xFF > 0 and (ended == _ENDLESS or (ended == _BEYOND and len(data) >= long)))


def imports_nothing(head: bytes) -> bool:
    """Whether no bytes that begin with `head` come to name a global: the walk broke within it before it did."""
    seen = _walked(head, 0, len(head), IMPORTING)
    return seen & _NAMED == 0 and -((seen >> _ENDED_SHIFT) & 7) == _BROKEN


def _walked(data: Buffer, start: int, end: int, naming: bytes) -> int:
    """What the walk sees, in one number."""
    raw = data if isinstance(data, bytes) else None  # of these the compiled build takes bytes without a call
    position, height, streams, count = start, 0, 0, 0
    marks: list[int] = []
    flags = 0
    ended = _ENDLESS
    while count < WALKED_OPCODES:
        if height == 0 and streams and not marks and not data[position : min(position + 64, end)].strip(b"\0 \r\n\t"):
            ended = _ALL_READ
            break
        if position >= end:
            ended = _BEYOND
            break
        code = data[position] if raw is None else raw[position]
        effect = _take(code, height, marks)
        if effect < 0:
            ended = _BROKEN
            break
        after = position + 1 + _FIXED_WIDTH[code]
        if _COUNT_WIDTH[code] or _LINE_COUNT[code]:
            after = _argument_end(data, position + 1, end, code)
            if after < 0:
                ended = after
                break
        elif code == _PROTO and after <= end and data[position + 1] > 5:
            ended = _BROKEN
            break
        elif after > end:
            ended = _BEYOND
            break
        if count == 0 and code == _PROTO:
            flags |= _HEADED
        if naming[code]:
            flags |= _NAMED
        if flags & _NAMED and _CALLING[code]:
            flags |= _CALLED
        if effect > height and after == position + 1 and after < end and data[after] == code:
            # a run of one pushing opcode proves nothing and must not use up the walk
            repeats = _run_length(data, position, end)
            after, effect = position + repeats, effect + repeats - 1
        position, height, count = after, effect, count + 1
        if code == _STOP:
            streams, height = streams + 1, 0
            marks.clear()
    return count | flags | (-ended << _ENDED_SHIFT) | (streams << _STREAMS_SHIFT)


def looks_like_pickle(data: Buffer, start: int, end: int, partial: bool = False) -> bool:
    """Whether a loader could start to execute ``data[start:end]`` as a pickle.

    Parameters
    ----------
    data, start, end
        The bytes, read no further than the walk goes.
    partial
        Whether the bytes go on after `end`; a walk that runs off the end then counts as a pickle.
    """
    seen = walk(data, start, end)
    if seen.headed:
        return seen.opcodes >= 2 or seen.ended == "window"
    return (
        (partial and seen.ended == "window")
        or seen.called
        or seen.ended in ("long", "end")
        or (seen.streams > 0 and seen.named)
    )


def surely_pickle(data: Buffer, start: int, end: int) -> bool:
    """Like :func:`looks_like_pickle` for raw numbers, which begin with any byte by chance.

    Asks for PROTO and a few sound opcodes, or for a stream that names a global and calls something or ends.
    """
    seen = walk(data, start, end, IMPORTING)
    if seen.headed:
        return seen.opcodes >= 4 or seen.named or seen.streams > 0
    return seen.called or (seen.streams > 0 and seen.named)


def may_be_pickle(data: Buffer, start: int, end: int) -> bool:
    """Whether an unpickler would get past the first opcode: for bytes that nothing else explains."""
    seen = walk(data, start, end)
    return seen.opcodes >= 1 or (seen.ended == "window" and end > start)


def height_after(name: str, height: int, marks: list[int]) -> int | None:
    """The stack's height after the opcode `name`, or None where it would fall below the bottom; keeps `marks`."""
    after = _take(CODES[name], height, marks)
    return after if after >= 0 else None


def _take(code: int, height: int, marks: list[int]) -> int:
    """The stack's height after an opcode, or -1 where it would fall below the bottom; keeps `marks`."""
    if code == _MARK:
        marks.append(height)
        return height
    if not _VALID[code]:
        return -1
    if not _ENDS_AT_MARK[code]:
        if height < _NEEDS[code]:
            return marks.pop() if code == _POP and marks else -1
        height += _CHANGE[code] - _UP
        if marks and height < marks[-1]:
            # Python 2 keeps marks on the stack, so that POP and the like may take one
            marks.pop()
        return height
    if not marks:
        return -1
    mark = marks.pop()
    if mark < _BELOW[code] or height - mark < _ABOVE[code]:
        return -1
    return mark + _PUSHES[code]


def _argument_end(data: Buffer, position: int, end: int, code: int) -> int:
    """Offset after a counted argument or lines, or `_BROKEN`, `_BEYOND` (leaves the bytes at hand) or `_ENDLESS`."""
    width = _COUNT_WIDTH[code]
    if width:
        after = position + width
        if after > end:
            return _BEYOND
        size = int.from_bytes(data[position:after], "little", signed=_SIGNED[code] != 0)
        if size < 0:
            return _BROKEN
        return after + size if size <= end - after else _BEYOND
    after = _line_end(data, position, end, code)
    return _line_end(data, after, end, code) if after >= 0 and _LINE_COUNT[code] == 2 else after


def _line_end(data: Buffer, position: int, end: int, code: int) -> int:
    limit = min(end, position + (NAME_BYTES if NAMING[code] else LINE_BYTES))
    found = data.find(b"\n", position, limit)
    head = data[position : min(found if found >= 0 else end, position + NAME_BYTES)]
    if not head and found < 0:
        return _BEYOND
    if _OF_NUMBERS[code]:
        sound = bool(head) and _NUMBER.issuperset(head.partition(b"\0")[0])  # the unpickler in C stops at a NUL
    elif _OF_NAMES[code]:
        sound = bool(head) and _NOT_IN_NAMES.isdisjoint(head)
    elif code == _STRING:
        sound = head[:1] in (b"'", b'"')
    else:
        sound = code != _PERSID or (head.isascii() and min(head, default=0x20) >= 0x20)
    if not sound:
        return _BROKEN
    if found < 0 and limit < end:
        return _BROKEN if NAMING[code] else _ENDLESS
    return found + 1 if found >= 0 else _BEYOND


def _run_length(data: Buffer, position: int, end: int) -> int:
    """How often the byte at `position` stands there in a row."""
    if data[position : min(position + 2, end)] != data[position : position + 1] * 2:
        return 1
    run = data[position : min(position + RUN_BYTES, end)]
    return len(run) - len(run.lstrip(run[:1]))
