"""Scanning one file, and scans that are stored."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Iterator
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from ..auth import Principal
from ..batches import Batch
from ..bodies import Spool, receive
from ..database.audit import record
from ..database.idempotency import AnotherRequest
from ..database.listing import Page, Span, list_scans
from ..database.records import UnknownScan, load_scan
from ..endpoint import Operation
from ..openapi import BINARY, HASH, SCAN_PAGING, SPAN, TEXT, Doc, Parameter
from ..parameters import Parameters, invalid, is_hexadecimal, page_answer
from ..problems import Json, Problem
from ..retention import NotKept
from ..runtime import Runtime
from ..schemas import VERDICTS

MAX_KEY = 255


async def scan(request: Request, runtime: Runtime, principal: Principal) -> Response:
    """``POST /v1/scan``: the file as the raw body (name in ``?name=``) or as one multipart part."""
    settings = runtime.settings
    key = idempotency_key(request, principal)
    with runtime.upload():
        spool = Spool(settings.memory_body, settings.spool)
        try:
            name = await receive(request, spool, settings.max_body, settings.body_timeout)
            return await answer_scan(runtime, principal, name, spool, key)
        finally:
            spool.close()


async def scan_batch(request: Request, runtime: Runtime, principal: Principal) -> Response:
    """``POST /v1/scans:batch``: many files as parts of multipart/form-data or members of a tar archive."""
    return Batch(request, runtime, principal)


async def answer_scan(runtime: Runtime, principal: Principal, name: str, spool: Spool, key: str) -> Response:
    """Scan a received file and answer, or answer as before when `key` was used for it. Raises Problem."""
    try:
        answer, again = await runtime.scan_once(principal, name, spool, key)
    except AnotherRequest:
        raise Problem(
            422, "idempotency-key-used", "this Idempotency-Key was used for another file or name; take a new one"
        ) from None
    return Json(answer, headers={"Idempotency-Replayed": "true"} if again else None)


def idempotency_key(request: Request, principal: Principal) -> str:
    """The request's ``Idempotency-Key``, empty without one. Raises Problem for one that cannot be used."""
    key = request.headers.get("idempotency-key", "")
    if not key:
        return ""
    if len(key) > MAX_KEY or not key.isascii() or not key.isprintable():
        raise invalid(f"an Idempotency-Key has at most {MAX_KEY} printable ASCII characters")
    if principal.key_id is None:
        raise invalid("an Idempotency-Key needs an API key, which it belongs to")
    return key


async def show_scan(request: Request, runtime: Runtime, principal: Principal) -> Response:
    """``GET /v1/scans/{scan_id}``: a stored scan, its novelty and labels. A scanner sees its own scans only."""
    scan_id = request.path_params["scan_id"]
    own = None if principal.may("analyst") else principal.key_id

    def load() -> dict[str, Any]:
        with runtime.database.read() as connection:
            return load_scan(connection, scan_id, own, runtime.label_policy)

    try:
        if not is_hexadecimal(scan_id, 32):
            raise UnknownScan(scan_id)
        return Json(await asyncio.to_thread(load))
    except UnknownScan:
        raise Problem(404, "unknown-scan", "no scan with this id is stored here, or it is not yours") from None


async def read_file(request: Request, runtime: Runtime, principal: Principal) -> Response:
    """``GET /v1/scans/{scan_id}/file``: the bytes that were scanned, if they are kept. It is audited."""
    scan_id = request.path_params["scan_id"]

    def load() -> tuple[str, Iterator[bytes]]:
        if runtime.retention is None or not is_hexadecimal(scan_id, 32):
            raise NotKept
        with runtime.database.write() as connection:
            stored = load_scan(connection, scan_id, None, runtime.label_policy)
            chunks = runtime.retention.read(stored["sha256"], datetime.datetime.fromisoformat(stored["at"]))
            record(connection, "file.read", f"scan {scan_id}", {"sha256": stored["sha256"]}, principal.actor)
        return stored["sha256"], chunks

    try:
        sha256, chunks = await asyncio.to_thread(load)
    except (NotKept, UnknownScan):
        raise Problem(404, "not-kept", "this file was not kept, or not for so long") from None
    # Never shown, never opened by its type: it may be hostile.
    headers = {"Content-Disposition": f'attachment; filename="{sha256}.untrusted"'}
    return StreamingResponse(chunks, media_type="application/octet-stream", headers=headers)


