"""The API as an ASGI application, mounted into the BentoML service."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route

from . import auth, metrics
from .bodies import Spool, discard_rest, receive
from .database.engine import DatabaseUnavailable
from .database.records import NewLabel, UnknownScan, add_label, load_scan
from .labels import LABELS
from .problems import Json, Problem
from .runtime import Runtime
from .settings import Settings

logger = logging.getLogger("safepickle.serving")

MAX_JSON = 64 * 1024
MAX_REASON = 2000
HEADERS = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}

Handler = Callable[[Request, Runtime], Awaitable[Response]]


def create_app(settings: Settings) -> Starlette:
    """The application; its lifespan starts and stops a :class:`~serving.runtime.Runtime`."""
    runtime = Runtime(settings)

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        await runtime.start()
        try:
            yield
        finally:
            await runtime.stop()

    def route(path: str, method: str, handler: Handler) -> Route:
        return Route(path, _endpoint(path, handler, runtime), methods=[method])

    app = Starlette(
        routes=[
            route("/v1/scan", "POST", scan),
            route("/v1/feedback", "POST", feedback),
            route("/v1/scans/{scan_id}", "GET", show_scan),
            route("/v1/model", "GET", show_model),
            Route("/metrics", show_metrics, methods=["GET"]),
            Route("/v1/{rest:path}", _unknown_path, methods=None),
        ],
        lifespan=lifespan,
    )
    app.state.runtime = runtime
    return app


async def scan(request: Request, runtime: Runtime) -> Response:
    """``POST /v1/scan``: the file as the raw body (name in ``?name=``) or as one multipart part."""
    settings = runtime.settings
    principal = await _principal(request, runtime, "scanner", anonymous=settings.anonymous_scan)
    with runtime.upload():
        spool = Spool(settings.memory_body, settings.spool)
        try:
            name = await receive(request, spool, settings.max_body, settings.body_timeout)
            return Json(await runtime.scan(principal, name, spool))
        finally:
            spool.close()


async def feedback(request: Request, runtime: Runtime) -> Response:
    """``POST /v1/feedback``: ``{"scan_id" or "sha256", "label", "reason"}``."""
    principal = await _principal(request, runtime, "analyst")
    new = _parse_label(await _json_object(request, runtime.settings.body_timeout))

    def store() -> dict[str, Any]:
        assert principal.key_id is not None
        with runtime.database.write() as connection:
            return add_label(connection, new, principal.key_id, principal.name, principal.role)

    try:
        stored = await asyncio.to_thread(store)
    except UnknownScan:
        raise Problem(404, "unknown-scan", "no such scan is stored here; scan the file first") from None
    metrics.LABELS.labels(new.label).inc()
    return Json(stored, 201)


async def show_scan(request: Request, runtime: Runtime) -> Response:
    """``GET /v1/scans/{scan_id}``: a stored scan, its novelty and labels. A scanner sees its own scans only."""
    principal = await _principal(request, runtime, "scanner")
    own = None if principal.may("analyst") else principal.key_id

    def load() -> dict[str, Any]:
        with runtime.database.read() as connection:
            return load_scan(connection, request.path_params["scan_id"], own)

    try:
        return Json(await asyncio.to_thread(load))
    except UnknownScan:
        raise Problem(404, "unknown-scan", "no scan with this id is stored here, or it is not yours") from None


async def show_model(request: Request, runtime: Runtime) -> Response:
    """``GET /v1/model``: the model that this worker scans with, and the champion it refused, if any."""
    await _principal(request, runtime, "scanner", anonymous=runtime.settings.anonymous_scan)
    info = runtime.pool.info
    if info is None:
        raise Problem(503, "no-model", "no model is loaded; see the service's log", retry_after=5)
    refused = runtime.follower.refused
    return Json(
        {
            "version": info.version,
            "origin": info.origin,
            "hash": info.hash,
            "schema": info.schema,
            "features": info.features,
            "detectors": list(info.detectors),
            "thresholds": info.thresholds,
            "refused": None if refused is None else {"version": refused.number, "reason": refused.reason},
        }
    )


async def show_metrics(request: Request) -> Response:
    """``GET /metrics`` for Prometheus, over all processes of the service."""
    return Response(await asyncio.to_thread(metrics.exposition), media_type=metrics.CONTENT_TYPE)


def _endpoint(path: str, handler: Handler, runtime: Runtime) -> Callable[[Request], Awaitable[Response]]:
    """The handler with errors turned into problems, and counted."""
    seconds = metrics.REQUEST_SECONDS.labels(path)

    async def endpoint(request: Request) -> Response:
        started = time.perf_counter()
        try:
            response = await handler(request, runtime)
        except Problem as problem:
            await discard_rest(request)
            response = problem.response(request.url.path)
        except DatabaseUnavailable as error:
            metrics.DATABASE_FAILURES.inc()
            logger.error("database: %s", error)
            response = Problem(
                503, "database-unavailable", "the database is not available, nothing was stored", retry_after=1
            ).response(request.url.path)
        except Exception:
            logger.exception("%s %s failed", request.method, path)
            response = Problem(500, "internal-error", "a fault of the service; see its log").response(request.url.path)
        response.headers.update(HEADERS)
        metrics.REQUESTS.labels(path, request.method, response.status_code).inc()
        seconds.observe(time.perf_counter() - started)
        return response

    return endpoint


async def _principal(request: Request, runtime: Runtime, role: str, *, anonymous: bool = False) -> auth.Principal:
    """Who asks. Raises a 401 problem for a missing or wrong key, 403 for one whose role is too low."""
    key = _presented_key(request)
    if key is None:
        if anonymous:
            return auth.ANONYMOUS
        raise auth.unauthorized("send an API key, as 'Authorization: Bearer KEY' or 'X-API-Key: KEY'")
    principal = runtime.authenticator.recall(key)
    if principal is None:
        principal = await asyncio.to_thread(runtime.authenticator.identify, key)
    if not principal.may(role):
        raise Problem(403, "forbidden", f"this needs the role {role}; the key has the role {principal.role}")
    return principal


def _presented_key(request: Request) -> str | None:
    bearer = request.headers.get("authorization")
    plain = request.headers.get("x-api-key")
    if bearer is None:
        return plain
    scheme, _, key = bearer.partition(" ")
    if scheme.lower() != "bearer" or plain not in (None, key.strip()):
        raise auth.unauthorized("send one API key, as 'Authorization: Bearer KEY' or 'X-API-Key: KEY'")
    return key.strip()


async def _json_object(request: Request, idle: float) -> dict[str, Any]:
    spool = Spool(MAX_JSON)
    if request.headers.get("content-type", "application/json").partition(";")[0].strip().lower() != "application/json":
        raise Problem(415, "not-json", "send JSON, as application/json")
    await receive(request, spool, MAX_JSON, idle)
    try:
        value = json.loads(spool.content)
    except (ValueError, RecursionError) as error:
        raise Problem(400, "malformed-json", f"the body is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise Problem(400, "malformed-json", "the body is not a JSON object")
    return value


def _parse_label(body: dict[str, Any]) -> NewLabel:
    unknown = sorted(set(body) - {"scan_id", "sha256", "label", "reason"})
    if unknown:
        raise _invalid(f"unknown members: {', '.join(unknown)[:200]}")
    values = {name: body.get(name, "") for name in ("scan_id", "sha256", "label", "reason")}
    if not all(isinstance(value, str) for value in values.values()):
        raise _invalid("scan_id, sha256, label and reason are strings")
    if any("\ud800" <= character <= "\udfff" for value in values.values() for character in value):
        raise _invalid("a string holds half of a surrogate pair")
    if bool(values["scan_id"]) == bool(values["sha256"]):
        raise _invalid("give either scan_id or sha256")
    if values["label"] not in LABELS:
        raise _invalid(f"label is one of {', '.join(LABELS)}")
    if not 0 < len(values["reason"].strip()) <= MAX_REASON:
        raise _invalid(f"give a reason, of at most {MAX_REASON} characters")
    return NewLabel(values["label"], values["reason"].strip(), values["scan_id"], values["sha256"].lower())


def _invalid(detail: str) -> Problem:
    return Problem(422, "invalid-label", detail)


async def _unknown_path(request: Request) -> Response:
    for route in request.app.routes:
        match, _ = route.matches(request.scope)
        if match is Match.PARTIAL:
            methods = ", ".join(sorted(route.methods))
            problem = Problem(405, "wrong-method", f"only {methods} works here", headers={"Allow": methods})
            return problem.response(request.url.path)
    return Problem(404, "unknown-path", "there is nothing at this address").response(request.url.path)
