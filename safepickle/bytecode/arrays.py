"""How many raw bytes an array takes that joblib writes between the opcodes of a stream.

Whoever gets this wrong reads other opcodes than the loader does, so that whatever is not exactly what joblib and numpy
write is of unknown size.

Source: ``joblib/numpy_pickle.py`` (``NumpyArrayWrapper.read_array``) and the state of ``numpy.dtype``
(version, byte order, subdtype, names, fields, item size, alignment, flags).
"""

from __future__ import annotations

from .values import Instance

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SIZING = frozenset(("dtype", "shape", "numpy_array_alignment_bytes"))
"""Attributes of a wrapper by which joblib knows how much to read."""
HAS_OBJECT = 1
"""Bit of a dtype's flags: items are Python objects (``NPY_ITEM_HASOBJECT``)."""
_LARGEST = 1 << 62
_SIZED_BY_CODE = {
    "b1": 1, "i1": 1, "i2": 2, "i4": 4, "i8": 8, "u1": 1, "u2": 2, "u4": 4, "u8": 8, "f2": 2, "f4": 4, "f8": 8,
    "f12": 12, "f16": 16, "c8": 8, "c16": 16, "c24": 24, "c32": 32, "M8": 8, "m8": 8,
    "?": 1, "b": 1, "B": 1,
}  # fmt: skip
"""Bytes of an item of a type whose size its code says; numpy ignores the size in the state of such a dtype."""
_SIZED_BY_STATE = "VSUa"
"""Codes of types of any size; numpy takes the size in the state of such a dtype."""


class ArrayCarriers:
    """Names of the classes whose instances are followed by raw bytes once built, and of what belongs to them."""

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and "NumpyArrayWrapper" in name.split(".")


def array_layout(state: Any) -> tuple[int, bool] | None:
    """Layout of the array that the wrapper's `state` announces.

    Returns
    -------
    (int, bool) or None
        Bytes of the items, or -1 when the items are pickled objects; and whether an alignment byte comes
        first. None when the state does not say.
    """
    if not isinstance(state, dict):
        return None
    alignment = state.get("numpy_array_alignment_bytes")
    if alignment is not None and not isinstance(alignment, int):
        return None
    aligned = alignment is not None
    size, has_object = _item_size(state.get("dtype"))
    if has_object:
        return -1, aligned
    shape = state.get("shape")
    if size is None or not isinstance(shape, tuple):
        return None
    total = size
    for axis in shape:
        if not isinstance(axis, int) or axis < 0 or axis >= _LARGEST:
            return None
        total *= axis
        if total >= _LARGEST:  # numpy's product would overflow
            return None
    return total, aligned


def _item_size(dtype: Any) -> tuple[int | None, bool]:
    """Bytes of one item (None when unknown), and whether items are objects."""
    if not isinstance(dtype, Instance) or dtype.callee != "numpy.dtype" or not isinstance(dtype.arguments, tuple):
        return None, False
    code = dtype.arguments[0] if dtype.arguments else None
    if isinstance(code, bytes):
        code = code.decode("latin-1")
    if not isinstance(code, str) or not code.isascii():
        return None, False
    code = code.lstrip("<>|=")
    if dtype.state is not None and not isinstance(dtype.state, tuple):
        return None, False
    state = dtype.state or ()
    if state and (len(state) < 8 or not isinstance(state[5], int) or not isinstance(state[7], int)):
        return None, False
    if code in ("O", "O4", "O8") or (state and state[7] & HAS_OBJECT):
        return None, True  # numpy believes the flags whatever the code says
    if code in _SIZED_BY_CODE:
        return _SIZED_BY_CODE[code], False
    if code[:1] not in _SIZED_BY_STATE or not (code[1:].isdigit() and len(code) < 12):
        return None, False
    if not state:
        return int(code[1:]) * (4 if code[0] == "U" else 1), False
    return (state[5] if state[5] > 0 else None), False
