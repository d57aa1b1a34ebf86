"""Harmless pickle streams, made at random with knowledge of the format: every opcode, every protocol, mutated.

The names in them are only ever looked up in :mod:`tests.bytecode.inert`, where they mean nothing.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterator

from safepickle.bytecode.opcodes import CODES
from tests.bytecode.arguments import KEYS, LENGTHS, NUMBERS, argument, counted, key, named, packed, text
from tests.bytecode.walked import walk

GAPS = (b"N0", b")0", b"(1", b"(NN1", b"20", b"(0", b"]0", b"K\x010", b"\x80\x04", b"\x95" + bytes(8))
JUNK = (b"\0\0", b"junk", b"\n", b"\xff" * 9, b"cvendor\n", b"\x80", b"(", b"0", b"\x80\x05\x95", b"PK\x03\x04", b".")


class Generator:
    """Writes streams whose values nest as those of a pickler do, so that most of them run for long."""

    def __init__(self, source: random.Random) -> None:
        self.random = source
        self.out = bytearray()
        self.memo = 0

    def op(self, name: str, argument: bytes = b"") -> None:
        self.out.append(CODES[name])
        self.out += argument

    # --- pushes ----------------------------------------------------------------------------------

    def text(self, content: bytes) -> None:
        """A string, by any opcode that can hold it; sometimes stored and fetched again."""
        kind = self.random.randrange(8)
        if kind == 0:
            quote = self.random.choice((b"'", b'"'))
            self.op("STRING", quote + escaped(self.random, content) + quote + b"\n")
        elif kind == 1:
            written = b"".join(
                b"\\u%04x" % ord(letter)
                if letter in "\\\n" or ord(letter) > 255 or self.random.random() < 0.1
                else letter.encode("latin-1")
                for letter in content.decode("utf-8", "replace")
            )
            self.op("UNICODE", written + b"\n")
        else:
            name = self.random.choice(
                "BINSTRING SHORT_BINSTRING BINUNICODE BINUNICODE8 SHORT_BINUNICODE SHORT_BINUNICODE".split()
            )
            if len(content) > 255:
                name = "BINUNICODE"
            self.op(name, counted(self.random, CODES[name], content))
        if self.random.random() < 0.2:
            self.store()
        if self.random.random() < 0.1:
            self.out += self.random.choice(GAPS)

    def store(self) -> None:
        """Put the top of the stack into the memo."""
        name = self.random.choice(("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE", "MEMOIZE"))
        number = self.memo if self.random.random() < 0.7 else self.random.randrange(self.memo + 2)
        self.op(name, b"" if name == "MEMOIZE" else key(self.random, name, number))
        self.memo += 1

    def fetch(self) -> None:
        """Push something from the memo."""
        name = self.random.choice(("GET", "BINGET", "LONG_BINGET"))
        number = self.random.randrange(self.memo) if self.memo and self.random.random() < 0.98 else self.memo
        self.op(name, key(self.random, name, number))

    def scalar(self) -> None:
        """Anything that is neither a string nor a container nor a global."""
        name = self.random.choice(
            "NONE NEWTRUE NEWFALSE EMPTY_TUPLE BININT1 BININT2 BININT INT LONG LONG1 LONG4 FLOAT BINFLOAT BINBYTES "
            "SHORT_BINBYTES BINBYTES8 BYTEARRAY8 NEXT_BUFFER".split()
        )
        self.op(name, argument(self.random, name))
        if name == "NEXT_BUFFER" and self.random.random() < 0.5:
            self.op("READONLY_BUFFER")

    def callable(self) -> None:
        """Push a global, an extension, a persistent object or something made earlier."""
        kind = self.random.randrange(12)
        if kind < 4:
            self.op("GLOBAL", argument(self.random, "GLOBAL"))
        elif kind < 8:
            module, name = named(self.random)
            self.text(module)
            self.text(name)
            self.op("STACK_GLOBAL")
        elif kind < 10:
            opcode = self.random.choice(("EXT1", "EXT2", "EXT4", "PERSID", "PERSID"))
            self.op(opcode, argument(self.random, opcode))
        elif kind == 10:
            self.scalar()
            self.op("BINPERSID")
        else:
            self.fetch()
        if self.random.random() < 0.3:
            self.store()

    # --- containers and calls --------------------------------------------------------------------

    def some(self, depth: int) -> None:
        """Push a few values."""
        for _ in range(self.random.choice((0, 1, 1, 2, 2, 3, 4, 30 if self.random.random() < 0.03 else 2))):
            self.value(depth - 1)

    def value(self, depth: int) -> None:
        """Push any one value."""
        kind = self.random.randrange(14) if depth > 0 else self.random.randrange(5)
        if kind < 2:
            self.scalar()
        elif kind < 4:
            self.text(text(self.random))
        elif kind == 4:
            self.callable() if self.random.random() < 0.5 or not self.memo else self.fetch()
        elif kind < 7:
            self.arguments(depth)
        elif kind < 10:
            self.container(depth)
        else:
            self.call(depth)

    def arguments(self, depth: int) -> None:
        """Push a tuple."""
        kind = self.random.randrange(5)
        if kind == 0:
            self.op("EMPTY_TUPLE")
        elif kind < 4:
            for _ in range(kind):
                self.value(depth - 1)
            self.op(f"TUPLE{kind}")
        else:
            self.op("MARK")
            self.some(depth)
            self.op("TUPLE")

    def container(self, depth: int) -> None:
        """Push a list, dict, set or frozenset, filled in any way."""
        name = self.random.choice(("EMPTY_LIST", "EMPTY_DICT", "EMPTY_SET", "LIST", "DICT", "FROZENSET"))
        if name.startswith("EMPTY"):
            self.op(name)
            if self.random.random() < 0.3:
                self.store()
            self.fill(depth, {"EMPTY_LIST": "APPEND", "EMPTY_DICT": "SETITEM", "EMPTY_SET": "ADDITEMS"}[name])
        else:
            self.op("MARK")
            for _ in range(self.random.randrange(3)):
                self.value(depth - 1) if name == "LIST" else self.text(text(self.random))
                if name == "DICT":
                    self.value(depth - 1)
            self.op(name)

    def fill(self, depth: int, how: str) -> None:
        """Add items to the top of the stack, whatever it is."""
        if how == "ADDITEMS" or self.random.random() < 0.5:
            self.op("MARK")
            for _ in range(self.random.randrange(3)):
                self.text(text(self.random)) if how != "APPEND" else self.value(depth - 1)
                if how == "SETITEM":
                    self.value(depth - 1)
            self.op(how if how == "ADDITEMS" else how + "S")
        elif how == "SETITEM":
            self.text(text(self.random))
            self.value(depth - 1)
            self.op("SETITEM")
        else:
            self.value(depth - 1)
            self.op("APPEND")

    def call(self, depth: int) -> None:
        """Push the result of a call; sometimes build or fill it."""
        name = self.random.choice(("REDUCE", "REDUCE", "NEWOBJ", "NEWOBJ_EX", "OBJ", "INST"))
        if name in ("OBJ", "INST"):
            self.op("MARK")
            if name == "OBJ":
                self.callable()
            self.some(depth)
        else:
            self.callable()
            self.arguments(depth)
            if name == "NEWOBJ_EX":
                self.op("EMPTY_DICT")
                if self.random.random() < 0.5:
                    self.fill(0, "SETITEM")
        self.op(name, argument(self.random, name))
        if self.random.random() < 0.3:
            self.store()
        if self.random.random() < 0.3:
            self.value(depth - 1)
            self.op("BUILD")
        if self.random.random() < 0.3:
            self.fill(depth - 1, self.random.choice(("APPEND", "SETITEM", "ADDITEMS")))

    # --- streams ---------------------------------------------------------------------------------

    def body(self) -> bytes:
        """Opcodes up to STOP."""
        self.out, self.memo = bytearray(), 0
        for _ in range(self.random.choice((1, 1, 2, 3, 5))):
            self.value(3)
            draw = self.random.random()
            if draw < 0.15:
                self.op(self.random.choice(("POP", "DUP", "POP")))
            elif draw < 0.25:
                self.op("MARK")
                self.some(1)
                self.op(self.random.choice(("POP_MARK", "TUPLE", "LIST")))
            elif draw < 0.28:
                name = self.random.choice(sorted(CODES))
                self.op(name, argument(self.random, name))
        self.op("STOP")
        return bytes(self.out)

    def stream(self) -> bytes:
        """One stream, in frames or not."""
        body = self.body() if self.random.random() < 0.5 else walk(self.random)
        if self.random.random() < 0.25:
            body = framed(self.random, body)
        return (b"\x80" + bytes((self.random.randrange(6),)) if self.random.random() < 0.7 else b"") + body


def escaped(source: random.Random, content: bytes) -> bytes:
    """The inside of a STRING; some of what need not be escaped is, in any way."""
    written = b""
    for code in content:
        letter = bytes((code,))
        draw = source.random()
        if draw < 0.02:
            letter = b"\\x%02x" % code
        elif draw < 0.04:
            letter = source.choice((b"\\%o", b"\\%03o")) % code
        elif letter in b"\\'\"":
            letter = b"\\" + letter
        elif letter == b"\n":
            letter = b"\\n"
        elif draw < 0.045:
            letter = source.choice((b"\\z", b"\\\n", b"\\8", b"\\a", b"\\x4", b"\\u0041", b"\\777")) + letter
        written += letter
    return written


def framed(source: random.Random, body: bytes) -> bytes:
    """The same bytes in one to three frames, of which some are cut where no opcode ends, or lie."""
    cuts = sorted(source.randrange(len(body) + 1) for _ in range(source.choice((0, 0, 0, 1, 2))))
    parts = [body[begin:end] for begin, end in zip((0, *cuts), (*cuts, len(body)), strict=True)]
    out = b""
    for part in parts:
        length = len(part)
        if source.random() < 0.15:
            length = source.choice(
                (0, length - 1, length + 1, length + 9, length - 3, 10**6, -1, 1 << 63, (1 << 63) - 1)
            )
        out += b"\x95" + packed(8, length) + part
    return out


def mutated(source: random.Random, data: bytes, other: bytes) -> bytes:
    """The stream with a few bytes changed, parts cut out, repeated or taken from another one."""
    changed = bytearray(data)
    for _ in range(source.choice((1, 1, 2, 4))):
        at = source.randrange(len(changed) + 1)
        span = source.choice((1, 1, 2, 4, 8, 20))
        held = bytes(changed[at : at + span])
        change: Callable[[], bytes] = source.choice(
            (
                lambda: bytes((source.randrange(256),)),
                lambda held=held: bytes(byte ^ 1 << source.randrange(8) for byte in held),  # type: ignore[misc]
                lambda: bytes((source.choice(tuple(CODES.values())),)),
                lambda: b"",
                lambda held=held: held * 2,  # type: ignore[misc]
                lambda span=span: other[(start := source.randrange(len(other))) : start + span],  # type: ignore[misc]
                lambda: struct.pack("<I", source.choice(LENGTHS) & 0xFFFFFFFF),
                lambda: packed(8, source.choice(LENGTHS)),
                lambda: source.choice(NUMBERS) + b"\n",
                lambda: source.choice(KEYS) + b"\n",
            )
        )
        changed[at : at + span] = change()
    return bytes(changed)


def streams(seed: int | str, count: int) -> Iterator[bytes]:
    """`count` byte strings of one to three streams, half of them mutated; the same for the same seed."""
    source = random.Random(seed)
    generator = Generator(source)
    pool = [generator.stream() for _ in range(8)]
    for _ in range(count):
        if source.random() < 0.5:
            data = pool[source.randrange(8)] = generator.stream()
        else:
            data = mutated(source, source.choice(pool), source.choice(pool))
        if source.random() < 0.15:
            data += source.choice((*pool, *JUNK, data))
            if source.random() < 0.4:
                data += source.choice(JUNK) + source.choice(pool)
        if source.random() < 0.05:
            data = source.choice(JUNK) + data
        if source.random() < 0.08:
            data = data[: source.randrange(len(data) + 1)]
        yield data
