"""What all pages share: who visits, the form that was sent, errors as pages, headers."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import math
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from .. import metrics
from ..auth import Principal
from ..bodies import Spool, discard_rest, receive
from ..database.engine import DatabaseUnavailable
from ..problems import Problem
from ..runtime import Runtime
from . import rendering
from .sessions import COOKIE, find_session, form_token, is_form_token

logger = logging.getLogger("safepickle.serving")

ROOT = "/console"
THEME_COOKIE = "safepickle_theme"
NOTICE_COOKIE = "safepickle_notice"
THEMES = ("auto", "light", "dark")
MAX_FORM = 64 * 1024
MAX_FIELDS = 40

NOTICES = {
    "labelled": "Label stored.",
    "undone": "Label taken back.",
    "scanned": "Scanned.",
    "promoted": "Promoted. Workers take the new champion over within seconds.",
    "rolled-back": "Rolled back. Workers take the earlier champion over within seconds.",
    "revoked": "Key revoked.",
    "logged-out": "Logged out.",
}
"""What a page says after a redirect; the cookie names only which."""


@dataclasses.dataclass(frozen=True, slots=True)
class Visit:
    """One request of somebody who is logged in.

    Parameters
    ----------
    request, runtime
        The request, and the worker's parts.
    principal
        Whose session it is.
    token
        The session's secret.
    form
        Fields of the form that was sent; empty for a GET.
    """

    request: Request
    runtime: Runtime
    principal: Principal
    token: str
    form: Mapping[str, str]

    def page(self, template: str, status: int = 200, **values: Any) -> Response:
        """A page with what every page needs."""
        notice = self.request.cookies.get(NOTICE_COOKIE, "")
        shared = {
            "principal": self.principal,
            "csrf": form_token(self.token),
            "theme": theme(self.request),
            "path": self.request.url.path,
            "notice": NOTICES.get(notice, ""),
        }
        response = rendering.page(template, {**shared, **values}, status)
        if notice:
            response.delete_cookie(NOTICE_COOKIE, path=ROOT)
        return response

    def query(self, name: str, default: str = "") -> str:
        """A parameter of the address."""
        return self.request.query_params.get(name, default)

    def number(self, name: str, default: int, most: int) -> int:
        """A parameter of the address that is a whole number from 1 to `most`."""
        text = self.query(name)
        return min(max(int(text), 1), most) if text.isascii() and text.isdecimal() and len(text) < 10 else default

    def need(self, role: str) -> None:
        """Raises a 403 problem for somebody whose role is lower."""
        if not self.principal.may(role):
            raise Problem(403, "forbidden", f"this needs the role {role}; yours is {self.principal.role}")


View = Callable[[Visit], Response]
AsyncView = Callable[[Visit], Awaitable[Response]]


def redirect(path: str, notice: str = "") -> Response:
    """Send the browser on with a GET; the next page shows the notice of :data:`NOTICES`."""
    response = RedirectResponse(path, 303)
    if notice:
        response.set_cookie(NOTICE_COOKIE, notice, max_age=60, path=ROOT, httponly=True, samesite="strict")
    return response


def theme(request: Request) -> str:
    """The colours that the visitor chose."""
    chosen = request.cookies.get(THEME_COOKIE, "auto")
    return chosen if chosen in THEMES else "auto"


def is_secure(request: Request) -> bool:
    """Whether the browser speaks https, with us or with a proxy before us."""
    return request.url.scheme == "https" or request.headers.get("x-forwarded-proto", "").lower() == "https"


def view_route(runtime: Runtime, path: str, get: View | None = None, post: View | None = None) -> Route:
    """A page for people who are logged in, whose views run in a thread; ``post`` gets a checked form."""

    async def answer(request: Request) -> Response:
        form = await read_form(request, runtime.settings.body_timeout) if request.method == "POST" else {}
        view = post if request.method == "POST" else get
        assert view is not None
        return await asyncio.to_thread(_visit, request, runtime, form, view)

    methods = [method for method, view in (("GET", get), ("POST", post)) if view is not None]
    return plain_route(path, answer, methods)


def plain_route(path: str, answer: Callable[[Request], Awaitable[Response]], methods: list[str]) -> Route:
    """A route of the console: errors become pages, and every answer gets the headers and is counted."""
    name = ROOT + path

    async def endpoint(request: Request) -> Response:
        started = time.perf_counter()
        try:
            _refuse_other_sites(request)
            response = await answer(request)
        except Problem as problem:
            await discard_rest(request)
            response = _error_page(request, problem.status, problem.detail, problem.headers)
        except DatabaseUnavailable as error:
            metrics.DATABASE_FAILURES.inc()
            logger.error("database: %s", error)
            detail = "the database is not available, nothing was stored"
            response = _error_page(request, 503, detail, {"Retry-After": "1"})
        except Exception:
            logger.exception("%s %s failed", request.method, name)
            response = _error_page(request, 500, "a fault of the service; see its log", {})
        for header, value in rendering.HEADERS.items():
            response.headers.setdefault(header, value)
        metrics.answered(name, request.method, response.status_code, time.perf_counter() - started)
        return response

    return Route(path, endpoint, methods=methods)


def identify(request: Request, runtime: Runtime) -> tuple[Principal, str] | None:
    """Who is logged in, with the session's token; call it off the event loop."""
    token = request.cookies.get(COOKIE, "")
    if not token:
        return None
    with runtime.database.read() as connection:
        principal = find_session(connection, token)
    return None if principal is None else (principal, token)


