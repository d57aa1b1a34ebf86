"""Every budget runs out under its name, makes the file incomplete, and keeps what was seen before."""

from __future__ import annotations

import base64
import gzip
import io
import zipfile
from typing import NamedTuple

import pytest

from safepickle.limits import Limits
from safepickle.scan import Scanner, trace_bytes
from tests.assemble import Assembler
from tests.bytecode.twins import BENIGN, HOSTILE, Callee, called, caught

PROTO = b"\x80\4"


class Exhausted(NamedTuple):
    limits: Limits
    flood: bytes
    """What follows the call, or holds it."""


def call(callee: Callee) -> bytes:
    return PROTO + called(Assembler(4), callee).fragment()


def in_itself(data: bytes, times: int) -> bytes:
    for _ in range(times):
        data = Assembler(4).binbytes(data).assemble()
    return data


def gzipped(callee: Callee, zeros: int) -> bytes:
    return gzip.compress(call(callee) + b"0N." + bytes(zeros), mtime=0)


def archive(callee: Callee, members: int) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as writer:
        for number in range(members):
            writer.writestr(f"{number}.pkl", call(callee) + b".")
    return file.getvalue()


NESTED = base64.b64encode(b"N0" * 100 + called(Assembler(0), BENIGN).assemble()).decode()
BEHIND: dict[str, Exhausted] = {
    "opcodes": Exhausted(Limits(opcodes=70_000), b"N0" * 100_000 + b"N."),
    "stack": Exhausted(Limits(stack=1_000), b"N" * 5_000 + b"."),
    "stack, of marks": Exhausted(Limits(stack=1_000), b"(" * 5_000 + b"."),
    "memo": Exhausted(Limits(memo=100), b"N\x94" * 500 + b"."),
    "nodes": Exhausted(Limits(nodes=100), b"(" + b"N\x85" * 500 + b"t."),
    "calls": Exhausted(Limits(calls=10), b"".join(b"cvendor\nt%d\n)R0" % n for n in range(50)) + b"N."),
    "imports": Exhausted(Limits(imports=10), b"".join(b"cvendor\nt%d\n0" % n for n in range(50)) + b"N."),
    "children": Exhausted(Limits(children=3), b"C\4\x80\4N.0" * 10 + b"N."),
    "children, in disguise": Exhausted(
        Limits(children=3),
        b"".join(
            Assembler(4).global_("vendor", "load").short_binbytes(b"cos\ngetpid\n)R0I%d\n." % n).tuple1().reduce().pop()
            .fragment()
            for n in range(10)
        ) + b"N.",
    ),
    "depth": Exhausted(Limits(depth=2), in_itself(b"N.", 5)[2:]),
    "streams": Exhausted(Limits(streams=5), b"N." + b"\x80\4N." * 20),
    "seconds": Exhausted(Limits(seconds=0.2), b"Pa\n0" * 250_000 + b"N."),
    "unpacked_bytes": Exhausted(
        Limits(unpacked_bytes=100),
        Assembler(4).global_("base64", "b64decode").binunicode(NESTED).tuple1().reduce().fragment() + b".",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BEHIND)
def test_a_budget_runs_out_behind_a_call(name: str) -> None:
    exhausted = BEHIND[name]
    for callee in (HOSTILE, BENIGN):
        report = Scanner(limits=exhausted.limits).scan_bytes(call(callee) + exhausted.flood)
        assert not report.complete
        assert f"budget:{name.partition(',')[0]}" in {
            oddity.kind for trace in report.trace.walk() for oddity in trace.oddities
        } | {oddity.kind for oddity in report.oddities} | {trace.coverage.reason for trace in report.trace.walk()}
        assert caught(report) == (callee is HOSTILE)


@pytest.mark.parametrize("name", BEHIND)
def test_a_budget_that_is_large_enough_does_not_run_out(name: str) -> None:
    found = trace_bytes(call(BENIGN) + BEHIND[name].flood)
    assert not any(oddity.kind.startswith("budget:") for trace in found.walk() for oddity in trace.oddities)


UNPACKED: dict[str, tuple[Limits, bytes]] = {
    "unpacked_bytes": (Limits(unpacked_bytes=3_000_000), gzipped(HOSTILE, 1 << 22)),
    "ratio": (Limits(ratio=100), gzipped(HOSTILE, 1 << 23)),
    "members": (Limits(members=5), archive(HOSTILE, 20)),
}


@pytest.mark.parametrize("name", UNPACKED)
def test_a_budget_of_the_containers_runs_out(name: str) -> None:
    limits, data = UNPACKED[name]
    report = Scanner(limits=limits).scan_bytes(data)
    assert not report.complete
    assert f"budget:{name}" in {oddity.kind for oddity in report.oddities}
    assert caught(report)
    assert trace_bytes(data).complete


def test_every_budget_is_tested_here() -> None:
    tested = {name.partition(",")[0] for name in (*BEHIND, *UNPACKED)}
    assert tested == set(Limits._fields) - {"literal_bytes"}  # describes a literal by its beginning


def test_what_a_long_literal_holds_is_seen_though_its_beginning_describes_it() -> None:
    limits = Limits(literal_bytes=100)
    long = Assembler(4).text("a" * 10_000).pop().raw(called(Assembler(0), HOSTILE).fragment()).assemble()
    data = Assembler(4).global_("vendor", "load").binbytes(long).tuple1().reduce().assemble()
    found = trace_bytes(data, limits)
    assert found.complete
    assert found.streams[0].calls[0].args[0].length == 100
    assert "os.system" in {call.callee.name for trace in found.walk() for call in trace.calls}


def test_a_callee_beyond_the_budget_of_calls_still_counts() -> None:
    flood = b"".join(b"cvendor\nt%d\n)R0" % n for n in range(15))
    found = trace_bytes(PROTO + flood + called(Assembler(4), HOSTILE).assemble()[2:], Limits(calls=10))
    assert "os.system" in {call.callee.name for call in found.streams[0].calls}
