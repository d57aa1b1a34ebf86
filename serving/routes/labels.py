"""Labels: what analysts say of files."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from .. import metrics
from ..auth import Principal
from ..database.records import NewLabel, UnknownScan, add_label
from ..endpoint import Operation, json_object
from ..labels import LABELS
from ..problems import Json, Problem
from ..runtime import Runtime

MAX_REASON = 2000


async def feedback(request: Request, runtime: Runtime, principal: Principal) -> Response:
    """``POST /v1/feedback``: ``{"scan_id" or "sha256", "label", "reason"}``."""
    new = _parse_label(await json_object(request, runtime))

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


OPERATIONS = (Operation("POST", "/v1/feedback", feedback, "analyst"),)
