"""JSON and other text: pickles written in base64 within JSON are found; programs in text are only pointed out.

Stable-Baselines3 stores what JSON cannot hold as ``{":serialized:": "<base64 of cloudpickle>"}`` and unpickles it.
"""

from __future__ import annotations

from ..bytecode.opcodes import CODES
from . import hydra_config, json_program
from .base64_text import decode_base64
from .escapes import resolved
from .keras_config import KerasConfig
from .pickle_walk import looks_like_pickle, surely_pickle
from .skops_schema import SkopsSchema
from .source import Source
from .survey import NAME_LENGTH, is_configuration, member_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from ..bytecode.trace import Place
    from .contents import Buffer
    from .survey import Survey

_HEAD_BYTES = 4096
_BLANKS = b" \t\r\n\xef\xbb\xbf"
_WIDE = {
    sign.encode(encoding): encoding
    for encoding in ("utf-32-le", "utf-32-be", "utf-16-le", "utf-16-be")
    for sign in "\ufeff{[ \t\r\n"
}
"""How JSON begins in encodings other than UTF-8, and which that is; the longer ones come first."""
_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_BASE64 = _ALPHABET + b"-_="
_SHORTEST = 16
"""Characters of the shortest string that is decoded; a pickle that calls something needs more."""

_WORD_CHARACTERS = 64
"""Characters up to which a string may just be a word, so that only a pickle is looked for."""

_NO_BRACKETS = bytes(byte for byte in range(256) if byte not in b"{}[]")
_FIRST_CHARACTERS = frozenset(
    _ALPHABET[byte >> 2] for byte in (*CODES.values(), *b"P\x1fBxZ\xfd\x5d\x93\x04\x28\x37\x89")
).union(byte for byte in range(256) if byte not in _ALPHABET or byte in b"-_")
"""What a string of interest may begin with: the first characters of base64 of what a reader knows, or what
base64 decoders skip."""

_TRIED_CHARACTERS = 4096
_MARKED_BYTES = 16 << 20
_MAX_NESTING = 256

_PROGRAMS: tuple[tuple[bytes, str, str], ...] = (
    (b"!!python/", "yaml", "tags name Python callables"),
    (b'"py/', "json", "jsonpickle names Python callables"),
    (b'"auto_map"', "json", "a configuration names Python code"),
    (b'"class_name"', "json", "a configuration names classes and functions to build"),
)
"""Marks of text that a framework runs or builds objects from: mark, container, why it matters."""
_TEMPLATE, _TEMPLATE_END = (b"{%", b"{{"), (b"%}", b"}}")
"""Marks of a template, and what ends what they begin."""
_ESCAPED = (b"\\u007b", b"\\u007B")
"""How JSON may write their first character, and their second one where the first is written so."""
_HYDRA = b'"_target_"'
_OBJECTS: dict[bytes, type[json_program.JsonProgram]] = {
    b'"class_name"': KerasConfig, b'"__loader__"': SkopsSchema, _HYDRA: hydra_config.HydraConfig,
}  # fmt: skip
"""Programs in JSON that are read, by what stands in them."""
_MARKS = (*_TEMPLATE, *_OBJECTS, hydra_config.MARK, *(mark for mark, _name, _why in _PROGRAMS))


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
    """Whether it begins and ends like a JSON object or array, in any encoding that JSON may be in."""
    wide = _wide(source)
    if not wide and source.read(0, 1) in (b"\0", b"\xff", b"\xfe"):
        return False
    dropped = _BLANKS + b"\0\xff\xfe" if wide else _BLANKS
    at = 0
    first = b""
    # numbers that look like blanks of 16 or 32 bits may fill gigabytes
    end = _MARKED_BYTES if wide else source.size
    while len(first) < 2 and at < end and (part := source.read(at, _HEAD_BYTES)):
        first += part.translate(None, dropped)[: 2 - len(first)]
        at += len(part)
    if first[:1] not in (b"{", b"["):
        return False
    expected = b'"}' if first[:1] == b"{" else b'"{[]-0123456789tfnNI'
    if first[1:] and first[1:] not in [expected[i : i + 1] for i in range(len(expected))]:
        return False
    return source.partial or _last(source) in (b"}", b"]")


def _last(source: Source) -> bytes:
    """The last sign of a text, but for blanks and NULs."""
    at = source.size
    last = b""
    while at > 0 and not last:
        begin = max(0, at - _HEAD_BYTES)
        last = source.read(begin, at - begin).translate(None, _BLANKS + b"\0")[-1:]
        at = begin
    return last


