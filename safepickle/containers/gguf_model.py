"""GGUF: keys with values, then tensors; of the values, only chat templates are programs.

See https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.
"""

from __future__ import annotations

from struct import unpack

from .survey import Spent

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
_TEXTS_UNTIMED = 1024
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
        for key, begin, end in _templates(source, place, survey):
            if survey.take_member(place):
                if end - begin > _LONGEST:
                    raise _Damaged(f"a template of {end - begin:,} bytes")
                text = source.read(begin, end - begin).decode("utf-8", "replace")
                inside = (*place, ("jinja-template", key.decode("utf-8", "backslashreplace")))
                jinja_template.read(text, inside, survey, alone=True)
    except Spent:
        pass
    except _Damaged as error:
        survey.fail("gguf-damaged", place, 0, str(error))


def _templates(source: Source, place: Place, survey: Survey) -> Iterator[tuple[bytes, int, int]]:
    """Texts that are templates: their key, where they begin and end.

    Raises
    ------
    _Damaged
        Where a value reaches over the end of the file.
    Spent
        When the time is up.
    """
    version, _tensors, keys = unpack("<IQQ", source.read(4, _HEADER - 4).ljust(_HEADER - 4, b"\0"))
    if version not in _VERSIONS:
        raise _Damaged(f"version {version} is not read")
    position = _HEADER
    untimed = 0
    for _ in range(keys):
        begin, position = _text(source, position)
        key = source.read(begin, min(position - begin, 256))
        kind = _number(source, position, 4)
        position += 4
        count = 1
        if kind == _MANY:
            kind, count = _number(source, position, 4), _number(source, position + 4, 8)
            position += 12
        if kind in _SIZES:
            position += count * _SIZES[kind]
        elif kind != _TEXT:
            raise _Damaged(f"a value of an unknown type {kind}")
        for _ in range(count if kind == _TEXT else 1):
            untimed = (untimed + 1) % _TEXTS_UNTIMED
            if not untimed and survey.overdue(place):
                raise Spent
            if kind == _TEXT:
                begin, position = _text(source, position)
                if key.startswith(_TEMPLATE):
                    yield key, begin, position
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
