"""Where an HDF5 dataset keeps its data, and the beginning of them where they are packed in chunks.

Source: HDF5 File Format Specification 3.0, sections III.A.1, IV.A.2.i and IV.A.2.l.
"""

from __future__ import annotations

from ..record import Record
from .hdf5_index import Tree, leaves
from .hdf5_layout import FILL, Damaged, Fields

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .hdf5_layout import Layout, Message
    from .hdf5_types import Datatype

_COMPACT, _CONTIGUOUS, _CHUNKED, _VIRTUAL = range(4)
_KNOWN, _SINGLE, _IMPLICIT, _FIXED, _EXTENSIBLE, _TREE = range(6)
"""How chunks are found; the first by its address alone. A B-tree of the first version has no number."""
_OLD_TREE = -1
_INDEX_SETTINGS = {_SINGLE: 0, _IMPLICIT: 0, _FIXED: 1, _EXTENSIBLE: 5, _TREE: 6}
"""Bytes that stand before the address of an index."""
_DEFLATE, _SHUFFLE, _FLETCHER = 1, 2, 3
PACKED_BYTES, UNPACKED_BYTES = 1 << 20, 1 << 20
"""Of the first chunk; more than where something begins is seldom needed."""


class Stored(Record):
    """Where data are.

    Parameters
    ----------
    address, size
        Of the data, of the first chunk, or of what tells where it is; of no size where nothing was written.
    values
        How many values fit in there, at the most.
    chunked
        Whether it is a chunk, to which filters apply.
    index
        How the first chunk is found from the address.
    dimensions
        Of a chunk, and one for the values.
    mask
        Bits of the filters that were not applied to the first chunk.
    """

    address: int
    size: int
    values: int
    chunked: bool = False
    index: int = _KNOWN
    dimensions: int = 0
    mask: int = 0


def stored(layout: Layout, message: Message, count: int, kind: Datatype) -> Stored:
    """What a message of a dataset's layout says, for `count` values.

    Raises
    ------
    Damaged
        When it is of an unknown version, or the data are those of other datasets.
    """
    fields = layout.fields(message.address, message.size, "a data layout")
    version = fields.number(1)
    if version in (1, 2):
        return _first_versions(layout, fields, message, count, kind)
    if version not in (3, 4, 5):
        raise Damaged(f"version {version} of a data layout")
    form = fields.number(1)
    if form == _COMPACT:
        size = fields.number(2)
        fields.skip(size)
        return Stored(message.address + fields.at - size, size, count)
    if form == _CONTIGUOUS:
        address, size = layout.address(fields), layout.length(fields)
        return Stored(address, size if address != layout.undefined else 0, count)
    if form == _VIRTUAL:
        raise Damaged("a virtual dataset: its data are those of other datasets")
    if form != _CHUNKED:
        raise Damaged(f"a data layout of class {form}")
    if version == 3:
        dimensions, tree = fields.number(1), layout.address(fields)
        values = _product([fields.number(4) for _ in range(dimensions)][:-1])
        return Stored(tree, 0 if tree == layout.undefined else values * kind.size, values, True, _OLD_TREE, dimensions)
    flags, dimensions, width = fields.number(1), fields.number(1), fields.number(1)
    values = _product([fields.number(width) for _ in range(dimensions)][:-1])
    index = fields.number(1)
    size = values * kind.size
    mask = 0
    if index not in _INDEX_SETTINGS:
        raise Damaged(f"an index of chunks of the unknown type {index}")
    if index == _SINGLE and flags & 2:
        size, mask = layout.length(fields), fields.number(4)
    fields.skip(_INDEX_SETTINGS[index])
    address = layout.address(fields)
    return Stored(address, size if address != layout.undefined else 0, values, True, index, dimensions, mask)


def _first_versions(layout: Layout, fields: Fields, message: Message, count: int, kind: Datatype) -> Stored:
    dimensions, form = fields.number(1), fields.number(1)
    fields.skip(5)
    address = layout.undefined if form == _COMPACT else layout.address(fields)
    lengths = [fields.number(4) for _ in range(dimensions)]
    if form == _COMPACT:
        size = fields.number(4)
        fields.skip(size)
        return Stored(message.address + fields.at - size, size, count)
    size = 0 if address == layout.undefined else count * kind.size
    if form == _CONTIGUOUS:
        return Stored(address, size, count)
    if form == _CHUNKED:
        return Stored(address, size, _product(lengths), True, _OLD_TREE, dimensions)
    raise Damaged(f"a data layout of class {form}")


def _product(lengths: list[int]) -> int:
    product = 1
    for length in lengths:
        product *= length
    return product


