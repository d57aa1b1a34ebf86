"""The members of a zip, from the central directories and from the local headers, whether they agree or not.

Readers differ in which of the two they believe, so a member that only one of them names is a member, and one that
they describe differently is two. Source: PKWARE APPNOTE.TXT 6.3.10.
"""

from __future__ import annotations

from struct import Struct

from ..record import Record
from .source import Source
from .survey import member_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..bytecode.trace import Place
    from .survey import Survey

LOCAL = b"PK\x03\x04"
CENTRAL = b"PK\x01\x02"
END = b"PK\x05\x06"
DESCRIPTOR = b"PK\x07\x08"
_END64 = b"PK\x06\x06"

_LOCAL = Struct("<4s5H3I2H")
_CENTRAL = Struct("<4s6H3I5H2I")
_END_RECORD = Struct("<4s4H2IH")

TAIL_BYTES = 65_535 + _END_RECORD.size
"""An end record with the longest comment."""

SEARCHED_BYTES = 64 << 20
"""Bytes outside of known members that are searched for local headers."""

METHODS = (0, 1, 2, 3, 4, 5, 6, 8, 9, 10, 12, 14, 16, 18, 19, 20, 93, 94, 95, 96, 97, 98, 99)
_END_RECORDS = 8
_DESCRIPTORS_TRIED = 1024

STREAMED = 0x08
"""Flag: sizes follow the data in a descriptor."""

ENCRYPTED = 0x01 | 0x40 | 0x2000


class Entry(Record):
    """What one header says about a member.

    Parameters
    ----------
    name
        As text.
    header
        Offset of the local header.
    start, packed, size
        Where the data begins, its bytes in the archive and unpacked.
    method, flags, crc
        As in the header.
    attributes
        External attributes (Unix mode in the upper half); 0 where only a local header is known.
    """

    name: str
    header: int
    start: int
    packed: int
    size: int
    method: int
    flags: int
    crc: int
    attributes: int = 0


class Directory(Record):
    """All members: `entries` in file order, where the same data stands once for each way to read it, and the spans
    ``(start, end)`` of the archive's own records."""

    entries: tuple[Entry, ...]
    records: tuple[tuple[int, int], ...]


def find_ends(source: Source) -> list[int]:
    """Offsets of the end records in the tail, the last first."""
    found: list[int] = []
    limit = source.size
    while len(found) < _END_RECORDS:
        at = source.rfind(END, source.size - TAIL_BYTES, limit)
        if at < 0:
            break
        if at + _END_RECORD.size <= source.size:
            found.append(at)
        limit = at + 3
    return found


def find_directories(source: Source, end: int) -> list[tuple[int, int]]:
    """``(start, shift)`` of the central directories an end record may mean.

    `shift` is what must be added to stated offsets because of bytes before the archive.
    """
    _, _, _, _, _, size, offset, _ = _END_RECORD.unpack(source.read(end, _END_RECORD.size))
    stated = [(size, offset, end)]
    locator = source.read(end - 20, 20) if end >= 20 else b""
    if locator[:4] == b"PK\x06\x07":
        for at in {end - 76, int.from_bytes(locator[8:16], "little")}:
            record = source.read(at, 56) if at >= 0 else b""
            if record[:4] == _END64 and len(record) == 56:
                stated.append((int.from_bytes(record[40:48], "little"), int.from_bytes(record[48:56], "little"), at))
    found: list[tuple[int, int]] = []
    for size, offset, after in stated:
        for start, shift in ((after - size, after - size - offset), (offset, 0)):
            if start >= 0 and (start, shift) not in found and source.read(start, 4) == CENTRAL:
                found.append((start, shift))
    return found


def is_plausible_local(source: Source, at: int) -> bool:
    """Whether a local header stands here: signature, a version and a method that exist, a name."""
    head = source.read(at, _LOCAL.size)
    if len(head) < _LOCAL.size or head[:4] != LOCAL:
        return False
    _, version, _, method, _, _, _, _, _, name_length, _ = _LOCAL.unpack(head)
    return (version & 0xFF) <= 100 and method in METHODS and 0 < name_length <= 4096


def read_local(source: Source, at: int) -> Entry | None:
    """The local header at an offset; None where none is."""
    head = source.read(at, _LOCAL.size)
    if len(head) < _LOCAL.size or head[:4] != LOCAL:
        return None
    _, _, flags, method, _, _, crc, packed, size, name_length, extra_length = _LOCAL.unpack(head)
    tail = source.read(at + _LOCAL.size, name_length + extra_length)
    sizes = _zip64(tail[name_length:], (size, packed))
    start = at + _LOCAL.size + name_length + extra_length
    return Entry(member_name(tail[:name_length]), at, start, sizes[1], sizes[0], method, flags, crc)


def _zip64(extra: bytes, values: tuple[int, ...]) -> tuple[int, ...]:
    """Replace values that are all ones by those of the zip64 field, in its order: size, packed, header."""
    at = 0
    while at + 4 <= len(extra):
        length = int.from_bytes(extra[at + 2 : at + 4], "little")
        if extra[at : at + 2] == b"\x01\x00":
            field = extra[at + 4 : at + 4 + length]
            taken = []
            for value in values:
                if value == 0xFFFFFFFF and len(field) >= 8:
                    value, field = int.from_bytes(field[:8], "little"), field[8:]
                taken.append(value)
            return tuple(taken)
        at += 4 + length
    return values


