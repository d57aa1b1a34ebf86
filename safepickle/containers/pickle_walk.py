"""Whether bytes begin like a pickle: a walk over the first opcodes that counts stack items and runs nothing.

A member of an archive is not a pickle because its first byte happens to be ``(`` or ``c``; but one that a loader could
start to execute must not be missed because of what comes later. Nothing can be executed without a global, an extension
code or a persistent id, so the walk asks for a stream that names one and goes on to call something, for one that ends
in STOP, or for a long run of opcodes that never takes more from the stack than is there.
"""

from __future__ import annotations

from ..bytecode.opcodes import OPCODES

TYPE_CHECKING = False
if TYPE_CHECKING:
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

_IMPORTING = frozenset(("GLOBAL", "INST", "STACK_GLOBAL"))
_NAMING = _IMPORTING.union(("EXT1", "EXT2", "EXT4", "PERSID", "BINPERSID"))
_CALLING = frozenset(("REDUCE", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "BUILD"))

_FIXED = {"u1": 1, "u2": 2, "u4": 4, "i4": 4, "f8": 8, "u8": 8}
_COUNTED = {"bytes1": 1, "bytes4": 4, "bytes8": 8}
_BY_CODE = {code: (name, argument) for code, name, argument, _protocol in OPCODES}

_NUMBER = frozenset(b"0123456789abcdefABCDEFxXoOlLinftyINFTY+-._ \t\r\v\f")
_LINE_ALPHABETS = {"INT": _NUMBER, "LONG": _NUMBER, "FLOAT": _NUMBER, "GET": _NUMBER, "PUT": _NUMBER}
_NOT_IN_NAMES = frozenset(b"()[]{}:;,\"'=\x7f").union(range(0x21))


class Walk:
    """How far a walk came; no record, as one is made for every member.

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

    __slots__ = ("called", "ended", "headed", "named", "opcodes", "streams")

    def __init__(self, opcodes: int, headed: bool, named: bool, called: bool, streams: int, ended: str) -> None:
        self.opcodes = opcodes
        self.headed = headed
        self.named = named
        self.called = called
        self.streams = streams
        self.ended = ended


def walk(data: Buffer, start: int, end: int, naming: frozenset[str] = _NAMING) -> Walk:
    """Walk the first opcodes of ``data[start:end]``; `naming` are the opcodes that count as naming something."""
    position, height, streams, count = start, 0, 0, 0
    marks: list[int] = []
    headed = named = called = False
    ended = "long"
    while count < WALKED_OPCODES:
        if height == 0 and not marks and streams and not data[position : min(position + 64, end)].strip(b"\0 \r\n\t"):
            ended = "end"
            break
        if position >= end:
            ended = "window"
            break
        name, argument = _BY_CODE.get(data[position], ("", ""))
        effect = height_after(name, height, marks) if name else None
        if effect is None:
            ended = "broken"
            break
        after = _argument_end(data, position + 1, end, name, argument)
        if after < 0:
            ended = _ENDINGS[after]
            break
        headed = headed or (count == 0 and name == "PROTO")
        named = named or name in naming
        called = called or (named and name in _CALLING)
        if not argument and effect > height:
            # a run of one pushing opcode proves nothing and must not use up the walk
            repeats = _run_length(data, position, end)
            after, effect = position + repeats, effect + repeats - 1
        position, height, count = after, effect, count + 1
        if name == "STOP":
            streams, height = streams + 1, 0
            marks.clear()
    return Walk(count, headed, named, called, streams, ended)


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
    seen = walk(data, start, end, _IMPORTING)
    if seen.headed:
        return seen.opcodes >= 4 or seen.named or seen.streams > 0
    return seen.called or (seen.streams > 0 and seen.named)


def may_be_pickle(data: Buffer, start: int, end: int) -> bool:
    """Whether an unpickler would get past the first opcode: for bytes that nothing else explains."""
    seen = walk(data, start, end)
    return seen.opcodes >= 1 or (seen.ended == "window" and end > start)


def height_after(name: str, height: int, marks: list[int]) -> int | None:
    """The stack's height after an opcode, or None where it would fall below the bottom; keeps `marks`."""
    if name == "MARK":
        marks.append(height)
        return height
    to_mark = _TO_MARK.get(name)
    if to_mark is None:
        needs, change = _EFFECTS.get(name, (0, 1))
        if height < needs:
            if name == "POP" and marks:
                return marks.pop()
            return None
        if marks and height + change < marks[-1]:
            # Python 2 keeps marks on the stack, so that POP and the like may take one
            marks.pop()
        return height + change
    if not marks:
        return None
    below, above, pushes = to_mark
    mark = marks.pop()
    if mark < below or height - mark < above:
        return None
    return mark + pushes


_BROKEN = -1
_BEYOND = -2
_ENDLESS = -3
_ENDINGS = {_BROKEN: "broken", _BEYOND: "window", _ENDLESS: "long"}


def _argument_end(data: Buffer, position: int, end: int, name: str, argument: str) -> int:
    """Offset after an argument, or `_BROKEN`, `_BEYOND` (leaves the bytes at hand) or `_ENDLESS` (no end in sight)."""
    if not argument:
        return position
    if argument in _FIXED:
        after = position + _FIXED[argument]
        if name == "PROTO" and position < end and data[position] > 5:
            return _BROKEN
        return after if after <= end else _BEYOND
    if argument in _COUNTED:
        width = _COUNTED[argument]
        if position + width > end:
            return _BEYOND
        size = int.from_bytes(data[position : position + width], "little", signed=name in ("BINSTRING", "LONG4"))
        if size < 0:
            return _BROKEN
        return position + width + size if position + width + size <= end else _BEYOND
    after = _line_end(data, position, end, name)
    return _line_end(data, after, end, name) if after >= 0 and argument == "line2" else after


def _line_end(data: Buffer, position: int, end: int, name: str) -> int:
    limit = min(end, position + (NAME_BYTES if name in _NAMING else LINE_BYTES))
    found = data.find(b"\n", position, limit)
    head = data[position : min(found if found >= 0 else end, position + NAME_BYTES)]
    if not head and found < 0:
        return _BEYOND
    alphabet = _LINE_ALPHABETS.get(name)
    if alphabet is not None:
        sound = bool(head) and alphabet.issuperset(head.partition(b"\0")[0])  # the unpickler in C stops at a NUL
    elif name in ("GLOBAL", "INST"):
        sound = bool(head) and _NOT_IN_NAMES.isdisjoint(head)
    elif name == "STRING":
        sound = head[:1] in (b"'", b'"')
    else:
        sound = name != "PERSID" or (head.isascii() and min(head, default=0x20) >= 0x20)
    if not sound:
        return _BROKEN
    if found < 0 and limit < end:
        return _BROKEN if name in _NAMING else _ENDLESS
    return found + 1 if found >= 0 else _BEYOND


def _run_length(data: Buffer, position: int, end: int) -> int:
    """How often the byte at `position` stands there in a row."""
    if data[position : min(position + 2, end)] != data[position : position + 1] * 2:
        return 1
    run = data[position : min(position + RUN_BYTES, end)]
    return len(run) - len(run.lstrip(run[:1]))
