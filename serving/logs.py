"""Log lines as JSON objects, with the request they belong to."""

from __future__ import annotations

import contextvars
import datetime
import json
import logging
import sys

REQUEST_ID: contextvars.ContextVar[str] = contextvars.ContextVar("safepickle_request_id", default="")
"""Of the request that is being answered; empty outside of any."""

TEXT = "%(asctime)s %(name)s %(levelname)s %(message)s"


class JsonLines(logging.Formatter):
    """One JSON object a line: ``at``, ``level``, ``logger``, ``message``, ``request_id`` within a request, what was
    passed as ``extra={"fields": {...}}``, and ``error`` with the traceback of an exception."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; a message cannot end it, as JSON escapes line ends."""
        line: dict[str, object] = {
            "at": datetime.datetime.fromtimestamp(record.created, datetime.UTC).isoformat(),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if request_id := REQUEST_ID.get():
            line["request_id"] = request_id
        line.update(getattr(record, "fields", {}))
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def configure(log_format: str) -> None:
    """Write what the service logs to stderr, once, in the form that the settings name.

    BentoML's own handlers are left alone; lines of ours no longer reach them.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if log_format == "json" else logging.Formatter(TEXT))
    ours = logging.getLogger("safepickle")
    ours.handlers[:] = [handler]
    ours.setLevel(logging.INFO)
    ours.propagate = False
