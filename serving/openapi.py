"""The OpenAPI document, put together from what each operation says of itself."""

from __future__ import annotations

import dataclasses
import string
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from safepickle import __version__

from .parameters import MAX_PAGE, MAX_TEXT, PAGE
from .schemas import EXAMPLES, SCHEMAS

if TYPE_CHECKING:
    from .endpoint import Operation

JSON = "application/json"
PROBLEM = "application/problem+json"

STATUSES = {
    200: "Done",
    201: "Stored",
    400: "The body is not what it says",
    401: "No key, or one that does not work",
    403: "The key's role is too low",
    404: "There is no such thing",
    408: "No byte came for too long",
    409: "It contradicts what is",
    413: "The body is larger than it may be",
    415: "The body's type or encoding is not taken",
    422: "A value cannot be used, or the file crashed the scanner: treat it as hostile",
    429: "Too much at once or too often; Retry-After says when to come back",
    502: "The other server did not give the file",
    503: "The database or the model is away; nothing was stored",
    504: "The scan took too long: treat the file as hostile",
    507: "The disk for temporary files is full",
}


@dataclasses.dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter: `place` is ``query``, ``path`` or ``header``."""

    name: str
    description: str
    schema: dict[str, Any] = dataclasses.field(default_factory=lambda: {"type": "string"})
    place: str = "query"

    def describe(self) -> dict[str, Any]:
        """As an OpenAPI object."""
        return {
            "name": self.name,
            "in": self.place,
            "description": self.description,
            "required": self.place == "path",
            "schema": self.schema,
        }


@dataclasses.dataclass(frozen=True, slots=True)
class Doc:
    """What the document says of an operation.

    Parameters
    ----------
    summary
        One sentence.
    answer
        Name in :data:`~serving.schemas.SCHEMAS` of what a success answers with; empty for text.
    status
        Of a success.
    media
        Type of that answer.
    parameters
        All of them.
    body
        Body by media type: the name of a schema, or a schema.
    problems
        Statuses of errors besides 401, 403, 429 and 503.
    """

    summary: str
    answer: str
    status: int = 200
    media: str = JSON
    parameters: tuple[Parameter, ...] = ()
    body: dict[str, str | dict[str, Any]] = dataclasses.field(default_factory=dict)
    problems: tuple[int, ...] = ()


BINARY: dict[str, Any] = {"type": "string", "format": "binary"}
TEXT: dict[str, Any] = {"type": "string", "minLength": 1, "maxLength": MAX_TEXT, "pattern": r"^[^\u0000]*$"}
HASH: dict[str, Any] = {"type": "string", "pattern": "^[0-9a-fA-F]{64}$"}


def _paging(cursor: str) -> tuple[Parameter, Parameter]:
    return (
        Parameter("limit", "Rows of a page", {"type": "integer", "minimum": 1, "maximum": MAX_PAGE, "default": PAGE}),
        Parameter(
            "cursor",
            "`next` of the page before; a page may be empty and still have a next one",
            {"type": "string", "pattern": cursor},
        ),
    )


PAGING = _paging("^1[.][0-9]{1,18}$")
SCAN_PAGING = _paging("^1[.][0-9a-f]{1,32}$")
SPAN = (
    Parameter("since", "From this moment on (ISO 8601)", {"type": "string", "format": "date-time"}),
    Parameter("until", "Before this moment", {"type": "string", "format": "date-time"}),
)


def document(operations: Iterable[Operation]) -> dict[str, Any]:
    """The OpenAPI 3.1 document of these operations."""
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _describe(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "SafePickle",
            "version": __version__,
            "summary": "Says what a model file would do when it is loaded, without loading it.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": SCHEMAS,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            },
        },
    }


def _describe(operation: Operation) -> dict[str, Any]:
    doc = operation.doc
    statuses = sorted({*doc.problems, 503, *(() if operation.role is None else (401, 403, 429))})
    responses: dict[str, Any] = {str(doc.status): {"description": STATUSES[doc.status], **_content(doc)}}
    for status in statuses:
        content = {PROBLEM: {"schema": _reference("Problem"), "example": _problem(status)}}
        responses[str(status)] = {"description": STATUSES[status], "content": content}
    described: dict[str, Any] = {
        "operationId": operation.handler.__name__,
        "summary": doc.summary,
        "parameters": [*_path_parameters(operation), *(parameter.describe() for parameter in doc.parameters)],
        "responses": responses,
        "security": [] if operation.role is None else [{"bearer": []}, {"header": []}],
    }
    if operation.role is not None:
        described["description"] = f"Needs the role {operation.role}."
    if doc.body:
        described["requestBody"] = {"required": True, "content": {m: _body(s) for m, s in doc.body.items()}}
    return described


def _content(doc: Doc) -> dict[str, Any]:
    if not doc.answer:
        return {"content": {doc.media: {"schema": {"type": "string"}}}}
    found: dict[str, Any] = {"schema": _reference(doc.answer)}
    if doc.answer in EXAMPLES:
        found["example"] = EXAMPLES[doc.answer]
    return {"content": {doc.media: found}}


def _body(schema: str | dict[str, Any]) -> dict[str, Any]:
    if isinstance(schema, dict):
        return {"schema": schema}
    return {"schema": _reference(schema), "example": EXAMPLES[schema]}


def _path_parameters(operation: Operation) -> list[dict[str, Any]]:
    names = [name.partition(":")[0] for _, name, _, _ in string.Formatter().parse(operation.path) if name]
    described = {parameter.name for parameter in operation.doc.parameters}
    return [Parameter(name, name, place="path").describe() for name in names if name not in described]


def _problem(status: int) -> dict[str, Any]:
    return {**EXAMPLES["Problem"], "status": status, "detail": STATUSES[status]}


def _reference(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}
