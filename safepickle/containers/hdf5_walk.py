"""The walk over the groups, datasets and attributes of an HDF5 file; see :mod:`.hdf5_file` for what it looks for."""

from __future__ import annotations

from . import hdf5_layout as kinds
from .hdf5_index import Collections, FractalHeap, Tree, symbols
from .hdf5_layout import Damaged, Fields, Layout
from .hdf5_storage import PACKED_BYTES, fill_value, filters, first_chunk, stored, unfiltered
from .hdf5_types import SHORTEST, Types, element_count
from .hdf5_values import Values
from .survey import Spent, member_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..bytecode.trace import Place
    from .hdf5_layout import Message
    from .hdf5_storage import Stored
    from .hdf5_types import Datatype
    from .source import Source
    from .survey import Survey

_NAMES = 5, 6
"""Types of B-trees of links, by name and by order of creation."""
_ATTRIBUTES = 8, 9
_HARD, _SOFT, _EXTERNAL = 0, 1, 64
_SEARCHED_AT_ONCE = 64 << 20
_HEAP = b"GCOL\x01"
"""How a global heap begins; the library does not look at the reserved bytes behind it."""
_SMALL_CHUNK = 64
"""Bytes of a chunk that may be too few to tell an object by."""
_MOST_OPAQUE = 100_000
_MOST_TEXTS = 4_096
"""Texts at the beginning of a dataset that are looked at; no loader takes a text of a dataset for an object."""


