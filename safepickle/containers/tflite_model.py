"""TensorFlow Lite: a FlatBuffer of operators and tensors; it carries no code, and names the operators that it needs.

Operators that are not TensorFlow Lite's own are run by a library that has to be there, or by TensorFlow, some of whose
operators read and write files: such a model is incomplete. See ``schema.fbs`` of TensorFlow Lite and
https://flatbuffers.dev/internals.
"""

from __future__ import annotations

from struct import error as OutOfBounds
from struct import unpack_from

from .survey import listed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..bytecode.trace import Place
    from .source import Source
    from .survey import Survey

_OPERATORS = 1
"""Number of the field ``operator_codes`` of ``Model``."""
_CUSTOM = 1
"""Number of the field ``custom_code`` of ``OperatorCode``."""
_MOST = 65_536
_LONGEST = 256


def read(source: Source, place: Place, survey: Survey) -> None:
    """Look for operators that are not TensorFlow Lite's own; they, or damage, leave the model incomplete."""
    try:
        names = sorted(_custom_operators(source))
    except OutOfBounds:
        survey.fail("tflite-damaged", place, 0, "an offset leads out of the file")
        return
    if names:
        survey.fail("unsupported-format", place, 0, f"a library that is not read runs the operators {listed(names)}")


def _custom_operators(source: Source) -> set[str]:
    """Names of operators that the model does not take from TensorFlow Lite.

    Raises
    ------
    struct.error
        When an offset leads out of the file.
    """
    names = set()
    model = _number(source, "<I", 0)
    vector = _field(source, model, _OPERATORS)
    count = _number(source, "<I", vector) if vector else 0
    if count > _MOST:
        raise OutOfBounds
    for index in range(count):
        slot = vector + 4 + 4 * index
        name = _field(source, slot + _number(source, "<I", slot), _CUSTOM)
        if name and (length := _number(source, "<I", name)):
            text = source.read(name + 4, min(length, _LONGEST))
            names.add(text.decode("utf-8", "backslashreplace"))
    return names


def _field(source: Source, table: int, number: int) -> int:
    """Where a field of a table leads, 0 where the table has none of that number."""
    shape = table - _number(source, "<i", table)
    slot = 4 + 2 * number
    if slot + 2 > _number(source, "<H", shape):
        return 0
    offset = _number(source, "<H", shape + slot)
    return table + offset + _number(source, "<I", table + offset) if offset else 0


def _number(source: Source, form: str, offset: int) -> int:
    if not 0 <= offset < source.size:
        raise OutOfBounds
    return int(unpack_from(form, source.read(offset, 4))[0])
