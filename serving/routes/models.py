"""The model in use."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from ..auth import Principal
from ..endpoint import Operation
from ..problems import Json, Problem
from ..runtime import Runtime


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


OPERATIONS = (Operation("GET", "/v1/model", show_model, "scanner", anonymous=True),)
