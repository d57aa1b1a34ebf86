"""Answers that are given again to the same request with the same key."""

from __future__ import annotations

import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ..labels import Standing, decision
from .clock import now
from .records import load_scan
from .tables import IdempotentScan, Scan
from .writer import fingerprint

KEPT = datetime.timedelta(days=1)
LATER_MEMBERS = ("novelty", "learned", "labels", "floor")


class AnotherRequest(Exception):
    """The key was used for another file or another name."""


def earlier_answer(connection: Connection, key_id: int, key: str, sha256: str, name: str) -> dict[str, Any] | None:
    """What was answered to this request before; None when it is the first.

    Raises
    ------
    AnotherRequest
        When the key belongs to another one.
    """
    row = connection.execute(
        sa.select(IdempotentScan.__table__, Scan.raised)
        .join(Scan, Scan.id == IdempotentScan.scan_id)
        .where(IdempotentScan.api_key_id == key_id, IdempotentScan.key == key, IdempotentScan.at > now() - KEPT)
    ).first()
    if row is None:
        return None
    if row.fingerprint != fingerprint(sha256, name):
        raise AnotherRequest
    stored = load_scan(connection, row.scan_id)
    answer = {member: value for member, value in stored.items() if member not in LATER_MEMBERS}
    said = Standing(None if row.label is None else row.label["label"])
    decided, decided_by = decision(answer["verdict"], said, row.raised)
    return {**answer, "label": row.label, "decision": decided, "decided_by": decided_by}


def forget_answers(connection: Connection) -> int:
    """Remove the answers that are too old to be given again; return how many."""
    return connection.execute(sa.delete(IdempotentScan).where(IdempotentScan.at <= now() - KEPT)).rowcount
