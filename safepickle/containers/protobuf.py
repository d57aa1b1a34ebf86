"""The wire format of Protocol Buffers: fields of messages, without a schema compiler.

See https://protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from .source import Source

_VARINT, _FIXED_64, _BYTES, _FIXED_32 = 0, 1, 2, 5
_MOST_VARINT = 10
_LONGEST_TEXT = 4096


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