async def show_scans(request: Request, runtime: Runtime, principal: Principal) -> Response:
    """``GET /v1/scans``: stored scans, the latest first. A scanner sees its own scans only."""
    query = Parameters(request)
    # The rarest first: the list looks that one up.
    given: dict[str, str | int | None] = {
        "sha256": query.sha256("sha256"),
        "name": query.text("name"),
        "api_key_id": None if principal.may("analyst") else principal.key_id,
        "container": query.text("container"),
        "model_version": query.text("model_version"),
        "verdict": query.choice("verdict", VERDICTS),
    }
    span = Span(query.moment("since"), query.moment("until"))
    cursor, limit = query.page()
    query.done()
    equal = {name: value for name, value in given.items() if value is not None}

    def load() -> Page:
        with runtime.database.read() as connection:
            return list_scans(connection, equal, span, cursor, limit, runtime.label_policy)

    return page_answer(await asyncio.to_thread(load))


NAME = Parameter("name", "File name, for a raw body")
IDEMPOTENCY = Parameter(
    "Idempotency-Key",
    "The same key for the same file within a day gets the same answer",
    {"type": "string", "pattern": f"^[ -~]{{0,{MAX_KEY}}}$"},
    place="header",
)
PARTS: dict[str, Any] = {"type": "object", "description": "Parts with files; their names do not matter"}
FORM: dict[str, Any] = {
    "type": "object",
    "properties": {"file": BINARY},
    "required": ["file"],
    "additionalProperties": False,
}

OPERATIONS = (
    Operation(
        "POST",
        "/v1/scan",
        scan,
        "scanner",
        Doc(
            "Scan one file",
            "Scan",
            parameters=(NAME, IDEMPOTENCY),
            body={"application/octet-stream": BINARY, "multipart/form-data": FORM},
            problems=(400, 408, 413, 415, 422, 504, 507),
        ),
        anonymous="anonymous_scan",
    ),
    Operation(
        "POST",
        "/v1/scans:batch",
        scan_batch,
        "scanner",
        Doc(
            "Scan many files; a line for each as it is done, then one that says whether that was all",
            "BatchLine",
            media="application/x-ndjson",
            body={"multipart/form-data": PARTS, "application/x-tar": BINARY},
            problems=(400, 415),
        ),
        anonymous="anonymous_scan",
    ),
    Operation(
        "GET",
        "/v1/scans/{scan_id}",
        show_scan,
        "scanner",
        Doc("One stored scan, with its labels", "StoredScan", problems=(404,)),
    ),
    Operation(
        "GET",
        "/v1/scans/{scan_id}/file",
        read_file,
        "analyst",
        Doc("The bytes that were scanned, if they are kept", "", media="application/octet-stream", problems=(404,)),
    ),
    Operation(
        "GET",
        "/v1/scans",
        show_scans,
        "scanner",
        Doc(
            "Stored scans, the latest first",
            "ScanPage",
            parameters=(
                Parameter("verdict", "Only with this verdict", {"enum": list(VERDICTS)}),
                Parameter("sha256", "Only of this content", HASH),
                Parameter("name", "Only of files of exactly this name", TEXT),
                Parameter("container", "Only of this kind of file", TEXT),
                Parameter("model_version", "Only by this model", TEXT),
                *SPAN,
                *SCAN_PAGING,
            ),
            problems=(422,),
        ),
    ),
)
