"""Datatypes and dataspaces of HDF5, as far as they tell where texts and objects may be.

Source: HDF5 File Format Specification 3.0, sections IV.A.2.b, IV.A.2.d and IV.A.2.m.
"""

from __future__ import annotations

from ..record import Record
from .hdf5_layout import DATATYPE, Damaged, Fields

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .hdf5_layout import Layout, Message

_DEEPEST = 16
_MOST_LEAVES = 4096
_LARGEST = 1 << 48
_FIXED, _TIME, _STRING, _BITS, _OPAQUE, _COMPOUND, _REFERENCE, _ENUM, _VARIABLE, _ARRAY, _COMPLEX = (
    0, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11,
)  # fmt: skip
_PROPERTIES = {_FIXED: 4, 1: 12, _TIME: 2, _STRING: 0, _BITS: 4, _REFERENCE: 0}
_NUMBERS = tuple(b"NUMPY:" + order + kind for order in (b"", b"<", b">", b"=", b"|") for kind in (b"M8", b"m8"))
"""Tags of opaque values that h5py stores dates and times of numpy as; of another tag h5py makes any type of numpy."""
SHORTEST = 5
"""Bytes of the shortest pickle that imports something."""


class Leaf(Record):
    """Something within a value that may be text or an object.

    Parameters
    ----------
    offset, size
        Where it is, and its bytes.
    kind
        ``text``, ``opaque``, ``bytes`` (a row of single bytes) or ``variable`` (its bytes are in a global heap).
    """

    offset: int
    size: int
    kind: str


class Datatype(Record):
    """A datatype.

    Parameters
    ----------
    size
        Bytes of one value.
    leaves
        What may be text or objects in it.
    byte
        Whether it is a number of one byte, a row of which may be anything.
    nested
        Whether values of variable length may hold others.
    """

    size: int
    leaves: tuple[Leaf, ...]
    byte: bool = False
    nested: bool = False


_NOTHING = Datatype(0, ())


def datatype(layout: Layout, fields: Fields, depth: int = 0) -> Datatype:
    """The datatype that the next fields describe.

    Raises
    ------
    Damaged
        When it is of an unknown class, or too deep.
    """
    layout.step()
    if depth > _DEEPEST:
        raise Damaged("a datatype is too deep")
    first, bits, size = fields.number(1), fields.number(3), fields.number(4)
    kind, version = first & 15, first >> 4
    if not 1 <= version <= 5:
        raise Damaged(f"version {version} of a datatype")
    if kind in _PROPERTIES:
        fields.skip(_PROPERTIES[kind])
        if kind == _STRING:
            return Datatype(size, (Leaf(0, size, "text"),))
        return Datatype(size, (), size == 1 and kind in (_FIXED, _BITS))
    if kind == _OPAQUE:
        tag = fields.take((bits & 0xFF) + 7 & ~7)
        return Datatype(size, () if tag.startswith(_NUMBERS) else (Leaf(0, size, "opaque"),))
    if kind == _COMPOUND:
        return _compound(layout, fields, depth, version, bits & 0xFFFF, size)
    if kind == _ENUM:
        return _enumeration(layout, fields, depth, version, bits & 0xFFFF)
    if kind == _VARIABLE:
        base = datatype(layout, fields, depth + 1)
        nested = base.nested or any(leaf.kind == "variable" for leaf in base.leaves)
        return Datatype(size, (Leaf(0, size, "variable"),), False, nested)
    if kind == _ARRAY:
        return _array(layout, fields, depth, version, size)
    if kind == _COMPLEX:
        datatype(layout, fields, depth + 1)
        return Datatype(size, ())
    raise Damaged(f"a datatype of class {kind}")


def _name(fields: Fields, padded: bool) -> None:
    end = fields.data.find(b"\0", fields.at)
    if end < 0:
        raise Damaged(f"{fields.what} ends too soon")
    length = end - fields.at + 1
    fields.skip(length + 7 & ~7 if padded else length)


