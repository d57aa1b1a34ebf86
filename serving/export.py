"""Labels as a dataset: what analysts said, with the Traces of the files, for the next training."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from safepickle.bytecode.trace import FileTrace

from .database.sources import doubted_persons
from .database.tables import Label, Scan
from .database.writer import standing_labels
from .labels import DEFAULT_POLICY, LabelPolicy, Standing
from .scan_process import read_trace, shape_of

COLUMNS = (
    "sha256", "name", "label", "origin", "group", "library", "technique", "effect", "container", "note", "pool",
    "trace",
)  # fmt: skip
"""Columns of every dataset of the pipeline."""

ORIGIN = "feedback"
PAGE = 500


@dataclasses.dataclass(frozen=True, slots=True)
class Exported:
    """What an export did: rows written, and the hashes of files that have no label to learn from.

    `conflicts` are contradicted among equals, `unsure` were given up by those who decide, `untraced` have a
    label but no readable Trace, `pending` wait for a second person, `quarantined`
    rest on people whose labels the audit doubts.
    """

    rows: int
    conflicts: tuple[str, ...]
    unsure: tuple[str, ...]
    untraced: tuple[str, ...]
    pending: tuple[str, ...] = ()
    quarantined: tuple[str, ...] = ()


def export_labels(connection: Connection, out: Path, policy: LabelPolicy = DEFAULT_POLICY) -> Exported:
    """Write the standing label of each labelled file, with its latest Trace, as Parquet.

    The same labels and Traces give the same bytes, in the order of the hashes. The file appears whole or
    not at all.

    Parameters
    ----------
    connection
        Of a reading transaction.
    out
        Where to; folders are made.
    policy
        By which labels stand.

    Raises
    ------
    OSError
        When the file cannot be written; what was there stays.
    """
    hashes = sorted(connection.execute(sa.select(Label.sha256).distinct()).scalars())
    rows: list[dict[str, str]] = []
    conflicts, unsure, untraced, pending, quarantined = [], [], [], [], []
    doubted = doubted_persons(connection)
    for start in range(0, len(hashes), PAGE):
        page = hashes[start : start + PAGE]
        everybody = standing_labels(connection, set(page), policy)
        for sha256, said in sorted(standing_labels(connection, set(page), policy, doubted).items()):
            if said != everybody[sha256]:
                quarantined.append(sha256)
            if said.pending:
                pending.append(sha256)
            elif said.conflict:
                conflicts.append(sha256)
            elif said.at is None:
                continue  # only those said something whose labels do not count
            elif said.label is None:
                unsure.append(sha256)
            elif (row := _row(connection, sha256, said)) is None:
                untraced.append(sha256)
            else:
                rows.append(row)
    _write(rows, out)
    return Exported(len(rows), tuple(conflicts), tuple(unsure), tuple(untraced), tuple(pending), tuple(quarantined))


def _row(connection: Connection, sha256: str, said: Standing) -> dict[str, str] | None:
    scan = connection.execute(
        sa.select(Scan.name, Scan.trace)
        .where(Scan.sha256 == sha256, Scan.trace.is_not(None))
        .order_by(Scan.at.desc(), Scan.id.desc())
        .limit(1)
    ).first()
    if scan is None:
        return None
    try:
        trace = read_trace(scan.trace)
    except ValueError:
        return None
    assert said.label is not None
    return {
        "sha256": sha256,
        "name": scan.name,
        "label": said.label,
        "origin": ORIGIN,
        "group": _group(trace),
        "library": "",
        "technique": "",
        "effect": "",
        "container": trace.container,
        "note": f"labelled by {said.role}",
        "pool": "train",
        "trace": trace.to_json(),
    }


def _group(trace: FileTrace) -> str:
    """Files that import and call the same names are variants of each other and stay together in a split."""
    return f"{ORIGIN}/{shape_of(trace)}"


def _write(rows: list[dict[str, str]], out: Path) -> None:
    table = pa.table({column: pa.array([row[column] for row in rows], pa.string()) for column in COLUMNS})
    out.parent.mkdir(parents=True, exist_ok=True)
    part = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            pq.write_table(table, file, compression="zstd")
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, out)
    finally:
        part.unlink(missing_ok=True)
