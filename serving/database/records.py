"""Reading scans and appending labels."""

from __future__ import annotations

import dataclasses
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from .clock import now
from .tables import Event, Label, Scan, ScanNovelty
from .writer import standing_labels


class UnknownScan(LookupError):
    """No scan with this id, or of a file with this hash."""


@dataclasses.dataclass(frozen=True, slots=True)
class NewLabel:
    """A label as a client sends it; exactly one of `scan_id` and `sha256` is not empty."""

    label: str
    reason: str
    scan_id: str = ""
    sha256: str = ""


def load_scan(connection: Connection, scan_id: str, key_id: int | None = None) -> dict[str, Any]:
    """A stored scan as the API shows it.

    Parameters
    ----------
    connection
        Of a reading transaction.
    scan_id
        Which one.
    key_id
        When given, only a scan asked for with this key.

    Raises
    ------
    UnknownScan
        When there is none.
    """
    query = (
        sa.select(Scan.__table__, ScanNovelty.novelty, ScanNovelty.event_id)
        .select_from(Scan)
        .outerjoin(ScanNovelty, ScanNovelty.scan_id == Scan.id)
        .where(Scan.id == scan_id)
    )
    if key_id is not None:
        query = query.where(Scan.api_key_id == key_id)
    row = connection.execute(query).first()
    if row is None:
        raise UnknownScan(scan_id)
    known = standing_labels(connection, {row.sha256}).get(row.sha256)
    return {
        "scan_id": row.id,
        "at": row.at.isoformat(),
        "model_version": row.model_version,
        "path": row.name,
        "sha256": row.sha256,
        "size": row.size,
        "container": row.container,
        "verdict": row.verdict,
        "score": row.score,
        "complete": row.complete,
        "findings": row.findings,
        "detectors": row.detectors,
        "oddities": row.oddities,
        "label": None if known is None else known.to_json_dict(),
        "novelty": row.novelty,
        "learned": row.event_id is not None,
        "labels": _labels_of(connection, row.sha256),
    }


def _labels_of(connection: Connection, sha256: str) -> list[dict[str, Any]]:
    rows = connection.execute(sa.select(Label.__table__).where(Label.sha256 == sha256).order_by(Label.id)).all()
    return [
        {
            "id": row.id,
            "at": row.at.isoformat(),
            "scan_id": row.scan_id,
            "label": row.label,
            "author": row.author,
            "role": row.role,
            "reason": row.reason,
            "model_version": row.model_version,
        }
        for row in rows
    ]


def add_label(connection: Connection, new: NewLabel, key_id: int, author: str, role: str) -> dict[str, Any]:
    """Append a label and its event; a label by hash belongs to the latest scan of that file.

    Raises
    ------
    UnknownScan
        When there is no such scan.
    """
    query = sa.select(Scan.id, Scan.sha256, Scan.model_version, Scan.verdict)
    if new.scan_id:
        query = query.where(Scan.id == new.scan_id)
    else:
        query = query.where(Scan.sha256 == new.sha256).order_by(Scan.at.desc(), Scan.id.desc()).limit(1)
    scan = connection.execute(query).first()
    if scan is None:
        raise UnknownScan(new.scan_id or new.sha256)
    at = now()
    values = {
        "at": at,
        "scan_id": scan.id,
        "sha256": scan.sha256,
        "label": new.label,
        "author_id": key_id,
        "author": author,
        "role": role,
        "reason": new.reason,
        "model_version": scan.model_version,
    }
    label_id = connection.execute(sa.insert(Label).values(values).returning(Label.id)).scalar_one()
    shown = {"label_id": label_id, **values, "at": at.isoformat()}
    del shown["author_id"]
    payload = {**shown, "author_id": key_id, "verdict": scan.verdict}
    connection.execute(sa.insert(Event).values(at=at, kind="label", payload=payload))
    return shown