def _wide(source: Source) -> str:
    """The encoding of JSON that is not in UTF-8."""
    head = source.read(0, 4)
    return next((encoding for begin, encoding in _WIDE.items() if head.startswith(begin)), "")


def _plain(source: Source, place: Place, survey: Survey, json: bool = False) -> Source:
    """The same text in UTF-8, without escapes of characters that need none where these hide a program."""
    encoding = _wide(source) if json else ""
    if source.partial or source.size > _MARKED_BYTES:
        if encoding:
            note = survey.fail if source.alone else survey.odd
            note("unsupported-format", (*place, ("text", "")), 0, f"{encoding} of more than 16 MB is not read")
        return source
    if not encoding and source.find(b"\\", 0, source.size) < 0:
        return source
    data = source.read(0, source.size)
    text = data.decode(encoding, "replace").encode("utf-8", "replace") if encoding else data
    plain = resolved(text, lambda: survey.overdue(place))
    if plain is data or not (encoding or any(plain.count(mark) > data.count(mark) for mark in _MARKS)):
        return source
    if not survey.take_unpacked(len(plain), place):
        return source
    kept = survey.keep(plain, place)
    return Source(kept.data, kept.start, kept.end, source.alone)


def read_json(source: Source, place: Place, survey: Survey) -> str:
    """Look into every string that is base64 of something that a reader knows."""
    source = _plain(source, place, survey, json=True)
    if not source.partial:
        for key, literal in _strings(source, place, survey):
            _read_base64(key, literal, place, survey)
    read = {
        mark: kind
        for mark, kind in _OBJECTS.items()
        if source.find(mark, 0, source.size) >= 0 and json_program.read(kind, source, place, survey)
    }
    found = _read_programs(source, place, survey, read)
    return next((f"{kind.step}-json" for kind in read.values()), found or "json")


def read_text(source: Source, place: Place, survey: Survey) -> str:
    """Text on its own may be a program of any language, which nobody here reads."""
    source = _plain(source, place, survey)
    container = _read_programs(source, place, survey)
    if not container or not _is_configuration(source):
        survey.fail("unsupported-format", (*place, ("text", "")), 0, "text may be a program; it is not analysed")
    return container or "text"


def _is_configuration(source: Source) -> bool:
    """Whether a text begins as a template, or has the lines of YAML and of no program."""
    data = source.read(0, min(source.size, _MARKED_BYTES)).lstrip(_BLANKS)
    if data.startswith((*_TEMPLATE, b"{#")):
        return True
    return all(line[:1] in b" \t\r#-?}]" or b":" in line for line in data.split(b"\n"))


def read_member(source: Source, place: Place, survey: Survey) -> None:
    """Templates and configurations among the members of an archive; other text is data there."""
    if is_text(source):
        _read_programs(_plain(source, place, survey), place, survey)


def _read_programs(source: Source, place: Place, survey: Survey, read: Collection[bytes] = ()) -> str:
    """Name of the container where a mark says that the text is more than data; as a member it is only noted.

    Marks of what was `read` already say nothing.
    """
    note = survey.fail if source.alone else survey.odd
    marked = any(source.find(mark, 0, source.size) >= 0 for mark in (*_TEMPLATE, *_ESCAPED))
    found = "jinja-template" if marked and _read_templates(source, place, survey) else ""
    if _HYDRA not in read and hydra_config.mentions(source):
        if not hydra_config.read_yaml(source, place, survey):
            promised = source.alone or is_configuration(place) or _is_configuration(source)
            told = survey.fail if promised else survey.odd
            told("unsupported-format", (*place, ("text", "")), 0, "a configuration names Python callables")
        found = found or "text"
    for mark, name, why in _PROGRAMS:
        offset = -1 if mark in read else source.find(mark, 0, source.size)
        if offset >= 0:
            note("unsupported-format", (*place, (name or "text", "")), offset, why)
            return found or name or "text"
    return found


def _read_templates(source: Source, place: Place, survey: Survey) -> bool:
    """Tell what the templates do that a text is or that strings in JSON are; whether there are any."""
    from . import jinja_template

    inside = (*place, ("jinja-template", ""))
    if source.partial or (source.size > _MARKED_BYTES and not is_json(source)):
        note = survey.fail if source.alone else survey.odd
        note("unsupported-format", inside, 0, "a template is a program; this one is too long to be read")
        return True
    found = False
    for key, template in _templates(source, place, survey):
        if not survey.take_member(inside) or survey.overdue(inside):
            break
        jinja_template.read(template, (*place, ("jinja-template", key)), survey, source.alone)
        found = True
    return found


