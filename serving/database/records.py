"""Reading scans and appending labels."""

from __future__ import annotations

import dataclasses
import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ..labels import DEFAULT_POLICY, RETRACTED, LabelPolicy, Standing, decision
from ..roles import ROLES
from .clock import now
from .tables import Event, Label, Scan, ScanNovelty
from .writer import ScanRecord, standing_labels

HOUR = datetime.timedelta(hours=1)
MAX_RULES = 20


class UnknownScan(LookupError):
    """No scan with this id, or of a file with this hash."""


class NothingToRetract(LookupError):
    """The label to take back does not exist, was taken back already, or is another person's."""


class QuotaReached(Exception):
    """This key has given as many labels in the last hour as one may."""


@dataclasses.dataclass(frozen=True, slots=True)
class NewLabel:
    """A label as a client sends it; exactly one of `scan_id` and `sha256` is not empty.

    `evidence` is what the person points to. A label ``retracted`` takes back the person's own of that file or, for an
    admin, the label numbered `retracts`.
    """

    label: str
    reason: str
    scan_id: str = ""
    sha256: str = ""
    evidence: str = ""
    retracts: int | None = None


def load_scan(
    connection: Connection, scan_id: str, key_id: int | None = None, policy: LabelPolicy = DEFAULT_POLICY
) -> dict[str, Any]:
    """A stored scan as the API shows it.

    Parameters
    ----------
    connection
        Of a reading transaction.
    scan_id
        Which one.
    key_id
        When given, only a scan asked for with this key.
    policy
        By which labels stand.

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
    known = standing_labels(connection, {row.sha256}, policy).get(row.sha256, Standing(None))
    return {
        **scan_object(row, known),
        "credibility": row.credibility,
        "findings": row.findings,
        "detectors": row.detectors,
        "oddities": row.oddities,
        "floor": row.floor,
        "novelty": row.novelty,
        "learned": row.event_id is not None,
        "labels": _labels_of(connection, row.sha256),
    }


def scan_object(row: sa.Row[Any] | ScanRecord, known: Standing) -> dict[str, Any]:
    """What lists and single answers alike tell of a stored scan, and what people said of the file."""
    decided, decided_by = decision(row.verdict, known, row.raised)
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
        "label": None if known.at is None else known.to_json_dict(),
        "decision": decided,
        "decided_by": decided_by,
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
            "evidence": row.evidence,
            "guarded": row.guarded,
            "retracts": row.retracts,
        }
        for row in rows
    ]


def add_label(
    connection: Connection,
    new: NewLabel,
    key_id: int,
    author: str,
    role: str,
    quota: int | None = None,
    policy: LabelPolicy = DEFAULT_POLICY,
) -> dict[str, Any]:
    """Append a label and its event; a label by hash belongs to the latest scan of that file.

    Parameters
    ----------
    connection
        Of a writing transaction.
    new
        What was sent.
    key_id, author, role
        Who says it.
    quota
        Labels that one key may give in an hour; None for any number.
    policy
        By which labels stand; what stands from now on is part of the event.

    Raises
    ------
    UnknownScan
        When there is no such scan.
    NothingToRetract
        When there is no such label to take back.
    QuotaReached
        When this key has to wait.
    """
    query = sa.select(
        Scan.id, Scan.sha256, Scan.model_version, Scan.verdict, Scan.score, Scan.floor, Scan.guarded, Scan.findings
    )
    if new.scan_id:
        query = query.where(Scan.id == new.scan_id)
    else:
        query = query.where(Scan.sha256 == new.sha256).order_by(Scan.at.desc(), Scan.id.desc()).limit(1)
    scan = connection.execute(query).first()
    if scan is None:
        raise UnknownScan(new.scan_id or new.sha256)
    at = now()
    _check_quota(connection, key_id, at, quota)
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
        "evidence": _evidence(scan, new.evidence),
        "guarded": bool(scan.guarded),
        "retracts": _retracted(connection, new, scan.sha256, author, role) if new.label == RETRACTED else None,
    }
    label_id = connection.execute(sa.insert(Label).values(values).returning(Label.id)).scalar_one()
    shown = {"label_id": label_id, **values, "at": at.isoformat()}
    del shown["author_id"]
    stands = standing_labels(connection, {scan.sha256}, policy)[scan.sha256]
    payload = {**shown, "author_id": key_id, "verdict": scan.verdict, "standing": stands.to_json_dict()}
    connection.execute(sa.insert(Event).values(at=at, kind="label", payload=payload))
    return shown


def _check_quota(connection: Connection, key_id: int, at: datetime.datetime, quota: int | None) -> None:
    if quota is None:
        return
    given = sa.select(sa.func.count()).select_from(Label).where(Label.author_id == key_id, Label.at > at - HOUR)
    if connection.execute(given).scalar_one() >= quota:
        raise QuotaReached(f"{quota} labels an hour")


def _evidence(scan: sa.Row[Any], given: str) -> dict[str, Any]:
    """What the model said of the file when it was labelled, and what the person points to."""
    rules = sorted({str(finding.get("rule")) for finding in scan.findings if isinstance(finding, dict)})
    shown = {"verdict": scan.verdict, "score": scan.score, "floor": scan.floor, "rules": rules[:MAX_RULES]}
    return {**shown, "given": given} if given else shown


def _retracted(connection: Connection, new: NewLabel, sha256: str, author: str, role: str) -> int:
    """Number of the label to take back."""
    rows = connection.execute(
        sa.select(Label.id, Label.label, Label.author, Label.retracts).where(Label.sha256 == sha256).order_by(Label.id)
    ).all()
    taken = {row.retracts for row in rows}
    open_ = [row for row in rows if row.label != RETRACTED and row.id not in taken]
    if new.retracts is None:
        found = [row for row in open_ if row.author.casefold() == author.casefold()]
    else:
        found = [row for row in open_ if row.id == new.retracts]
        if found and found[0].author.casefold() != author.casefold() and role != ROLES[-1]:
            raise NothingToRetract("only an admin takes back what others said")
    if not found:
        raise NothingToRetract("no label of this file is there to take back")
    return int(found[-1].id)
