"""Hostile streams and their benign twins: one case, assembled with either of two calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from safepickle.bytecode.trace import FileTrace
from safepickle.scan import FileReport
from tests.assemble import Assembler


class Callee(NamedTuple):
    module: str
    name: str
    argument: str


HOSTILE = Callee("os", "system", "echo inert")
BENIGN = Callee("decimal", "Decimal", "0.5")

Case = Callable[[Callee], bytes]


def called(asm: Assembler, callee: Callee) -> Assembler:
    """Push the result of the ordinary call."""
    return asm.global_(callee.module, callee.name).text(callee.argument).tuple1().reduce()


def applied(asm: Assembler, callee: Callee) -> bytes:
    """Call what is on the stack, as all that the stream does."""
    return asm.text(callee.argument).tuple1().reduce().assemble()


def framed(*lengths: int) -> Case:
    """Frames of the given lengths around each other; a negative one ends that many bytes before the end."""

    def case(callee: Callee) -> bytes:
        body = called(Assembler(4), callee).fragment() + b"."
        for length in reversed(lengths):
            body = Assembler(4).frame(length if length >= 0 else len(body) + length).fragment() + body
        return Assembler(4).raw(body).assemble(stop=False)

    return case


def calls(found: FileTrace, callee: Callee) -> list[tuple[str, str, str, tuple[str, ...], int, int]]:
    """Calls as they are but for the callee's name, and those of the callee."""
    name = f"{callee.module}.{callee.name}"
    return sorted(
        (call.opcode, call.callee.kind, call.callee.name.replace(name, "CALLEE"), call.result, call.count, call.depth)
        for trace in found.walk()
        for call in trace.calls
    )


def caught(report: FileReport) -> bool:
    """Whether the call is in the Trace, and the verdict not benign."""
    names = {call.callee.name for trace in report.trace.walk() for call in trace.calls}
    return "os.system" in names and report.verdict in ("suspicious", "malicious")


def kinds(report: FileReport) -> set[str]:
    own = {oddity.kind for oddity in report.oddities}
    return own | {oddity.kind for trace in report.trace.walk() for oddity in trace.oddities}
