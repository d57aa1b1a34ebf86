"""Where HDF5 keeps what belongs to an object: symbol tables, B-trees, and the heaps that names and values lie in.

Source: HDF5 File Format Specification 3.0, section III.
"""

from __future__ import annotations

from .hdf5_layout import Damaged, Fields

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from .hdf5_layout import Layout

    Span = tuple[int, int]

_DEEPEST = 64
_NAME_BYTES = 1024
_SOFT_LINK = 2
_TREE_OVERHEAD = 10
"""Signature, version, type and checksum of a node of a B-tree."""
_KEPT_COLLECTIONS = 64


def symbols(layout: Layout, tree: int, heap: int) -> Iterator[tuple[bytes, int]]:
    """Name and address of the header of each object in a group that has a symbol table; soft links lead nowhere new.

    Raises
    ------
    Damaged
        After what was found before.
    """
    names = layout.fields(heap, 8 + 2 * layout.length_size + layout.offset_size, "a local heap", b"HEAP", 0)
    names.skip(3)
    size = layout.length(names)
    layout.length(names)
    segment = layout.address(names)
    width = layout.offset_size
    for node, _key in leaves(layout, tree, 0, layout.length_size):
        fields = layout.fields(node, 8, "a symbol table node", b"SNOD", 1)
        fields.skip(1)
        count = fields.number(2)
        for index in range(count):
            entry = layout.fields(node + 8 + index * (2 * width + 24), 2 * width + 24, "a symbol")
            name, address, cached = layout.address(entry), layout.address(entry), entry.number(4)
            if cached != _SOFT_LINK:
                text = layout.source.read(layout.base + segment + name, min(_NAME_BYTES, max(0, size - name)))
                yield text.partition(b"\0")[0], address


def leaves(layout: Layout, root: int, kind: int, key_size: int) -> Iterator[tuple[int, bytes]]:
    """What the leaves of a B-tree of the first version point to, in order, each with the key before it.

    Raises
    ------
    Damaged
        After what was found before.
    """
    known = {root}
    pending = [root]
    while pending:
        node = pending.pop()
        head = 8 + 2 * layout.offset_size
        fields = layout.fields(node, head, "a B-tree", b"TREE")
        found, level, used = fields.number(1), fields.number(1), fields.number(2)
        if found != kind:
            raise Damaged(f"a B-tree of type {found}")
        width = key_size + layout.offset_size
        children = layout.read(node + head, used * width, "a B-tree")
        if level > _DEEPEST:
            raise Damaged("a B-tree is too deep")
        inner = []
        for at in range(0, len(children), width):
            layout.step()
            address = int.from_bytes(children[at + key_size : at + width], "little")
            if level == 0:
                yield address, children[at : at + key_size]
                continue
            if address in known:
                raise Damaged("a B-tree has a node twice")
            known.add(address)
            inner.append(address)
        pending += reversed(inner)


def _width(number: int) -> int:
    """Bytes that hold a number, as the library computes it."""
    return max(number.bit_length() - 1, 0) // 8 + 1


class Tree:
    """A B-tree of the second version.

    Parameters
    ----------
    layout, address
        Its file, and where its header is.

    Attributes
    ----------
    kind
        What its records are.
    """

    def __init__(self, layout: Layout, address: int) -> None:
        size = 22 + layout.offset_size + layout.length_size
        fields = layout.fields(address, size, "a B-tree header", b"BTHD", 0)
        self._layout = layout
        self.kind, node_size, self._record = fields.number(1), fields.number(4), fields.number(2)
        self._depth = fields.number(2)
        fields.skip(2)
        self._root, self._used = layout.address(fields), fields.number(2)
        if not self._record or self._record > node_size or self._depth > _DEEPEST:
            raise Damaged("a B-tree header that does not add up")
        most = (node_size - _TREE_OVERHEAD) // self._record
        self._count_width = _width(most)
        self._total_widths = [0]
        total = most
        for _ in range(self._depth):
            pointer = layout.offset_size + self._count_width + self._total_widths[-1]
            here = (node_size - _TREE_OVERHEAD - pointer) // (self._record + pointer)
            total = (here + 1) * total + here
            self._total_widths.append(_width(max(total, 1)))

    def records(self) -> Iterator[tuple[int, Fields]]:
        """Address and fields of each record.

        Raises
        ------
        Damaged
            After what was found before.
        """
        if self._root == self._layout.undefined:
            return
        layout, known = self._layout, {self._root}
        pending = [(self._root, self._used, self._depth)]
        while pending:
            node, used, depth = pending.pop()
            signature = b"BTIN" if depth else b"BTLF"
            layout.fields(node, 6, "a node of a B-tree", signature, 0)
            data = layout.read(node + 6, used * self._record, "a node of a B-tree")
            if depth:
                for child in self._children(node + 6 + len(data), used + 1, depth):
                    if child[0] in known:
                        raise Damaged("a B-tree has a node twice")
                    known.add(child[0])
                    pending.append(child)
            for at in range(0, len(data), self._record):
                layout.step()
                yield node + 6 + at, Fields(data[at : at + self._record], "a record of a B-tree")

    def _children(self, start: int, count: int, depth: int) -> list[tuple[int, int, int]]:
        total = self._total_widths[depth - 1]
        size = self._layout.offset_size + self._count_width + total
        fields = Fields(self._layout.read(start, count * size, "a node of a B-tree"), "a node of a B-tree")
        found = []
        for _ in range(count):
            found.append((self._layout.address(fields), fields.number(self._count_width), depth - 1))
            fields.skip(total)
        return found


