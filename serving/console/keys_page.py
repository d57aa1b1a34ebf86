"""API keys, for admins."""

from __future__ import annotations

import datetime
from typing import Any

import sqlalchemy as sa
from starlette.responses import Response

from .. import auth
from ..database.tables import ApiKey
from ..problems import Problem
from ..roles import ROLES
from .visits import ROOT, Visit, redirect


def show_keys(visit: Visit) -> Response:
    """``GET /console/keys``."""
    visit.need("admin")
    return _page(visit)


def add(visit: Visit) -> Response:
    """``POST /console/keys``: make a key of ``role`` for ``name``. The answer shows it, this once."""
    visit.need("admin")
    try:
        with visit.runtime.database.write() as connection:
            number, key = auth.add_key(
                connection,
                visit.form.get("role", ""),
                visit.form.get("name", "").strip(),
                visit.runtime.settings.key_pepper,
                by=visit.principal.actor,
            )
    except ValueError as error:
        raise Problem(422, "invalid-key", str(error)) from None
    return _page(visit, made={"id": number, "key": key})


def revoke(visit: Visit) -> Response:
    """``POST /console/keys/revoke``: end the key ``id``."""
    visit.need("admin")
    text = visit.form.get("id", "")
    number = int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else 0
    if number == visit.principal.key_id:
        raise Problem(409, "own-key", "this is the key you are logged in with; another admin has to revoke it")
    with visit.runtime.database.write() as connection:
        if not auth.revoke_key(connection, number, visit.principal.actor):
            raise Problem(404, "unknown-key", f"there is no key {number} that works")
    return redirect(f"{ROOT}/keys", "revoked")


def _page(visit: Visit, made: dict[str, Any] | None = None) -> Response:
    with visit.runtime.database.read() as connection:
        keys = connection.execute(sa.select(ApiKey.__table__).order_by(ApiKey.id.desc())).all()
    return visit.page("keys.html", keys=keys, roles=ROLES, made=made, moment_now=datetime.datetime.now(datetime.UTC))
