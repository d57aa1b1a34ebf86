"""The wire format of Protocol Buffers: fields of messages, without a schema compiler.

See https://protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

from .survey import Spent

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ..bytecode.trace import Place
    from .source import Source
    from .survey import Survey

_VARINT, _FIXED_64, _BYTES, _FIXED_32 = 0, 1, 2, 5
_MOST_KEY, _MOST_VARINT = 5, 10
"""Bytes of a key and of a number."""
_BLOCK = 512
"""Bytes that are read at once: fields of a few bytes follow each other, those of many are stepped over."""
_LARGEST_KEY = (1 << 32) - 1
"""Of larger ones some parsers see the lower bits alone."""
_LONGEST_TEXT = 4096
_FIELDS_UNTIMED = 1024
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
    position = first = start
    block = b""
    while position < end:
        at = position - first
        if at + _MOST_KEY + _MOST_VARINT > len(block):
            block, first, at = source.read(position, min(_BLOCK, end - position)), position, 0
        key = block[at]
        if key < 0x80:
            at += 1
        else:
            key, at = _varint(block, at, _MOST_KEY, position)
        number, kind = key >> 3, key & 7
        if number == 0 or key > _LARGEST_KEY:
            raise Damaged(f"a field of the number {number} at byte {position}")
        if kind == _VARINT:
            value, at = _varint(block, at, _MOST_VARINT, position)
            yield number, value, -1
        elif kind == _BYTES:
            length, at = _varint(block, at, _MOST_VARINT, position)
            if length > end - first - at:
                raise Damaged(f"a field reaches over the end of its message at byte {position}")
            yield number, first + at, first + at + length
            at += length
        elif kind in (_FIXED_64, _FIXED_32):
            at += 8 if kind == _FIXED_64 else 4
            if first + at > end:
                raise Damaged("a number reaches over the end of its message")
        else:
            raise Damaged(f"a field of no known kind at byte {position}")
        position = first + at


class Fields:
    """Fields of the messages in one source, read as long as there is time.

    Parameters
    ----------
    source
        The outermost message.
    place, survey
        Where it is, and who knows the time.
    """

    def __init__(self, source: Source, place: Place, survey: Survey) -> None:
        self._source = source
        self._place = place
        self._survey = survey
        self._count = 0

    def spans(self, start: int, end: int) -> Iterator[tuple[int, int, int]]:
        """Fields of the message in ``[start, end)`` that hold bytes: number, where these begin and end.

        Raises
        ------
        Damaged
            Where it is no message.
        Spent
            When the time is up.
        """
        for number, begin, stop in fields(self._source, start, end):
            self._count += 1
            if self._count % _FIELDS_UNTIMED == 0 and self._survey.overdue(self._place):
                raise Spent
            if stop >= 0:
                yield number, begin, stop

    def texts(self, start: int, end: int, *numbers: int) -> list[str]:
        """What fields of a message say, each of them the last of its number; empty where there is none.

        Raises
        ------
        Damaged, Spent
            As of :meth:`spans`, and when a text is longer than any name or path.
        """
        found = dict.fromkeys(numbers, "")
        for number, begin, stop in self.spans(start, end):
            if number in found:
                found[number] = text_of(self._source, begin, stop)
        return list(found.values())

    def walk(self, messages: Mapping[str, Mapping[int, str]], outermost: str) -> Iterator[tuple[str, int, int, int]]:
        """Fields that hold bytes, of the outermost message and of those within it, in the order of the file.

        Parameters
        ----------
        messages
            By message, number of a field -> the message that it holds. Others are not looked into.
        outermost
            Which of these it is.

        Yields
        ------
        tuple
            The message that has the field; its number; where its bytes begin and end.

        Raises
        ------
        Damaged, Spent
            As of :meth:`spans`, and when the messages are too deep.
        """
        open_ = [(outermost, self.spans(0, self._source.size))]
        while open_:
            message, spans = open_[-1]
            number, begin, stop = next(spans, (0, 0, 0))
            if number == 0:
                open_.pop()
                continue
            yield message, number, begin, stop
            inner = messages[message].get(number)
            if inner is not None and begin < stop:
                if len(open_) >= _DEEPEST:
                    raise Damaged(f"more than {_DEEPEST:,} levels")
                open_.append((inner, self.spans(begin, stop)))


def is_text(begin: int, stop: int) -> bool:
    """Whether a field is as long as a name or a path may be."""
    return stop - begin <= _LONGEST_TEXT


def text_of(source: Source, begin: int, stop: int) -> str:
    """A field as text.

    Raises
    ------
    Damaged
        When it is longer than any name or path.
    """
    if not is_text(begin, stop):
        raise Damaged(f"a name of {stop - begin:,} bytes")
    return source.read(begin, stop - begin).decode("utf-8", "backslashreplace")


def _varint(head: bytes, at: int, most: int, position: int) -> tuple[int, int]:
    """A number of at most so many bytes within the first ones of a field, and where it ends."""
    value = shift = 0
    if at < len(head) and head[at] < 0x80:
        return head[at], at + 1
    for byte in head[at : at + most]:
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return value, at
        shift += 7
    raise Damaged(f"a number that does not end at byte {position}")