def login_path(request: Request) -> str:
    """Where to log in, and come back from."""
    if request.method != "GET":
        return f"{ROOT}/login"
    query = f"?{request.url.query}" if request.url.query else ""
    return f"{ROOT}/login?next={quote(request.url.path + query, safe='')}"


async def read_form(request: Request, idle: float) -> dict[str, str]:
    """The fields of a form, each with its first value. Raises Problem for what is no form."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise Problem(415, "not-a-form", "this address takes a form")
    spool = Spool(MAX_FORM)
    await receive(request, spool, MAX_FORM, idle)
    try:
        fields = parse_qs(spool.content.decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError as error:
        raise Problem(400, "malformed-form", f"the form cannot be read: {error}") from None
    if any("\0" in value for values in fields.values() for value in values):
        raise Problem(400, "malformed-form", "a field has a NUL character, which cannot be stored")
    return {name: values[0] for name, values in fields.items()}


def take_turn(runtime: Runtime, principal: Principal) -> None:
    """Raises a 429 problem for a key that asks more often than it may, here and over the API together."""
    if wait := runtime.rates.take(principal.key_id):
        raise Problem(429, "too-many-requests", "this key asks more often than it may", retry_after=math.ceil(wait))


def _visit(request: Request, runtime: Runtime, form: Mapping[str, str], view: View) -> Response:
    known = identify(request, runtime)
    if known is None:
        return redirect(login_path(request))
    principal, token = known
    take_turn(runtime, principal)
    if request.method == "POST" and not is_form_token(token, form.get("csrf", "")):
        raise Problem(403, "forged-form", "this form is not of your session; go back, reload the page and try again")
    return view(Visit(request, runtime, principal, token, form))


def _refuse_other_sites(request: Request) -> None:
    """A second lock beside form tokens and SameSite cookies: a browser says where a form comes from."""
    if request.method != "POST":
        return
    origin = request.headers.get("origin", "")
    foreign = origin not in ("", "null") and urlsplit(origin).netloc != request.headers.get("host", "")
    if foreign or request.headers.get("sec-fetch-site", "") in ("cross-site", "same-site"):
        raise Problem(403, "forged-form", "this form was sent by another site")


def _error_page(request: Request, status: int, detail: str, headers: Mapping[str, str]) -> Response:
    values = {"status": status, "detail": detail, "theme": theme(request)}
    response = rendering.page("error.html", values, status)
    response.headers.update(headers)
    return response
