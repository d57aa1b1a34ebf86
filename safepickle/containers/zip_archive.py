"""zip and everything built on it: all members are explored, however listed; a broken one never stops the rest."""

from __future__ import annotations

import zlib

from . import json_program, zip_layout
from .keras_config import KerasConfig
from .pickle_walk import surely_pickle
from .skops_schema import SkopsSchema
from .source import Source
from .unpack import CHUNK_BYTES, Unpacker, drain, note_end
from .zip_directory import (
    ENCRYPTED,
    END,
    LOCAL,
    Directory,
    Entry,
    find_directories,
    find_ends,
    is_plausible_local,
    read_directory,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..bytecode.trace import Place
    from .survey import Survey

_CODECS = {8: "deflate", 12: "bz2", 14: "lzma", 93: "zstd", 95: "xz"}
_PROGRAMS: dict[str, type[json_program.JsonProgram]] = {"config.json": KerasConfig, "schema.json": SkopsSchema}
"""Members that a framework builds a model from."""
_SYMLINK = 0xA000
_CHECKED_BYTES = 16 << 20
"""Pickles up to this size have their checksum compared."""

_PREFIX_SEARCHED = 4096


def sniff(source: Source) -> bool:
    """A local header at the start, or an end record in the tail that leads to a central directory."""
    head = source.read(0, 4)
    if head == LOCAL or (head == END and source.size >= 22):
        return True
    if source.partial or source.size < 22:
        return False
    if any(find_directories(source, end) for end in find_ends(source)):
        return True
    found = source.find(LOCAL, 0, min(source.size, _PREFIX_SEARCHED))
    return found >= 0 and is_plausible_local(source, found)


def read(source: Source, place: Place, survey: Survey) -> str:
    """Explore every member, as each of its headers describes it."""
    directory = read_directory(source, place, survey)
    container = zip_layout.layout({entry.name for entry in directory.entries})
    if zip_layout.unread(container):
        survey.fail("unsupported-format", (*place, (container, "")), 0, zip_layout.unread(container))
    _note_structure(source, directory, place, survey)
    for entry in directory.entries:
        if entry.name.endswith("/") and not entry.packed and not entry.size:
            continue
        inside = (*place, ("zip", entry.name))
        if not survey.take_member(inside) or survey.overdue(inside):
            break
        _note_entry(entry, inside, survey)
        if not _is_plain_storage(source, entry, container):
            _read_member(source, entry, inside, container, survey)
    return container


def _is_plain_storage(source: Source, entry: Entry, container: str) -> bool:
    """Whether a member is nothing but a tensor's raw bytes, as nearly all members of a torch zip are."""
    end = entry.start + entry.packed
    if entry.method or entry.packed != entry.size or end > source.size:
        return False
    if not zip_layout.is_storage(entry.name, container):
        return False
    return not surely_pickle(source.data, source.start + entry.start, source.start + end)


def _note_structure(source: Source, directory: Directory, place: Place, survey: Survey) -> None:
    """Bytes before and after the archive, overlapping members, and names that stand for several members."""
    entries = directory.entries
    spans = [(entry.header, entry.start + entry.packed) for entry in entries]
    spans.extend(directory.records)
    first, last = min(spans, default=(0, 0))[0], max((end for _start, end in spans), default=0)
    if first > 0:
        survey.odd("zip-prefix", place, 0, f"{first} bytes before the archive")
    if directory.records and last < source.size:
        comment = int.from_bytes(source.read(last - 2, 2), "little")
        if last + comment != source.size:
            survey.odd("zip-suffix", place, last, f"{source.size - last} bytes after the archive")
    seen: dict[str, int] = {}
    reach = -1
    for entry in entries:
        if entry.header != seen.setdefault(entry.name, entry.header):
            survey.odd("duplicate-member", (*place, ("zip", entry.name)), entry.header)
    for header, end in sorted({(entry.header, entry.start + entry.packed) for entry in entries}):
        if header < reach:
            survey.odd("zip-overlap", place, header)
            break
        reach = max(reach, end)


def _note_entry(entry: Entry, inside: Place, survey: Survey) -> None:
    if entry.flags & ENCRYPTED:
        survey.fail("zip-encrypted", inside, entry.header)
    name = entry.name
    if ".." in name or name[:1] in ("/", "\\") or name[1:2] == ":":
        parts = name.replace("\\", "/").split("/")
        if not parts[0] or parts[0][1:2] == ":" or ".." in parts:
            survey.odd("path-traversal", inside, entry.header)
    if entry.attributes >> 16 & 0xF000 == _SYMLINK:
        survey.odd("symlink", inside, entry.header)


def _read_member(source: Source, entry: Entry, inside: Place, container: str, survey: Survey) -> None:
    before, mark = len(survey.regions), survey.store.mark()
    if entry.method == 0:
        if entry.packed != entry.size:
            survey.odd("zip-size-mismatch", inside, entry.header, f"{entry.packed} stored bytes of {entry.size}")
        length = max(entry.packed, entry.size)
        data = source.window(entry.start, entry.start + length)
        if data.size < length:
            survey.fail("truncated-member", inside, entry.start, f"{length - data.size} bytes are missing")
        _explore(data, entry.name, inside, container, survey)
    else:
        unpacked = _unpack(source, entry, inside, survey)
        if unpacked is None:
            return
        data = unpacked
        _explore(data, entry.name, inside, container, survey)
    if len(survey.regions) == before:
        survey.store.rewind(mark)
    elif not data.partial and data.size <= _CHECKED_BYTES:
        _check_crc(data, entry, inside, survey)


def _unpack(source: Source, entry: Entry, inside: Place, survey: Survey) -> Source | None:
    """A packed member: its head alone where no reader needs more."""
    unpacker = _unpacker(source, entry)
    if unpacker is None:
        survey.fail("unsupported-format", inside, entry.start, f"zip compression method {entry.method}")
        return None
    if not survey.may_unpack(inside):
        return None
    head = b""
    while len(head) < CHUNK_BYTES and unpacker.state == "more":
        head += unpacker.read(CHUNK_BYTES - len(head))
        if survey.overdue(inside):
            return None
    if not survey.take_unpacked(len(head), inside):
        return None
    if unpacker.state == "truncated" and len(head) >= entry.size:
        # raw LZMA in a zip may have no end mark
        unpacker.state = "ended"
    if unpacker.state != "more":
        note_end(unpacker, survey, inside)
        return survey.keep(head, inside)
    part = Source(head, 0, len(head), partial=True)
    if survey.wanted(part) != "all" and not zip_layout.is_named_pickle(entry.name):
        return part
    data = drain(unpacker, survey, inside, head)
    note_end(unpacker, survey, inside)
    return data


def _unpacker(source: Source, entry: Entry) -> Unpacker | None:
    codec = _CODECS.get(entry.method)
    if codec is None:
        return None
    packed = source.window(entry.start, entry.start + entry.packed)
    if codec != "lzma":
        return Unpacker(packed, codec)
    # version (2 bytes), length of the properties (2), properties; the .lzma format wants them and a size
    length = int.from_bytes(packed.read(2, 2), "little")
    header = packed.read(4, length) + b"\xff" * 8
    return Unpacker(packed.window(4 + length, packed.size), codec, header)


def _explore(data: Source, name: str, inside: Place, container: str, survey: Survey) -> None:
    """A tensor's raw bytes are read only if they are a pickle beyond doubt; a promised pickle is always one."""
    if zip_layout.is_storage(name, container):
        if surely_pickle(data.data, data.start, data.end):
            survey.odd("pickle-in-storage", inside)
            survey.explore(data, inside)
        return
    found = survey.explore(data, inside) if data.size else ""
    kind = _PROGRAMS.get(name)
    if kind is not None and found != f"{kind.step}-json":
        # frameworks read it in encodings that nothing else expects JSON in
        read = json_program.read(kind, data, inside, survey)
        if not read and container == f"{kind.step}-zip":
            survey.fail("unsupported-format", (*inside, (kind.step, "")), 0, "it builds no model")
    if not found and zip_layout.is_named_pickle(name):
        survey.region(data, inside, "pickle")


def _check_crc(data: Source, entry: Entry, inside: Place, survey: Survey) -> None:
    crc, at = 0, 0
    while part := data.read(at, CHUNK_BYTES):
        crc = zlib.crc32(part, crc)
        at += len(part)
    if crc != entry.crc and (entry.crc or not entry.flags & 0x08):
        survey.odd("zip-bad-crc", inside, entry.header)
