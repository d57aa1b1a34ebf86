"""The model in use, the registry's versions, and moving its champion."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, NoReturn

from starlette.requests import Request
from starlette.responses import Response

from registry import Registry, RegistryError, Version
from registry.ledger import LEDGER, Ledger

from ..auth import Principal
from ..database.audit import record
from ..database.listing import Page, Span, learned_until, list_drift
from ..endpoint import Operation, json_object, strings
from ..logs import REQUEST_ID
from ..openapi import PAGING, SPAN, Doc
from ..parameters import Parameters, invalid, number_of, page_answer
from ..problems import Json, Problem
from ..runtime import Runtime

logger = logging.getLogger("safepickle.serving")

MAX_REASON = 2000
MAX_HISTORY = 100


async def show_model(request: Request, runtime: Runtime, principal: Principal) -> Response:
    """``GET /v1/model``: the model that this worker scans with, and the champion it refused, if any."""
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


async def show_models(request: Request, runtime: Runtime, principal: Principal) -> Response:
    """``GET /v1/models``: the registry's versions and what happened to its aliases, the latest last."""

    def load() -> dict[str, Any]:
        registry = runtime.registry
        if not (registry.root / LEDGER).exists():
            return {"versions": [], "champion": None, "challenger": None, "history": []}
        ledger = registry.aliases()
        return {
            "versions": [_describe(version, ledger) for version in registry.versions()],
            "champion": ledger.champion,
            "challenger": ledger.challenger,
            "history": [change.to_json() for change in ledger.history[-MAX_HISTORY:]],
        }

    return Json(await _registry(load))


async def show_version(request: Request, runtime: Runtime, principal: Principal) -> Response:
    """``GET /v1/models/{version}``: one version with its card; `version` is a number, ``champion`` or
    ``challenger``."""

    def load() -> dict[str, Any]:
        version = _get(runtime.registry, request.path_params["version"])
        described = _describe(version, runtime.registry.aliases())
        return {**described, "card": version.card, "params": version.manifest.get("params", {})}

    return Json(await _registry(load))


async def promote(request: Request, runtime: Runtime, principal: Principal) -> Response:
    """``POST /v1/models/{version}:promote``: make a version champion, if the gate cleared it or ``force`` is true."""
    body = await json_object(request, runtime)
    reason = _reason(body, {"reason", "force"})
    force = body.get("force", False)
    if not isinstance(force, bool):
        raise invalid("force is true or false")

    def move() -> dict[str, Any]:
        registry = runtime.registry
        version = _get(registry, request.path_params["version"])
        before = registry.aliases().champion
        detail = {"reason": reason, "force": force, "before": before}
        _audit(runtime, principal, "model.promote", version.number, detail)
        try:
            registry.promote(version.number, reason, _who(principal), force=force)
        except RegistryError as error:
            _refused(runtime, principal, "model.promote-refused", version.number, error)
        return {"champion": version.number, "before": before, "reason": reason}

    return Json(await _registry(move))


async def rollback(request: Request, runtime: Runtime, principal: Principal) -> Response:
    """``POST /v1/models/{version}:rollback``: go back from this champion to the one before it."""
    reason = _reason(await json_object(request, runtime), {"reason"})

    def move() -> dict[str, Any]:
        registry = runtime.registry
        version = _get(registry, request.path_params["version"])
        if registry.aliases().champion != version.number:
            raise Problem(409, "not-champion", f"version {version.number} is not the champion; look at GET /v1/models")
        _audit(runtime, principal, "model.rollback", version.number, {"reason": reason})
        try:
            now = registry.rollback(reason, _who(principal))
        except RegistryError as error:
            _refused(runtime, principal, "model.rollback-refused", version.number, error)
        return {"champion": now.number, "before": version.number, "reason": reason}

    return Json(await _registry(move))


