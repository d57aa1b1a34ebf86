"""Pages out of templates. Whatever a template writes is made printable, then escaped."""

from __future__ import annotations

import datetime
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markdown_it import MarkdownIt
from markupsafe import Markup
from starlette.responses import HTMLResponse

from safepickle.report.printable import printable

from ..database.clock import now

FOLDER = Path(__file__).parent
CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": CONTENT_POLICY,
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}
_LONGEST = 20_000
_UNITS = ("bytes", "kB", "MB", "GB", "TB")


def page(template: str, values: Mapping[str, Any], status: int = 200) -> HTMLResponse:
    """A rendered template as an answer."""
    return HTMLResponse(_environment().get_template(template).render(values), status)


def moment(value: datetime.datetime) -> Markup:
    """A time in UTC, as an element that machines can read too."""
    return Markup('<time datetime="{}" title="{} UTC">{}</time>').format(
        value.isoformat(timespec="seconds"), value.strftime("%Y-%m-%d %H:%M:%S"), value.strftime("%Y-%m-%d %H:%M")
    )


def ago(value: datetime.datetime) -> Markup:
    """How long ago it was, with the time itself as a title."""
    passed = (now() - value).total_seconds()
    text = "just now" if passed < 60 else f"{duration(passed)} ago"
    return Markup('<time datetime="{}" title="{} UTC">{}</time>').format(
        value.isoformat(timespec="seconds"), value.strftime("%Y-%m-%d %H:%M:%S"), text
    )


def duration(seconds: float) -> str:
    """About so long: ``5 min``, ``3 h``, ``12 d``."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    for unit, name, last in ((60, "min", 5400), (3600, "h", 48 * 3600)):
        if seconds < last:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds / 86_400:.0f} d"


def size(count: int) -> str:
    """Bytes in a unit that people read: ``39.6 kB``."""
    value, unit = float(count), 0
    while value >= 1000 and unit < len(_UNITS) - 1:
        value, unit = value / 1000, unit + 1
    if not unit:
        return f"{count:,} bytes"
    return f"{value:.{0 if value >= 100 else 1}f} {_UNITS[unit]}"


def lines(text: str) -> Markup:
    """Text with its line breaks."""
    return Markup("<br>").join(printable(line, _LONGEST) for line in text.splitlines())


def markdown(text: str) -> Markup:
    """Markdown as HTML. HTML in it is escaped, images are not shown."""
    parser = _markdown()
    tokens = parser.parse(text)
    for token in tokens:
        if token.attrs.pop("style", ""):  # how a column of a table is aligned; only classes may say so
            token.attrs["class"] = "n"
    return Markup(parser.renderer.render(tokens, parser.options, {}))


@functools.cache
def _markdown() -> MarkdownIt:
    return MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")


@functools.cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        # Controls, invisible and bidirectional characters of a hostile name are escaped wherever it is written.
        finalize=_finalized,
    )
    environment.filters.update(moment=moment, ago=ago, duration=duration, size=size, lines=lines, markdown=markdown)
    return environment


def _finalized(value: Any) -> Any:
    return printable(value, _LONGEST) if isinstance(value, str) and not isinstance(value, Markup) else value
