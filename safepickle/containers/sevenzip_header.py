"""The header of a 7z archive: which streams are packed how, and which files they hold.

Every number that makes a loop is held against the bytes that are left, so that a few bytes cannot ask for much.
Source: 7zFormat.txt of the LZMA SDK (public domain).
"""

from __future__ import annotations

from ..record import Record
from .survey import NAME_LENGTH

END, HEADER, ARCHIVE_PROPERTIES, MORE_STREAMS, MAIN_STREAMS, FILES, PACK, UNPACK, SUBSTREAMS = range(9)
SIZE, CRC, FOLDER, CODERS_UNPACK_SIZE, STREAMS_IN_FOLDER, EMPTY_STREAM = 9, 10, 11, 12, 13, 14
NAMES, ATTRIBUTES, ENCODED_HEADER = 0x11, 0x15, 0x17

_MOST_CODERS = 32
_MOST_FOLDERS = 1 << 16
_MOST_FILES = 1 << 20
"""With these a header is known in some tens of megabytes."""


class HeaderError(ValueError):
    """The header is not one; says where."""


class Coder(Record):
    """One method of a folder, its properties and how many streams go in and out."""

    method: bytes
    properties: bytes
    inputs: int
    outputs: int


class Folder(Record):
    """Coders that work on each other's output.

    Parameters
    ----------
    coders
        In the order of the header.
    bonds
        ``(input, output)``: the input stream that an output stream goes to.
    packed
        Input streams that come from the archive.
    sizes
        Bytes of each output stream.
    checked
        Whether there is a checksum of the whole.
    """

    coders: tuple[Coder, ...]
    bonds: tuple[tuple[int, int], ...]
    packed: tuple[int, ...]
    sizes: tuple[int, ...] = ()
    checked: bool = False

    def final(self) -> int:
        """The output stream that no coder takes in."""
        bound = {output for _input, output in self.bonds}
        return next((index for index in range(len(self.sizes)) if index not in bound), 0)


class Streams(Record):
    """Packed streams ``(offset, size)`` counted from the end of the first header, folders, and the sizes of the files
    within each folder."""

    packed: tuple[tuple[int, int], ...]
    folders: tuple[Folder, ...]
    files: tuple[tuple[int, ...], ...]


class Listing(Record):
    """Names of the files that have data, in the order of the streams, and the attributes of each."""

    names: tuple[str, ...]
    attributes: tuple[int, ...]


