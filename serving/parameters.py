"""Parameters of a request's query, checked."""

from __future__ import annotations

import datetime

from starlette.requests import Request
from starlette.responses import Response

from .database.clock import EPOCH
from .database.listing import Page
from .problems import Json, Problem

MAX_TEXT = 255
MAX_PAGE = 200
PAGE = 50
DOOMSDAY = datetime.datetime(9000, 1, 1, tzinfo=datetime.UTC)


class Parameters:
    """Reads the query; whatever it holds and nobody asked for is refused by :meth:`done`.

    All methods raise a 422 problem for a value that cannot be used.
    """

    def __init__(self, request: Request) -> None:
        self._values: dict[str, str] = {}
        self._known: list[str] = []
        for name, value in request.query_params.multi_items():
            if name in self._values:
                raise invalid(f"{name[:50]!r} is given more than once")
            self._values[name] = value

    def text(self, name: str) -> str | None:
        """A text of at most :data:`MAX_TEXT` characters; None when it is not given."""
        value = self._take(name)
        if value is None:
            return None
        if not value or len(value) > MAX_TEXT or not storable(value):
            raise invalid(f"{name} has 1 to {MAX_TEXT} characters, without NUL and halves of surrogate pairs")
        return value

    def choice(self, name: str, among: tuple[str, ...]) -> str | None:
        """One of some words; None when it is not given."""
        value = self._take(name)
        if value is not None and value not in among:
            raise invalid(f"{name} is one of {', '.join(among)}")
        return value

    def sha256(self, name: str) -> str | None:
        """A hash in hexadecimal, in lower case; None when it is not given."""
        value = self._take(name)
        if value is not None and not is_hexadecimal(value.lower(), 64):
            raise invalid(f"{name} has 64 hexadecimal digits")
        return None if value is None else value.lower()

    def moment(self, name: str) -> datetime.datetime | None:
        """A moment in ISO 8601, in UTC unless it says otherwise; None when it is not given."""
        value = self._take(name)
        if value is None:
            return None
        try:
            # A plus that was not encoded arrives as a space.
            moment = datetime.datetime.fromisoformat(value.replace(" ", "+") if value.count(":") > 2 else value)
            if not 1970 < moment.year < 9000:
                # Before or behind all that is stored; databases know fewer years than clocks.
                return EPOCH if moment.year < 1971 else DOOMSDAY
            moment = moment.replace(tzinfo=datetime.UTC) if moment.tzinfo is None else moment.astimezone(datetime.UTC)
        except ValueError:
            raise invalid(f"{name} is a moment in ISO 8601, such as 2026-01-31T12:00:00Z") from None
        return moment

    def page(self) -> tuple[str | None, int]:
        """(cursor, limit): where to go on, None for the beginning, and how many rows."""
        limit = self._take("limit")
        if limit is None:
            number = PAGE
        elif limit.isascii() and limit.isdecimal() and len(limit) < 5 and 0 < int(limit) <= MAX_PAGE:
            number = int(limit)
        else:
            raise invalid(f"limit is a whole number from 1 to {MAX_PAGE}")
        cursor = self._take("cursor")
        return None if cursor is None else _open_cursor(cursor), number

    def done(self) -> None:
        """Refuse parameters that nobody has read."""
        unknown = sorted(set(self._values) - set(self._known))
        if unknown:
            raise invalid(f"unknown: {', '.join(unknown)[:100]!r}; there are {', '.join(self._known)}")

    def _take(self, name: str) -> str | None:
        self._known.append(name)
        return self._values.get(name)


def page_answer(page: Page, **more: object) -> Response:
    """A page of a list as the API answers it; `next` is an opaque cursor."""
    following = None if page.next is None else f"1.{page.next}"
    return Json({"items": page.items, "next": following, **more})


def number_of(cursor: str | None) -> int | None:
    """The row number that a cursor holds. Raises a 422 problem when it is another list's."""
    if cursor is None:
        return None
    if not cursor.isdecimal() or len(cursor) > 18:
        raise invalid("the cursor belongs to another list; start again without it")
    return int(cursor)


def is_hexadecimal(text: str, digits: int) -> bool:
    """Whether `text` is that many hexadecimal digits in lower case."""
    return len(text) == digits and not text.strip("0123456789abcdef")


def storable(text: str) -> bool:
    """Whether every database can store it: no NUL, no half of a surrogate pair."""
    return "\x00" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


def invalid(detail: str) -> Problem:
    """The 422 answer to a parameter that cannot be used."""
    return Problem(422, "invalid-parameter", detail)


def _open_cursor(cursor: str) -> str:
    version, _, value = cursor.partition(".")
    if version != "1" or not 0 < len(value) <= 32 or value.strip("0123456789abcdef"):
        raise invalid("the cursor is not one of this service's; start again without it")
    return value