async def show_drift(request: Request, runtime: Runtime, principal: Principal) -> Response:
    """``GET /v1/drift``: drift alarms, the latest first, and how far the learner is."""
    query = Parameters(request)
    span = Span(query.moment("since"), query.moment("until"))
    cursor, limit = query.page()
    query.done()

    def load() -> tuple[Page, dict[str, Any]]:
        with runtime.database.read() as connection:
            return list_drift(connection, span, number_of(cursor), limit), learned_until(connection)

    page, learned = await asyncio.to_thread(load)
    return page_answer(page, learned=learned)


async def _registry(load: Any) -> dict[str, Any]:
    try:
        answer: dict[str, Any] = await asyncio.to_thread(load)
    except RegistryError as error:
        logger.error("registry: %s", error)
        raise Problem(503, "registry-unavailable", str(error), retry_after=5) from None
    return answer


def _get(registry: Registry, name: str) -> Version:
    if (registry.root / LEDGER).exists():
        ledger = registry.aliases()
        number = {"champion": ledger.champion, "challenger": ledger.challenger}.get(name)
        if number is None and name.isascii() and name.isdecimal() and len(name) < 10:
            number = int(name)
        if number in ledger.versions:
            assert number is not None
            return registry.get(number)
    raise Problem(404, "unknown-model", "the registry has no such version; look at GET /v1/models")


def _describe(version: Version, ledger: Ledger) -> dict[str, Any]:
    manifest = version.manifest
    return {
        "version": version.number,
        "created": manifest["created"],
        "bundle_hash": version.bundle_hash,
        "dataset_hash": version.dataset_hash,
        "git_commit": manifest["git_commit"],
        "schema": manifest.get("schema"),
        "parent": manifest.get("parent"),
        "metrics": version.metrics,
        "gate": ledger.gate_for(version.number),
    }


def _reason(body: dict[str, Any], known: set[str]) -> str:
    if unknown := sorted(set(body) - known):
        raise invalid(f"unknown members: {', '.join(unknown)[:200]!r}")
    reason = strings(body, ("reason",))["reason"].strip()
    if not 0 < len(reason) <= MAX_REASON:
        raise invalid(f"give a reason, of at most {MAX_REASON} characters")
    return reason


def _who(principal: Principal) -> str:
    return f"{principal.name} (key {principal.key_id})"


def _audit(runtime: Runtime, principal: Principal, action: str, number: int, detail: dict[str, Any]) -> None:
    """What cannot be audited is not done: this comes first, and raises DatabaseUnavailable."""
    with runtime.database.write() as connection:
        record(connection, action, f"model {number}", {**detail, "request_id": REQUEST_ID.get()}, principal.actor)


def _refused(runtime: Runtime, principal: Principal, action: str, number: int, error: RegistryError) -> NoReturn:
    _audit(runtime, principal, action, number, {"why": str(error)})
    raise Problem(409, "refused", str(error)) from error


MOVES = (400, 404, 409, 413, 415, 422)

OPERATIONS = (
    Operation(
        "GET",
        "/v1/model",
        show_model,
        "scanner",
        Doc("The model in use", "Model"),
        anonymous="anonymous_scan",
    ),
    Operation("GET", "/v1/models", show_models, "analyst", Doc("All versions in the registry", "Models")),
    Operation(
        "POST",
        "/v1/models/{version}:promote",
        promote,
        "admin",
        Doc("Make a version champion", "Promoted", body={"application/json": "Promotion"}, problems=MOVES),
    ),
    Operation(
        "POST",
        "/v1/models/{version}:rollback",
        rollback,
        "admin",
        Doc("Go back to the champion before", "Promoted", body={"application/json": "Rollback"}, problems=MOVES),
    ),
    Operation(
        "GET",
        "/v1/models/{version}",
        show_version,
        "analyst",
        Doc("One version with its card", "ModelCard", problems=(404,)),
    ),
    Operation(
        "GET",
        "/v1/drift",
        show_drift,
        "analyst",
        Doc("Drift alarms, the latest first", "Drift", parameters=(*SPAN, *PAGING), problems=(422,)),
    ),
)
