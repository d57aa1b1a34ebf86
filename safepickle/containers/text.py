"""JSON and other text: pickles written in base64 within JSON are found; programs in text are only pointed out.

Stable-Baselines3 stores what JSON cannot hold as ``{":serialized:": "<base64 of cloudpickle>"}`` and unpickles it.
"""

from __future__ import annotations

from binascii import Error, a2b_base64

from .pickle_walk import surely_pickle
from .source import Source
from .survey import member_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..bytecode.trace import Place
    from .survey import Survey

_HEAD_BYTES = 4096
_BLANKS = b" \t\r\n\xef\xbb\xbf"
_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_="
_SHORTEST = 12
_TRIED_CHARACTERS = 4096
_MARKED_BYTES = 16 << 20
_MAX_NESTING = 256

_PROGRAMS: tuple[tuple[bytes, str, str], ...] = (
    (b"{%", "jinja-template", "a template is a program"),
    (b"{{", "jinja-template", "a template is a program"),
    (b"!!python/", "yaml", "tags name Python callables"),
    (b'"py/', "json", "jsonpickle names Python callables"),
    (b"_target_", "", "a configuration names Python callables"),
    (b'"auto_map"', "json", "a configuration names Python code"),
    (b'"class_name"', "json", "a configuration names classes and functions to build"),
)
"""Marks of text that a framework runs or builds objects from: mark, container, why it matters."""


def is_text(source: Source) -> bool:
    """Whether the head is UTF-8 without control characters, or has a byte order mark of UTF-16."""
    head = source.read(0, _HEAD_BYTES)
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return True
    if any(byte < 0x20 and byte not in (0x09, 0x0A, 0x0C, 0x0D, 0x1B) for byte in head):
        return False
    try:
        head.decode()
    except UnicodeDecodeError as error:
        return error.start > len(head) - 4 and len(head) == _HEAD_BYTES
    return True


def is_json(source: Source) -> bool:
    """Whether it begins and ends like a JSON object or array."""
    head = source.read(0, _HEAD_BYTES).lstrip(_BLANKS)
    if head[:1] not in (b"{", b"["):
        return False
    second = head[1:].lstrip(_BLANKS)[:1]
    expected = b'"}' if head[:1] == b"{" else b'"{[]-0123456789tfn'
    if second and second not in [expected[i : i + 1] for i in range(len(expected))]:
        return False
    return source.partial or source.read(source.size - 64, 64).rstrip(_BLANKS + b"\0")[-1:] in (b"}", b"]")


def read_json(source: Source, place: Place, survey: Survey) -> str:
    """Look into every string that is base64 of something that a reader knows."""
    if not source.partial:
        for key, literal in _strings(source, place, survey):
            _read_base64(key, literal, place, survey)
    return _read_programs(source, place, survey) or "json"


def read_text(source: Source, place: Place, survey: Survey) -> str:
    """Text on its own may be a program of any language, which nobody here reads."""
    container = _read_programs(source, place, survey)
    if not container:
        survey.fail("unsupported-format", (*place, ("text", "")), 0, "text may be a program; it is not analysed")
    return container or "text"


def _read_programs(source: Source, place: Place, survey: Survey) -> str:
    """Name of the container where a mark says that the text is more than data; as a member it is only noted."""
    limit = min(source.size, _MARKED_BYTES)
    for mark, name, why in _PROGRAMS:
        offset = source.find(mark, 0, limit)
        if offset >= 0:
            note = survey.fail if source.alone else survey.odd
            note("unsupported-format", (*place, (name or "text", "")), offset, why)
            return name or "text"
    return ""


def _read_base64(key: str, literal: bytes, place: Place, survey: Survey) -> None:
    inside = (*place, ("base64", key))
    for text in _spellings(literal):
        head = _decoded(text[:_TRIED_CHARACTERS])
        if not head:
            continue
        clean = not text[:_TRIED_CHARACTERS].translate(None, _BASE64)
        part = Source(head, 0, len(head), partial=len(text) > _TRIED_CHARACTERS)
        if not (survey.wanted(part) if clean else surely_pickle(head, 0, len(head))):
            continue
        if survey.take_member(inside) and survey.take_unpacked(len(text) * 3 // 4, inside):
            data = _decoded(text)
            survey.explore(Source(data, 0, len(data)), inside)


def _spellings(literal: bytes) -> list[bytes]:
    """A JSON string's text as loaders may read it: escapes resolved, and with the alphabet for URLs as well."""
    if b"\\" in literal:
        from json import loads

        try:
            literal = str(loads(b'"' + literal + b'"')).encode("ascii", "ignore")
        except (ValueError, RecursionError):
            return []
    if b"-" in literal or b"_" in literal:
        return [literal, literal.replace(b"-", b"+").replace(b"_", b"/")]
    return [literal]


def _decoded(text: bytes) -> bytes:
    """Base64 to bytes as Python's loaders decode it: foreign characters are skipped; padding may be missing."""
    for padding in (b"", b"=", b"=="):
        try:
            return a2b_base64(text + padding)
        except (Error, ValueError):
            continue
    return b""


def _strings(source: Source, place: Place, survey: Survey) -> Iterator[tuple[str, bytes]]:
    """``(path of keys, literal)`` of each string value that may be base64; escapes as written."""
    keys: list[bytes] = []
    key = b""
    offset, size = source.find(b'"', 0, source.size), source.size
    previous, count = 0, 0
    while offset >= 0:
        keys, key = _nest(source.read(previous, min(offset - previous, _HEAD_BYTES)), keys, key)
        end = _string_end(source, offset + 1, size)
        if end < 0:
            return
        after = source.read(end + 1, 16).lstrip(_BLANKS)
        if after[:1] == b":":
            key = source.read(offset + 1, min(end - offset - 1, 256))
        elif end - offset > _SHORTEST:
            tried = source.read(offset + 1, min(end - offset - 1, 64))
            if len(tried.translate(None, _BASE64)) <= len(tried) // 2:
                yield (
                    member_name(b".".join(part for part in (*keys, key) if part)),
                    source.read(offset + 1, end - offset - 1),
                )
        previous = end + 1
        offset = source.find(b'"', previous, size)
        count += 1
        if count % 4096 == 0 and survey.overdue(place):
            return


def _nest(between: bytes, keys: list[bytes], key: bytes) -> tuple[list[bytes], bytes]:
    """The path of keys after the brackets between two strings."""
    for byte in between:
        if byte in b"{[":
            if len(keys) < _MAX_NESTING:
                keys.append(key)
            key = b""
        elif byte in b"}]" and keys:
            keys.pop()
            key = b""
    return keys, key


def _string_end(source: Source, offset: int, size: int) -> int:
    """Offset of the quote that ends a string, or -1."""
    end = source.find(b'"', offset, size)
    while end >= 0:
        slashes = source.read(max(offset, end - 64), end - max(offset, end - 64))
        if (len(slashes) - len(slashes.rstrip(b"\\"))) % 2 == 0:
            return end
        end = source.find(b'"', end + 1, size)
    return -1
