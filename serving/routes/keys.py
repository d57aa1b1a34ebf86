"""API keys, and the audit log."""

from __future__ import annotations

import asyncio
import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from .. import auth
from ..auth import Principal
from ..database.listing import Page, Span, list_audit
from ..endpoint import Operation, json_object, strings
from ..openapi import PAGING, SPAN, TEXT, Doc, Parameter
from ..parameters import Parameters, invalid, number_of, page_answer
from ..problems import Json, Problem
from ..runtime import Runtime

LONGEST_GRACE = 30 * 86_400.0


async def show_keys(request: Request, runtime: Runtime, principal: Principal) -> Response:
    """``GET /v1/keys``: all keys, without what they are."""

    def load() -> list[dict[str, Any]]:
        with runtime.database.read() as connection:
            return auth.list_keys(connection)

    return Json({"items": await asyncio.to_thread(load)})


async def make_key(request: Request, runtime: Runtime, principal: Principal) -> Response:
    """``POST /v1/keys``: ``{"name", "role", "expires_at"}``; the answer is the only place that shows the key."""
    body = await json_object(request, runtime)
    values = strings(body, ("name", "role", "expires_at"))
    _no_others(body, set(values))
    try:
        expires_at = auth.parse_expiry(values["expires_at"])
    except ValueError as error:
        raise invalid(str(error)) from None

    def store() -> tuple[int, str]:
        with runtime.database.write() as connection:
            pepper = runtime.settings.key_pepper
            return auth.add_key(
                connection, values["role"], values["name"], pepper, expires_at=expires_at, by=principal.actor
            )

    return await _made(store)


async def rotate_key(request: Request, runtime: Runtime, principal: Principal) -> Response:
    """``POST /v1/keys/{number}:rotate``: a new key like this one, which works on for ``grace_seconds``."""
    body = await json_object(request, runtime)
    _no_others(body, {"grace_seconds"})
    grace = body.get("grace_seconds", 0)
    if isinstance(grace, bool) or not isinstance(grace, int | float) or not 0 <= grace <= LONGEST_GRACE:
        raise invalid(f"grace_seconds is a number from 0 to {LONGEST_GRACE:.0f}")
    number = _number(request)

    def store() -> tuple[int, str]:
        with runtime.database.write() as connection:
            pepper = runtime.settings.key_pepper
            return auth.rotate_key(connection, number, pepper, datetime.timedelta(seconds=grace), principal.actor)

    return await _made(store)


async def revoke_key(request: Request, runtime: Runtime, principal: Principal) -> Response:
    """``POST /v1/keys/{number}:revoke``: end a key."""
    number = _number(request)

    def end() -> bool:
        with runtime.database.write() as connection:
            return auth.revoke_key(connection, number, principal.actor)

    if not await asyncio.to_thread(end):
        raise Problem(404, "unknown-key", "there is no key of this number that works")
    return Json({"id": number, "revoked": True})


async def show_audit(request: Request, runtime: Runtime, principal: Principal) -> Response:
    """``GET /v1/audit``: who did what, the latest first."""
    query = Parameters(request)
    given = {"actor": query.text("actor"), "action": query.text("action"), "subject": query.text("subject")}
    span = Span(query.moment("since"), query.moment("until"))
    cursor, limit = query.page()
    query.done()
    equal: dict[str, str | int] = {name: value for name, value in given.items() if value is not None}

    def load() -> Page:
        with runtime.database.read() as connection:
            return list_audit(connection, equal, span, number_of(cursor), limit)

    return page_answer(await asyncio.to_thread(load))


async def _made(store: Any) -> Response:
    try:
        number, key = await asyncio.to_thread(store)
    except ValueError as error:
        raise Problem(422, "invalid-key", str(error)) from None
    return Json({"id": number, "key": key}, 201)


def _no_others(body: dict[str, Any], known: set[str]) -> None:
    if unknown := sorted(set(body) - known):
        raise invalid(f"unknown members: {', '.join(unknown)[:200]!r}")


def _number(request: Request) -> int:
    text = request.path_params["number"]
    if not (text.isascii() and text.isdecimal() and len(text) < 18):
        raise Problem(404, "unknown-key", "there is no key of this number that works")
    return int(text)


CHANGES = (400, 413, 415, 422)

OPERATIONS = (
    Operation("GET", "/v1/keys", show_keys, "admin", Doc("All keys, without what they are", "Keys")),
    Operation(
        "POST",
        "/v1/keys",
        make_key,
        "admin",
        Doc("Make a key", "MadeKey", status=201, body={"application/json": "NewKey"}, problems=CHANGES),
    ),
    Operation(
        "POST",
        "/v1/keys/{number}:rotate",
        rotate_key,
        "admin",
        Doc(
            "Make a key that takes the place of another",
            "MadeKey",
            status=201,
            body={"application/json": "Rotation"},
            problems=CHANGES,
        ),
    ),
    Operation("POST", "/v1/keys/{number}:revoke", revoke_key, "admin", Doc("End a key", "Revoked", problems=(404,))),
    Operation(
        "GET",
        "/v1/audit",
        show_audit,
        "admin",
        Doc(
            "Who did what, the latest first",
            "AuditPage",
            parameters=(
                Parameter("actor", "Only by keys of this name", TEXT),
                Parameter("action", "Only this, such as model.promote", TEXT),
                Parameter("subject", "Only to this, such as 'model 3'", TEXT),
                *SPAN,
                *PAGING,
            ),
            problems=(422,),
        ),
    ),
)
