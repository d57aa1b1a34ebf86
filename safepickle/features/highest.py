"""Rows of values of which each is the highest that was seen, so that more to see can only raise them.

Rows are made for each file, so that this file is compiled where a compiler was at hand.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ..bytecode.trace import Call, Import, Trace


class Highest:
    """One row of `width` values, all of which begin at 0."""

    def __init__(self, width: int) -> None:
        self.values = [0.0] * width

    def raise_to(self, index: int, value: float = 1.0) -> None:
        """Let a value be at least `value`."""
        if value > self.values[index]:
            self.values[index] = value


class HighestOfFile(Highest):
    """The row of a file, over all its imports and calls."""

    def see(self, traces: list[Trace]) -> None:
        """Look at every import and call, stream by stream."""
        for trace in traces:
            for entry in trace.imports:
                self.see_import(entry)
            for call in trace.calls:
                self.see_call(call)

    def see_import(self, entry: Import) -> None:
        """Raise what an import raises."""
        raise NotImplementedError

    def see_call(self, call: Call) -> None:
        """Raise what a call raises."""
        raise NotImplementedError


def places(index: Mapping[str, int], prefix: str, kinds: Iterable[str]) -> dict[str, int]:
    """Where the values named ``<prefix>_<kind>`` are in a row, by kind, as far as the row has them."""
    return {kind: index[f"{prefix}_{kind}"] for kind in kinds if f"{prefix}_{kind}" in index}
