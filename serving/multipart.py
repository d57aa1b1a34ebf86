"""Files out of a multipart/form-data body, as it streams by (:rfc:`7578`)."""

from __future__ import annotations

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from .pieces import Closed, MalformedArchive, Opened, Piece

MAX_HEADERS = 16
MAX_HEADER_BYTES = 4096


class MalformedMultipart(MalformedArchive):
    """The body is not multipart/form-data, or has not exactly one part where one is wanted."""


class FileParts:
    """Reads parts one after another; each is a file, whose name is wanted but not needed.

    Parameters
    ----------
    content_type
        The request's Content-Type, which names the boundary.

    Raises
    ------
    MalformedMultipart
        From the constructor and from both methods.
    """

    def __init__(self, content_type: str) -> None:
        _, options = parse_options_header(content_type)
        boundary = options.get(b"boundary", b"")
        if not boundary:
            raise MalformedMultipart("the Content-Type names no boundary")
        self._filename = ""
        self._ended = False
        self._header_name = b""
        self._header_value = b""
        self._pieces: list[Piece] = []
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin,
                    "on_part_data": self._data,
                    "on_part_end": self._close,
                    "on_header_begin": self._header_begin,
                    "on_header_field": self._header_field,
                    "on_header_value": self._header_value_part,
                    "on_header_end": self._header_end,
                    "on_headers_finished": self._open,
                    "on_end": self._end,
                },
                max_header_count=MAX_HEADERS,
                max_header_size=MAX_HEADER_BYTES,
            )
        except FormParserError as error:
            raise MalformedMultipart(str(error)) from error

    def feed(self, chunk: bytes) -> list[Piece]:
        """Take the next bytes of the body; return what they hold."""
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise MalformedMultipart(str(error)) from error
        pieces, self._pieces = self._pieces, []
        return pieces

    def finish(self) -> None:
        """Call it at the end of the body."""
        if not self._ended:
            raise MalformedMultipart("the body ended before the closing boundary")

    def _begin(self) -> None:
        self._filename = ""

    def _open(self) -> None:
        self._pieces.append(Opened(self._filename))

    def _data(self, data: bytes, start: int, end: int) -> None:
        self._pieces.append(data[start:end])

    def _close(self) -> None:
        self._pieces.append(Closed())

    def _header_begin(self) -> None:
        self._header_name = self._header_value = b""

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _header_value_part(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _header_end(self) -> None:
        name = self._header_name.lower()
        if name == b"content-disposition":
            _, options = parse_options_header(self._header_value)
            self._filename = options.get(b"filename", b"").decode("utf-8", "replace")
        elif name == b"content-transfer-encoding" and self._header_value.strip().lower() not in (
            b"binary",
            b"8bit",
            b"7bit",
        ):
            raise MalformedMultipart("the part has a Content-Transfer-Encoding other than binary")

    def _end(self) -> None:
        self._ended = True


class FilePart:
    """Reads the one part of a body; see :class:`FileParts`."""

    def __init__(self, content_type: str) -> None:
        self.filename = ""
        self._parts = 0
        self._reader = FileParts(content_type)

    def feed(self, chunk: bytes) -> list[bytes]:
        """Take the next bytes of the body; return the bytes of the file in them."""
        data: list[bytes] = []
        for piece in self._reader.feed(chunk):
            if isinstance(piece, bytes):
                data.append(piece)
            elif isinstance(piece, Opened):
                self._parts += 1
                self.filename = piece.name
                if self._parts > 1:
                    raise MalformedMultipart("the body has more than one part")
        return data

    def finish(self) -> None:
        """Call it at the end of the body."""
        self._reader.finish()
        if self._parts != 1:
            raise MalformedMultipart("the body has no part")
