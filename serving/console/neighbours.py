"""The labelled files that a file is most like.

The distance of two files is the Jaccard distance of the names that they call and import: 1 less the share of names that
both have among those that either has. Calling a name and only importing it are two things.
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Iterable, Set

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from safepickle.bytecode.trace import FileTrace

from ..database.tables import Label, Scan
from ..database.writer import standing_labels
from ..labels import LabelPolicy
from ..scan_process import read_trace
from .memory import Memory

LABELLED = 500
"""The labelled files, latest first, that a file is compared with."""
SHOWN = 5
MOST_NAMES = 500
"""Names of a file, the first ones, that are compared."""
_REMEMBERED = 1_000

Names = frozenset[tuple[str, str]]
_KNOWN: Memory[str, Names] = Memory(_REMEMBERED)


@dataclasses.dataclass(frozen=True, slots=True)
class Neighbour:
    """A labelled file: `distance` from 0 (the same names) to 1 (none in common), and what both have in common."""

    sha256: str
    name: str
    at: datetime.datetime
    verdict: str
    label: str
    distance: float
    common: int
    all_names: int


def names_of(trace: FileTrace) -> Names:
    """What the distance looks at."""
    streams = trace.walk()
    called = _first(call.callee.name for stream in streams for call in stream.calls)
    imported = _first(entry.name for stream in streams for entry in stream.imports)
    return frozenset({("call", name) for name in called} | {("import", name) for name in imported - called})


def _first(names: Iterable[str]) -> set[str]:
    found: set[str] = set()
    for name in names:
        if name and len(found) < MOST_NAMES:
            found.add(name)
    return found


def distance(one: Set[object], other: Set[object]) -> float:
    """Jaccard distance of two sets; 0 for two empty ones."""
    return 1.0 - len(one & other) / len(one | other) if one or other else 0.0


def nearest(connection: Connection, trace: FileTrace, sha256: str, policy: LabelPolicy) -> list[Neighbour]:
    """The labelled files nearest to one with this Trace, itself left out, the nearest first."""
    own = names_of(trace)
    recent = connection.execute(
        sa.select(Label.sha256, sa.func.max(Label.id).label("last"))
        .group_by(Label.sha256)
        .order_by(sa.desc("last"))
        .limit(LABELLED)
    )
    hashes = {row.sha256 for row in recent} - {sha256}
    if not own or not hashes:
        return []
    standing = {key: known.label for key, known in standing_labels(connection, hashes, policy).items() if known.label}
    latest = (
        sa.select(Scan.id, Scan.sha256, Scan.name, Scan.at, Scan.verdict)
        .where(Scan.sha256.in_(sorted(standing)))
        .order_by(Scan.at)
    )
    rows = {row.sha256: row for row in connection.execute(latest)}
    found = []
    for row in rows.values():
        names = _stored_names(connection, row.id)
        far = distance(own, names)
        if names and far < 1.0:
            found.append(
                Neighbour(
                    row.sha256, row.name, row.at, row.verdict, standing[row.sha256] or "", far, len(own & names),
                    len(own | names),
                )
            )  # fmt: skip
    return sorted(found, key=lambda one: (one.distance, one.sha256))[:SHOWN]


def _stored_names(connection: Connection, scan_id: str) -> Names:
    def read() -> Names:
        stored = connection.execute(sa.select(Scan.trace).where(Scan.id == scan_id)).scalar()
        try:
            return frozenset() if stored is None else names_of(read_trace(stored))
        except ValueError:
            return frozenset()

    return _KNOWN.of(scan_id, read)
