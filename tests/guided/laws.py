"""What must hold of any bytes: checked by the fuzzers on everything they try."""

from __future__ import annotations

import resource
from collections.abc import Callable
from time import process_time

from safepickle.bytecode.region import Budget, trace_region
from safepickle.bytecode.trace import FileTrace
from safepickle.containers import READERS, known_format, text
from safepickle.containers.source import Source
from safepickle.limits import Limits
from safepickle.scan import trace_data

LIMITS = Limits(
    opcodes=1_000_000, nodes=200_000, memo=200_000, stack=200_000, members=200, streams=200, unpacked_bytes=4 << 20,
    seconds=20.0,
)  # fmt: skip
SECONDS = 5.0
"""Of processor time for one small input, uncompiled and instrumented."""
KILOBYTES = 300_000
"""By which one process may grow over all inputs."""


_SAID: dict[str, tuple[bytes, ...]] = {
    "jinja": (b"{{", b"{%"), "hydra": (b"_target_",), "keras": (b'"class_name"',), "skops": (b'"__loader__"',),
}  # fmt: skip
"""Targets that are texts which say something."""


class Broken(AssertionError):
    """A law does not hold."""


def concerns(target: str, data: bytes) -> bool:
    """Whether bytes are any that a target is about."""
    source = Source(data, 0, len(data), alone=True)
    if target in READERS:
        return READERS[target].sniff(source)
    if target in _SAID:
        return any(mark in data for mark in _SAID[target])
    if target == "text":
        return text.is_text(source)
    return target in ("all", "machine") or known_format.name_of(source) == target


def law_of(target: str) -> Callable[[bytes], int]:
    """What checks one input for a target; gives -1 for inputs that say nothing of it."""
    first: list[int] = []

    def check(data: bytes) -> int:
        if not concerns(target, data):
            return -1
        began = process_time()
        if target == "machine":
            found = trace_region(data, 0, len(data), (), Budget(LIMITS))
            trace = FileTrace(len(data), "pickle", found.complete, found.traces, found.oddities)
        else:
            trace = trace_data(data, LIMITS)
        if process_time() - began > SECONDS:
            raise Broken(f"{process_time() - began:.1f} s for {len(data)} bytes")
        check_trace(trace)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        if not first:
            first.append(peak)
        if peak - first[0] > KILOBYTES:
            raise Broken(f"memory grew from {first[0]} to {peak} kB")
        return 0

    return check


def check_trace(trace: FileTrace) -> None:
    """Laws of what a scan returns."""
    for oddity in trace.oddities:
        if oddity.kind == "internal-error":
            raise Broken(oddity.detail)
        if oddity.kind.startswith("budget:") and trace.complete:
            raise Broken(f"complete in spite of {oddity.kind}")
    if FileTrace.from_json(trace.to_json()) != trace:
        raise Broken("the trace is not the same after it was stored")
