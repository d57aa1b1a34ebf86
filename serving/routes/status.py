"""How the service does, and what it says of itself."""

from __future__ import annotations

import asyncio
import functools
import time
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from .. import metrics
from ..auth import Principal
from ..database.candidates import count_candidates
from ..database.engine import DatabaseUnavailable
from ..endpoint import Operation
from ..openapi import Doc
from ..problems import Json
from ..runtime import Runtime

COUNT_SECONDS = 5.0
"""For which a count of the queue is good: it takes longer than all other metrics."""


async def show_metrics(request: Request, runtime: Runtime, principal: Principal) -> Response:
    """``GET /metrics`` for Prometheus, over all processes of the service."""

    def expose() -> bytes:
        _count_queue(runtime)
        return metrics.exposition()

    return Response(await asyncio.to_thread(expose), media_type=metrics.CONTENT_TYPE)


def _count_queue(runtime: Runtime) -> None:
    """Tell how long the queue is, if that was not done just now; without a database it stays as it was."""
    moment = time.monotonic()
    if moment < runtime.queue_counted + COUNT_SECONDS:
        return
    runtime.queue_counted = moment
    try:
        with runtime.database.read() as connection:
            candidates, contested = count_candidates(connection, policy=runtime.label_policy)
    except DatabaseUnavailable:
        return
    metrics.LABEL_QUEUE.labels("no").set(candidates - contested)
    metrics.LABEL_QUEUE.labels("yes").set(contested)


async def show_document(request: Request, runtime: Runtime, principal: Principal) -> Response:
    """``GET /v1/openapi.json``: all operations, with schemas and examples."""
    return Json(_document())


@functools.cache
def _document() -> dict[str, Any]:
    from ..openapi import document
    from . import OPERATIONS as ALL

    return document(ALL)


OPERATIONS = (
    Operation(
        "GET",
        "/metrics",
        show_metrics,
        "scanner",
        Doc("Metrics for Prometheus, over all processes", "", media="text/plain"),
        anonymous="open_metrics",
    ),
    Operation("GET", "/v1/openapi.json", show_document, None, Doc("This document", "Document")),
)