def _read_central(source: Source, start: int, shift: int, survey: Survey, place: Place) -> Iterator[tuple[Entry, int]]:
    """Entries of a central directory, still without the start of their data, each with the offset after it."""
    at = start
    while (head := source.read(at, _CENTRAL.size))[:4] == CENTRAL and len(head) == _CENTRAL.size:
        (_, _, _, flags, method, _, _, crc, packed, size, name_length, extra_length, comment_length, _, _, attributes,
         header) = _CENTRAL.unpack(head)  # fmt: skip
        tail = source.read(at + _CENTRAL.size, name_length + extra_length)
        size, packed, header = _zip64(tail[name_length:], (size, packed, header))
        at += _CENTRAL.size + name_length + extra_length + comment_length
        name = member_name(tail[:name_length])
        yield Entry(name, header, 0, packed, size, method, flags, crc, attributes), at
        if survey.overdue(place):
            return


def read_directory(source: Source, place: Place, survey: Survey) -> Directory:
    """Collect members from everything that names one."""
    entries: dict[Entry, None] = {}
    spans: list[tuple[int, int]] = []
    ends = find_ends(source)
    seen: set[tuple[int, int]] = set()
    for end in ends:
        if any(entry.start <= end < entry.start + entry.packed for entry in entries):
            # of an archive that is a member of this one, and explored as such
            continue
        spans.append((end, end + _END_RECORD.size))
        for start, shift in find_directories(source, end):
            if (start, shift) in seen:
                continue
            seen.add((start, shift))
            after = start
            for entry, reached in _read_central(source, start, shift, survey, place):
                after = reached
                _locate(source, entry, shift, entries, place, survey)
                if len(entries) > 2 * survey.limits.members:
                    break
            spans.append((start, after))
    if not ends:
        survey.fail("zip-no-directory", place)
    members = [(entry.header, entry.start + entry.packed) for entry in entries]
    for entry in _search_gaps(source, spans + members, place, survey):
        if ends:
            survey.odd("zip-hidden-member", (*place, ("zip", entry.name)), entry.header)
        entries[entry] = None
        if len(entries) > 2 * survey.limits.members:
            survey.fail("budget:members", place)
            break
    return Directory(tuple(sorted(entries, key=_in_file_order)), tuple(spans))


def _in_file_order(entry: Entry) -> tuple[int, int, int, str]:
    return entry.start, entry.method, entry.packed, entry.name


def _locate(source: Source, entry: Entry, shift: int, entries: dict[Entry, None], place: Place, survey: Survey) -> None:
    """Find the local header of a central entry, and read the member as either of them says."""
    inside = (*place, ("zip", entry.name))
    found = False
    for at in {entry.header + shift, entry.header}:
        local = read_local(source, at) if at >= 0 else None
        if local is None:
            continue
        found = True
        # signed local headers may be shared by several central entries: each is a member of its own
        entries[entry.replace(header=at, start=local.start)] = None
        streamed = local.flags & STREAMED and not local.packed
        known = (entry.packed, entry.size) if streamed else (local.packed, local.size)
        if (local.name, local.method, *known) != (entry.name, entry.method, entry.packed, entry.size):
            survey.odd("zip-header-mismatch", inside, at, f"the local header says {local.name!r}")
            entries[local.replace(packed=known[0], size=known[1])] = None
        elif (local.flags ^ entry.flags) & ENCRYPTED:
            survey.odd("zip-header-mismatch", inside, at, "flags")
    if not found:
        survey.fail("zip-no-local-header", inside, entry.header)


def _search_gaps(source: Source, spans: list[tuple[int, int]], place: Place, survey: Survey) -> Iterator[Entry]:
    """Local headers in the bytes that belong to no known member or record."""
    left = SEARCHED_BYTES
    at = 0
    for start, end in [*sorted(spans), (source.size, source.size)]:
        while at + _LOCAL.size <= start:
            stop = min(start, at + left)
            found = source.find(LOCAL, at, stop)
            left -= (found if found >= 0 else stop) - at
            if found < 0:
                if stop < start:
                    survey.fail("unsearched-bytes", place, stop, f"{start - stop} bytes outside of members")
                break
            entry = read_local(source, found) if is_plausible_local(source, found) else None
            if entry is None:
                at = found + 4
                continue
            if entry.flags & STREAMED and not entry.packed:
                packed, searched = _streamed_size(source, entry.start, min(start, entry.start + max(left, 0)))
                left -= searched
                entry = entry.replace(packed=packed, size=entry.size or packed)
            yield entry
            at = max(found + 4, min(entry.start + entry.packed, start))
            if survey.overdue(place):
                return
        at = max(at, end)


def _streamed_size(source: Source, start: int, limit: int) -> tuple[int, int]:
    """Packed bytes of a member that only a descriptor measures: up to the one that fits, or to the next record.

    The second number is how many bytes were searched for it.
    """
    at = source.find(DESCRIPTOR, start, limit)
    for _ in range(_DESCRIPTORS_TRIED):
        if at < 0:
            break
        sizes = source.read(at + 8, 8)
        if at - start in (int.from_bytes(sizes[:4], "little"), int.from_bytes(sizes, "little")):
            return at - start, at - start
        at = source.find(DESCRIPTOR, at + 4, limit)
    nexts = [source.find(signature, start, limit) for signature in (LOCAL, CENTRAL, DESCRIPTOR)]
    return max(min((found for found in nexts if found >= 0), default=limit) - start, 0), max(limit - start, 0)
