"""What labels have taught since the last training: a small linear model that can only raise suspicion.

Its weights are not negative and its inputs only grow with what is added to a file, so nothing added to a file lowers
what it says; what it may change is bounded by who asks it: a benign file becomes suspicious, never the other way.
This half scores, without third-party imports; :mod:`detectors.suspicion` learns.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from zlib import crc32

from safepickle.bytecode.trace import FileTrace
from safepickle.features import SCHEMA

BUCKETS = 1 << 16
"""Names are numbered by their hash, up to here; features of the row come after them."""
NAMES = 96
"""Names of a file that count: those whose hashes are least, so that it is the same ones in any order."""

_GROWING = {
    index: math.log1p
    for index, name in enumerate(SCHEMA.names)
    if name in SCHEMA.monotone and not name.startswith(("log_", "longest_"))
}

Point = dict[int, float]


def names_of(trace: FileTrace) -> list[int]:
    """Numbers of the callables that a file imports or calls and of the modules they are in, rising."""
    found: set[int] = set()
    for stream in trace.walk():
        for name in {entry.name for entry in stream.imports} | {call.callee.name for call in stream.calls}:
            if name:
                found |= {_number(name), _number(name.rpartition(".")[0] + ".*")}
    return sorted(found)[:NAMES]


def _number(name: str) -> int:
    return crc32(name.encode("utf-8", "surrogatepass")) % BUCKETS


def point(schema: str, indices: Sequence[int], values: Sequence[float], names: Iterable[int]) -> Point:
    """A file as the model sees it: 1 for each name, and of the row the features that only grow.

    Parameters
    ----------
    schema
        Version of the row's features; of another than this program's only the names count.
    indices, values
        The features that are not zero.
    names
        Of :func:`names_of`.
    """
    found = {int(name) % BUCKETS: 1.0 for name in names}
    if schema == str(SCHEMA.version):
        for index, value in zip(indices, values, strict=True):
            if index in _GROWING and value > 0:
                found[BUCKETS + index] = math.log1p(value)
    return found


class Advice:
    """Probability that a file is malicious, by what labels taught.

    Parameters
    ----------
    weights
        By number of a name or feature, none negative.
    bias
        Log odds of a file that has none of them.
    cut
        Probability from which on a file is suspicious.
    """

    def __init__(self, weights: Mapping[int, float], bias: float, cut: float) -> None:
        self.weights = dict(weights)
        self.bias = bias
        self.cut = cut

    def score(self, seen: Mapping[int, float]) -> float:
        """Probability for one file."""
        return 1.0 / (1.0 + math.exp(-max(-30.0, min(30.0, self.odds(seen)))))

    def odds(self, seen: Mapping[int, float]) -> float:
        """Log odds for one file."""
        weights = self.weights
        return self.bias + math.fsum(weights[key] * value for key, value in seen.items() if key in weights)

    def raises(self, seen: Mapping[int, float]) -> bool:
        """Whether a file that the model takes for benign is suspicious all the same."""
        return bool(self.weights) and self.score(seen) >= self.cut

    def to_state(self) -> dict[str, Any]:
        """The whole state as JSON values."""
        return {"weights": [[key, value] for key, value in self.weights.items()], "bias": self.bias, "cut": self.cut}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Advice:
        """Read :meth:`to_state`'s values. Raises KeyError, TypeError or ValueError when they are something else."""
        weights = {int(key): float(value) for key, value in state["weights"]}
        numbers = (*weights.values(), float(state["bias"]), float(state["cut"]))
        if not all(map(math.isfinite, numbers)) or min(weights.values(), default=0.0) < 0:
            raise ValueError("advice with a negative weight or a number that is not finite")
        return cls(weights, float(state["bias"]), float(state["cut"]))


NO_ADVICE = Advice({}, -30.0, 1.0)
"""Raises nothing."""
