"""The file structure of HDF5: superblock and object headers. Nothing is read but slices of a few kilobytes.

Source: HDF5 File Format Specification 3.0, sections II and IV.A.
"""

from __future__ import annotations

from ..record import Record
from .survey import Spent

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..bytecode.trace import Place
    from .source import Source
    from .survey import Survey

NIL, CONTINUATION = 0x00, 0x10
DATASPACE, LINK_INFO, DATATYPE, OLD_FILL, FILL, LINK, EXTERNAL_FILES, DATA_LAYOUT = 1, 2, 3, 4, 5, 6, 7, 8
FILTERS, ATTRIBUTE, SYMBOL_TABLE, DRIVER_INFO, ATTRIBUTE_INFO, CACHE_IMAGE = 0x0B, 0x0C, 0x11, 0x14, 0x15, 0x18
WITHOUT_VALUES = frozenset((NIL, 0x0A, 0x0D, 0x0E, 0x0F, 0x12, 0x13, 0x16, 0x17))
"""Messages that hold times, comments, counts and sizes: group info, comment, modification times, shared message
table, K values, reference count, file space."""

_MOST_PIECES = 4_000_000
"""Messages, nodes, records and values of one file; it takes a loop some microseconds each."""
_PIECES_UNTIMED = 256
_LARGEST_READ = 1 << 22


class Damaged(ValueError):
    """The bytes are not what the format asks for, or of a version or kind that is not read; the text says which."""


class Fields:
    """Little-endian numbers one after the other.

    Raises
    ------
    Damaged
        From every method, where the bytes end too soon.
    """

    __slots__ = ("at", "data", "what")

    def __init__(self, data: bytes, what: str, at: int = 0) -> None:
        self.data = data
        self.what = what
        self.at = at

    def skip(self, size: int) -> None:
        """Step over bytes."""
        self.at += size
        if self.at > len(self.data):
            raise Damaged(f"{self.what} ends too soon")

    def take(self, size: int) -> bytes:
        """The next bytes."""
        at = self.at
        self.skip(size)
        return self.data[at : self.at]

    def number(self, size: int) -> int:
        """The next bytes as a number."""
        return int.from_bytes(self.take(size), "little")


class Message(Record):
    """A message of an object header.

    Parameters
    ----------
    kind
        Number of its type.
    shared
        Whether its body only says where the message is.
    address, size
        Of its body.
    """

    kind: int
    shared: bool
    address: int
    size: int


