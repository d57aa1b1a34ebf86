"""Trace -> named vectors: a row for the file, one module per feature group, and a row for each telling call."""

from __future__ import annotations

from ..bytecode.trace import FileTrace
from . import calls, capability, opcode_frequencies, per_call, structure
from .knowledge import Knowledge
from .prevalence import Prevalence, part_of
from .schema import Schema

__all__ = ["SCHEMA", "Knowledge", "Prevalence", "Schema", "extract", "part_of"]

SCHEMA = Schema(
    version=2,
    groups=(
        ("opcode_frequencies", opcode_frequencies.NAMES),
        ("structure", structure.NAMES),
        ("calls", calls.NAMES),
        ("capability", capability.NAMES),
    ),
    call_names=per_call.NAMES,
    monotone=frozenset((*opcode_frequencies.MONOTONE, *structure.MONOTONE, *calls.MONOTONE, *capability.MONOTONE)),
)
"""Order of :func:`extract`'s rows."""


def extract(file: FileTrace, knowledge: Knowledge) -> tuple[list[float], list[tuple[float, ...]]]:
    """Features of a file and of its calls.

    Parameters
    ----------
    file
        What loading it would do.
    knowledge
        What is known of names.

    Returns
    -------
    tuple
        One finite value for each of ``SCHEMA.names``; and for each telling call one for each of ``SCHEMA.call_names``.
    """
    traces = file.walk()
    row = [
        *opcode_frequencies.values(traces),
        *structure.values(traces, len(file.streams)),
        *calls.values(traces, knowledge),
        *capability.values(traces, knowledge),
    ]
    return row, per_call.rows(traces, knowledge)
