"""The SafePickle paper's vector: L1-normalised frequencies of the 68 opcodes, over all streams of the file."""

from __future__ import annotations

from ..bytecode.opcodes import OPCODES
from ..bytecode.trace import Trace

NAMES = tuple(f"frequency_{name.lower()}" for _code, name, _argument, _protocol in OPCODES)
MONOTONE: tuple[str, ...] = ()
_INDEX = {name: index for index, (_code, name, _argument, _protocol) in enumerate(OPCODES)}


def values(traces: list[Trace]) -> list[float]:
    """Shares of the opcodes, summing to 1 (all 0 where nothing was executed)."""
    total = 0
    for trace in traces:
        total += sum(trace.opcodes.values())
    shares = [0.0] * len(NAMES)
    for trace in traces:
        for name, count in trace.opcodes.items():
            shares[_INDEX[name]] += count
    if total:  # the few that were executed; the others stay 0
        for index in {_INDEX[name] for trace in traces for name in trace.opcodes}:
            shares[index] /= total
    return shares
