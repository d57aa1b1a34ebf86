"""Labels: what analysts say of files, and what to ask them about."""

from __future__ import annotations

import asyncio
import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from .. import metrics
from ..auth import Principal
from ..database.candidates import load_candidates, queue_objects
from ..database.clock import moment_of
from ..database.listing import Page, Span, list_labels
from ..database.records import NewLabel, NothingToRetract, QuotaReached, UnknownScan, add_label
from ..endpoint import Operation, json_object
from ..labels import LABELS, RETRACTED
from ..openapi import HASH, PAGING, SPAN, TEXT, Doc, Parameter
from ..parameters import Parameters, number_of, page_answer, storable
from ..problems import Json, Problem
from ..queue import rank
from ..runtime import Runtime

MAX_REASON = 2000
MEMBERS = ("scan_id", "sha256", "label", "reason", "evidence")
QUEUE_LENGTH = 200


async def feedback(request: Request, runtime: Runtime, principal: Principal) -> Response:
    """``POST /v1/feedback``: ``{"scan_id" or "sha256", "label", "reason"}``, if there is any with "evidence"; a
    label ``retracted`` takes back one's own or, for an admin, that numbered "retracts"."""
    new = _parse_label(await json_object(request, runtime))
    return Json(await asyncio.to_thread(store_label, runtime, principal, new), 201)


def store_label(runtime: Runtime, principal: Principal, new: NewLabel) -> dict[str, Any]:
    """Store what a person says of a file, by the API or in the console, and count it.

    Raises
    ------
    Problem
        404 when the file was never scanned, 409 when there is nothing to take back, 429 when the key said too much.
    DatabaseUnavailable
        When nothing was stored.
    """
    assert principal.key_id is not None
    quota = runtime.settings.label_quota
    try:
        with runtime.database.write() as connection:
            stored = add_label(
                connection, new, principal.key_id, principal.name, principal.role, quota, runtime.label_policy
            )
    except UnknownScan:
        raise Problem(404, "unknown-scan", "no such scan is stored here; scan the file first") from None
    except NothingToRetract as error:
        raise Problem(409, "nothing-to-retract", str(error)) from None
    except QuotaReached as error:
        raise Problem(429, "label-quota", f"this key may give {error}; wait or ask an admin", retry_after=60) from None
    metrics.LABELS.labels(new.label).inc()
    if new.label != RETRACTED:
        scanned = moment_of(stored["scan_id"])
        metrics.LABEL_DELAY.observe((datetime.datetime.fromisoformat(stored["at"]) - scanned).total_seconds())
    return stored


async def queue(request: Request, runtime: Runtime, principal: Principal) -> Response:
    """``GET /v1/queue?limit=20``: which files to label first, and why."""
    text = request.query_params.get("limit", "20")
    if not (text.isascii() and text.isdecimal() and len(text) < 9) or not 0 < int(text) <= QUEUE_LENGTH:
        raise Problem(422, "invalid-limit", f"limit is a number from 1 to {QUEUE_LENGTH}")
    info = runtime.pool.info

    def load() -> dict[str, Any]:
        with runtime.database.read() as connection:
            candidates, shown = load_candidates(connection, policy=runtime.label_policy)
            ranked = rank(candidates, {} if info is None else info.thresholds, int(text))
            items = queue_objects(connection, ranked, shown)
        return {"items": items, "candidates": len(candidates)}

    return Json(await asyncio.to_thread(load))


async def show_labels(request: Request, runtime: Runtime, principal: Principal) -> Response:
    """``GET /v1/labels``: labels, the latest first."""
    query = Parameters(request)
    given: dict[str, str | int | None] = {
        "sha256": query.sha256("sha256"),
        "author": query.text("author"),
        "model_version": query.text("model_version"),
        "label": query.choice("label", (*LABELS, RETRACTED)),
    }
    span = Span(query.moment("since"), query.moment("until"))
    cursor, limit = query.page()
    query.done()
    equal = {name: value for name, value in given.items() if value is not None}

    def load() -> Page:
        with runtime.database.read() as connection:
            return list_labels(connection, equal, span, number_of(cursor), limit)

    return page_answer(await asyncio.to_thread(load))


def _parse_label(body: dict[str, Any]) -> NewLabel:
    unknown = sorted(set(body) - {*MEMBERS, "retracts"})
    if unknown:
        raise _invalid(f"unknown members: {', '.join(unknown)[:200]}")
    values = {name: body.get(name, "") for name in MEMBERS}
    if not all(isinstance(value, str) for value in values.values()):
        raise _invalid(f"{', '.join(MEMBERS)} are strings")
    if not all(map(storable, values.values())):
        raise _invalid("a string holds NUL or half of a surrogate pair")
    if bool(values["scan_id"]) == bool(values["sha256"]):
        raise _invalid("give either scan_id or sha256")
    if values["label"] not in (*LABELS, RETRACTED):
        raise _invalid(f"label is one of {', '.join((*LABELS, RETRACTED))}")
    retracts = body.get("retracts")
    if retracts is not None and (
        type(retracts) is not int or not 0 < retracts < 1 << 63 or values["label"] != RETRACTED
    ):
        raise _invalid(f"retracts is the number of a label and goes with the label {RETRACTED}")
    if len(values["evidence"]) > MAX_REASON:
        raise _invalid(f"evidence is of at most {MAX_REASON} characters")
    if not 0 < len(values["reason"].strip()) <= MAX_REASON:
        raise _invalid(f"give a reason, of at most {MAX_REASON} characters")
    return NewLabel(
        values["label"], values["reason"].strip(), values["scan_id"], values["sha256"].lower(),
        values["evidence"].strip(), retracts,
    )  # fmt: skip


def _invalid(detail: str) -> Problem:
    return Problem(422, "invalid-label", detail)


OPERATIONS = (
    Operation(
        "POST",
        "/v1/feedback",
        feedback,
        "analyst",
        Doc(
            "Label a file, or take a label back",
            "Label",
            status=201,
            body={"application/json": "NewLabel"},
            problems=(400, 404, 409, 413, 415, 422),
        ),
    ),
    Operation(
        "GET",
        "/v1/queue",
        queue,
        "analyst",
        Doc(
            "Which files to label first, and why",
            "Queue",
            parameters=(Parameter("limit", "How many", {"type": "integer", "minimum": 1, "maximum": QUEUE_LENGTH}),),
            problems=(422,),
        ),
    ),
    Operation(
        "GET",
        "/v1/labels",
        show_labels,
        "analyst",
        Doc(
            "Labels, the latest first",
            "LabelPage",
            parameters=(
                Parameter("sha256", "Only of this content", HASH),
                Parameter("author", "Only by keys of this name", TEXT),
                Parameter("model_version", "Only of scans by this model", TEXT),
                Parameter("label", "Only this label", {"enum": [*LABELS, RETRACTED]}),
                *SPAN,
                *PAGING,
            ),
            problems=(422,),
        ),
    ),
)
