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

    from .machine import Machine

    Layout = tuple[int, bool] | None

SIZING = frozenset(("dtype", "shape", "numpy_array_alignment_bytes"))
"""Attributes of a wrapper by which joblib knows how much to read."""
HAS_OBJECT = 1
"""Bit of a dtype's flags: items are Python objects (``NPY_ITEM_HASOBJECT``)."""
_LARGEST = 1 << 62
_NODE = 5
"""Tag of the machine's values that have items."""
_REMEMBERED = 1024
"""Layouts, and attributes of wrappers, of one stream that are remembered."""
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


class Layouts:
    """Layouts of the arrays of one stream: most wrappers are like one before them, but for the shape."""

    def __init__(self) -> None:
        self._layouts: dict[object, Layout] = {}
        self._names: dict[int, Any] = {}
        self._dtypes: dict[object, Any] = {}

    def announced(self, machine: Machine, state: int) -> Layout:
        """The layout that a wrapper's state announces; see :func:`array_layout`."""
        like = machine.fingerprint(state, 5)
        if like is None:
            return array_layout(self._known_state(machine, state))
        if like not in self._layouts:
            _make_room(self._layouts)
            self._layouts[like] = array_layout(self._known_state(machine, state))
        return self._layouts[like]

    def _known_state(self, machine: Machine, value: int) -> dict[str, Any] | None:
        """What a wrapper's state says of the size of its array; None when other things may be true of it."""
        if value & 7 != _NODE:
            return None
        kind, kept, cut = machine.parts(value)
        if kind != "dict" or cut:
            return None
        names = [self._name(machine, name) for name in kept[::2]]
        if not all(isinstance(name, str) for name in names):
            return None
        return {
            name: self._dtype(machine, item) if name == "dtype" else machine.value(item, 4)
            for name, item in zip(names, kept[1::2], strict=False)
            if name in SIZING
        }

    def _name(self, machine: Machine, value: int) -> Any:
        known = self._names.get(value)
        if known is None:
            _make_room(self._names)
            known = self._names[value] = machine.value(value, 0)
        return known

    def _dtype(self, machine: Machine, value: int) -> Any:
        like = machine.fingerprint(value, 4)
        if like is None:
            return machine.value(value, 4)
        if like not in self._dtypes:
            _make_room(self._dtypes)
            self._dtypes[like] = machine.value(value, 4)
        return self._dtypes[like]


def _make_room(known: dict[Any, Any]) -> None:
    if len(known) >= _REMEMBERED:
        known.clear()


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
