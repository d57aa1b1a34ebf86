"""Rows of named values of which each is the highest that was seen, so that more to see can only raise them."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..bytecode.trace import Call, Import, Trace


class Highest:
    """One row.

    Parameters
    ----------
    index
        Name -> position in `values`, all of which begin at 0.
    """

    def __init__(self, index: Mapping[str, int]) -> None:
        self._index = index
        self.values = [0.0] * len(index)

    def raise_to(self, name: str, value: float = 1.0) -> None:
        """Let a value be at least `value`."""
        index = self._index[name]
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
