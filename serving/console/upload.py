"""Uploading a file in the console: scanned as by the API, and always told of."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import Response

from ..bodies import Spool, receive
from ..problems import Json, Problem
from ..runtime import Runtime
from .sessions import form_token, is_form_token
from .visits import ROOT, Visit, identify, login_path, redirect, take_turn

PURPOSE = "upload"
"""Of the token in the form's address: the body is the file alone, so that it can be streamed."""


def show_upload(visit: Visit) -> Response:
    """``GET /console/upload``."""
    settings = visit.runtime.settings
    return visit.page("upload.html", token=form_token(visit.token, PURPOSE), max_body=settings.max_body)


async def upload(request: Request, runtime: Runtime) -> Response:
    """``POST /console/upload?token=...``: a form with one file. A script that asks for JSON gets the address of the
    file's page as JSON."""
    known = await asyncio.to_thread(identify, request, runtime)
    if known is None:
        return redirect(login_path(request))
    principal, token = known
    take_turn(runtime, principal)
    if not is_form_token(token, request.query_params.get("token", ""), PURPOSE):
        raise Problem(403, "forged-form", "this form is not of your session; go back, reload the page and try again")
    wants_json = request.headers.get("accept", "") == "application/json"
    settings = runtime.settings
    try:
        with runtime.upload():
            spool = Spool(settings.memory_body, settings.spool)
            try:
                name = await receive(request, spool, settings.max_body, settings.body_timeout)
                if not name and not spool.size:
                    raise Problem(422, "no-file", "no file was chosen")
                answer = await runtime.scan(principal, name, spool, story="always")
            finally:
                spool.close()
    except Problem as problem:
        if wants_json:
            return Json({"detail": problem.detail}, problem.status, problem.headers)
        raise
    page = f"{ROOT}/files/{answer['sha256']}?scan={answer['scan_id']}"
    return Json({"page": page, "verdict": answer["verdict"]}) if wants_json else redirect(page, "scanned")
