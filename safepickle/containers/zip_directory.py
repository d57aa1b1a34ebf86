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


class Entry:
    """What one header says about a member; no record, as a hundred thousand of them are made.

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

    __slots__ = ("attributes", "crc", "flags", "header", "method", "name", "packed", "size", "start")

    def __init__(
        self,
        name: str,
        header: int,
        start: int,
        packed: int,
        size: int,
        method: int,
        flags: int,
        crc: int,
        attributes: int = 0,
    ) -> None:
        self.name = name
        self.header = header
        self.start = start
        self.packed = packed
        self.size = size
        self.method = method
        self.flags = flags
        self.crc = crc
        self.attributes = attributes


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
    if extra_length:
        size, packed = _zip64(tail[name_length:], (size, packed))
    start = at + _LOCAL.size + name_length + extra_length
    return Entry(member_name(tail[:name_length]), at, start, packed, size, method, flags, crc)


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


class _Collected:
    """Members found so far, and how both headers of each were compared."""

    def __init__(self, source: Source, place: Place, survey: Survey) -> None:
        self.entries: dict[tuple[object, ...], Entry] = {}
        self._source = source
        self._place = place
        self._survey = survey

    def add(self, entry: Entry) -> None:
        """Add a member, unless it is known just so."""
        self.entries[
            entry.start, entry.method, entry.packed, entry.size, entry.name, entry.header, entry.flags, entry.crc,
            entry.attributes,
        ] = entry  # fmt: skip

    def read_central(self, start: int, shift: int) -> int:
        """Add what a central directory names, as it and as the local headers describe it; returns its end."""
        source, survey = self._source, self._survey
        data, base, at = source.data, source.start, start
        while at + _CENTRAL.size <= source.size:
            (signature, _, _, flags, method, _, _, crc, packed, size, name_length, extra_length, comment_length, _, _,
             attributes, header) = _CENTRAL.unpack_from(data, base + at)  # fmt: skip
            if signature != CENTRAL:
                break
            at += _CENTRAL.size
            name = source.read(at, name_length)
            if extra_length:
                size, packed, header = _zip64(source.read(at + name_length, extra_length), (size, packed, header))
            at += name_length + extra_length + comment_length
            entry = Entry(member_name(name), header, 0, packed, size, method, flags, crc, attributes)
            is_ambiguous = shift and source.read(header, 4) == LOCAL
            if is_ambiguous or not self._agrees(entry, name, header + shift):
                self._locate(entry, shift)
            if len(self.entries) > 2 * survey.limits.members or survey.overdue(self._place):
                break
        return at

    def _agrees(self, entry: Entry, name: bytes, at: int) -> bool:
        """Add a central entry whose local header says the very same, which is the rule."""
        source = self._source
        if not 0 <= at <= source.size - _LOCAL.size - len(name):
            return False
        signature, _, flags, method, _, _, _, packed, size, length, extra = _LOCAL.unpack_from(
            source.data, source.start + at
        )
        if signature != LOCAL or method != entry.method or length != len(name) or (flags ^ entry.flags) & ENCRYPTED:
            return False
        sizes_follow = flags & STREAMED and not packed
        if not sizes_follow and (packed != entry.packed or size != entry.size):
            return False
        if source.read(at + _LOCAL.size, length) != name:
            return False
        entry.header, entry.start = at, at + _LOCAL.size + length + extra
        self.add(entry)
        return True

    def _locate(self, entry: Entry, shift: int) -> None:
        """Find the local header of a central entry, and read the member as either of them says."""
        survey = self._survey
        inside = (*self._place, ("zip", entry.name))
        found = False
        for at in {entry.header + shift, entry.header}:
            local = read_local(self._source, at) if at >= 0 else None
            if local is None:
                continue
            found = True
            # signed local headers may be shared by several central entries: each is a member of its own
            self.add(
                Entry(
                    entry.name, at, local.start, entry.packed, entry.size, entry.method, entry.flags, entry.crc,
                    entry.attributes,
                )
            )  # fmt: skip
            if local.flags & STREAMED and not local.packed:
                local.packed, local.size = entry.packed, entry.size
            if (local.name, local.method, local.packed, local.size) != (
                entry.name, entry.method, entry.packed, entry.size
            ):  # fmt: skip
                survey.odd("zip-header-mismatch", inside, at, f"the local header says {local.name!r}")
                self.add(local)
            elif (local.flags ^ entry.flags) & ENCRYPTED:
                survey.odd("zip-header-mismatch", inside, at, "flags")
        if not found:
            survey.fail("zip-no-local-header", inside, entry.header)


def read_directory(source: Source, place: Place, survey: Survey) -> Directory:
    """Collect members from everything that names one."""
    collected = _Collected(source, place, survey)
    entries = collected.entries
    spans: list[tuple[int, int]] = []
    ends = find_ends(source)
    seen: set[tuple[int, int]] = set()
    for end in ends:
        if any(entry.start <= end < entry.start + entry.packed for entry in entries.values()):
            # of an archive that is a member of this one, and explored as such
            continue
        spans.append((end, end + _END_RECORD.size))
        for start, shift in find_directories(source, end):
            if (start, shift) not in seen:
                seen.add((start, shift))
                spans.append((start, collected.read_central(start, shift)))
    if not ends:
        survey.fail("zip-no-directory", place)
    members = [(entry.header, entry.start + entry.packed) for entry in entries.values()]
    for entry in _search_gaps(source, spans + members, place, survey):
        if ends:
            survey.odd("zip-hidden-member", (*place, ("zip", entry.name)), entry.header)
        collected.add(entry)
        if len(entries) > 2 * survey.limits.members:
            survey.fail("budget:members", place)
            break
    return Directory(tuple(sorted(entries.values(), key=_in_file_order)), tuple(spans))


def _in_file_order(entry: Entry) -> tuple[int, int, int, str]:
    return entry.start, entry.method, entry.packed, entry.name


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
                entry.packed, entry.size = packed, entry.size or packed
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
