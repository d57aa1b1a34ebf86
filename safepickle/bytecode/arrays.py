"""How many raw bytes an array takes that joblib writes between the opcodes of a stream.

Source: ``joblib/numpy_pickle.py`` (``NumpyArrayWrapper.read_array``) and the state of ``numpy.dtype``
(version, byte order, subdtype, names, fields, item size, alignment, flags).
"""

from __future__ import annotations

from .machine import Instance

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

HAS_OBJECT = 1
"""Bit of a dtype's flags: items are Python objects (``NPY_ITEM_HASOBJECT``)."""


class ArrayCarriers:
    """Names of the classes whose instances are followed by raw bytes once built."""

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.endswith("numpy_pickle.NumpyArrayWrapper")


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
    aligned = state.get("numpy_array_alignment_bytes") is not None
    size, has_object = _item_size(state.get("dtype"))
    if has_object:
        return -1, aligned
    shape = state.get("shape")
    if size is None or not isinstance(shape, tuple):
        return None
    total = size
    for axis in shape:
        if not isinstance(axis, int) or axis < 0:
            return None
        total *= axis
    return total, aligned


def _item_size(dtype: Any) -> tuple[int | None, bool]:
    """Bytes of one item (None when unknown), and whether items are objects."""
    if not isinstance(dtype, Instance):
        return None, False
    code = dtype.arguments[0] if isinstance(dtype.arguments, tuple) and dtype.arguments else None
    if isinstance(code, bytes):
        code = code.decode("latin-1")
    if not isinstance(code, str):
        return None, False
    state = dtype.state if isinstance(dtype.state, tuple) else ()
    if code.lstrip("<>|=")[:1] == "O" or (len(state) > 7 and isinstance(state[7], int) and state[7] & HAS_OBJECT):
        return None, True
    if len(state) > 5 and isinstance(state[5], int) and state[5] > 0:
        return state[5], False
    code = code.lstrip("<>|=")
    if not code[1:].isdigit():
        return (1, False) if code in ("?", "b", "B") else (None, False)
    return int(code[1:]) * (4 if code[0] == "U" else 1), False
