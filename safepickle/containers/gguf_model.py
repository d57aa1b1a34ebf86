"""GGUF: keys with values, then tensors; of the values, only chat templates are programs.

See https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.
"""

from __future__ import annotations

from struct import unpack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..bytecode.trace import Place
    from .source import Source
    from .survey import Survey

_TEMPLATE = b"tokenizer.chat_template"
_SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
"""Bytes of a value by the number of its type."""
_TEXT, _MANY = 8, 9
_VERSIONS = (2, 3)
_HEADER = 24
_MOST_KEYS = 65_536
_MOST_TEXTS = 4_000_000
_LONGEST = 1 << 20


class _Damaged(ValueError):
    """The bytes are not what their numbers say."""


def read(source: Source, place: Place, survey: Survey) -> None:
    """Tell what the chat templates do; what cannot be read leaves the model incomplete."""
    if source.partial:
        survey.fail("unsupported-format", place, 0, "only the beginning of the model was unpacked")
        return
    from . import jinja_template

    try:
        for key, begin, end in _texts(source):
            if key.startswith(_TEMPLATE) and survey.take_member(place) and not survey.overdue(place):
                if end - begin > _LONGEST:
                    raise _Damaged(f"a template of {end - begin:,} bytes")
                text = source.read(begin, end - begin).decode("utf-8", "replace")
                inside = (*place, ("jinja-template", key.decode("utf-8", "backslashreplace")))
                jinja_template.read(text, inside, survey, alone=True)
    except _Damaged as error:
        survey.fail("gguf-damaged", place, 0, str(error))


def _texts(source: Source) -> Iterator[tuple[bytes, int, int]]:
    """Values that are texts: their key, where they begin and end.

    Raises
    ------
    _Damaged
        Where a value reaches over the end of the file, or there are more than are read.
    """
    version, _tensors, keys = unpack("<IQQ", source.read(4, _HEADER - 4).ljust(_HEADER - 4, b"\0"))
    if version not in _VERSIONS:
        raise _Damaged(f"version {version} is not read")
    if keys > _MOST_KEYS:
        raise _Damaged(f"{keys:,} keys")
    position, left = _HEADER, _MOST_TEXTS
    for _ in range(keys):
        begin, position = _text(source, position)
        key = source.read(begin, min(position - begin, 256))
        kind = _number(source, position, 4)
        position += 4
        count = 1
        if kind == _MANY:
            kind, count = _number(source, position, 4), _number(source, position + 4, 8)
            position += 12
        if kind == _TEXT:
            left -= count
            if left < 0:
                raise _Damaged(f"more than {_MOST_TEXTS:,} texts")
            for _ in range(count):
                begin, position = _text(source, position)
                yield key, begin, position
        elif kind in _SIZES:
            position += count * _SIZES[kind]
        else:
            raise _Damaged(f"a value of an unknown type {kind}")
    if position > source.size:
        raise _Damaged("a value reaches over the end of the file")


def _text(source: Source, position: int) -> tuple[int, int]:
    """Where a text begins and ends."""
    length = _number(source, position, 8)
    if length > source.size - position - 8:
        raise _Damaged("a text reaches over the end of the file")
    return position + 8, position + 8 + length


def _number(source: Source, position: int, size: int) -> int:
    data = source.read(position, size)
    if len(data) < size:
        raise _Damaged("it ends within a key or a value")
    return int.from_bytes(data, "little")
