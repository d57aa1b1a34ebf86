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
    opcodes = sum(sum(trace.opcodes.values()) for trace in traces)
    imports = {entry.name for trace in traces for entry in trace.imports}
    made = [[call for call in trace.calls if call.opcode != CARRIED] for trace in traces]
    calls = sum(call.count for shapes in made for call in shapes)
    odd = {oddity.kind for trace in traces for oddity in trace.oddities}
    return [
        log1p(opcodes),
        log1p(top_level),
        log1p(len(traces) - top_level),
        log1p(len(imports)),
        log1p(len({name.partition(".")[0] for name in imports})),
        log1p(calls),
        log1p(sum(len(shapes) for shapes in made)),
        float(max((trace.protocol[1] for trace in traces), default=0)),
        float(any(trace.protocol[0] < 0 for trace in traces)),
        float(any(trace.coverage.state != "complete" for trace in traces)),
        calls / opcodes if opcodes else 0.0,
        sum(entry.count for trace in traces for entry in trace.imports) / opcodes if opcodes else 0.0,
        *(float(kind in odd) for kind in ODDITIES),
    ]
