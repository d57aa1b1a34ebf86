"""7z: own reader of its directory, decoders of the standard library, so that every byte and every step is budgeted.

Source: 7zFormat.txt and Methods.txt of the LZMA SDK (public domain).
"""

from __future__ import annotations

from . import raw_pickle
from .decoders import DICTIONARY_BYTES
from .sevenzip_header import (
    ARCHIVE_PROPERTIES,
    ENCODED_HEADER,
    END,
    FILES,
    HEADER,
    MAIN_STREAMS,
    Coder,
    Fields,
    Folder,
    HeaderError,
    Listing,
    Streams,
    read_listing,
    read_streams,
    skip_properties,
)
from .source import Source
from .unpack import Unpacker, drain, note_end

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..bytecode.trace import Place
    from .survey import Survey

MAGIC = b"7z\xbc\xaf\x27\x1c"
_START = 32
_HEADER_BYTES = 16 << 20
"""Longest header that is read, packed or not."""
_HEADER_LAYERS = 4
_SYMLINK = 0xA000

_LZMA, _LZMA2, _DELTA, _COPY = b"\x03\x01\x01", b"\x21", b"\x03", b"\x00"
_CODECS = {
    b"\x04\x01\x08": "deflate", b"\x04\x02\x02": "bz2", b"\x04\xf7\x11\x01": "zstd", b"\x04\xf7\x11\x04": "lz4",
}  # fmt: skip
_BRANCHES = {
    b"\x04": 4, b"\x05": 5, b"\x06": 6, b"\x07": 7, b"\x08": 8, b"\x09": 9, b"\x03\x03\x01\x03": 4,
    b"\x03\x03\x02\x05": 5, b"\x03\x03\x04\x01": 6, b"\x03\x03\x05\x01": 7, b"\x03\x03\x07\x01": 8,
    b"\x03\x03\x08\x05": 9,
}  # fmt: skip
"""Filters of machine code, by method; the numbers are those of the filters in :mod:`lzma`."""
_FILTER_DELTA, _FILTER_LZMA2, _FILTER_LZMA1 = 3, 0x21, 0x4000000000000001
_ENCRYPTED = b"\x06\xf1\x07\x01"
_NAMES = {
    _ENCRYPTED: "AES", b"\x03\x04\x01": "PPMd", b"\x03\x03\x01\x1b": "BCJ2", b"\x04\x01\x09": "Deflate64",
    b"\x04\xf7\x11\x02": "Brotli", b"\x0a": "ARM64", b"\x0b": "RISC-V",
}  # fmt: skip


class Unsupported(Exception):
    """A folder is packed by methods that nothing here unpacks; says which."""


def sniff(source: Source) -> bool:
    """Magic."""
    return source.read(0, 6) == MAGIC


def read(source: Source, place: Place, survey: Survey) -> str:
    """Unpack every folder and explore the files in it."""
    try:
        streams, listing = _read_header(source, place, survey)
    except HeaderError as error:
        survey.fail("7z-header", place, 0, f"{error}; what it lists is not read")
        raw_pickle.read_embedded(source, place, survey)
        return "7z"
    names, attributes = iter(listing.names), iter(listing.attributes)
    first = 0
    for folder, sizes in zip(streams.folders, streams.files, strict=False):
        packed = streams.packed[first : first + len(folder.packed)]
        first += len(folder.packed)
        files = [(next(names, ""), next(attributes, 0), size) for size in sizes]
        if not _read_folder(source, folder, packed, files, place, survey):
            break
    return "7z"


def _read_header(source: Source, place: Place, survey: Survey) -> tuple[Streams, Listing]:
    """The directory, out of as many layers of packing as it has."""
    start = source.read(0, _START)
    if len(start) < _START:
        raise HeaderError("the file ends in its first header")
    offset, size = int.from_bytes(start[12:20], "little"), int.from_bytes(start[20:28], "little")
    if not size:
        return Streams((), (), ()), Listing((), ())
    if size > _HEADER_BYTES:
        raise HeaderError(f"a header of {size} bytes")
    data = source.read(_START + offset, size)
    if len(data) < size:
        raise HeaderError(f"the file ends {size - len(data)} bytes before its header does")
    for _ in range(_HEADER_LAYERS):
        fields = Fields(data)
        kind = fields.byte()
        if kind == HEADER:
            return _read_plain(fields)
        if kind != ENCODED_HEADER:
            raise HeaderError(f"it begins with {kind}")
        streams = read_streams(fields)
        if len(streams.folders) != 1 or streams.folders[0].sizes[streams.folders[0].final()] > _HEADER_BYTES:
            raise HeaderError("a packed header of several folders, or a long one")
        try:
            unpacked = _unpack(source, streams.folders[0], streams.packed, (*place, ("7z", "header")), survey)
        except Unsupported as error:
            raise HeaderError(f"packed by {error}") from None
        data = unpacked.read(0, min(unpacked.size, _HEADER_BYTES))
    raise HeaderError("packed again and again")


def _read_plain(fields: Fields) -> tuple[Streams, Listing]:
    streams, listing = Streams((), (), ()), Listing((), ())
    while (kind := fields.byte()) != END:
        if kind == ARCHIVE_PROPERTIES:
            skip_properties(fields)
        elif kind == MAIN_STREAMS:
            streams = read_streams(fields)
        elif kind == FILES:
            listing = read_listing(fields)
        else:
            raise HeaderError(f"unknown property {kind}")
    return streams, listing


