"""The readers, in one mapping, and the walk over everything that a file contains."""

from __future__ import annotations

from ..bytecode.opcodes import NAMES
from ..limits import Limits
from ..record import Record
from . import hdf5_file, known_format, raw_pickle, tar_archive, zip_archive
from .contents import Buffer, Contents
from .later import later
from .source import Source
from .survey import Survey, is_configuration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ..bytecode.trace import Place


def _always(_source: Source) -> bool:
    return True


class Reader(Record):
    """One format.

    Parameters
    ----------
    sniff
        Whether bytes are of this format, judged by content.
    read
        Adds what the bytes contain to the survey and returns the container's name.
    first
        Bytes that the format may begin with, so that `sniff` need not be asked; none where it may be any.
    needs_all
        Whether `read` needs more than the head of what `sniff` accepts.
    """

    sniff: Callable[[Source], bool]
    read: Callable[[Source, Place, Survey], str]
    first: bytes = b""
    needs_all: Callable[[Source], bool] = _always


_SKIPPABLE = bytes(range(0x50, 0x60))
_TEXT_MARKS = (b"{{", b"{%", b"_target_", b"\\x", b"\\u00", b"\\U0000", b"\\\n")
"""What text may be more than data by: marks of programs, and escapes that may hide these."""
_TEXT_HEAD = 512
_TEXT_BYTES = 16 << 20

READERS: dict[str, Reader] = {
    "pickle": Reader(raw_pickle.sniff, raw_pickle.read, bytes(NAMES)),
    "zip": Reader(zip_archive.sniff, zip_archive.read),
    "tar": Reader(tar_archive.sniff, tar_archive.read),
    "gzip": Reader(later("compressed", "sniff_gzip"), later("compressed", "read_gzip"), b"\x1f"),
    "bz2": Reader(later("compressed", "sniff_bz2"), later("compressed", "read_bz2"), b"B"),
    "xz": Reader(later("compressed", "sniff_xz"), later("compressed", "read_xz"), b"\xfd"),
    "lzma": Reader(later("compressed", "sniff_lzma"), later("compressed", "read_lzma"), b"\x5d"),
    "zlib": Reader(
        later("compressed", "sniff_zlib"), later("compressed", "read_zlib"), b"\x08\x18\x28\x38\x48\x58\x68\x78"
    ),
    "zf": Reader(later("compressed", "sniff_zf"), later("compressed", "read_zf"), b"Z"),
    "lz4": Reader(later("compressed", "sniff_lz4"), later("compressed", "read_lz4"), b"\x02\x04" + _SKIPPABLE),
    "zstd": Reader(later("compressed", "sniff_zstd"), later("compressed", "read_zstd"), b"\x28" + _SKIPPABLE),
    "7z": Reader(later("sevenzip_archive", "sniff"), later("sevenzip_archive", "read"), b"7"),
    "npy": Reader(
        later("numpy_array", "sniff"), later("numpy_array", "read"), b"\x93", later("numpy_array", "needs_all")
    ),
    "json": Reader(later("text", "is_json"), later("text", "read_json"), b"{[ \t\r\n\xef\xbb\xbf\0\xff\xfe"),
    "hdf5": Reader(hdf5_file.sniff, hdf5_file.read),
    "known": Reader(known_format.sniff, known_format.read, b"", known_format.needs_all),
}
"""Every reader that accepts the bytes reads them; the order is that of the names in ``pickle+zip``."""

_ASKED: list[tuple[Reader, ...]] = [
    tuple(reader for reader in READERS.values() if not reader.first or byte in reader.first) for byte in range(256)
]


def _accepting(source: Source) -> list[Reader]:
    return [reader for reader in _ASKED[source.data[source.start]] if reader.sniff(source)]


def open_file(data: Buffer, limits: Limits, start: int = 0, end: int | None = None) -> Contents:
    """Find what a file contains, layer by layer, by content alone.

    Nothing is loaded, evaluated or executed; large buffers are read through small slices.

    Parameters
    ----------
    data
        The file's bytes or a read-only map of it; must stay open as long as the regions are used.
    limits
        Budgets; one that runs out becomes an oddity ``budget:<name>``.
    start, end
        The file within `data`, of which it may be a part.

    Returns
    -------
    Contents
        The same for the same bytes and limits, unless the time runs out.
    """
    survey = Survey(limits, explore, wanted)
    source = Source(data, start, len(data) if end is None else end, alone=True)
    return survey.contents(explore(source, (), survey))


def explore(source: Source, place: Place, survey: Survey) -> str:
    """Read a source with every reader that accepts it.

    Returns
    -------
    str
        Name of the container; empty for a member that no reader knows.
    """
    if not source.size:
        if source.alone:
            survey.fail("empty", place)
            return "empty"
        return ""
    if len(place) > survey.limits.depth:
        survey.fail("budget:depth", place)
        return "unread"
    if survey.overdue(place):
        return "unread"
    accepted = _accepting(source)
    if not accepted:
        if source.alone:
            return _unexplained(source, place, survey)
        _read_member(source, place, survey)
        return ""
    known, mark = len(survey.regions), survey.store.mark()
    names = [reader.read(source, place, survey) for reader in accepted]
    if len(survey.regions) == known:
        survey.store.rewind(mark)
    if len(names) > 1:
        survey.odd("polyglot", place, 0, " and ".join(names))
    return "+".join(names)


def wanted(head: Source) -> str:
    """How much of a source a reader would read, judged by its head: ``all``, ``head`` or nothing."""
    accepted = _accepting(head) if head.size else []
    if any(reader.needs_all(head) for reader in accepted):
        return "all"
    return "head" if accepted else "" if b"\0" in head.read(0, _TEXT_HEAD) else "all"


def _read_member(source: Source, place: Place, survey: Survey) -> None:
    """A member that no reader knows is data, unless it is text with the mark of a program in it."""
    end = source.size if is_configuration(place) else min(source.size, _TEXT_BYTES)
    if any(source.find(mark, 0, end) >= 0 for mark in _TEXT_MARKS):
        from . import text

        text.read_member(source, place, survey)


def _unexplained(source: Source, place: Place, survey: Survey) -> str:
    """The whole of a file, or of what it unpacks to, that no reader is sure of."""
    from . import text

    if text.is_text(source):
        return (
            raw_pickle.read(source, place, survey)
            if raw_pickle.names_global(source)
            else text.read_text(source, place, survey)
        )
    if raw_pickle.sniff_lax(source):
        return raw_pickle.read(source, place, survey)
    survey.fail("unknown-format", place)
    raw_pickle.read_embedded(source, place, survey)
    return "unknown"
