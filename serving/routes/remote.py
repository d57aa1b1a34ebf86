"""Scanning a file that lies elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from starlette.requests import Request
from starlette.responses import Response

from ..auth import Principal
from ..bodies import Spool, plain_name, too_large
from ..endpoint import Operation, json_object, strings
from ..openapi import Doc
from ..parameters import invalid
from ..problems import Problem
from ..remote import FetchFailed, NotAllowed, as_problem
from ..runtime import Runtime
from .scans import IDEMPOTENCY, answer_scan, idempotency_key


async def scan_url(request: Request, runtime: Runtime, principal: Principal) -> Response:
    """``POST /v1/scan:url``: ``{"url"}``, an address that the operator allows."""
    if not runtime.fetcher.enabled:
        raise Problem(403, "address-not-allowed", "this service fetches nothing; send the file to /v1/scan")
    body = await json_object(request, runtime)
    if unknown := sorted(set(body) - {"url"}):
        raise invalid(f"unknown members: {', '.join(unknown)[:200]!r}")
    key = idempotency_key(request, principal)
    settings = runtime.settings
    with runtime.upload():
        spool = Spool(settings.memory_body, settings.spool)
        chunks: Iterator[bytes] = iter(())
        try:
            name, chunks = runtime.fetcher.open(strings(body, ("url",))["url"])
            while chunk := await asyncio.to_thread(next, chunks, b""):
                if spool.size + len(chunk) > settings.max_body:
                    raise too_large(settings.max_body)
                await spool.write(chunk)
            await spool.finish()
            return await answer_scan(runtime, principal, plain_name(name), spool, key)
        except (NotAllowed, FetchFailed) as error:
            raise as_problem(error) from error
        finally:
            await asyncio.to_thread(_close, chunks)
            spool.close()


def _close(chunks: Iterator[bytes]) -> None:
    close = getattr(chunks, "close", None)
    if close is not None:
        close()


OPERATIONS = (
    Operation(
        "POST",
        "/v1/scan:url",
        scan_url,
        "scanner",
        Doc(
            "Scan a file at an address that the operator allows",
            "Scan",
            parameters=(IDEMPOTENCY,),
            body={"application/json": "Address"},
            problems=(400, 413, 415, 422, 502, 504, 507),
        ),
    ),
)
