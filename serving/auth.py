"""API keys and the roles they carry."""

from __future__ import annotations

import dataclasses
import datetime
import hmac
import secrets
import sys
import time
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from .database.audit import OPERATOR, Actor, record
from .database.clock import now
from .database.engine import KEYS_LOCK, Database, alone
from .database.tables import ApiKey
from .problems import Problem
from .roles import ROLES

MIN_LENGTH = 20
MAX_LENGTH = 200
MAX_REMEMBERED = 10_000


@dataclasses.dataclass(frozen=True, slots=True)
class Principal:
    """Who asks: a key, or nobody where anonymous requests are allowed (`key_id` None)."""

    key_id: int | None
    name: str
    role: str

    def may(self, role: str) -> bool:
        """Whether this principal may do what `role` may."""
        return ROLES.index(self.role) >= ROLES.index(role)

    @property
    def actor(self) -> Actor:
        """For the audit log."""
        return Actor(self.name, self.key_id)


ANONYMOUS = Principal(None, "anonymous", "scanner")


def add_key(
    connection: Connection,
    role: str,
    name: str,
    pepper: str,
    key: str = "",
    expires_at: datetime.datetime | None = None,
    by: Actor = OPERATOR,
) -> tuple[int, str]:
    """Store a new key and return its number and the key itself, which is shown nowhere else again.

    Parameters
    ----------
    connection
        Of a writing transaction.
    role
        One of :data:`~serving.roles.ROLES`.
    name
        Who will use it.
    pepper
        The service's ``key_pepper``.
    key
        The key to store; empty means make one up.
    expires_at
        From when on it no longer works; None for never.
    by
        Who makes it, for the audit log.

    Raises
    ------
    ValueError
        When the role is unknown, the name is unfit, or the given key is too short, too long or taken.
    """
    if role not in ROLES:
        raise ValueError(f"role {role!r} is unknown; there are {', '.join(ROLES)}")
    if not 0 < len(name) <= 100 or not name.isprintable():
        raise ValueError("a key needs a name of 1 to 100 printable characters")
    key = key or "sp_" + secrets.token_urlsafe(32)
    if not MIN_LENGTH <= len(key) <= MAX_LENGTH or not key.isascii() or not key.isprintable():
        raise ValueError(f"a key has {MIN_LENGTH} to {MAX_LENGTH} printable ASCII characters")
    handle, digest = _fingerprints(key, pepper)
    if connection.execute(sa.select(ApiKey.id).where(ApiKey.handle == handle)).first():
        raise ValueError("this key exists already")
    values = {"name": name, "role": role, "handle": handle, "digest": digest, "created_at": now()}
    inserted = connection.execute(sa.insert(ApiKey).values(**values, expires_at=expires_at).returning(ApiKey.id))
    number = int(inserted.scalar_one())
    detail = {"role": role, "name": name, "expires_at": None if expires_at is None else expires_at.isoformat()}
    record(connection, "key.add", f"key {number}", detail, by)
    return number, key


def list_keys(connection: Connection) -> list[dict[str, Any]]:
    """All keys, oldest first: id, name, role and when they were made, revoked and expire, as JSON values."""
    moments = (ApiKey.created_at, ApiKey.revoked_at, ApiKey.expires_at)
    rows = connection.execute(sa.select(ApiKey.id, ApiKey.name, ApiKey.role, *moments).order_by(ApiKey.id))
    return [
        {
            "id": row.id,
            "name": row.name,
            "role": row.role,
            "created_at": row.created_at.isoformat(),
            "revoked_at": None if row.revoked_at is None else row.revoked_at.isoformat(),
            "expires_at": None if row.expires_at is None else row.expires_at.isoformat(),
        }
        for row in rows
    ]


def revoke_key(connection: Connection, key_id: int, by: Actor = OPERATOR) -> bool:
    """End a key; False when there is no such key or it has been revoked before."""
    changed = connection.execute(
        sa.update(ApiKey).where(ApiKey.id == key_id, ApiKey.revoked_at.is_(None)).values(revoked_at=now())
    )
    if changed.rowcount == 1:
        record(connection, "key.revoke", f"key {key_id}", {}, by)
    return changed.rowcount == 1


