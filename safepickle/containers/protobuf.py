"""The wire format of Protocol Buffers: fields of messages, without a schema compiler.

See https://protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .source import Source

_VARINT, _FIXED_64, _BYTES, _FIXED_32 = 0, 1, 2, 5
_MOST_VARINT = 10
_LONGEST_TEXT = 4096
_MOST_FIELDS = 4_000_000
_DEEPEST = 1000
"""Levels of messages that are read; the parsers of Protocol Buffers refuse more than a hundred."""


class Damaged(ValueError):
    """The bytes are no message."""


def fields(source: Source, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Fields of the message in ``[start, end)``, in the order of the file.

    Yields
    ------
    tuple
        Its number; where its bytes begin and end. For a number: the value and -1.

    Raises
    ------
    Damaged
        Where the bytes stop being a message; groups, which nobody writes any more, are none.
    """
    position = start
    while position < end:
        key, position = _varint(source, position, end)
        number, kind = key >> 3, key & 7
        if number == 0:
            raise Damaged(f"a field without a number at byte {position}")
        if kind == _VARINT:
            value, position = _varint(source, position, end)
            yield number, value, -1
        elif kind == _BYTES:
            length, position = _varint(source, position, end)
            if length > end - position:
                raise Damaged(f"a field reaches over the end of its message at byte {position}")
            yield number, position, position + length
            position += length
        elif kind in (_FIXED_64, _FIXED_32):
            position += 8 if kind == _FIXED_64 else 4
            if position > end:
                raise Damaged("a number reaches over the end of its message")
        else:
            raise Damaged(f"a field of no known kind at byte {position}")


class Fields:
    """Fields of the messages in one source, of which only so many are read.

    Parameters
    ----------
    source
        Where the messages are.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._left = _MOST_FIELDS

    def spans(self, start: int, end: int) -> Iterator[tuple[int, int, int]]:
        """Fields of the message in ``[start, end)`` that hold bytes: number, where these begin and end.

        Raises
        ------
        Damaged
            Where it is no message, or there were more fields than are read.
        """
        for number, begin, stop in fields(self._source, start, end):
            self._left -= 1
            if self._left < 0:
                raise Damaged(f"more than {_MOST_FIELDS:,} fields")
            if stop >= 0:
                yield number, begin, stop

    def walk(
        self, messages: Mapping[str, Mapping[int, str]], outermost: str, end: int
    ) -> Iterator[tuple[str, int, int, int]]:
        """Fields that hold bytes, of a message that ends at `end` and of those within it, in the order of the file.

        Parameters
        ----------
        messages
            By message, number of a field -> the message that it holds. Others are not looked into.
        outermost
            The message.

        Yields
        ------
        tuple
            The message that has the field; its number; where its bytes begin and end.

        Raises
        ------
        Damaged
            As of :meth:`spans`, and when the messages are too deep.
        """
        open_ = [(outermost, self.spans(0, end))]
        while open_:
            message, spans = open_[-1]
            number, begin, stop = next(spans, (0, 0, 0))
            if number == 0:
                open_.pop()
                continue
            yield message, number, begin, stop
            inner = messages[message].get(number)
            if inner is not None:
                if len(open_) >= _DEEPEST:
                    raise Damaged(f"more than {_DEEPEST:,} levels")
                open_.append((inner, self.spans(begin, stop)))


def text_of(source: Source, begin: int, stop: int) -> str:
    """A field as text.

    Raises
    ------
    Damaged
        When it is longer than any name or path.
    """
    if stop - begin > _LONGEST_TEXT:
        raise Damaged(f"a name of {stop - begin:,} bytes")
    return source.read(begin, stop - begin).decode("utf-8", "backslashreplace")


def _varint(source: Source, position: int, end: int) -> tuple[int, int]:
    """A number and where it ends."""
    value = shift = 0
    for byte in source.read(position, min(_MOST_VARINT, end - position)):
        value |= (byte & 0x7F) << shift
        position += 1
        if byte < 0x80:
            return value, position
        shift += 7
    raise Damaged(f"a number that does not end at byte {position}")
