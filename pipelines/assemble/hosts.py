"""A benign pickle taken apart at its opcodes, so that code can be spliced in and the rest stays loadable."""

from __future__ import annotations

import pickletools
import struct
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import NamedTuple

from .stream import Assembler

Write = Callable[[Assembler], object]
"""Code that leaves one value on the stack."""


class Operation(NamedTuple):
    """One opcode with its argument as bytes; `frame` numbers the FRAME it lies in, -1 outside of any."""

    name: str
    code: bytes
    frame: int
    memo: int
    """Memo entries before it."""


class Host:
    """A pickle of ours, without raw bytes between its opcodes, that can take in code.

    Parameters
    ----------
    name, library, group, pool
        Where it comes from.
    data
        One stream from PROTO or its first opcode to STOP.
    pack
        Puts a changed stream back into the container that the host came in.
    """

    def __init__(
        self, name: str, library: str, group: str, pool: str, data: bytes, pack: Callable[[bytes], bytes] | None = None
    ) -> None:
        self.name = name
        self.library = library
        self.group = group
        self.pool = pool
        self.data = data
        self.pack = pack

    @cached_property
    def operations(self) -> list[Operation]:
        """All opcodes but the FRAMEs."""
        found = list(pickletools.genops(self.data))
        ends = [position or 0 for _, _, position in found[1:]] + [len(self.data)]
        operations: list[Operation] = []
        frame, frame_end, frames, entries = -1, 0, 0, 0
        for (opcode, argument, position), end in zip(found, ends, strict=True):
            assert position is not None
            if opcode.name == "FRAME":
                assert isinstance(argument, int)
                frame, frame_end, frames = frames, end + argument, frames + 1
                continue
            if position >= frame_end:
                frame = -1
            operations.append(Operation(opcode.name, self.data[position:end], frame, entries))
            entries += opcode.name in ("MEMOIZE", "PUT", "BINPUT", "LONG_BINPUT")
        return operations

    @cached_property
    def protocol(self) -> int:
        """As declared; 0 or 1 by the opcodes used when nothing is declared."""
        first = self.operations[0]
        if first.name == "PROTO":
            return first.code[1]
        return int(any(op.name in ("BINPUT", "BININT1", "EMPTY_DICT", "EMPTY_LIST") for op in self.operations))

    @cached_property
    def memoizes(self) -> bool:
        """Whether it stores by MEMOIZE, whose keys are positions; otherwise keys are written out."""
        return self.protocol >= 4

    @cached_property
    def highest_key(self) -> int:
        """The highest memo key that is written out, or -1."""
        keys = [-1]
        for op in self.operations:
            if op.name == "PUT":
                keys.append(int(op.code[1:]))
            elif op.name in ("BINPUT", "LONG_BINPUT"):
                keys.append(int.from_bytes(op.code[1:], "little"))
        return max(keys)

    def places(self, names: Iterable[str]) -> list[int]:
        """Indices of the operations with one of these names."""
        wanted = frozenset(names)
        return [index for index, op in enumerate(self.operations) if op.name in wanted]

    @property
    def start(self) -> int:
        """Index of the first operation after PROTO."""
        return int(self.operations[0].name == "PROTO")

    @property
    def end(self) -> int:
        """Index of STOP."""
        return len(self.operations) - 1

    def splice(self, index: int, before: bytes, write: Write, after: bytes, keep_frames: bool = True) -> bytes:
        """The stream with `before`, the written code and `after` put in front of an operation.

        Frames grow by what is put into them; later reads of the memo are renumbered when the code stores
        something by MEMOIZE. With `keep_frames` False the FRAMEs are left out, which every reader accepts.
        """
        operations = self.operations
        base = operations[index].memo if self.memoizes else self.highest_key + 1
        asm = Assembler(self.protocol, memo=base, memoize=self.memoizes)
        write(asm)
        added = asm.entries - base
        neighbour = index if index <= self.start else index - 1
        inserted = Operation("", before + asm.fragment() + after, operations[neighbour].frame, base)
        rest = operations[index:]
        if self.memoizes and added:
            rest = [_renumbered(op, base, added) for op in rest]
        return _join([*operations[:index], inserted, *rest], keep_frames)


def _renumbered(op: Operation, base: int, added: int) -> Operation:
    if op.name not in ("GET", "BINGET", "LONG_BINGET"):
        return op
    key = int(op.code[1:]) if op.name == "GET" else int.from_bytes(op.code[1:], "little")
    if key < base:
        return op
    key += added
    return op._replace(code=b"h" + bytes((key,)) if key < 256 else b"j" + struct.pack("<I", key))


def _join(operations: list[Operation], keep_frames: bool) -> bytes:
    out = bytearray()
    run = bytearray()
    current = -1
    for op in operations:
        if op.frame != current:
            out += _framed(run, current, keep_frames)
            run = bytearray()
            current = op.frame
        run += op.code
    return bytes(out + _framed(run, current, keep_frames))


def _framed(run: bytearray, frame: int, keep_frames: bool) -> bytes:
    return bytes(run) if frame < 0 or not keep_frames else b"\x95" + struct.pack("<Q", len(run)) + bytes(run)