def _read_folder(
    source: Source,
    folder: Folder,
    packed: tuple[tuple[int, int], ...],
    files: list[tuple[str, int, int]],
    place: Place,
    survey: Survey,
) -> bool:
    """Explore the files of a folder; whether the budgets allow more."""
    inside = (*place, ("7z", files[0][0] if files else ""))
    known, mark = len(survey.regions), survey.store.mark()
    if not survey.may_unpack(inside) or survey.overdue(inside):
        return False
    try:
        data = _unpack(source, folder, packed, inside, survey)
    except Unsupported as error:
        kind = "7z-encrypted" if _NAMES[_ENCRYPTED] in str(error) else "unsupported-format"
        survey.fail(kind, inside, 0, f"7z method {error}; unpack it and scan what comes out")
        return True
    offset = 0
    for name, attributes, size in files:
        member = (*place, ("7z", name))
        if not survey.take_member(member) or survey.overdue(member):
            return False
        _note_file(name, attributes, member, survey)
        part = data.window(offset, offset + size)
        if part.size < size:
            survey.fail("truncated-member", member, offset, f"{size - part.size} bytes are missing")
        offset += size
        if part.size:
            survey.explore(part, member)
    if offset < data.size:
        survey.odd("7z-size-mismatch", inside, offset, f"{data.size - offset} bytes more than the files have")
        survey.explore(data.window(offset, data.size), inside)
    if len(survey.regions) == known:
        survey.store.rewind(mark)
    return True


def _note_file(name: str, attributes: int, member: Place, survey: Survey) -> None:
    parts = name.replace("\\", "/").split("/")
    if name[:1] in ("/", "\\") or name[1:2] == ":" or ".." in parts:
        survey.odd("path-traversal", member)
    if attributes & 0x8000 and attributes >> 16 & 0xF000 == _SYMLINK:
        survey.odd("symlink", member)


def _unpack(
    source: Source, folder: Folder, packed: tuple[tuple[int, int], ...], inside: Place, survey: Survey
) -> Source:
    """What a folder unpacks to, one stage after the other.

    Raises
    ------
    Unsupported
        When a coder is none of those that the standard library or an extra has.
    """
    stages = _stages(folder)
    if len(packed) != 1:
        raise Unsupported(f"{len(packed)} packed streams for one folder")
    offset, size = packed[0]
    data = source.window(_START + offset, _START + offset + size)
    if data.size < size:
        survey.fail("truncated-member", inside, data.size, f"{size - data.size} packed bytes are missing")
    for stage, length in stages:
        unpacker = _unpacker(data, stage, length)
        if unpacker is None:
            continue
        data = drain(unpacker, survey, inside)
        if unpacker.state == "truncated" and data.size >= length:
            # LZMA in 7z has no end mark
            unpacker.state = "ended"
        note_end(unpacker, survey, inside)
    return data


def _stages(folder: Folder) -> list[tuple[list[Coder], int]]:
    """Coders from the packed stream to the files, those together that liblzma runs together, and the bytes after."""
    if any(coder.inputs != 1 for coder in folder.coders):
        raise Unsupported(_described(folder))
    comes_from = dict(folder.bonds)
    chain = [folder.final()]
    while (before := comes_from.get(chain[-1])) is not None:
        if before in chain or before >= len(folder.coders):
            raise Unsupported("coders in a ring")
        chain.append(before)
    stages: list[tuple[list[Coder], int]] = []
    filters: list[Coder] = []
    size = folder.sizes[chain[0]]
    for index in chain:
        coder = folder.coders[index]
        size = size if filters else folder.sizes[index]
        filters.append(coder)
        if coder.method in (_LZMA, _LZMA2) or (len(filters) == 1 and coder.method in (*_CODECS, _COPY)):
            stages.append((filters, size))
            filters = []
        elif coder.method not in _BRANCHES and coder.method != _DELTA:
            raise Unsupported(_described(folder))
    if filters:
        raise Unsupported(_described(folder))
    return stages[::-1]


def _described(folder: Folder) -> str:
    names = [_NAMES.get(coder.method) or _CODECS.get(coder.method) or coder.method.hex() for coder in folder.coders]
    return " and ".join(names)


def _unpacker(data: Source, stage: list[Coder], length: int) -> Unpacker | None:
    """What unpacks a stage; None where it is a copy."""
    last = stage[-1]
    if last.method == _COPY:
        return None
    if last.method in _CODECS:
        return Unpacker(data, _CODECS[last.method])
    return Unpacker(data, "raw-lzma", filters=tuple(_filter(coder, length) for coder in stage))


def _filter(coder: Coder, length: int) -> dict[str, int]:
    properties = coder.properties
    if coder.method in _BRANCHES:
        return {"id": _BRANCHES[coder.method]}
    if coder.method == _DELTA:
        return {"id": _FILTER_DELTA, "dist": 1 + int.from_bytes(properties[:1], "little")}
    # no distance reaches farther back than the data goes, so no more than that is needed, whatever is stated
    most = max(4096, min(length, DICTIONARY_BYTES))
    if coder.method == _LZMA2:
        bits = int.from_bytes(properties[:1], "little") & 0x3F
        return {"id": _FILTER_LZMA2, "dict_size": min((2 | bits & 1) << bits // 2 + 11, most)}
    packed = int.from_bytes(properties[:1], "little")
    stated = int.from_bytes(properties[1:5], "little")
    return {
        "id": _FILTER_LZMA1, "lc": packed % 9, "lp": packed // 9 % 5, "pb": packed // 45, "dict_size": min(
            max(stated, 4096), most
        ),
    }  # fmt: skip
