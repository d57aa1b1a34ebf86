"""tar: own header reader, so that damage or truncation never hides the other members.

Sources: POSIX.1-2001 pax, the GNU tar manual, torch.serialization._legacy_load for the tars of torch < 0.1.10.
"""

from __future__ import annotations

from ..record import Record
from .source import Source
from .survey import member_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..bytecode.trace import Place
    from .survey import Survey

BLOCK = 512

_DATALESS = b"123456"
"""Types without data: links, devices, directories, pipes."""

_EXTENSION_BYTES = 1 << 20
_RESYNC_BLOCKS = 4096
"""Blocks that are searched for the next header after a damaged one, or after the end of the archive."""

_TORCH_MEMBERS = {"sys_info": "pickle", "pickle": "pickle", "storages": "legacy-torch", "tensors": "legacy-torch"}
"""Members of torch's tar and the role of each: two hold counts and raw numbers between their pickles."""


class Member(Record):
    """A member: its name, type and where its data lies."""

    name: str
    type: bytes
    start: int
    size: int


def _number(field: bytes) -> int | None:
    """An octal or base-256 number; None when it is neither."""
    if field[:1] in (b"\x80", b"\xff"):
        return int.from_bytes(field[1:], "big") if field[:1] == b"\x80" else None
    digits = field.split(b"\0", 1)[0].strip(b" ")
    if not digits:
        return 0
    return int(digits, 8) if digits.isdigit() and not digits.strip(b"01234567") else None


def _is_header(block: bytes) -> bool:
    """Whether the checksum is right, as a sum of unsigned or, in old writers, signed bytes."""
    if len(block) < BLOCK or not block[:1].strip(b"\0"):
        return False
    stated = _number(block[148:156])
    if not stated:
        return False
    rest = block[:148] + block[156:]
    total = 256 + sum(rest)
    return stated in (total, total - 256 * sum(byte > 127 for byte in rest)) and _number(block[124:136]) is not None


def sniff(source: Source) -> bool:
    """The first block is a header with a right checksum."""
    return _is_header(source.read(0, BLOCK))


def members(source: Source, place: Place, survey: Survey) -> Iterator[Member]:
    """Every member with a header that can be found, also behind damage and behind the end mark."""
    offset, name, size = 0, "", None
    while offset < source.size:
        block = source.read(offset, BLOCK)
        if not _is_header(block):
            found = _next_header(source, offset)
            if found is None:
                _note_rest(source, place, survey, offset)
                return
            survey.odd("tar-damaged" if block.strip(b"\0") else "tar-after-end", place, offset)
            offset, name, size = found, "", None
            continue
        kind = block[156:157]
        data_size = _number(block[124:136]) or 0
        start = offset + BLOCK
        if kind in b"LKxg" and kind:
            if survey.overdue(place):
                return
            text = source.read(start, min(data_size, _EXTENSION_BYTES))
            if kind == b"L":
                name = member_name(text.rstrip(b"\0"))
            elif kind in b"xg":
                name, size = _pax(text, name, size)
        else:
            data_size = data_size if size is None else size
            data_size = 0 if kind and kind in _DATALESS else data_size
            yield Member(name or _plain_name(block), kind, start, data_size)
            name, size = "", None
        offset = start + (data_size + BLOCK - 1) // BLOCK * BLOCK


def _plain_name(block: bytes) -> str:
    name = block[:100].split(b"\0", 1)[0]
    prefix = block[345:500].split(b"\0", 1)[0] if block[257:263] == b"ustar\0" else b""
    return member_name(prefix + b"/" + name if prefix else name)


def _pax(text: bytes, name: str, size: int | None) -> tuple[str, int | None]:
    """Path and size from records ``<length> <key>=<value>\\n``."""
    for line in text.split(b"\n"):
        key, _, value = line.partition(b" ")[2].partition(b"=")
        if key == b"path":
            name = member_name(value)
        elif key == b"size" and value.isdigit() and len(value) < 20:
            size = int(value)
    return name, size


def _next_header(source: Source, offset: int) -> int | None:
    for block in range(1, _RESYNC_BLOCKS):
        head = source.read(offset + block * BLOCK, BLOCK)
        if len(head) < BLOCK:
            return None
        if _is_header(head):
            return offset + block * BLOCK
    return None


def _note_rest(source: Source, place: Place, survey: Survey, offset: int) -> None:
    """What is behind the last header: the end mark and padding, or something else."""
    rest = source.read(offset, _RESYNC_BLOCKS * BLOCK)
    if rest.strip(b"\0"):
        survey.fail("tar-damaged", place, offset, "no further header is found")
    elif offset + len(rest) < source.size:
        survey.fail("unsearched-bytes", place, offset, f"{source.size - offset} bytes after the end of the archive")


def read(source: Source, place: Place, survey: Survey) -> str:
    """Explore every member; truncated ones as far as they go."""
    names: set[str] = set()
    pickled: list[tuple[Member, Place]] = []
    for member in members(source, place, survey):
        inside = (*place, ("tar", member.name))
        if not survey.take_member(inside) or survey.overdue(inside):
            break
        if member.name.startswith("/") or ".." in member.name.split("/"):
            survey.odd("path-traversal", inside, member.start)
        if member.name in names and member.size:
            survey.odd("duplicate-member", inside, member.start)
        names.add(member.name)
        data = source.window(member.start, member.start + member.size)
        if data.size < member.size:
            survey.fail("truncated-member", inside, member.start, f"{member.size - data.size} bytes are missing")
        if _short(member.name) in _TORCH_MEMBERS:
            pickled.append((member, inside))
        elif data.size:
            survey.explore(data, inside)
    is_torch = {"pickle", "storages", "tensors"} <= {_short(name) for name in names}
    for member, inside in pickled:
        data = source.window(member.start, member.start + member.size)
        if is_torch:
            survey.region(data, inside, _TORCH_MEMBERS[_short(member.name)])
        elif data.size:
            survey.explore(data, inside)
    return "torch-tar" if is_torch else "tar"


def _short(name: str) -> str:
    return name.removeprefix("./")
