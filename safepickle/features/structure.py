"""Shape of the streams: how many, how large, how they end, what is odd about them."""

from __future__ import annotations

from math import log1p

from ..bytecode.trace import CARRIED, Trace

ODDITIES = (
    "build-on-global", "build-on-literal", "bytes-as-name", "computed-global", "folded-global", "frame-past-end",
    "late-proto", "leftover-stack", "repeated-proto", "setitem-on-list", "unsupported-protocol",
    "read-differs-without-arrays",
)  # fmt: skip
"""Oddities of streams that have a feature of their own."""

_NOTHING_ODD = [0.0] * len(ODDITIES)

NAMES = (
    "log_opcodes", "log_streams", "log_children", "log_imports", "log_modules", "log_calls", "log_call_shapes",
    "highest_protocol", "no_proto", "any_stopped", "calls_per_opcode", "imports_per_opcode",
    *(f"any_{kind.replace('-', '_')}" for kind in ODDITIES),
)  # fmt: skip
MONOTONE = (
    "log_streams", "log_children", "log_imports", "log_modules", "log_calls", "any_stopped",
    *(f"any_{kind.replace('-', '_')}" for kind in ODDITIES),
)  # fmt: skip


def values(traces: list[Trace], top_level: int) -> list[float]:
    """Row of this group; `top_level` is the number of streams that are in no other stream."""
    opcodes = calls = imported = shapes = highest = 0
    bare = stopped = False
    names: set[str] = set()
    odd: set[str] = set()
    for trace in traces:
        opcodes += sum(trace.opcodes.values())
        for entry in trace.imports:
            names.add(entry.name)
            imported += entry.count
        for call in trace.calls:
            if call.opcode != CARRIED:
                shapes += 1
                calls += call.count
        for oddity in trace.oddities:
            odd.add(oddity.kind)
        declared, used = trace.protocol
        highest = max(highest, used)
        bare = bare or declared < 0
        stopped = stopped or trace.coverage.state != "complete"
    return [
        log1p(opcodes),
        log1p(top_level),
        log1p(len(traces) - top_level),
        log1p(len(names)),
        log1p(len({name.partition(".")[0] for name in names})),
        log1p(calls),
        log1p(shapes),
        float(highest),
        float(bare),
        float(stopped),
        calls / opcodes if opcodes else 0.0,
        imported / opcodes if opcodes else 0.0,
        *([float(kind in odd) for kind in ODDITIES] if odd else _NOTHING_ODD),
    ]
