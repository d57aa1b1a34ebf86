"""Who is logged in: a key is exchanged for a session, which a cookie carries and the database knows by its hash."""

from __future__ import annotations

import datetime
import hashlib
import hmac
import secrets

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ..auth import Principal
from ..database.clock import now
from ..database.tables import ApiKey, ConsoleSession

COOKIE = "safepickle_session"
LOGIN_COOKIE = "safepickle_login"
_LONGEST = 100


def new_token() -> str:
    """A secret that nobody can guess."""
    return secrets.token_urlsafe(32)


def open_session(connection: Connection, key_id: int, hours: float) -> str:
    """Begin a session of a key and return its token; sessions that have ended are removed.

    Parameters
    ----------
    connection
        Of a writing transaction.
    key_id
        The key that was shown.
    hours
        After which the session ends.
    """
    token = new_token()
    at = now()
    connection.execute(sa.delete(ConsoleSession).where(ConsoleSession.expires_at <= at))
    connection.execute(
        sa.insert(ConsoleSession).values(
            digest=_digest(token), api_key_id=key_id, created_at=at, expires_at=at + datetime.timedelta(hours=hours)
        )
    )
    return token


def find_session(connection: Connection, token: str) -> Principal | None:
    """Whose session it is; None when it has ended, or its key does not work any more."""
    if not 0 < len(token) <= _LONGEST:
        return None
    at = now()
    row = connection.execute(
        sa.select(ApiKey.id, ApiKey.name, ApiKey.role)
        .join(ConsoleSession, ConsoleSession.api_key_id == ApiKey.id)
        .where(ConsoleSession.digest == _digest(token), ConsoleSession.expires_at > at, ApiKey.revoked_at.is_(None))
        .where(sa.or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > at))
    ).first()
    return None if row is None else Principal(row.id, row.name, row.role)


def close_session(connection: Connection, token: str) -> None:
    """End a session."""
    connection.execute(sa.delete(ConsoleSession).where(ConsoleSession.digest == _digest(token)))


def form_token(token: str, purpose: str = "form") -> str:
    """What a form of the session `token` carries, to prove that it is one of ours.

    A page of another site can neither read the cookie nor compute this. One that is part of an address has a purpose
    of its own, so that it is good for nothing else.
    """
    return hmac.new(token.encode(), f"safepickle-console:{purpose}".encode(), hashlib.sha256).hexdigest()


def is_form_token(token: str, shown: str, purpose: str = "form") -> bool:
    """Whether `shown` is the :func:`form_token` of the session."""
    return bool(token) and hmac.compare_digest(form_token(token, purpose).encode(), shown.encode("utf-8", "replace"))


def _digest(token: str) -> str:
    # The token is long and random, so a plain hash tells nothing of it.
    return hashlib.sha256(b"safepickle-session:" + token.encode("utf-8", "replace")).hexdigest()
