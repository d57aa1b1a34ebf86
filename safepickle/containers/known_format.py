"""Formats that are recognised by their first bytes: they hold no pickle, but some of them do something of their own."""

from __future__ import annotations

from ..record import Record
from .later import later
from .source import Source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ..bytecode.trace import Place
    from .survey import Survey


class Format(Record):
    """A format by its magic.

    Parameters
    ----------
    name
        What the container is called.
    offset, magic
        Bytes that stand at an offset in every such file.
    unread
        Why not having read it matters: the code it may carry, or what would be needed to unpack it. Empty for
        formats that can carry neither code nor a pickle, and for those that are read.
    reader
        What looks into it; none for those that are only recognised.
    whole
        Whether the reader wants more than the head.
    """

    name: str
    offset: int
    magic: bytes
    unread: str = ""
    reader: Callable[[Source, Place, Survey], None] | None = None
    whole: bool = True


_UNPACKED = "nothing in the standard library unpacks it; unpack it and scan what comes out"

FORMATS: tuple[Format, ...] = (
    Format("rar", 0, b"Rar!\x1a\x07", f"needs a RAR reader: {_UNPACKED}"),
    Format("tflite", 4, b"TFL3", reader=later("tflite_model", "read")),
    Format("gguf", 0, b"GGUF", reader=later("gguf_model", "read")),
    Format("elf", 0, b"\x7fELF", "native code"),
    Format("mach-o", 0, b"\xcf\xfa\xed\xfe", "native code"),
    Format("pe", 0, b"MZ\x90\x00", "native code"),
    Format("r-data", 0, b"RDX2\n", "R objects may carry code"),
    Format("r-data", 0, b"RDX3\n", "R objects may carry code"),
    Format("parquet", 0, b"PAR1"),
    Format("arrow", 0, b"ARROW1"),
    Format("png", 0, b"\x89PNG\r\n\x1a\n"),
    Format("jpeg", 0, b"\xff\xd8\xff"),
    Format("gif", 0, b"GIF8"),
    Format("webp", 8, b"WEBP"),
    Format("wav", 8, b"WAVE"),
    Format("mp4", 4, b"ftyp"),
    Format("sqlite", 0, b"SQLite format 3\x00"),
)

_BY_PLACE: dict[int, dict[bytes, Format]] = {}
for _known in FORMATS:
    _BY_PLACE.setdefault(_known.offset << 8 | len(_known.magic), {})[_known.magic] = _known
_PLACES = tuple((key >> 8, (key >> 8) + (key & 255), known) for key, known in _BY_PLACE.items())
"""Where magics stand, and the formats by the magic there."""

_ONNX = Format("onnx", 0, b"", reader=later("onnx_model", "read"))
_SAVED_MODEL = Format("saved-model", 0, b"", reader=later("saved_model", "read"))
_ONNX_TAGS = (0x12, 0x1A, 0x22, 0x32, 0x3A, 0x42)
_SAFETENSORS = Format("safetensors", 0, b"", reader=later("safetensors_header", "read"), whole=False)
_SAFETENSORS_HEADER = 100_000_000
_HEAD_BYTES = 16


def _match(source: Source) -> Format | None:
    head = source.read(0, _HEAD_BYTES)
    for start, end, formats in _PLACES:
        if start >= len(head):
            continue
        known = formats.get(head[start:end])
        if known is not None:
            return known
    if _is_onnx(head, source):
        return _SAVED_MODEL if head[1] == 1 else _ONNX
    length = int.from_bytes(head[:8], "little")
    if head[8:9] == b"{" and length <= _SAFETENSORS_HEADER and (length + 8 <= source.size or source.partial):
        return _SAFETENSORS
    return None


def _is_onnx(head: bytes, source: Source) -> bool:
    """A protobuf message that begins with a version and a second field that fits (onnx.proto: ModelProto).

    TensorFlow's SavedModel begins alike; its version is 1, which ONNX left behind long before it was released.
    """
    if len(head) < 8 or head[0] != 0x08 or not 1 <= head[1] <= 32 or head[2] not in _ONNX_TAGS:
        return False
    length = shift = 0
    for byte in head[3:8]:
        length |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
    return length > 0 and (3 + length <= source.size or source.partial)


def sniff(source: Source) -> bool:
    """Magic, or the structure of the first bytes."""
    return bool(name_of(source))


def name_of(source: Source) -> str:
    """The format of some bytes; empty where it is none of those that are recognised here."""
    known = _match(source)
    return known.name if known is not None else ""


def needs_all(source: Source) -> bool:
    """Whether more than the head of it is read."""
    known = _match(source)
    return known is not None and known.reader is not None and known.whole


def read(source: Source, place: Place, survey: Survey) -> str:
    """Name the format and read what can be; where it may carry what nobody here reads, the file is incomplete."""
    known = _match(source)
    if known is None:
        return ""
    inside = (*place, (known.name, ""))
    if known.reader is not None:
        known.reader(source, inside, survey)
    if known.unread:
        survey.fail("unsupported-format", inside, 0, known.unread)
    return known.name
