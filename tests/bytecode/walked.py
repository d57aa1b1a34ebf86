"""Streams as no pickler writes them: any opcode that what lies on the stack allows, and sometimes one that it does not.

Containers are filled long after they were made, by way of the memo, and hold themselves; what is called, built or
filled may be anything.
"""

from __future__ import annotations

import random
import re

from safepickle.bytecode.opcodes import CODES
from tests.bytecode.arguments import argument, counted, key, named

MARK = "("
_MEMO = frozenset(("GET", "BINGET", "LONG_BINGET", "PUT", "BINPUT", "LONG_BINPUT"))
# What a value is, roughly: g a global, o an object, x a text, n a number or the like, b bytes, and containers.
_PUSHES = {
    "NONE": "n", "NEWTRUE": "n", "NEWFALSE": "n", "BININT1": "n", "BININT2": "n", "BININT": "n", "INT": "n",
    "LONG": "n", "LONG1": "n", "LONG4": "n", "FLOAT": "n", "BINFLOAT": "n", "BINBYTES": "b", "SHORT_BINBYTES": "b",
    "BINBYTES8": "b", "BYTEARRAY8": "B", "NEXT_BUFFER": "b", "STRING": "x", "UNICODE": "x", "BINSTRING": "x",
    "SHORT_BINSTRING": "x", "BINUNICODE": "x", "SHORT_BINUNICODE": "x", "BINUNICODE8": "x", "EMPTY_TUPLE": "t",
    "EMPTY_LIST": "l", "EMPTY_DICT": "d", "EMPTY_SET": "s", "GLOBAL": "g", "EXT1": "g", "EXT2": "g", "EXT4": "g",
    "PERSID": "g",
}  # fmt: skip
_EFFECTS = (
    # opcode, what must lie on top of the stack (. any value), what replaces it
    ("REDUCE", "[go][tls]", "o"), ("NEWOBJ", "[go]t", "o"), ("NEWOBJ_EX", "[go]td", "o"), ("BUILD", "[go].", "o"),
    ("BUILD", "..", "o"), ("APPEND", "[lgoB].", "="), ("SETITEM", "[dgo][xnbgo].", "="), ("SETITEM", "ln.", "="),
    ("TUPLE1", ".", "t"), ("TUPLE2", "..", "t"), ("TUPLE3", "...", "t"), ("BINPERSID", ".", "g"), ("POP", ".", ""),
    ("DUP", ".", "2"), ("READONLY_BUFFER", "[bB]", "b"), ("MEMOIZE", ".", "="), ("PUT", ".", "="),
    ("BINPUT", ".", "="), ("LONG_BINPUT", ".", "="), ("APPENDS", "[lgoB](*", "="), ("SETITEMS", "[dgol](*", "="),
    ("ADDITEMS", "[sgo](*", "="), ("TUPLE", "(*", "t"), ("LIST", "(*", "l"), ("DICT", "(*", "d"),
    ("FROZENSET", "(*", "s"), ("POP_MARK", "(*", ""), ("POP", "(", ""), ("OBJ", "([go]*", "o"), ("INST", "(*", "o"),
    ("STOP", ".", ""),
)  # fmt: skip


def walk(source: random.Random) -> bytes:
    """Opcodes up to STOP."""
    out = bytearray()
    stack: list[str] = []
    memo: list[tuple[int, str]] = []
    for _ in range(source.choice((4, 8, 12, 20, 40, 60))):
        draw = source.random()
        if draw < 0.015:
            name = source.choice(tuple(CODES))
            number = source.randrange(4)
            out.append(CODES[name])
            out += key(source, name, number) if name in _MEMO else argument(source, name)
        elif draw < 0.12:
            out.append(CODES["MARK"])
            stack.append(MARK)
        elif draw < 0.2 and memo:
            number, what = source.choice(memo)
            name = source.choice(("GET", "BINGET", "LONG_BINGET"))
            out.append(CODES[name])
            out += key(source, name, number)
            stack.append(what)
        elif draw < 0.5 or not stack:
            _push(source, out, stack)
        else:
            _effect(source, out, stack, memo)
    while stack and source.random() < 0.9:  # everything comes to be what is returned, or is left behind
        if stack[-1] == MARK or source.random() < 0.2:
            break
        stack.pop()
        if not stack or stack[-1] == MARK:
            break
        out.append(CODES["POP"])
    out.append(CODES["STOP"])
    return bytes(out)


def _push(source: random.Random, out: bytearray, stack: list[str]) -> None:
    if source.random() < 0.2:
        for content in named(source):
            name = source.choice(("SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "SHORT_BINSTRING", "BINSTRING"))
            name = name if len(content) < 256 else "BINUNICODE"
            out.append(CODES[name])
            out += counted(source, CODES[name], content)
        out.append(CODES["STACK_GLOBAL"])
        stack.append("g")
        return
    name = source.choice(tuple(_PUSHES) + ("GLOBAL", "EMPTY_TUPLE", "EMPTY_DICT", "EMPTY_LIST") * 3)
    out.append(CODES[name])
    out += argument(source, name)
    stack.append(_PUSHES[name])


def _effect(source: random.Random, out: bytearray, stack: list[str], memo: list[tuple[int, str]]) -> None:
    """One opcode that takes something off the stack."""
    mark = len(stack) - 1 - stack[::-1].index(MARK) if MARK in stack else -1
    possible = [(effect, bottom) for effect in _POSSIBLE if (bottom := effect.bottom(stack, mark)) >= 0]
    if not possible:
        return
    effect, bottom = source.choice(possible)
    name = effect.name
    if name == "STOP" and source.random() < 0.95:
        return
    out.append(CODES[name])
    if name in _MEMO or name == "MEMOIZE":
        number = len(memo) if name == "MEMOIZE" or source.random() < 0.6 else source.randrange(len(memo) + 9)
        out += b"" if name == "MEMOIZE" else key(source, name, number)
        memo.append((number, stack[-1]))
        return
    out += argument(source, name)
    first = stack[bottom] if bottom < len(stack) else ""
    del stack[bottom:]
    stack.extend({"=": [first], "2": [first, first], "": []}.get(effect.becomes, [effect.becomes]))
    if not stack:
        return
    if source.random() < 0.02:
        out.append(CODES["FRAME"])
        out += argument(source, "FRAME")


class _Effect:
    """One way in which an opcode changes the stack."""

    def __init__(self, name: str, needs: str, becomes: str) -> None:
        self.name = name
        self.becomes = becomes
        self.from_mark = needs.endswith("*")
        self.parts = re.findall(r"\[.*?\]|[^\[\]]", needs.removesuffix("*"))
        self.below = self.parts.index(MARK) if self.from_mark else 0
        """Values below the mark that count."""

    def bottom(self, stack: list[str], mark: int) -> int:
        """Index of the lowest value that the opcode looks at; -1 when the stack does not allow it."""
        if self.from_mark and mark < 0:
            return -1
        bottom = mark - self.below if self.from_mark else len(stack) - len(self.parts)
        if bottom < 0 or bottom + len(self.parts) > len(stack):
            return -1
        for part, value in zip(self.parts, stack[bottom:], strict=False):
            if value != part and (value == MARK or not (part == "." or value in part)):
                return -1
        return bottom


_POSSIBLE = [_Effect(*effect) for effect in _EFFECTS]
