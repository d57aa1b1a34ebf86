"""Trace -> named vector. One module per feature group."""

from __future__ import annotations

from ..bytecode.trace import FileTrace
from . import calls, opcode_frequencies, structure
from .prevalence import Prevalence
from .schema import Schema

__all__ = ["SCHEMA", "Prevalence", "Schema", "extract"]

SCHEMA = Schema(
    version=1,
    groups=(
        ("opcode_frequencies", opcode_frequencies.NAMES),
        ("structure", structure.NAMES),
        ("calls", calls.NAMES),
    ),
    monotone=frozenset((*opcode_frequencies.MONOTONE, *structure.MONOTONE, *calls.MONOTONE)),
)
"""Order of :func:`extract`'s rows."""


def extract(file: FileTrace, prevalence: Prevalence, group: str | None = None) -> list[float]:
    """Feature row of a file.

    Parameters
    ----------
    file
        What loading it would do.
    prevalence
        How usual names are among benign training files.
    group
        Group of the file, when it may itself be counted in `prevalence`: it is then left out.

    Returns
    -------
    list of float
        One finite value per name of :data:`SCHEMA`.
    """
    traces = file.walk()
    return [
        *opcode_frequencies.values(traces),
        *structure.values(traces, len(file.streams)),
        *calls.values(traces, prevalence, group),
    ]