def _templates(source: Source, place: Place, survey: Survey) -> Iterator[tuple[str, str]]:
    """Texts that may be templates: strings in JSON, and all of it where marks stand outside of these."""
    within = 0
    if is_json(source):
        for key, literal in _strings(source, place, survey, every=True):
            within += sum(literal.count(mark) for mark in _TEMPLATE)
            if any(mark in literal for mark in (*_TEMPLATE, *_ESCAPED)):
                text = _unescaped(literal)
                if any(begin in text and end in text for begin, end in zip(_TEMPLATE, _TEMPLATE_END, strict=True)):
                    yield key, text.decode("utf-8", "replace")
    data = source.read(0, source.size if source.size <= _MARKED_BYTES else 0)
    if sum(data.count(mark) for mark in _TEMPLATE) > within:
        yield "", data.decode("utf-8", "replace")


def _read_base64(key: str, literal: bytes, place: Place, survey: Survey) -> None:
    inside = (*place, ("base64", key))
    for text in _spellings(literal):
        head = decode_base64(text[:_TRIED_CHARACTERS])
        if not head or not _is_promising(text[:_TRIED_CHARACTERS], head, len(text) > _TRIED_CHARACTERS, survey):
            continue
        if survey.take_member(inside) and survey.take_unpacked(len(text) * 3 // 4, inside):
            survey.explore(survey.keep(decode_base64(text), inside), inside)


def _is_promising(text: bytes, head: bytes, partial: bool, survey: Survey) -> bool:
    """Whether a reader knows what came out; of prose, which decodes to noise, more certainty is asked."""
    if len(text.translate(None, _BASE64)) > 0:
        return surely_pickle(head, 0, len(head))
    if len(text) < _WORD_CHARACTERS:
        return looks_like_pickle(head, 0, len(head), partial)
    return bool(survey.wanted(Source(head, 0, len(head), partial=partial)))


def _spellings(literal: bytes) -> list[bytes]:
    """A JSON string's text as loaders may read it: escapes resolved, and with the alphabet for URLs as well."""
    literal = _unescaped(literal).decode("utf-8", "ignore").encode("ascii", "ignore") if b"\\" in literal else literal
    if b"-" in literal or b"_" in literal:
        return [literal, literal.replace(b"-", b"+").replace(b"_", b"/")]
    return [literal]


def _unescaped(literal: bytes) -> bytes:
    """What a string in JSON stands for, in UTF-8; nothing where it is none."""
    from json import loads

    try:
        return str(loads(b'"' + literal + b'"', strict=False)).encode("utf-8", "replace")
    except ValueError:
        return b""


def _strings(source: Source, place: Place, survey: Survey, every: bool = False) -> Iterator[tuple[str, bytes]]:
    """``(path of keys, literal)`` of each string value that may be base64, or of `every` string; escapes as written."""
    data, position, end = source.data, source.start, source.end
    keys: list[bytes] = []
    key = b""
    count = 0
    while (quote := data.find(b'"', position, end)) >= 0:
        brackets = data[position : min(quote, position + _HEAD_BYTES)].translate(None, _NO_BRACKETS)
        if brackets:
            key = _nest(brackets, keys, key)
        begin = quote + 1
        close = _string_end(data, begin, end)
        if close < 0:
            return
        position = close + 1
        if data[position : position + 1] == b":" or data[position : min(position + 64, end)].lstrip()[:1] == b":":
            key = data[begin : min(close, begin + NAME_LENGTH)]
            if every:
                yield member_name(key), data[begin:close]
        elif every or (close - begin >= _SHORTEST and data[begin] in _FIRST_CHARACTERS):
            yield member_name(b".".join(part for part in (*keys, key) if part)), data[begin:close]
        count += 1
        if count % 4096 == 0 and survey.overdue(place):
            return


def _nest(brackets: bytes, keys: list[bytes], key: bytes) -> bytes:
    """Follow brackets: `keys` becomes the path to where they lead, and the key there is returned."""
    for bracket in brackets:
        if bracket in b"{[":
            keys.append(key)
            del keys[:-_MAX_NESTING]
        elif keys:
            keys.pop()
        key = b""
    return key


def _string_end(data: Buffer, begin: int, end: int) -> int:
    """Offset of the quote that ends a string, or -1."""
    close = data.find(b'"', begin, end)
    while close > begin and data[close - 1] == 0x5C:
        first = max(begin, close - 4096)
        slashes = data[first:close]
        if (len(slashes) - len(slashes.rstrip(b"\\"))) % 2 == 0:
            break
        close = data.find(b'"', close + 1, end)
    return close
