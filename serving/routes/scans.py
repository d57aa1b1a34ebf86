"""Scanning files, and scans that are stored."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from ..auth import Principal
from ..bodies import Spool, receive
from ..database.records import UnknownScan, load_scan
from ..endpoint import Operation
from ..problems import Json, Problem
from ..runtime import Runtime


async def scan(request: Request, runtime: Runtime, principal: Principal) -> Response:
    """``POST /v1/scan``: the file as the raw body (name in ``?name=``) or as one multipart part."""
    settings = runtime.settings
    with runtime.upload():
        spool = Spool(settings.memory_body, settings.spool)
        try:
            name = await receive(request, spool, settings.max_body, settings.body_timeout)
            return Json(await runtime.scan(principal, name, spool))
        finally:
            spool.close()


async def show_scan(request: Request, runtime: Runtime, principal: Principal) -> Response:
    """``GET /v1/scans/{scan_id}``: a stored scan, its novelty and labels. A scanner sees its own scans only."""
    own = None if principal.may("analyst") else principal.key_id

    def load() -> dict[str, Any]:
        with runtime.database.read() as connection:
            return load_scan(connection, request.path_params["scan_id"], own, runtime.label_policy)

    try:
        return Json(await asyncio.to_thread(load))
    except UnknownScan:
        raise Problem(404, "unknown-scan", "no scan with this id is stored here, or it is not yours") from None


OPERATIONS = (
    Operation("POST", "/v1/scan", scan, "scanner", anonymous=True),
    Operation("GET", "/v1/scans/{scan_id}", show_scan, "scanner"),
)
