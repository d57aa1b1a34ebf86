"""Who gave which labels, for the audit of :mod:`detectors.label_audit`."""

from __future__ import annotations

import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from detectors.label_audit import AuditedLabel, suspected

from ..labels import FLAGGED, LABELS
from ..roles import ROLES
from .tables import Event, Label, Scan


def audited_labels(connection: Connection) -> list[AuditedLabel]:
    """Every label that was given and not taken back, with what the model said of the file then."""
    taken = sa.select(Label.retracts).where(Label.retracts.is_not(None))
    query = (
        sa.select(Label.author, Label.label, Label.guarded, Label.sha256, Scan.verdict, Scan.shape, Scan.score)
        .join(Scan, Scan.id == Label.scan_id)
        .where(Label.label.in_(LABELS), Label.id.not_in(taken))
        .order_by(Label.id)
    )
    return [
        AuditedLabel(
            row.author, row.label, row.verdict in FLAGGED, bool(row.guarded), row.shape or row.sha256, row.score
        )
        for row in connection.execute(query)
    ]


def doubted_persons(connection: Connection) -> frozenset[str]:
    """Names, in lower case, of those whose labels wait until an admin has looked at them; never an admin's."""
    admins = connection.execute(sa.select(Label.author).where(Label.role == ROLES[-1]).distinct()).scalars()
    return suspected(audited_labels(connection)) - {name.casefold() for name in admins}


def signals_since(connection: Connection, moment: datetime.datetime) -> dict[str, Any]:
    """What asks for a retraining: the number of contents labelled, and the streams whose drift raised an alarm."""
    labels = sa.select(sa.func.count(Label.sha256.distinct())).where(Label.at >= moment, Label.label.in_(LABELS))
    alarms = sa.select(Event.payload).where(Event.kind == "drift", Event.at >= moment)
    streams = {payload["stream"] for payload in connection.execute(alarms).scalars()}
    return {"labels": connection.execute(labels).scalar_one(), "alarms": sorted(streams)}