def first_chunk(layout: Layout, data: Stored) -> Stored:
    """The same with the address and size of its first chunk, which may be empty.

    Raises
    ------
    Damaged
        When it cannot be found.
    """
    if not data.size or data.index in (_KNOWN, _SINGLE, _IMPLICIT):
        return data
    if data.index == _OLD_TREE:
        for address, key in leaves(layout, data.address, 1, 8 + 8 * data.dimensions):
            if not any(key[8:]):
                size, mask = int.from_bytes(key[:4], "little"), int.from_bytes(key[4:8], "little")
                return data.replace(address=address, size=size, index=_KNOWN, mask=mask)
        return data.replace(size=0)
    if data.index == _TREE:
        return _in_tree(layout, data)
    return _in_array(layout, data)


def _in_tree(layout: Layout, data: Stored) -> Stored:
    """The chunk at the origin."""
    tree = Tree(layout, data.address)
    for _address, record in tree.records():
        address, end = layout.address(record), len(record.data) - 8 * (data.dimensions - 1)
        if not any(record.data[end:]):
            packed = end - record.at > 4
            size = record.number(end - record.at - 4) if packed else data.size
            return data.replace(address=address, size=size, index=_KNOWN, mask=record.number(4) if packed else 0)
    return data.replace(size=0)


def _in_array(layout: Layout, data: Stored) -> Stored:
    """The first entry of a fixed or an extensible array."""
    offset, length = layout.offset_size, layout.length_size
    if data.index == _FIXED:
        header = layout.fields(data.address, 8 + length + offset, "an array of chunks", b"FAHD", 0)
        header.skip(1)
        width, bits, count = header.number(1), header.number(1), layout.length(header)
        block, pages = layout.address(header), -(-count >> bits) if bits < 64 else 1
        before = (pages + 7) // 8 + 4 if pages > 1 else 0
    else:
        header = layout.fields(data.address, 12 + 6 * length + offset, "an array of chunks", b"EAHD", 0)
        header.skip(1)
        width = header.number(1)
        header.skip(5 + 6 * length)
        block, before = layout.address(header), 0
    if block == layout.undefined:
        return data.replace(size=0)
    signature = b"FADB" if data.index == _FIXED else b"EAIB"
    layout.fields(block, 6, "a block of an array of chunks", signature, 0)
    entry = layout.fields(block + 6 + offset + before, width, "an entry of an array of chunks")
    address = layout.address(entry)
    packed = width > offset + 4
    size = entry.number(width - offset - 4) if packed else data.size
    mask = entry.number(4) if packed else 0
    return data.replace(address=address, size=size if address != layout.undefined else 0, index=_KNOWN, mask=mask)


def filters(layout: Layout, message: Message) -> list[tuple[int, int]]:
    """Number and first value of each filter, in the order in which they were applied.

    Raises
    ------
    Damaged
        When the message is of an unknown version.
    """
    if message.shared:
        raise Damaged("shared filters")
    fields = layout.fields(message.address, message.size, "a filter pipeline")
    version, count = fields.number(1), fields.number(1)
    if version not in (1, 2):
        raise Damaged(f"version {version} of a filter pipeline")
    fields.skip(6 if version == 1 else 0)
    found = []
    for _ in range(count):
        number = fields.number(2)
        name = fields.number(2) if version == 1 or number >= 256 else 0
        fields.skip(2)
        values = fields.number(2)
        fields.skip(name + 7 & ~7 if version == 1 else name)
        found.append((number, fields.number(4) if values else 0))
        fields.skip(max(values - 1, 0) * 4 + (4 if version == 1 and values % 2 else 0))
    return found


def unfiltered(raw: bytes, pipeline: list[tuple[int, int]]) -> bytes:
    """At most :data:`UNPACKED_BYTES` that a chunk, or the beginning of one, was before it was packed.

    Raises
    ------
    Damaged
        When a filter is needed that is not one of the library's own for any data.
    """
    for number, value in reversed(pipeline):
        if number == _DEFLATE:
            import zlib

            try:
                raw = zlib.decompressobj().decompress(raw, UNPACKED_BYTES)
            except zlib.error as error:
                raise Damaged(f"a chunk that is not deflated: {error}") from None
        elif number == _SHUFFLE:
            if value > 1:
                count = len(raw) // value
                raw = b"".join(raw[at : count * value : count] for at in range(count)) if count else raw
        elif number != _FLETCHER:
            raise Damaged(f"chunks that are packed by the filter {number}")
    return raw


def fill_value(layout: Layout, message: Message) -> tuple[int, int]:
    """Address and size of what values are that were not written.

    Raises
    ------
    Damaged
        When the message is of an unknown version.
    """
    if message.shared:
        raise Damaged("a shared fill value")
    fields = layout.fields(message.address, message.size, "a fill value")
    given = True
    if message.kind == FILL:
        version = fields.number(1)
        if version == 3:
            given = fields.number(1) & 0x20 != 0
        elif version in (1, 2):
            fields.skip(2)
            given = fields.number(1) != 0 or version == 1
        else:
            raise Damaged(f"version {version} of a fill value")
    size = fields.number(4) if given else 0
    if size >= 1 << 31:  # -1: there is none
        return message.address, 0
    fields.skip(size)
    return message.address + fields.at - size, size
