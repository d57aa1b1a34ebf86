"""The audit log: who did what that changes how the service decides or who may use it."""

from __future__ import annotations

import dataclasses
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from .clock import now
from .tables import AuditEntry


@dataclasses.dataclass(frozen=True, slots=True)
class Actor:
    """Who did it: the name of a key and its number, None for a command."""

    name: str
    key_id: int | None = None


OPERATOR = Actor("operator")
"""Who gives commands; they need the database's address instead of a key."""


def record(connection: Connection, action: str, subject: str, detail: dict[str, Any], by: Actor = OPERATOR) -> None:
    """Append an entry, in the transaction that does what it tells of.

    Parameters
    ----------
    connection
        Of a writing transaction.
    action
        What is done: ``key.add``, ``model.promote``.
    subject
        To what: ``key 3``, ``model 12``.
    detail
        JSON values that explain it; never a secret.
    by
        Who does it.
    """
    values = {"at": now(), "key_id": by.key_id, "actor": by.name, "action": action, "subject": subject}
    connection.execute(sa.insert(AuditEntry).values(**values, detail=detail))
