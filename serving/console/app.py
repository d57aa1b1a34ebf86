"""All addresses of the console, to be mounted into the service."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from ..problems import Problem
from ..runtime import Runtime
from . import dashboard, file_page, keys_page, labelling, lists, login, models_page, upload
from .rendering import FOLDER, HEADERS
from .visits import ROOT, plain_route, view_route


class _Static(StaticFiles):
    """Our style sheet and script, with the headers of the pages; the browser asks each time whether they are new."""

    def file_response(self, *arguments: object, **options: object) -> Response:
        response: Response = super().file_response(*arguments, **options)  # type: ignore[arg-type]
        for header, value in {**HEADERS, "Cache-Control": "no-cache"}.items():
            response.headers[header] = value
        return response


def console_routes(runtime: Runtime) -> list[BaseRoute]:
    """The console of one worker."""

    def bound(handler: Callable[[Request, Runtime], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            return await handler(request, runtime)

        return answer

    routes: list[Route | Mount] = [
        Mount("/static", _Static(directory=FOLDER / "static")),
        plain_route("/login", bound(login.show_login), ["GET"]),
        plain_route("/login", bound(login.log_in), ["POST"]),
        view_route(runtime, "/logout", post=login.log_out),
        view_route(runtime, "/theme", post=login.choose_theme),
        view_route(runtime, "/", lists.show_queue),
        view_route(runtime, "/scans", lists.show_scans),
        view_route(runtime, "/files/{key}", file_page.show_file),
        view_route(runtime, "/files/{key}/label", post=labelling.give_label),
        view_route(runtime, "/files/{key}/undo", post=labelling.take_back),
        view_route(runtime, "/upload", upload.show_upload),
        plain_route("/upload", bound(upload.upload), ["POST"]),
        view_route(runtime, "/dashboard", dashboard.show_dashboard),
        view_route(runtime, "/models", models_page.show_models),
        view_route(runtime, "/models/promote", post=models_page.promote),
        view_route(runtime, "/models/rollback", post=models_page.roll_back),
        view_route(runtime, "/models/{number}", models_page.show_model),
        view_route(runtime, "/labels", lists.show_labels),
        view_route(runtime, "/audit", lists.show_audit),
        view_route(runtime, "/keys", keys_page.show_keys, keys_page.add),
        view_route(runtime, "/keys/revoke", post=keys_page.revoke),
        plain_route("/{rest:path}", _nothing, ["GET", "POST"]),
    ]
    return [Mount(ROOT, routes=routes)]


async def _nothing(request: Request) -> Response:
    raise Problem(404, "unknown-path", "there is nothing at this address")