def _compound(layout: Layout, fields: Fields, depth: int, version: int, count: int, size: int) -> Datatype:
    width = 4 if version < 3 else max(1, (size.bit_length() + 7) // 8)
    leaves: list[Leaf] = []
    nested = False
    for _ in range(count):
        _name(fields, version < 3)
        offset = fields.number(width)
        repeated = 1
        if version == 1:
            dimensions = fields.number(1)
            fields.skip(11)
            for index, length in enumerate([fields.number(4) for _ in range(4)]):
                repeated *= length if index < dimensions else 1
        member = datatype(layout, fields, depth + 1)
        nested = nested or member.nested
        leaves += _repeated(layout, member, offset, repeated)
        if len(leaves) > _MOST_LEAVES:
            raise Damaged("a datatype has too many parts")
    return Datatype(size, tuple(leaves), False, nested)


def _repeated(layout: Layout, base: Datatype, offset: int, count: int) -> list[Leaf]:
    """What `count` values in a row hold, from `offset` on."""
    if base.byte:
        return [Leaf(offset, count, "bytes")] if count >= SHORTEST else []
    if len(base.leaves) * count > _MOST_LEAVES:
        raise Damaged("a datatype has too many parts")
    return [
        leaf.replace(offset=offset + index * base.size + leaf.offset)
        for index in range(count if base.leaves else 0)
        for leaf in base.leaves
    ]


def _enumeration(layout: Layout, fields: Fields, depth: int, version: int, count: int) -> Datatype:
    base = datatype(layout, fields, depth + 1)
    for _ in range(count):
        _name(fields, version < 3)
    fields.skip(count * base.size)
    return Datatype(base.size, (), base.byte)


def _array(layout: Layout, fields: Fields, depth: int, version: int, size: int) -> Datatype:
    dimensions = fields.number(1)
    if version < 3:
        fields.skip(3)
    count = 1
    for _ in range(dimensions):
        count *= fields.number(4)
    if version < 3:
        fields.skip(4 * dimensions)
    base = datatype(layout, fields, depth + 1)
    return Datatype(size, tuple(_repeated(layout, base, 0, count)), False, base.nested)


class Types:
    """Datatypes of messages, each committed one read once."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._committed: dict[int, Datatype] = {}

    def of_message(self, message: Message) -> Datatype:
        """The datatype of a message, which may be shared."""
        if message.shared:
            return self.committed(self._layout.shared_address(message))
        return datatype(self._layout, self._layout.fields(message.address, message.size, "a datatype"))

    def of_attribute(self, fields: Fields, shared: bool) -> Datatype:
        """The datatype of an attribute, from the fields that it has for it."""
        return self.committed(self._layout.committed(fields)) if shared else datatype(self._layout, fields)

    def committed(self, address: int) -> Datatype:
        """The datatype that an object of its own is.

        Raises
        ------
        Damaged
            When there is none.
        """
        known = self._committed.get(address)
        if known is None:
            self._committed[address] = _NOTHING  # also what a type is that refers to itself
            found: list[Message] = []
            self._layout.messages(address, found)
            bodies = [message for message in found if message.kind == DATATYPE and not message.shared]
            if not bodies:
                raise Damaged("a committed datatype is none")
            known = self._committed[address] = self.of_message(bodies[0])
        return known


def element_count(layout: Layout, fields: Fields) -> int:
    """How many values a dataspace has.

    Raises
    ------
    Damaged
        When there cannot be so many.
    """
    version, dimensions, _flags = fields.number(1), fields.number(1), fields.number(1)
    if version == 1:
        fields.skip(5)
    elif version != 2:
        raise Damaged(f"version {version} of a dataspace")
    elif fields.number(1) == 2:
        return 0
    count = 1
    for _ in range(dimensions):
        count *= layout.length(fields)
    if count > _LARGEST:
        raise Damaged("a dataspace is larger than any file")
    return count
