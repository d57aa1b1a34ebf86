"""Features of files under many models: what a model's knowledge leaves as it was is not computed again.

All that a model changes in the features of a file is how new the names in it are. Two models that find them equally new
see the same row.
"""

from __future__ import annotations

from typing import NamedTuple

from detectors.advice import names_of
from safepickle.bytecode.trace import FileTrace, flattened
from safepickle.features import SCHEMA, Knowledge, calls, capability, opcode_frequencies, structure
from safepickle.features.prevalence import called

COLUMNS = SCHEMA.columns(("calls", "capability"))
"""What :func:`learned_row` gives, of the columns of the schema."""


class View(NamedTuple):
    """What one model sees of a file: all features in the order of the schema, and the numbers of its unusual names."""

    row: list[float]
    names: list[int]


class Seen:
    """Views of files, by file and by how new its names are."""

    def __init__(self) -> None:
        self._files: dict[int, tuple[FileTrace, tuple[str, ...], list[float]]] = {}
        self._views: dict[tuple[int, tuple[float, ...]], View] = {}

    def view(self, trace: FileTrace, knowledge: Knowledge) -> View:
        """What `knowledge` makes of a file, as a scan would see it."""
        key = id(trace)  # the trace is kept, so no other gets its id
        if key not in self._files:
            traces = trace.walk()
            fixed = [*opcode_frequencies.values(traces), *structure.values(traces, len(trace.streams))]
            self._files[key] = trace, _asked(trace), fixed
        _trace, asked, fixed = self._files[key]
        novelties = tuple(map(knowledge.novelty, asked))
        view = self._views.get((key, novelties))
        if view is None:
            view = View([*fixed, *learned_row(trace, knowledge)], names_of(trace, knowledge))
            self._views[key, novelties] = view
        return view


def learned_row(trace: FileTrace, knowledge: Knowledge) -> list[float]:
    """The features of a file that depend on `knowledge`."""
    traces = trace.walk()
    return [*calls.values(traces, knowledge), *capability.values(traces, knowledge)]


def _asked(trace: FileTrace) -> tuple[str, ...]:
    """Every name whose novelty the features of a file may ask for."""
    names: set[str] = set()
    for stream in trace.walk():
        for entry in stream.imports:
            names |= _levels(entry.name)
        for call in stream.calls:
            names |= {called(call), *_levels(call.callee.name)}
            for argument in flattened(call.args):
                if argument.ref is not None:
                    names.add(argument.ref.name)
    return tuple(sorted(names))


def _levels(name: str) -> set[str]:
    return {name, name.rpartition(".")[0] + ".*", name.partition(".")[0] + ".**"}
