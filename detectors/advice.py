"""What labels have taught since the last training: a small linear model that can only raise suspicion.

It sees the names in a file that benign files do not use. Its weights are not negative, so nothing added to a file
lowers what it says; what it may change is bounded by who asks it: a benign file becomes suspicious, never the other
way.
This half scores, without third-party imports; :mod:`detectors.suspicion` learns.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any
from zlib import crc32

from safepickle.bytecode.trace import FileTrace
from safepickle.features import Knowledge
from safepickle.features.prevalence import called

NAMES = 96
"""Names of a file that count: those whose hashes are least, so that it is the same ones in any order. And as many
habits."""
HABITS = 1 << 32
"""Numbers from which on they are of habits, below it of names."""
UNUSUAL = 0.9
"""Novelty from which on a name counts: no group of benign files uses it, and it is not known to be tame."""

Names = frozenset[int]


def names_of(trace: FileTrace, knowledge: Knowledge) -> list[int]:
    """Numbers of the unusual names that a file imports, of their modules, and of unusual calls, rising; then of habits.

    Only what is imported is counted as a name among benign files, so of what is reached as an attribute only the call
    is looked up. A habit is that functions of a package are called of which benign files use nothing: what files of
    one family have in common that name another function each.
    """
    found: set[str] = set()
    habits: set[str] = set()
    for stream in trace.walk():
        for entry in stream.imports:
            found |= _levels(entry.name)
        for call in stream.calls:
            if call.callee.name:
                found.add(called(call))
            if call.callee.name and knowledge.is_function(call):
                habits.add(call.callee.name.partition(".")[0] + ".**")
    names, habits = ({name for name in words if knowledge.novelty(name) >= UNUSUAL} for words in (found, habits))
    return [*_numbers(names), *(HABITS + number for number in _numbers(habits))]


def _numbers(words: set[str]) -> list[int]:
    return sorted({crc32(word.encode("utf-8", "surrogatepass")) for word in words})[:NAMES]


def _levels(name: str) -> set[str]:
    return {name, name.rpartition(".")[0] + ".*"} if name else set()


class Advice:
    """Probability that a file is malicious, by what labels taught.

    Parameters
    ----------
    weights
        By number of a name, none negative.
    bias
        Log odds of a file that has none of them.
    cut
        Probability from which on a file is suspicious.
    """

    def __init__(self, weights: Mapping[int, float], bias: float, cut: float) -> None:
        self.weights = dict(weights)
        self.bias = bias
        self.cut = cut

    def score(self, names: Iterable[int]) -> float:
        """Probability for one file."""
        return 1.0 / (1.0 + math.exp(-max(-30.0, min(30.0, self.odds(names)))))

    def odds(self, names: Iterable[int]) -> float:
        """Log odds for one file."""
        weights = self.weights
        return self.bias + math.fsum(weights[name] for name in names if name in weights)

    def raises(self, names: Iterable[int]) -> bool:
        """Whether a file that the model takes for benign is suspicious all the same."""
        return bool(self.weights) and self.score(names) >= self.cut

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
