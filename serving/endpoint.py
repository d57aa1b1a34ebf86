"""What all requests of the API share: who asks, errors as problems, counting."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import logging
import math
import string
import time
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from . import auth, metrics
from .bodies import Spool, discard_rest, receive
from .database.clock import random_hex
from .database.engine import DatabaseUnavailable
from .logs import REQUEST_ID
from .openapi import Doc
from .parameters import invalid, storable
from .problems import Problem
from .runtime import Runtime

logger = logging.getLogger("safepickle.serving")

MAX_JSON = 64 * 1024
MAX_REQUEST_ID = 64
REQUEST_ID_CHARACTERS = string.ascii_letters + string.digits + "._-"
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    # Nothing of the API is meant to be shown as a page.
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}

_HEADERS = [(name.lower().encode("ascii"), value.encode("ascii")) for name, value in HEADERS.items()]

Endpoint = Callable[[Request], Awaitable[Response]]
Handler = Callable[[Request, Runtime, auth.Principal], Awaitable[Response]]


@dataclasses.dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path.

    Parameters
    ----------
    method, path
        As Starlette's routes take them.
    handler
        Called with the request, the worker's runtime and who asks.
    role
        The least role that may ask; None asks for no key.
    doc
        What the OpenAPI document says of it.
    anonymous
        Setting that lets it work without a key; empty for none.
    """

    method: str
    path: str
    handler: Handler
    role: str | None
    doc: Doc
    anonymous: str = ""

    def endpoint(self, runtime: Runtime) -> Endpoint:
        """What answers it: errors become problems, and every answer is counted and has the request's id."""
        access_log = runtime.settings.access_log

        async def endpoint(request: Request) -> Response:
            started = time.perf_counter()
            request_id = _request_id(request)
            REQUEST_ID.set(request_id)
            response = await self._answer(request, runtime)
            _add_headers(response, request_id)
            took = time.perf_counter() - started
            metrics.answered(self.path, request.method, response.status_code, took)
            if access_log:
                fields = {"method": self.method, "route": self.path, "status": response.status_code, "seconds": took}
                logger.info("answered", extra={"fields": fields})
            return response

        return endpoint

    async def _answer(self, request: Request, runtime: Runtime) -> Response:
        try:
            principal = await self._principal(request, runtime)
            return await self.handler(request, runtime, principal)
        except Problem as raised:
            await discard_rest(request)
            # Kept in a variable it would keep this frame, which keeps it: memory that is freed late.
            return raised.response(request.url.path, REQUEST_ID.get())
        except DatabaseUnavailable as error:
            metrics.DATABASE_FAILURES.inc()
            logger.error("database: %s", error)
            problem = Problem(
                503, "database-unavailable", "the database is not available, nothing was stored", retry_after=1
            )
        except Exception:
            logger.exception("%s %s failed", request.method, self.path)
            problem = Problem(500, "internal-error", "a fault of the service; see its log")
        return problem.response(request.url.path, REQUEST_ID.get())

    async def _principal(self, request: Request, runtime: Runtime) -> auth.Principal:
        if self.role is None:
            return auth.ANONYMOUS
        anonymous = bool(self.anonymous) and getattr(runtime.settings, self.anonymous)
        principal = await identify(request, runtime, self.role, anonymous=anonymous)
        if wait := runtime.rates.take(principal.key_id):
            raise Problem(
                429, "too-many-requests", "this key asks more often than it may", retry_after=max(1, math.ceil(wait))
            )
        return principal


def _add_headers(response: Response, request_id: str) -> None:
    """Add :data:`HEADERS`, where the answer does not have its own, and the request's id."""
    own = {name for name, _ in response.raw_headers}
    response.raw_headers += [header for header in _HEADERS if header[0] not in own]
    response.raw_headers.append((b"x-request-id", request_id.encode("ascii")))


def _request_id(request: Request) -> str:
    """The client's id of the request if it is harmless, otherwise a new one."""
    given = request.headers.get("x-request-id", "")
    if 0 < len(given) <= MAX_REQUEST_ID and given.isascii() and not given.strip(REQUEST_ID_CHARACTERS):
        return given
    return random_hex(8)


async def identify(request: Request, runtime: Runtime, role: str, *, anonymous: bool = False) -> auth.Principal:
    """Who asks. Raises a 401 problem for a missing or wrong key, 403 for one whose role is too low."""
    key = _presented_key(request)
    if key is None:
        if anonymous:
            return auth.ANONYMOUS
        raise auth.unauthorized("send an API key, as 'Authorization: Bearer KEY' or 'X-API-Key: KEY'")
    principal = runtime.authenticator.recall(key)
    if principal is None:
        principal = await _look_up(key, request, runtime)
    if not principal.may(role):
        raise Problem(403, "forbidden", f"this needs the role {role}; the key has the role {principal.role}")
    return principal


async def _look_up(key: str, request: Request, runtime: Runtime) -> auth.Principal:
    """Look a key up in the database, unless its sender has tried too many bad ones; a key that was good may always."""
    address = request.client.host if request.client is not None else ""
    if (wait := runtime.bad_keys.wait(address)) and not runtime.authenticator.knew(key):
        raise Problem(
            429, "too-many-bad-keys", "too many keys from this address do not work", retry_after=max(1, math.ceil(wait))
        )
    try:
        return await asyncio.to_thread(runtime.authenticator.identify, key)
    except Problem:
        runtime.bad_keys.take(address)
        raise


def _presented_key(request: Request) -> str | None:
    bearer = request.headers.get("authorization")
    plain = request.headers.get("x-api-key")
    if bearer is None:
        return plain
    scheme, _, key = bearer.partition(" ")
    if scheme.lower() != "bearer" or plain not in (None, key.strip()):
        raise auth.unauthorized("send one API key, as 'Authorization: Bearer KEY' or 'X-API-Key: KEY'")
    return key.strip()


async def json_object(request: Request, runtime: Runtime) -> dict[str, Any]:
    """The request's body, a JSON object of at most :data:`MAX_JSON` bytes. Raises Problem."""
    spool = Spool(MAX_JSON)
    if request.headers.get("content-type", "application/json").partition(";")[0].strip().lower() != "application/json":
        raise Problem(415, "not-json", "send JSON, as application/json")
    await receive(request, spool, MAX_JSON, runtime.settings.body_timeout)
    try:
        value = json.loads(spool.content)
    except (ValueError, RecursionError) as error:
        raise Problem(400, "malformed-json", f"the body is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise Problem(400, "malformed-json", "the body is not a JSON object")
    return value


def strings(body: dict[str, Any], names: tuple[str, ...]) -> dict[str, str]:
    """Those members of a body, which are all texts that can be stored; missing ones are empty. Raises Problem."""
    values = {name: body.get(name, "") for name in names}
    for name, value in values.items():
        if not isinstance(value, str) or not storable(value):
            raise invalid(f"{name} is a string without NUL and halves of surrogate pairs")
    return values
