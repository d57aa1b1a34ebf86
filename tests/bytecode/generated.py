"""Harmless pickle streams, made at random with knowledge of the format: every opcode, every protocol, mutated.

The names in them are only ever looked up in :mod:`tests.bytecode.oracle`, where they mean nothing.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterator

from safepickle.bytecode.opcodes import CODES

MODULES = (
    "vendor",
    "vendor.models",
    "acme",
    "os",
    "builtins",
    "__builtin__",
    "copy_reg",
    "a",
    "",
    "über",
    "x y",
    "m\r",
)
NAMES = ("Thing", "make", "system", "Net.load", "range", "a", "_reconstructor", "größe", "f ", "", "Thing\r", "1")
TEXTS = (b"", b"a", b"echo inert", b"K" * 40, b"'q'", b"\\x41", b"caf\xc3\xa9", b"line\\n", b"\x80\x04N.", b"cvendor")
NUMBERS = (
    *(b"0", b"1", b"00", b"01", b"-1", b"010", b"0x1f", b"1_0", b" 7", b"7 ", b"+3", b"12345678901234567890", b"-0"),
    *(b"0b11", b"1L", b"99999999999L", b"", b"x", b"1\x00", b"1\x002", b"\x00", b"1e3", b"0o17", b"-2147483648"),
)
KEYS = (
    *(b"0", b"1", b"2", b"3", b"0", b"1", b"01", b" 1", b"1 ", b"1_0", b"10", b"+1", b"-1", b"1\x00", b"1\x00x"),
    *(b"99999999999999999999", b"4294967296", b"", b"x"),
)
LENGTHS = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x100, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
LONG_KEYS = (0, 1, 2, 3, 64, 255, 256, 1000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


class Generator:
    """Writes streams while it keeps the heights of stack and marks, so that most of them run for long."""

    def __init__(self, source: random.Random) -> None:
        self.random = source
        self.out = bytearray()
        self.height = 0
        self.marks: list[int] = []
        self.memo = 0

    def op(self, name: str, argument: bytes = b"") -> None:
        self.out.append(CODES[name])
        self.out += argument

    # --- pushes ----------------------------------------------------------------------------------

    def text(self, content: bytes) -> None:
        """A string, by any opcode that can hold it; sometimes stored and fetched again."""
        kind = self.random.randrange(8)
        line = content.replace(b"\n", b"\\n").replace(b"\\", b"\\\\") if b"\\" in content else content
        if kind == 0:
            quote = self.random.choice((b"'", b'"'))
            self.op("STRING", quote + line.replace(b"'", b"\\'").replace(b'"', b'\\"') + quote + b"\n")
        elif kind == 1:
            self.op("UNICODE", line.decode("utf-8", "replace").encode("raw-unicode-escape") + b"\n")
        elif kind == 2:
            self.op("BINSTRING", struct.pack("<I", len(content)) + content)
        elif kind == 3:
            self.op("SHORT_BINSTRING", bytes((len(content),)) + content)
        elif kind == 4:
            self.op("BINUNICODE", struct.pack("<I", len(content)) + content)
        elif kind == 5:
            self.op("BINUNICODE8", struct.pack("<Q", len(content)) + content)
        else:
            self.op("SHORT_BINUNICODE", bytes((len(content),)) + content)
        self.height += 1
        if self.random.random() < 0.2:
            self.store()
        if self.random.random() < 0.1:
            self.gap()

    def store(self) -> None:
        """Put the top of the stack into the memo."""
        kind = self.random.randrange(5)
        key = self.memo if self.random.random() < 0.7 else self.random.randrange(self.memo + 2)
        if kind == 0:
            self.op("PUT", (b"%d" % key if self.random.random() < 0.9 else self.random.choice(KEYS)) + b"\n")
        elif kind == 1 and key < 256:
            self.op("BINPUT", bytes((key,)))
        elif kind == 2:
            far = self.random.random() < 0.1
            self.op("LONG_BINPUT", struct.pack("<I", self.random.choice(LONG_KEYS) if far else key))
        else:
            self.op("MEMOIZE")
        self.memo += 1

    def fetch(self) -> None:
        """Push something from the memo."""
        kind = self.random.randrange(3)
        key = self.random.randrange(self.memo) if self.memo and self.random.random() < 0.98 else self.memo
        if kind == 0:
            self.op("GET", (b"%d" % key if self.random.random() < 0.95 else self.random.choice(KEYS)) + b"\n")
        elif kind == 1 and key < 256:
            self.op("BINGET", bytes((key,)))
        else:
            far = self.random.random() < 0.03
            self.op("LONG_BINGET", struct.pack("<I", self.random.choice(LONG_KEYS) if far else key))
        self.height += 1

    def gap(self) -> None:
        """Something that changes nothing."""
        for part in self.random.choices(
            (b"N0", b")0", b"(1", b"(NN1", b"20", b"(0", b"]0", b"K\x010", b"\x80\x04"), k=2
        ):
            self.out += part

    def scalar(self) -> None:
        """Anything that is neither a string nor a container nor a global."""
        name = self.random.choice(
            "NONE NEWTRUE NEWFALSE EMPTY_TUPLE BININT1 BININT2 BININT INT LONG LONG1 LONG4 FLOAT BINFLOAT BINBYTES "
            "SHORT_BINBYTES BINBYTES8 BYTEARRAY8 NEXT_BUFFER".split()
        )
        raw = self.random.choice(TEXTS)
        number = self.random.choice(LENGTHS)
        argument = {
            "BININT1": bytes((number & 0xFF,)), "BININT2": struct.pack("<H", number & 0xFFFF),
            "BININT": struct.pack("<I", number), "BINFLOAT": struct.pack(">d", 1.5),
            "INT": (self.random.choice(NUMBERS) if self.random.random() < 0.3 else b"5") + b"\n",
            "LONG": (self.random.choice(NUMBERS) if self.random.random() < 0.3 else b"5L") + b"\n",
            "LONG1": bytes((len(raw),)) + raw, "LONG4": struct.pack("<I", len(raw)) + raw,
            "FLOAT": self.random.choice((b"1.5", b" 1.5 ", b"1e400", b"nan", b"-inf", b"7", b"1_0.5")) + b"\n",
            "BINBYTES": struct.pack("<I", len(raw)) + raw, "SHORT_BINBYTES": bytes((len(raw),)) + raw,
            "BINBYTES8": struct.pack("<Q", len(raw)) + raw, "BYTEARRAY8": struct.pack("<Q", len(raw)) + raw,
        }.get(name, b"")  # fmt: skip
        self.op(name, argument)
        self.height += 1
        if name == "NEXT_BUFFER" and self.random.random() < 0.5:
            self.op("READONLY_BUFFER")

    def named(self) -> tuple[bytes, bytes]:
        """A module and a name."""
        usual = self.random.random() < 0.9
        module = self.random.choice(MODULES[:8] if usual else MODULES)
        name = self.random.choice(NAMES[:7] if usual else NAMES)
        return module.encode(), name.encode()

    def callable(self) -> None:
        """Push a global, an extension, a persistent object or something made earlier."""
        kind = self.random.randrange(12)
        module, name = self.named()
        if kind < 4:
            self.op("GLOBAL", module + b"\n" + name + b"\n")
            self.height += 1
        elif kind < 8:
            self.text(module)
            self.text(name)
            self.op("STACK_GLOBAL")
            self.height -= 1
        elif kind == 8:
            code = self.random.choice((1, 2, 300, 70_000, 0, 9, 0xFFFFFFFF))
            width, name_ = self.random.choice(((1, "EXT1"), (2, "EXT2"), (4, "EXT4")))
            self.op(name_, (code & ((1 << 8 * width) - 1)).to_bytes(width, "little"))
            self.height += 1
        elif kind == 9:
            self.op("PERSID", self.random.choice((b"id", b"7", b"", b"caf\xe9")) + b"\n")
            self.height += 1
        elif kind == 10:
            self.scalar()
            self.op("BINPERSID")
        else:
            self.fetch()
        if self.random.random() < 0.3:
            self.store()

    # --- containers and calls --------------------------------------------------------------------

    def some(self, depth: int) -> int:
        """Push a few values; returns how many."""
        count = self.random.choice((0, 1, 1, 2, 2, 3, 4, 30 if self.random.random() < 0.03 else 2))
        for _ in range(count):
            self.value(depth - 1)
        return count

    def value(self, depth: int) -> None:
        """Push any one value."""
        kind = self.random.randrange(14) if depth > 0 else self.random.randrange(5)
        if kind < 2:
            self.scalar()
        elif kind < 4:
            self.text(self.random.choice(TEXTS))
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
        before = self.height
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
        self.height = before + 1

    def container(self, depth: int) -> None:
        """Push a list, dict, set or frozenset, filled in any way."""
        before = self.height
        name = self.random.choice(("EMPTY_LIST", "EMPTY_DICT", "EMPTY_SET", "LIST", "DICT", "FROZENSET"))
        if name.startswith("EMPTY"):
            self.op(name)
            if self.random.random() < 0.3:
                self.store()
            self.fill(depth, {"EMPTY_LIST": "APPEND", "EMPTY_DICT": "SETITEM", "EMPTY_SET": "ADDITEMS"}[name])
        else:
            self.op("MARK")
            for _ in range(self.random.randrange(3)):
                self.value(depth - 1) if name == "LIST" else self.text(self.random.choice(TEXTS))
                if name == "DICT":
                    self.value(depth - 1)
            self.op(name)
        self.height = before + 1

    def fill(self, depth: int, how: str) -> None:
        """Add items to the top of the stack, whatever it is."""
        before = self.height
        if how == "ADDITEMS" or self.random.random() < 0.5:
            self.op("MARK")
            for _ in range(self.random.randrange(3)):
                self.text(self.random.choice(TEXTS)) if how != "APPEND" else self.value(depth - 1)
                if how == "SETITEM":
                    self.value(depth - 1)
            self.op(how if how == "ADDITEMS" else how + "S")
        elif how == "SETITEM":
            self.text(self.random.choice(TEXTS))
            self.value(depth - 1)
            self.op("SETITEM")
        else:
            self.value(depth - 1)
            self.op("APPEND")
        self.height = before

    def call(self, depth: int) -> None:
        """Push the result of a call; sometimes build or fill it."""
        before = self.height
        kind = self.random.randrange(6)
        if kind < 2:
            self.callable()
            self.arguments(depth)
            self.op("REDUCE")
        elif kind == 2:
            self.callable()
            self.arguments(depth)
            self.op("NEWOBJ")
        elif kind == 3:
            self.callable()
            self.arguments(depth)
            self.op("EMPTY_DICT")
            if self.random.random() < 0.5:
                self.fill(0, "SETITEM")
            self.op("NEWOBJ_EX")
        elif kind == 4:
            self.op("MARK")
            self.callable()
            self.some(depth)
            self.op("OBJ")
        else:
            module, name = self.named()
            self.op("MARK")
            self.some(depth)
            self.op("INST", module + b"\n" + name + b"\n")
        self.height = before + 1
        if self.random.random() < 0.3:
            self.store()
        if self.random.random() < 0.3:
            self.value(depth - 1)
            self.op("BUILD")
        if self.random.random() < 0.3:
            self.fill(depth - 1, self.random.choice(("APPEND", "SETITEM", "ADDITEMS")))
        self.height = before + 1

    # --- streams ---------------------------------------------------------------------------------

    def anything(self) -> None:
        """One opcode without regard to what is on the stack."""
        name = self.random.choice(sorted(CODES))
        self.op(name, bytes(self.random.choices((0, 1, 2, 3, 10, 40, 48, 255), k=self.random.randrange(4))))

    def stream(self) -> bytes:
        """One stream."""
        self.out, self.height, self.memo = bytearray(), 0, 0
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
                self.anything()
        self.op("STOP")
        body = bytes(self.out)
        if self.random.random() < 0.2:
            length = len(body) + (0 if self.random.random() < 0.7 else self.random.choice((-1, 1, -len(body), 10**6)))
            body = b"\x95" + struct.pack("<q", length) + body
        return (b"\x80" + bytes((self.random.randrange(6),)) if self.random.random() < 0.7 else b"") + body


def mutated(source: random.Random, data: bytes, other: bytes) -> bytes:
    """The stream with a few bytes changed, parts cut out, repeated or taken from another one."""
    changed = bytearray(data)
    for _ in range(source.choice((1, 1, 2, 4))):
        at = source.randrange(len(changed) + 1)
        span = source.choice((1, 1, 2, 4, 8, 20))
        change: Callable[[], bytes] = source.choice(
            (
                lambda: bytes((source.randrange(256),)),
                lambda: bytes((source.choice(tuple(CODES.values())),)),
                lambda: b"",
                lambda at=at, span=span: bytes(changed[at : at + span]) * 2,  # type: ignore[misc]
                lambda span=span: other[(start := source.randrange(len(other))) : start + span],  # type: ignore[misc]
                lambda: struct.pack("<I", source.choice(LENGTHS)),
                lambda: source.choice(NUMBERS) + b"\n",
            )
        )
        changed[at : at + span] = change()
    return bytes(changed)


def streams(seed: int, count: int) -> Iterator[bytes]:
    """`count` byte strings of one to three streams; the same for the same seed."""
    source = random.Random(seed)
    generator = Generator(source)
    last = generator.stream()
    for _ in range(count):
        data = generator.stream()
        last, previous = data, last
        if source.random() < 0.4:
            data = mutated(source, data, previous)
        if source.random() < 0.15:
            data += source.choice((generator.stream(), b"\0\0", b"junk", generator.stream() + generator.stream()))
        if source.random() < 0.1:
            data = data[: source.randrange(len(data) + 1)]
        yield data
