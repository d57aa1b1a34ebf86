"""Files whose verdict may never flip: every root sink in every plain form of call, and a benign panel.

The hostile ones are assembled with inert arguments and are never loaded; the benign ones come from the standard
savers. The promotion gate scans all of them with the candidate model.
"""

from __future__ import annotations

import gzip
import pickle
from collections.abc import Iterator
from typing import NamedTuple

from safepickle.capabilities.sinks import SINKS
from safepickle.scan import Scanner

from .assemble.stream import Assembler

_ARGUMENTS = {
    "exec": "print('canary')", "process": "echo canary", "import": "canary_module", "native": "canary.so",
    "deserialize": "canary", "file": "/tmp/canary", "network": "canary.invalid",
}  # fmt: skip


class Canary(NamedTuple):
    """A file and whether it must be flagged."""

    name: str
    hostile: bool
    data: bytes


def canaries() -> Iterator[Canary]:
    """Every canary, in a fixed order."""
    for sink, kind in sorted(SINKS.items()):
        module, _dot, name = sink.rpartition(".")
        for form, data in _forms(module, name, _ARGUMENTS[kind]):
            yield Canary(f"{sink} by {form}", True, data)
    for name, value in _PANEL.items():
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            yield Canary(f"{name}, protocol {protocol}", False, pickle.dumps(value, protocol))


def _forms(module: str, name: str, argument: str) -> Iterator[tuple[str, bytes]]:
    yield "GLOBAL REDUCE", Assembler(2).global_(module, name).text(argument).tuple1().reduce().assemble()
    yield (
        "STACK_GLOBAL REDUCE",
        Assembler(4).text(module).text(name).stack_global().text(argument).tuple1().reduce().assemble(),
    )
    yield "INST", Assembler(0).mark().text(argument).inst(module, name).assemble()
    yield "OBJ", Assembler(1).mark().global_(module, name).text(argument).obj().assemble()
    yield (
        "REDUCE POP",
        Assembler(2).empty_dict().global_(module, name).text(argument).tuple1().reduce().pop().assemble(),
    )
    plain = Assembler(2).global_(module, name).text(argument).tuple1().reduce().assemble()
    yield "a second stream", pickle.dumps({"epoch": 3}, 2) + plain
    yield "gzip", gzip.compress(plain, mtime=0)
    yield (
        "memo",
        Assembler(2).global_(module, name).put(7).pop().empty_dict().get(7).text(argument).tuple1().reduce().assemble(),
    )


_PANEL: dict[str, object] = {
    "numbers": list(range(50)),
    "weights": {"w": [0.1, 0.2], "b": [0.0], "epoch": 3},
    "names": {"os.system": 1, "exec(": 2, "subprocess": 3, "rm -rf /": 4},
    "nested": {"a": ({"b": [1, (2, 3)]}, {4, 5}, b"raw", None, True)},
    "empty": {},
}


def flips(scanner: Scanner) -> tuple[int, list[str]]:
    """Number of canaries, and the names of those whose verdict is not the one it must be."""
    total, flipped = 0, []
    for canary in canaries():
        total += 1
        verdict = scanner.scan_bytes(canary.data, canary.name).verdict
        if (verdict in ("malicious", "suspicious")) != canary.hostile:
            flipped.append(canary.name)
    return total, flipped