class Fields:
    """Reads a header from its first byte to its last."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def left(self) -> int:
        return len(self._data) - self._at

    def take(self, size: int) -> bytes:
        if size > self.left():
            raise HeaderError(f"{size} bytes are wanted at {self._at}, {self.left()} are left")
        self._at += size
        return self._data[self._at - size : self._at]

    def byte(self) -> int:
        return self.take(1)[0]

    def number(self) -> int:
        """As many bytes follow as the first one has leading ones; its other bits are the highest of the number."""
        first = self.byte()
        extra = 8 - (first ^ 0xFF).bit_length()
        low = int.from_bytes(self.take(extra), "little")
        return low | (first & (0x7F >> extra)) << (8 * extra)

    def count(self, most: int) -> int:
        """A number of things, of which each takes a byte at least."""
        number = self.number()
        if number > min(self.left(), most):
            raise HeaderError(f"{number} things at {self._at}; {self.left()} bytes are left, {most} are read")
        return number

    def flags(self, count: int) -> list[bool]:
        packed = self.take((count + 7) // 8)
        return [bool(packed[index >> 3] & 0x80 >> (index & 7)) for index in range(count)]

    def flags_or_all(self, count: int) -> list[bool]:
        everything = self.byte()
        if count > 8 * self.left():
            raise HeaderError(f"flags of {count} things, {self.left()} bytes are left")
        return [True] * count if everything else self.flags(count)

    def expect(self, wanted: int) -> None:
        found = self.byte()
        if found != wanted:
            raise HeaderError(f"property {found} at {self._at - 1} instead of {wanted}")

    def skip_digests(self, count: int) -> list[bool]:
        """Which of so many things have a checksum."""
        given = self.flags_or_all(count)
        self.take(4 * sum(given))
        return given


def read_streams(fields: Fields) -> Streams:
    """The part of a header that tells of packed data."""
    packed: tuple[tuple[int, int], ...] = ()
    folders: tuple[Folder, ...] = ()
    files: tuple[tuple[int, ...], ...] | None = None
    while (kind := fields.byte()) != END:
        if kind == PACK:
            packed = _read_packed(fields)
        elif kind == UNPACK:
            folders = _read_folders(fields)
        elif kind == SUBSTREAMS:
            files = _read_files_within(fields, folders)
        else:
            raise HeaderError(f"unknown property {kind} among the streams")
    if files is None:
        files = tuple((folder.sizes[folder.final()],) for folder in folders)
    return Streams(packed, folders, files)


def _read_packed(fields: Fields) -> tuple[tuple[int, int], ...]:
    offset = fields.number()
    count = fields.count(_MOST_FOLDERS)
    sizes = [0] * count
    while (kind := fields.byte()) != END:
        if kind == SIZE:
            sizes = [fields.number() for _ in range(count)]
        elif kind == CRC:
            fields.skip_digests(count)
        else:
            raise HeaderError(f"unknown property {kind} of packed streams")
    spans = []
    for size in sizes:
        spans.append((offset, size))
        offset += size
    return tuple(spans)


def _read_folders(fields: Fields) -> tuple[Folder, ...]:
    fields.expect(FOLDER)
    count = fields.count(_MOST_FOLDERS)
    _refuse_external(fields)
    folders = [_read_folder(fields) for _ in range(count)]
    while (kind := fields.byte()) != END:
        if kind == CODERS_UNPACK_SIZE:
            folders = [
                folder.replace(
                    sizes=tuple(fields.number() for _ in range(sum(coder.outputs for coder in folder.coders)))
                )
                for folder in folders
            ]
        elif kind == CRC:
            given = fields.skip_digests(count)
            folders = [folder.replace(checked=one) for folder, one in zip(folders, given, strict=True)]
        else:
            raise HeaderError(f"unknown property {kind} of folders")
    if any(not folder.sizes for folder in folders):
        raise HeaderError("folders without sizes")
    return tuple(folders)


def _read_folder(fields: Fields) -> Folder:
    count = fields.count(_MOST_CODERS)
    if not count:
        raise HeaderError(f"a folder of {count} coders")
    coders = []
    for _ in range(count):
        flags = fields.byte()
        method = fields.take(flags & 0x0F)
        inputs, outputs = (fields.number(), fields.number()) if flags & 0x10 else (1, 1)
        properties = fields.take(fields.number()) if flags & 0x20 else b""
        if flags & 0x80 or not 0 < inputs <= _MOST_CODERS or outputs != 1:
            raise HeaderError(f"a coder with {inputs} inputs and {outputs} outputs, flags {flags:#x}")
        coders.append(Coder(method, properties, inputs, outputs))
    inputs = sum(coder.inputs for coder in coders)
    bonds = tuple((fields.number(), fields.number()) for _ in range(count - 1))
    bound = {stream for stream, _output in bonds}
    free = inputs - len(bonds)
    if free == 1:
        packed = tuple(stream for stream in range(inputs) if stream not in bound)
    else:
        packed = tuple(fields.number() for _ in range(free))
    return Folder(tuple(coders), bonds, packed)


def _read_files_within(fields: Fields, folders: tuple[Folder, ...]) -> tuple[tuple[int, ...], ...]:
    counts = [1] * len(folders)
    kind = fields.byte()
    if kind == STREAMS_IN_FOLDER:
        counts = [fields.number() for _ in folders]
        kind = fields.byte()
    if sum(count - 1 for count in counts if count) > min(fields.left(), _MOST_FILES):
        raise HeaderError(f"{sum(counts)} files; {fields.left()} bytes are left, {_MOST_FILES} are read")
    stated = kind == SIZE
    files = []
    for count, folder in zip(counts, folders, strict=True):
        whole = folder.sizes[folder.final()]
        sizes = [fields.number() if stated else 0 for _ in range(count - 1)]
        files.append((*sizes, max(whole - sum(sizes), 0)) if count else ())
    if stated:
        kind = fields.byte()
    while kind != END:
        if kind != CRC:
            raise HeaderError(f"unknown property {kind} of files in folders")
        pairs = zip(counts, folders, strict=True)
        fields.skip_digests(sum(count for count, folder in pairs if count != 1 or not folder.checked))
        kind = fields.byte()
    return tuple(files)


def read_listing(fields: Fields) -> Listing:
    """The part of a header that tells of files."""
    count = fields.count(_MOST_FILES)
    empty = [False] * count
    names: list[str] = []
    attributes = [0] * count
    while (kind := fields.byte()) != END:
        size = fields.number()
        inner = Fields(fields.take(size))
        if kind == EMPTY_STREAM:
            empty = inner.flags(count)
        elif kind == NAMES:
            _refuse_external(inner)
            names = _read_names(inner.take(inner.left()), count)
        elif kind == ATTRIBUTES:
            given = inner.flags_or_all(count)
            _refuse_external(inner)
            attributes = [int.from_bytes(inner.take(4), "little") if one else 0 for one in given]
    names += [""] * (count - len(names))
    filled = [index for index in range(count) if not empty[index]]
    return Listing(tuple(names[index] for index in filled), tuple(attributes[index] for index in filled))


def _read_names(packed: bytes, count: int) -> list[str]:
    text = packed.decode("utf-16-le", "replace")
    return [name if len(name) <= NAME_LENGTH else name[: NAME_LENGTH - 1] + "…" for name in text.split("\0")[:count]]


def _refuse_external(fields: Fields) -> None:
    if fields.byte():
        raise HeaderError("a part of the header lies in a stream of its own")


def skip_properties(fields: Fields) -> None:
    """Properties of the archive, of which none is known."""
    while fields.byte() != END:
        fields.take(fields.number())
