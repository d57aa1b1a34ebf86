"""How the service does."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import Response

from .. import metrics
from ..auth import Principal
from ..endpoint import Operation
from ..runtime import Runtime


async def show_metrics(request: Request, runtime: Runtime, principal: Principal) -> Response:
    """``GET /metrics`` for Prometheus, over all processes of the service."""
    return Response(await asyncio.to_thread(metrics.exposition), media_type=metrics.CONTENT_TYPE)


OPERATIONS = (Operation("GET", "/metrics", show_metrics, None),)
