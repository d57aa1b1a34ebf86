"""Logging in with an API key, and out again; the choice of colours."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from ..auth import Principal
from ..problems import Problem
from ..runtime import Runtime
from . import rendering
from .sessions import (
    COOKIE,
    LOGIN_COOKIE,
    close_session,
    form_token,
    is_form_token,
    new_token,
    open_session,
)
from .visits import NOTICE_COOKIE, NOTICES, ROOT, THEME_COOKIE, THEMES, Visit, is_secure, read_form, redirect, theme

ROLE = "analyst"
"""The least role that may use the console."""
_YEAR = 365 * 86_400


async def show_login(request: Request, runtime: Runtime) -> Response:
    """``GET /console/login``."""
    return _form(request, "", safe_path(request.query_params.get("next", "")))


async def log_in(request: Request, runtime: Runtime) -> Response:
    """``POST /console/login``: exchange a key for a session."""
    form = await read_form(request, runtime.settings.body_timeout)
    onward = safe_path(form.get("next", ""))
    if not is_form_token(request.cookies.get(LOGIN_COOKIE, ""), form.get("csrf", "")):
        return _form(request, "The form was too old, or cookies are off. Try again.", onward, 403)
    key = form.get("key", "").strip()
    try:
        principal = await asyncio.to_thread(runtime.authenticator.identify, key)
    except Problem as problem:
        return _form(request, f"Not logged in: {problem.detail}.", onward, 401)
    if not principal.may(ROLE):
        return _form(request, f"The console is for analysts; this key has the role {principal.role}.", onward, 403)
    token = await asyncio.to_thread(_open, runtime, principal)
    response = redirect(onward)
    _set_secret(request, response, COOKIE, token, round(3600 * runtime.settings.session_hours))
    response.delete_cookie(LOGIN_COOKIE, path=ROOT)
    return response


def log_out(visit: Visit) -> Response:
    """``POST /console/logout``."""
    with visit.runtime.database.write() as connection:
        close_session(connection, visit.token)
    response = redirect(f"{ROOT}/login", "logged-out")
    response.delete_cookie(COOKIE, path=ROOT)
    return response


def choose_theme(visit: Visit) -> Response:
    """``POST /console/theme``: remember the colours in the browser."""
    response = redirect(safe_path(visit.form.get("next", "")))
    chosen = visit.form.get("theme", "")
    if chosen in THEMES:
        _set_secret(visit.request, response, THEME_COOKIE, chosen, _YEAR)
    return response


def safe_path(path: str) -> str:
    """`path` if it leads to a page of the console, else the first page."""
    parts = urlsplit(path) if path.isascii() and path.isprintable() and "\\" not in path else urlsplit("")
    ours = not parts.scheme and not parts.netloc and parts.path.startswith(f"{ROOT}/") and ".." not in parts.path
    return path if ours else f"{ROOT}/"


def _open(runtime: Runtime, principal: Principal) -> str:
    assert principal.key_id is not None
    with runtime.database.write() as connection:
        return open_session(connection, principal.key_id, runtime.settings.session_hours)


def _form(request: Request, problem: str, onward: str, status: int = 200) -> Response:
    token = new_token()
    notice = NOTICES.get(request.cookies.get(NOTICE_COOKIE, ""), "")
    values = {
        "csrf": form_token(token), "problem": problem, "next": onward, "theme": theme(request), "notice": notice,
    }  # fmt: skip
    response = rendering.page("login.html", values, status)
    _set_secret(request, response, LOGIN_COOKIE, token, 3600)
    response.delete_cookie(NOTICE_COOKIE, path=ROOT)
    return response


def _set_secret(request: Request, response: Response, name: str, value: str, seconds: int) -> None:
    response.set_cookie(
        name, value, max_age=seconds, path=ROOT, secure=is_secure(request), httponly=True, samesite="strict"
    )
