"""Errors of the API as RFC 9457 problem details."""

from __future__ import annotations

from typing import Any

from starlette.responses import JSONResponse, Response

from .json_text import dump

TYPE_BASE = "urn:safepickle:problem:"


class Json(JSONResponse):
    """JSON, whatever a hostile file is named."""

    def render(self, content: Any) -> bytes:
        return dump(content)


class Problem(Exception):
    """An error that a client is told about.

    Parameters
    ----------
    status
        HTTP status.
    kind
        Short stable name, the end of the ``type`` URI: ``body-too-large``.
    detail
        What happened and what to do.
    retry_after
        Seconds after which the same request may work, sent as ``Retry-After``; None leaves it out.
    headers
        Further headers of the answer.
    """

    def __init__(
        self,
        status: int,
        kind: str,
        detail: str,
        *,
        retry_after: int | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.kind = kind
        self.detail = detail
        self.headers = dict(headers or {})
        if retry_after is not None:
            self.headers["Retry-After"] = str(retry_after)

    def describe(self) -> dict[str, Any]:
        """The problem as a JSON object."""
        return {
            "type": TYPE_BASE + self.kind,
            "title": self.kind.replace("-", " ").capitalize(),
            "status": self.status,
            "detail": self.detail,
        }

    def response(self, instance: str = "", request_id: str = "") -> Response:
        """The problem as an HTTP answer; `instance` is the path it occurred at."""
        body = self.describe()
        if instance:
            body["instance"] = instance
        if request_id:
            body["request_id"] = request_id
        return Json(body, self.status, self.headers, media_type="application/problem+json")
