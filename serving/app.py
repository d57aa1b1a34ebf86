"""The API as an ASGI application, mounted into the BentoML service."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Match, Route
from starlette.types import Receive, Scope, Send

from .console.app import console_routes
from .endpoint import HEADERS, Endpoint
from .problems import Problem
from .routes import OPERATIONS
from .runtime import Runtime
from .settings import Settings


def create_app(settings: Settings) -> Starlette:
    """The application; its lifespan starts and stops a :class:`~serving.runtime.Runtime`."""
    runtime = Runtime(settings)

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        await runtime.start()
        # Looking through all that was imported for what can be freed would hold up requests.
        gc.freeze()
        try:
            yield
        finally:
            await runtime.stop()

    endpoints = [(operation, operation.endpoint(runtime)) for operation in OPERATIONS]
    app = _App(
        routes=[
            *(Route(operation.path, endpoint, methods=[operation.method]) for operation, endpoint in endpoints),
            *console_routes(runtime),
            Route("/v1/{rest:path}", _Unknown()),
        ],
        lifespan=lifespan,
    )
    app.direct = {(one.method, one.path): endpoint for one, endpoint in endpoints if "{" not in one.path}
    app.state.runtime = runtime
    return app


class _App(Starlette):
    """Answers what has one fixed path without Starlette's routing and middleware, which take longer than most of it.

    Endpoints turn errors into answers themselves.
    """

    direct: dict[tuple[str, str], Endpoint]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not scope.get("root_path"):
            endpoint = self.direct.get((scope["method"], scope["path"]))
            if endpoint is not None:
                response = await endpoint(Request(scope, receive, send))
                await response(scope, receive, send)
                return
        await super().__call__(scope, receive, send)


class _Unknown:
    """Answers whatever no operation does, of any method."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        response = _problem(request).response(request.url.path)
        response.headers.update(HEADERS)
        await response(scope, receive, send)


def _problem(request: Request) -> Problem:
    # Of the first path that matches: /v1/models/3:promote is no version.
    matching = [route for route in request.app.routes if route.matches(request.scope)[0] is Match.PARTIAL]
    allowed = {method for route in matching if route.path == matching[0].path for method in route.methods}
    if allowed:
        methods = ", ".join(sorted(allowed))
        return Problem(405, "wrong-method", f"only {methods} works here", headers={"Allow": methods})
    return Problem(404, "unknown-path", "there is nothing at this address")