class FractalHeap:
    """The heap that dense links and attributes lie in; objects are found by their identifiers.

    Raises
    ------
    Damaged
        When it is damaged or has filters, from every method.
    """

    def __init__(self, layout: Layout, address: int) -> None:
        length, offset = layout.length_size, layout.offset_size
        fields = layout.fields(address, 22 + 12 * length + 3 * offset, "a fractal heap", b"FRHP", 0)
        self._layout = layout
        self.id_size, filters, flags, largest = fields.number(2), fields.number(2), fields.number(1), fields.number(4)
        if filters:
            raise Damaged("a fractal heap that is packed by filters")
        del flags
        layout.length(fields)
        self._huge = layout.address(fields)
        fields.skip(length + offset + 8 * length)
        self._columns, self._start, direct = fields.number(2), layout.length(fields), layout.length(fields)
        bits = fields.number(2)
        fields.skip(2)
        self._root, self._rows = layout.address(fields), fields.number(2)
        if not (self._columns and 0 < self._start <= direct) or bits > 64:
            raise Damaged("a fractal heap that does not add up")
        self._direct_rows = direct.bit_length() - self._start.bit_length() + 2
        self._offset_width = (bits + 7) // 8
        self._length_width = min((direct.bit_length() - 1 + 7) // 8, _width(largest))
        self._huge_spans: dict[int, Span] | None = None

    def span(self, address: int, identifier: bytes) -> Span:
        """Address and size of the object of an identifier that itself lies at an address."""
        fields = Fields(identifier, "an identifier of a heap")
        flags = fields.number(1)
        kind = flags >> 4 & 3
        if flags >> 6:
            raise Damaged(f"version {flags >> 6} of an identifier of a heap")
        if kind == 0:
            offset, size = fields.number(self._offset_width), fields.number(self._length_width)
            return self._managed(offset), size
        if kind == 1:
            return self._of_huge(fields)
        if kind == 2:
            if self.id_size - 1 <= 16:
                return address + 1, (flags & 15) + 1
            return address + 2, ((flags & 15) << 8 | fields.number(1)) + 1
        raise Damaged("an identifier of a heap of an unknown type")

    def _of_huge(self, fields: Fields) -> Span:
        layout = self._layout
        if self.id_size - 1 >= layout.offset_size + layout.length_size:
            return layout.address(fields), layout.length(fields)
        if self._huge_spans is None:
            self._huge_spans = {}
            tree = Tree(layout, self._huge)
            if tree.kind != 1:
                raise Damaged(f"huge objects in a B-tree of type {tree.kind}")
            for _address, record in tree.records():
                span = layout.address(record), layout.length(record)
                self._huge_spans[layout.length(record)] = span
        key = fields.number(min(self.id_size - 1, layout.length_size))
        if key not in self._huge_spans:
            raise Damaged("a huge object is missing")
        return self._huge_spans[key]

    def _row(self, offset: int) -> tuple[int, int, int]:
        """Row of a block that has an offset, offset of that row, and size of its blocks."""
        width = self._columns * self._start
        row = (offset // width).bit_length()
        return row, (width << row - 1 if row else 0), self._start << max(row - 1, 0)

    def _managed(self, offset: int) -> int:
        """Address of what is at an offset of the heap."""
        layout = self._layout
        head = 5 + layout.offset_size + self._offset_width
        block, begin, rows = self._root, 0, self._rows
        for _ in range(_DEEPEST):
            if rows == 0:
                layout.fields(block, 5, "a block of a heap", b"FHDB", 0)
                return block + offset - begin
            layout.fields(block, 5, "an indirect block of a heap", b"FHIB", 0)
            row, row_begin, size = self._row(offset - begin)
            if row >= rows:
                break
            column = (offset - begin - row_begin) // size
            entry = block + head + (row * self._columns + column) * layout.offset_size
            block = layout.address(layout.fields(entry, layout.offset_size, "an indirect block of a heap"))
            begin += row_begin + column * size
            width = (self._columns * self._start).bit_length()
            rows = 0 if row < self._direct_rows else size.bit_length() - width + 1
        raise Damaged("an object is outside of its heap")


class Collections:
    """Global heaps, which values of variable length lie in."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._known: dict[int, dict[int, Span]] = {}

    def span(self, address: int, index: int) -> Span:
        """Address and size of an object.

        Raises
        ------
        Damaged
            When it is not there.
        """
        if address not in self._known:
            if len(self._known) >= _KEPT_COLLECTIONS:
                self._known.clear()
            found = self._known[address] = {}
            for key, start, size in self.objects(address):
                found.setdefault(key, (start, size))
        if index not in self._known[address]:
            raise Damaged("a value is missing in its global heap")
        return self._known[address][index]

    def objects(self, address: int) -> Iterator[tuple[int, int, int]]:
        """Index, address and size of each object of a collection.

        Raises
        ------
        Damaged
            After what was found before.
        """
        layout = self._layout
        head = 8 + layout.length_size
        fields = layout.fields(address, head, "a global heap", b"GCOL", 1)
        fields.skip(3)
        at, end = address + head, address + layout.length(fields)
        while end - at >= head:
            fields = layout.fields(at, head, "an object of a global heap")
            index = fields.number(2)
            fields.skip(6)
            size = layout.length(fields)
            if index == 0:
                return
            if size > end - at - head:
                raise Damaged("an object leaves its global heap")
            yield index, at + head, size
            at += head + (size + 7 & ~7)