class Walk:
    """One file.

    Parameters
    ----------
    source, base
        The file, and the offset of its superblock.
    place, survey
        Where it is, and what is found.
    """

    def __init__(self, source: Source, base: int, place: Place, survey: Survey) -> None:
        self._source = source
        self._base = base
        self._place = place
        self._survey = survey
        self._understood = True
        self._variable = False
        self._pending: list[tuple[int, bytes]] = []
        self._known: set[int] = set()

    def run(self) -> bool:
        """Look at everything; whether all of it was understood."""
        try:
            layout = Layout(self._source, self._base, self._place, self._survey)
        except Damaged as error:
            self._fail(self._place, 0, str(error))
            return False
        self._layout = layout
        self._types = Types(layout)
        self._collections = Collections(layout)
        self._values = Values(self._source.data, self._survey)
        try:
            self._whole()
        except Spent:
            self._understood = False
        return self._understood and self._values.understood

    def _fail(self, place: Place, address: int, detail: str) -> None:
        self._understood = False
        self._survey.fail("unsupported-format", place, min(self._base + address, self._source.size), detail)

    def _try(self, place: Place, address: int, step: Callable[[], None]) -> None:
        """Do something that damage may end, which leaves the file incomplete."""
        try:
            step()
        except Damaged as error:
            self._fail(place, address, str(error))

    def _whole(self) -> None:
        layout = self._layout
        missing = layout.end - self._source.size
        if missing > 0:
            self._fail(self._place, 0, f"{missing} bytes are missing at its end")
        if layout.extension != layout.undefined:
            self._try(self._place, layout.extension, self._extension)
        if layout.cached is not None:
            tree, heap = layout.cached
            self._try(self._place, tree, lambda: self._add(symbols(layout, tree, heap), b""))
        self._pending.append((layout.root, b""))
        while self._pending:
            address, path = self._pending.pop()
            if address not in self._known:
                self._known.add(address)
                if not self._survey.take_member(self._place):
                    raise Spent
                self._object(address, path)
        if self._variable:
            self._global_heaps()

    def _extension(self) -> None:
        found: list[Message] = []
        self._layout.messages(self._layout.extension, found)
        for message in found:
            if message.kind == kinds.DRIVER_INFO:
                raise Damaged("driver information: the file has several parts")
            if message.kind == kinds.CACHE_IMAGE:
                raise Damaged("a cache image stands for parts of the file")

    def _object(self, address: int, path: bytes) -> None:
        place = (*self._place, ("object", member_name(b"/" + path)))
        found: list[Message] = []
        self._try(place, address, lambda: self._layout.messages(address, found))
        for message in found:
            self._try(place, message.address, lambda message=message: self._message(message, path, place))  # type: ignore[misc]
        if any(message.kind == kinds.DATA_LAYOUT for message in found):
            self._try(place, address, lambda: self._dataset(found, place))

    def _message(self, message: Message, path: bytes, place: Place) -> None:
        layout, kind = self._layout, message.kind
        if kind == kinds.ATTRIBUTE:
            start = message.address
            if message.shared:
                raise Damaged("a shared attribute")
            self._attribute(start, message.size, path)
        elif kind == kinds.SYMBOL_TABLE:
            fields = layout.fields(message.address, 2 * layout.offset_size, "a symbol table")
            self._add(symbols(layout, layout.address(fields), layout.address(fields)), path)
        elif kind == kinds.LINK:
            self._add(iter((self._link(message.address, message.size),)), path)
        elif kind == kinds.LINK_INFO:
            self._add(self._links(message), path)
        elif kind == kinds.ATTRIBUTE_INFO:
            for start, size in self._dense(message, _ATTRIBUTES, 2):
                self._try(place, start, lambda start=start, size=size: self._attribute(start, size, path))  # type: ignore[misc]
        elif kind == kinds.EXTERNAL_FILES:
            raise Damaged("its data are in other files")
        elif kind > kinds.CACHE_IMAGE or kind == 9:
            raise Damaged(f"a message of the unknown type {kind}")

    def _add(self, links: Iterator[tuple[bytes, int]], path: bytes) -> None:
        for name, address in links:
            if address >= 0 and address not in self._known:
                self._layout.step()
                self._pending.append((address, path + b"/" + name if path else name))

    def _dense(self, message: Message, expected: tuple[int, int], order_size: int) -> Iterator[tuple[int, int]]:
        """Spans of what lies in the heap that a message of links or attributes names; the rest is in messages."""
        layout = self._layout
        fields = layout.fields(message.address, message.size, "an index of links or attributes")
        version, flags = fields.number(1), fields.number(1)
        if version:
            raise Damaged(f"version {version} of an index of links or attributes")
        fields.skip(order_size if flags & 1 else 0)
        address = layout.address(fields)
        if address == layout.undefined:
            return
        trees = [layout.address(fields) for _ in range(2 if flags & 2 else 1)]
        heap = FractalHeap(layout, address)
        known = set()
        for tree in (Tree(layout, at) for at in trees if at != layout.undefined):
            if tree.kind not in expected:
                raise Damaged(f"a B-tree of type {tree.kind} of links or attributes")
            # links have a hash of four bytes or a number of eight before the identifier; attributes begin with it
            before = {5: 4, 6: 8}.get(tree.kind, 0)
            for at, record in tree.records():
                record.skip(before)
                identifier = record.take(heap.id_size)
                if expected == _ATTRIBUTES and record.number(1) & 2:
                    raise Damaged("a shared attribute")
                if identifier not in known:
                    known.add(identifier)
                    yield heap.span(at + before, identifier)

    def _links(self, message: Message) -> Iterator[tuple[bytes, int]]:
        for start, size in self._dense(message, _NAMES, 8):
            yield self._link(start, size)

    def _link(self, start: int, size: int) -> tuple[bytes, int]:
        """Name and address of what a link leads to; no address where it leads nowhere new."""
        layout = self._layout
        fields = layout.fields(start, size, "a link", b"", 1)
        flags = fields.number(1)
        kind = fields.number(1) if flags & 8 else _HARD
        fields.skip((8 if flags & 4 else 0) + (1 if flags & 16 else 0))
        name = fields.take(fields.number(1 << (flags & 3)))
        if kind == _HARD:
            return name, layout.address(fields)
        if kind == _SOFT:
            return name, -1
        why = "a link to another file" if kind == _EXTERNAL else f"a link of the type {kind}, which a program defines"
        self._fail((*self._place, ("link", member_name(name))), start, why)
        return name, -1

    def _attribute(self, start: int, size: int, path: bytes) -> None:
        layout = self._layout
        if not self._survey.take_member(self._place):
            raise Spent
        fields = layout.fields(start, size, "an attribute")
        version, flags = fields.number(1), fields.number(1)
        if not 1 <= version <= 3:
            raise Damaged(f"version {version} of an attribute")
        sizes = [fields.number(2) for _ in range(3)]
        fields.skip(1 if version == 3 else 0)
        parts = []
        for length in sizes:
            parts.append(fields.take(length))
            fields.skip(-length % 8 if version == 1 else 0)
        flags = 0 if version == 1 else flags
        name = member_name(b"/" + path + b"@" + parts[0].partition(b"\0")[0])
        place = (*self._place, ("attribute", name))
        try:
            kind = self._types.of_attribute(Fields(parts[1], "a datatype"), flags & 1 != 0)
            if not kind.leaves and not kind.byte:
                return
            if flags & 2:
                raise Damaged("a shared dataspace")
            count = element_count(layout, Fields(parts[2], "a dataspace"))
            if count * kind.size > size - fields.at:
                raise Damaged("an attribute is shorter than its values")
            self._variable = self._variable or kind.nested
            self._each(kind, self._window(start + fields.at, size - fields.at), count, place)
        except Damaged as error:
            self._fail(place, start, str(error))

    def _window(self, address: int, size: int) -> Source:
        start = self._layout.base + address
        window = self._source.window(start, start + size)
        if window.size < size:
            raise Damaged(f"{size - window.size} bytes are missing")
        return window

    def _each(self, kind: Datatype, data: Source, count: int, place: Place, follow: bool = True) -> bool:
        """Look at all that may be text or objects among values in a row; whether any of it is more than data.

        Without `follow`, values of variable length are left to be found in their heaps.
        """
        if kind.byte:
            return self._values.look(data.window(0, count), place)
        found = False
        for leaf in kind.leaves:
            if leaf.kind == "variable":
                if follow and kind.size:
                    for at in range(leaf.offset, count * kind.size, kind.size):
                        self._of_variable_length(data.read(at, 8 + self._layout.offset_size), place)
            elif leaf.size >= SHORTEST and kind.size:
                for at in range(leaf.offset, count * kind.size, kind.size):
                    self._layout.step()
                    found = self._values.look(data.window(at, at + leaf.size), place) or found
        return found

    def _of_variable_length(self, reference: bytes, place: Place) -> None:
        fields = Fields(reference, "a value of variable length")
        length, address, index = fields.number(4), self._layout.address(fields), fields.number(4)
        if length and address not in (0, self._layout.undefined):
            self._values.look(self._window(*self._collections.span(address, index)), place)

    def _dataset(self, found: list[Message], place: Place) -> None:
        """What of a dataset may be objects; its datatype tells that numbers are not."""
        layout = self._layout
        of_kind = {message.kind: message for message in found}
        if kinds.DATATYPE not in of_kind or kinds.DATASPACE not in of_kind:
            raise Damaged("a dataset without a datatype or a dataspace")
        kind = self._types.of_message(of_kind[kinds.DATATYPE])
        if not kind.leaves and not kind.byte:
            stored(layout, of_kind[kinds.DATA_LAYOUT], 0, kind)
            return
        self._variable = self._variable or any(leaf.kind == "variable" for leaf in kind.leaves)
        space = of_kind[kinds.DATASPACE]
        if space.shared:
            raise Damaged("a shared dataspace")
        count = element_count(layout, layout.fields(space.address, space.size, "a dataspace"))
        for message in found:
            if message.kind in (kinds.FILL, kinds.OLD_FILL):
                start, size = fill_value(layout, message)
                if size >= kind.size:
                    self._each(kind, self._window(start, size), 1, place, False)
        data = stored(layout, of_kind[kinds.DATA_LAYOUT], count, kind)
        opaque = any(leaf.kind == "opaque" for leaf in kind.leaves)
        if opaque and count > _MOST_OPAQUE:
            self._fail(place, data.address, f"more than {_MOST_OPAQUE} opaque values")
        if not data.chunked:
            if data.size:
                few = count if kind.byte else min(count, _MOST_OPAQUE if opaque else _MOST_TEXTS)
                self._each(kind, self._window(data.address, data.size), few, place, False)
            return
        try:
            self._chunks(kind, data, of_kind.get(kinds.FILTERS), count, place)
        except Damaged:
            if opaque:  # to those who load other values in chunks, these are characters and numbers
                raise

    def _chunks(self, kind: Datatype, data: Stored, packed: Message | None, count: int, place: Place) -> None:
        """Look at the first chunk; where there are more and it begins an object, that is not read to its end."""
        layout = self._layout
        data = first_chunk(layout, data)
        if not data.size or not kind.size:
            return
        pipeline = [] if packed is None else filters(layout, packed)
        pipeline = [step for index, step in enumerate(pipeline) if not data.mask >> index & 1]
        window = self._window(data.address, data.size)
        if pipeline:
            values = unfiltered(window.read(0, PACKED_BYTES), pipeline)
            if not self._survey.take_unpacked(len(values), place):
                raise Spent
            window = self._survey.keep(values, place)
        few = min(count, data.values, window.size // kind.size, count if kind.byte else _MOST_TEXTS)
        found = self._each(kind, window, few, place, False)
        small = kind.byte and window.size < _SMALL_CHUNK
        if few < count and (found or small or any(leaf.kind == "opaque" for leaf in kind.leaves)):
            self._fail(place, data.address, "of values in chunks only the first are read")

    def _global_heaps(self) -> None:
        """Look at every object of every global heap: of what datasets hold, only those can be objects."""
        layout, source = self._layout, self._source
        at = layout.base
        while at < source.size:
            layout.step()
            stop = min(at + _SEARCHED_AT_ONCE, source.size)
            found = source.find(_HEAP, at, stop)
            if found < 0:
                if self._survey.overdue(self._place):
                    raise Spent
                at = stop if stop == source.size else stop - len(_HEAP) + 1
                continue
            place = (*self._place, ("heap", str(found)))
            try:
                for _index, start, size in self._collections.objects(found - layout.base):
                    self._values.look(self._window(start, size), place)
            except Damaged as error:
                self._fail(place, found - layout.base, str(error))
            at = found + len(_HEAP)