class Layout:
    """An HDF5 file: sizes and addresses of the superblock, and checked access to the bytes.

    Addresses count from the superblock, as they do in the file.

    Parameters
    ----------
    source
        The file.
    base
        Offset of the superblock.
    place, survey
        For budgets.

    Attributes
    ----------
    offset_size, length_size
        Bytes of an address and of a length.
    root
        Address of the root group's header.
    extension
        Address of the superblock's own header; undefined in most files.
    cached
        Addresses of the root group's B-tree and heap, as far as the superblock has a copy of them.
    end
        Offset behind the last byte that belongs to the file.

    Raises
    ------
    Damaged
        When the superblock is not understood.
    """

    def __init__(self, source: Source, base: int, place: Place, survey: Survey) -> None:
        self.source = source
        self.base = base
        self._place = place
        self._survey = survey
        self._pieces = 0
        self.cached: tuple[int, int] | None = None
        self._read_superblock()

    def _read_superblock(self) -> None:
        fields = Fields(self.source.read(self.base + 8, 120), "the superblock")
        version = fields.number(1)
        if version > 3:
            raise Damaged(f"version {version} of the superblock")
        if version < 2:
            fields.skip(4)
        self.offset_size, self.length_size = fields.number(1), fields.number(1)
        if {self.offset_size, self.length_size} - {2, 4, 8, 16}:
            raise Damaged(f"addresses of {self.offset_size} and lengths of {self.length_size} bytes")
        self.undefined = (1 << 8 * self.offset_size) - 1
        self.extension = self.undefined
        if version < 2:
            fields.skip(9 if version == 0 else 13)
            stored, _free, self.end, driver = (fields.number(self.offset_size) for _ in range(4))
            if driver != self.undefined:
                raise Damaged("a driver information block: the file has several parts")
            fields.skip(self.offset_size)
            self.root = fields.number(self.offset_size)
            if fields.number(4) == 1:
                fields.skip(4)
                self.cached = fields.number(self.offset_size), fields.number(self.offset_size)
        else:
            fields.skip(1)
            stored, self.extension, self.end, self.root = (fields.number(self.offset_size) for _ in range(4))
        self.end += self.base - stored

    def step(self) -> None:
        """Count one more piece.

        Raises
        ------
        Spent
            When there were too many, or the time is up.
        """
        self._pieces += 1
        if self._pieces > _MOST_PIECES:
            self._survey.fail("budget:members", self._place, 0, "too many parts of HDF5 structures")
            raise Spent
        if self._pieces % _PIECES_UNTIMED == 0 and self._survey.overdue(self._place):
            raise Spent

    def read(self, address: int, size: int, what: str) -> bytes:
        """`size` bytes at an address; `what` they are is for the error.

        Raises
        ------
        Damaged
            When they are not all there.
        Spent
            See :meth:`step`.
        """
        self.step()
        if size > _LARGEST_READ:
            raise Damaged(f"{what} of {size} bytes")
        data = self.source.read(self.base + address, size) if address != self.undefined else b""
        if len(data) < size:
            raise Damaged(f"{what} is beyond the end of the file")
        return data

    def fields(self, address: int, size: int, what: str, signature: bytes = b"", version: int = -1) -> Fields:
        """`size` bytes at an address, behind a signature and a version that are checked.

        Raises
        ------
        Damaged
            When they are not there, or begin otherwise.
        """
        fields = Fields(self.read(address, size, what), what)
        if fields.take(len(signature)) != signature:
            raise Damaged(f"{what} does not begin with {signature.decode()}")
        if version >= 0 and (found := fields.number(1)) != version:
            raise Damaged(f"version {found} of {what}")
        return fields

    def address(self, fields: Fields) -> int:
        """The next field, which is an address."""
        return fields.number(self.offset_size)

    def length(self, fields: Fields) -> int:
        """The next field, which is a length."""
        return fields.number(self.length_size)

    def messages(self, address: int, found: list[Message]) -> None:
        """Append the messages of an object header to `found`, as far as it can be read.

        Raises
        ------
        Damaged, Spent
            After what was found before.
        """
        head = self.read(address, 6, "an object header")
        if head[:4] == b"OHDR":
            start, size, header = self._second_version(address, head)
        elif head[0] == 1:
            start, header = address + 16, 8
            size = int.from_bytes(self.read(address + 8, 4, "an object header"), "little")
        else:
            raise Damaged(f"version {head[0]} of an object header")
        blocks, known = [(start, size)], {start}
        damage: Damaged | None = None
        for start, size in blocks:  # which grows meanwhile
            continuations: list[Message] = []
            try:
                for message in self._in_block(start, size, header):
                    (continuations if message.kind == CONTINUATION else found).append(message)
                    if len(found) > self._survey.limits.members:
                        self._survey.fail("budget:members", self._place, 0, "too many messages of one object")
                        return
            except Damaged as error:
                damage = damage or error
            for message in continuations:
                try:
                    block = self._continued(message, header)
                except Damaged as error:
                    damage = damage or error
                    continue
                if block[0] not in known:
                    known.add(block[0])
                    blocks.append(block)
        if damage is not None:
            raise damage

    def _continued(self, message: Message, header: int) -> tuple[int, int]:
        """Start and size of the block that a continuation leads to."""
        fields = self.fields(message.address, message.size, "a continuation")
        start, size = self.address(fields), self.length(fields)
        if header == 8:
            return start, size
        self.fields(start, 4, "a continuation block", b"OCHK")
        return start + 4, size - 8

    def _second_version(self, address: int, head: bytes) -> tuple[int, int, int]:
        """Start and size of the first block, and bytes before each message."""
        version, flags = head[4], head[5]
        if version != 2:
            raise Damaged(f"version {version} of an object header")
        start = address + 6 + (16 if flags & 0x20 else 0) + (4 if flags & 0x10 else 0)
        width = 1 << (flags & 3)
        size = int.from_bytes(self.read(start, width, "an object header"), "little")
        return start + width, size, 6 if flags & 4 else 4

    def _in_block(self, start: int, size: int, header: int) -> Iterator[Message]:
        at, end = start, start + size
        while end - at >= header:
            data = self.read(at, header, "an object header")
            at += header
            if header == 8:
                kind, length, flags = data[0] | data[1] << 8, data[2] | data[3] << 8, data[4]
            else:
                kind, length, flags = data[0], data[1] | data[2] << 8, data[3]
            if length > end - at:
                raise Damaged("a message leaves its object header")
            yield Message(kind, flags & 2 != 0, at, length)
            at += length

    def shared_address(self, message: Message) -> int:
        """Address of the object header that has what a shared message stands for.

        Raises
        ------
        Damaged
            When it is in the heap of the shared message table.
        """
        fields = self.fields(message.address, message.size, "a shared message")
        return self.committed(fields)

    def committed(self, fields: Fields) -> int:
        """Address that the next fields, the body of a shared message, point to; see :meth:`shared_address`."""
        version, kind = fields.number(1), fields.number(1)
        if version not in (1, 2, 3) or (version == 3 and kind != 2):
            raise Damaged("a message in the heap of shared messages")
        if version == 1:
            fields.skip(6)
        return self.address(fields)