def rotate_key(
    connection: Connection, key_id: int, pepper: str, grace: datetime.timedelta, by: Actor = OPERATOR
) -> tuple[int, str]:
    """Make a new key with the name, role and lifetime of another, which goes on working for `grace`.

    Raises
    ------
    ValueError
        When there is no such key or it works no longer.
    """
    moment = now()
    row = connection.execute(sa.select(ApiKey.__table__).where(ApiKey.id == key_id)).first()
    if row is None or row.revoked_at is not None or (row.expires_at is not None and row.expires_at <= moment):
        raise ValueError(f"there is no key {key_id} that works")
    expires_at = None if row.expires_at is None else moment + (row.expires_at - row.created_at)
    number, key = add_key(connection, row.role, row.name, pepper, expires_at=expires_at, by=by)
    until = moment + grace if row.expires_at is None else min(row.expires_at, moment + grace)
    connection.execute(sa.update(ApiKey).where(ApiKey.id == key_id).values(expires_at=until))
    record(connection, "key.rotate", f"key {key_id}", {"into": number, "works_until": until.isoformat()}, by)
    return number, key


def parse_expiry(text: str) -> datetime.datetime | None:
    """A moment to come, in ISO 8601; empty is never. Raises ValueError."""
    if not text:
        return None
    try:
        moment = datetime.datetime.fromisoformat(text)
        moment = moment.replace(tzinfo=datetime.UTC) if moment.tzinfo is None else moment.astimezone(datetime.UTC)
    except (ValueError, OverflowError):
        raise ValueError("expires_at is a moment in ISO 8601, such as 2027-01-31T00:00:00Z") from None
    if not now() < moment or moment.year > 8999:
        raise ValueError("expires_at lies in the past, or too far ahead")
    return moment


def ensure_admin(database: Database, pepper: str, wanted: str = "") -> None:
    """Create an admin key when the database has no key at all: `wanted`, or a new one that is printed once.

    Of several processes that start together one creates it.
    """
    with database.write() as connection:
        alone(connection, KEYS_LOCK)
        if connection.execute(sa.select(ApiKey.id).limit(1)).first():
            return
        _, key = add_key(connection, "admin", "first admin", pepper, wanted)
    if not wanted:
        sys.stderr.write(f"SafePickle: admin key, shown only this once: {key}\n")
        sys.stderr.flush()


class Authenticator:
    """Find out who sends a key, remembering good answers for a short while.

    Parameters
    ----------
    database
        Where the keys are.
    pepper
        The service's ``key_pepper``.
    remember
        Seconds for which a good key is not looked up again.
    """

    def __init__(self, database: Database, pepper: str, remember: float) -> None:
        self._database = database
        self._pepper = pepper
        self._remember = remember
        self._known: dict[str, tuple[float, str, Principal]] = {}

    def recall(self, key: str) -> Principal | None:
        """The principal of a key checked a short while ago; None means ask :meth:`identify`."""
        handle, digest = _fingerprints(key, self._pepper)
        known = self._known.get(handle)
        if known is None or known[0] < time.monotonic() or not hmac.compare_digest(known[1], digest):
            return None
        return known[2]

    def knew(self, key: str) -> bool:
        """Whether the key was good when it was last looked up."""
        return _fingerprints(key, self._pepper)[0] in self._known

    def identify(self, key: str) -> Principal:
        """Look the key up in the database; call it off the event loop.

        Raises
        ------
        Problem
            401 when the key is unknown or revoked.
        DatabaseUnavailable
            When the database fails.
        """
        handle, digest = _fingerprints(key, self._pepper)
        with self._database.read() as connection:
            row = connection.execute(
                sa.select(
                    ApiKey.id, ApiKey.name, ApiKey.role, ApiKey.digest, ApiKey.revoked_at, ApiKey.expires_at
                ).where(ApiKey.handle == handle)
            ).first()
        stored = "0" * 64 if row is None else row.digest
        if not hmac.compare_digest(stored, digest) or row is None or row.revoked_at is not None:
            self._known.pop(handle, None)
            raise unauthorized("the API key is not known or was revoked")
        remember = self._remember
        if row.expires_at is not None:
            left = (row.expires_at - now()).total_seconds()
            if left <= 0:
                self._known.pop(handle, None)
                raise unauthorized("the API key has expired; ask for a new one")
            remember = min(remember, left)
        principal = Principal(row.id, row.name, row.role)
        if len(self._known) >= MAX_REMEMBERED:
            self._known.clear()
        self._known[handle] = (time.monotonic() + remember, digest, principal)
        return principal


def unauthorized(detail: str) -> Problem:
    """The 401 answer."""
    return Problem(401, "unauthorized", detail, headers={"WWW-Authenticate": 'Bearer realm="safepickle"'})


def _fingerprints(key: str, pepper: str) -> tuple[str, str]:
    """(handle, digest) of a key: the handle finds its row, the digest proves it.

    Keys are long and random, so a fast hash is enough; both come from one keyed hash and neither tells
    the key.
    """
    text = hmac.digest(pepper.encode(), b"safepickle-api-key:" + key.encode("utf-8", "replace"), "sha512").hex()
    return text[64:80], text[:64]
