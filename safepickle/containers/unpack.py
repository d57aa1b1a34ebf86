"""Streaming decompression that stops at its budgets and keeps what came out before the damage."""

from __future__ import annotations

import mmap
import sys
import zlib

from .source import Source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import IO, Any

    from ..bytecode.trace import Place
    from .contents import Buffer
    from .survey import Survey

CHUNK_BYTES = 1 << 16
STEP_BYTES = 1 << 20
RECOVERY_STEPS = (64, 1)
"""Steps, ever smaller, in which the last bytes before damaged data are won back."""

SLOW_BYTES = 256
"""Bytes before the damage that are stepped through slowly."""

STEPS_WITHOUT_OUTPUT = 1024
"""Decoder calls without output after which a caller may look at the time."""

RATIO_FREE_BYTES = 1 << 20
SPILL_BYTES = 64 << 20
"""More unpacked bytes than this go to a temporary file, so that memory stays bounded."""

DICTIONARY_BYTES = 256 << 20
"""Memory that an LZMA decoder may ask for; ``xz -9`` needs 65 MiB."""

_RESTART = {"gzip": b"\x1f\x8b", "bz2": b"BZh", "xz": b"\xfd7zXZ\x00"}
"""Formats of which several streams may follow each other, and how the next one begins."""


class DecoderMissing(Exception):
    """This Python was built without the module that decodes the format."""


def make_decoder(codec: str) -> Any:
    """A decompressor object of the standard library for ``deflate zlib gzip bz2 xz lzma``."""
    if codec in ("deflate", "zlib", "gzip"):
        return zlib.decompressobj({"deflate": -15, "zlib": 15, "gzip": 31}[codec])
    try:
        if codec == "bz2":
            from bz2 import BZ2Decompressor

            return BZ2Decompressor()
        from lzma import FORMAT_ALONE, FORMAT_XZ, LZMADecompressor
    except ImportError as error:
        raise DecoderMissing(f"{codec}: {error}") from None
    return LZMADecompressor(FORMAT_XZ if codec == "xz" else FORMAT_ALONE, DICTIONARY_BYTES)


def _damage() -> tuple[type[Exception], ...]:
    """What decoders raise; `lzma` is not imported for formats that do not need it."""
    lzma = sys.modules.get("lzma")
    common = (zlib.error, OSError, EOFError, ValueError, MemoryError)
    return common if lzma is None else (*common, lzma.LZMAError)


class Unpacker:
    """Reads what a compressed source unpacks to, piece by piece.

    Parameters
    ----------
    source
        The compressed bytes.
    codec
        ``deflate zlib gzip bz2 xz lzma``.
    prefix
        Bytes to feed before the source: a header that another container keeps elsewhere.

    Attributes
    ----------
    produced, consumed
        Bytes out and in so far.
    state
        ``more``, or how it ended: ``ended`` (well), ``truncated``, ``corrupt``, ``missing`` (no decoder here).
    """

    def __init__(self, source: Source, codec: str, prefix: bytes = b"") -> None:
        self._source = source
        self._codec = codec
        self._prefix = prefix
        self._recoveries = iter(RECOVERY_STEPS)
        self._largest = STEP_BYTES
        self._chunk = CHUNK_BYTES
        self.detail = ""
        self._begin()

    def _begin(self) -> None:
        self.produced = 0
        self.consumed = 0
        self.state = "more"
        self._pending = self._prefix
        try:
            self._decoder = make_decoder(self._codec)
        except DecoderMissing as error:
            self.state, self.detail = "missing", str(error)

    def read(self, size: int) -> bytes:
        """At most `size` more bytes; none once it ended, or when much input gave no output."""
        out = b""
        for _ in range(STEPS_WITHOUT_OUTPUT):
            if out or self.state != "more":
                break
            try:
                out = self._step(min(size, self._largest))
            except _damage() as error:
                self._recover(str(error))
        self.produced += len(out)
        return out

    def _recover(self, detail: str) -> None:
        """Begin again and come up to the damage in smaller steps: its call gave none of the bytes before it."""
        self.detail = detail
        self._largest = next(self._recoveries, 0)
        if not self._largest:
            self.state = "corrupt"
            return
        wanted = self.produced
        self._begin()
        try:
            self._skip(wanted - SLOW_BYTES, STEP_BYTES)
            if self._codec in ("deflate", "zlib", "gzip") and self._largest == 1:
                # zlib goes on from the last byte to a wrong checksum in one call, unless it is fed byte by byte
                self.consumed -= len(self._pending)
                self._pending = b""
                self._chunk = 1
            self._skip(wanted, self._largest)
        except _damage():
            self.state = "corrupt"

    def _skip(self, wanted: int, step: int) -> None:
        while self.produced < wanted and self.state == "more":
            self.produced += len(self._step(min(step, wanted - self.produced)))

    def _step(self, size: int) -> bytes:
        decoder = self._decoder
        starved = not self._pending and getattr(decoder, "needs_input", True)
        if starved:
            self._pending = self._source.read(self.consumed, self._chunk)
            self.consumed += len(self._pending)
        fed = self._pending
        out: bytes = decoder.decompress(fed, size)
        self._pending = getattr(decoder, "unconsumed_tail", b"")
        if decoder.eof:
            self._restart(decoder.unused_data)
        elif starved and not fed and not out:
            self.state = "truncated"
        return out

    def _restart(self, unused: bytes) -> None:
        """Go on with the next stream, where one follows; NULs may lie between."""
        magic = _RESTART.get(self._codec)
        if magic is not None:
            rest = unused.lstrip(b"\0")
            if len(rest) < len(magic):
                ahead = self._source.read(self.consumed, CHUNK_BYTES)
                self.consumed += len(ahead)
                unused += ahead
                rest = unused.lstrip(b"\0")
            if rest.startswith(magic):
                self._decoder = make_decoder(self._codec)
                self._pending = rest
                return
        self.consumed -= len(unused)
        self.state = "ended"


class _Sink:
    """Collects bytes in memory, or in a temporary file once they are many."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._file: IO[bytes] | None = None
        self._held = 0

    def add(self, part: bytes) -> None:
        self._held += len(part)
        if self._file is None and self._held > SPILL_BYTES:
            from tempfile import TemporaryFile

            self._file = TemporaryFile()  # noqa: SIM115 - closed in `buffer`, after it was mapped
            for kept in self._parts:
                self._file.write(kept)
            self._parts = []
        if self._file is None:
            self._parts.append(part)
        else:
            self._file.write(part)

    def buffer(self) -> Buffer:
        if self._file is None:
            return b"".join(self._parts)
        with self._file as file:
            file.flush()
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def drain(unpacker: Unpacker, survey: Survey, place: Place, head: bytes = b"") -> Buffer:
    """All that is still to come after `head`, with it.

    Budgets: ``unpacked_bytes`` over all layers of the file, ``ratio`` of this layer, ``seconds``. `head` was already
    paid for.
    """
    sink = _Sink()
    try:
        sink.add(head)
        while unpacker.state == "more":
            part = unpacker.read(STEP_BYTES)
            if not survey.take_unpacked(len(part), place) or survey.overdue(place):
                break
            sink.add(part)
            if unpacker.produced > max(RATIO_FREE_BYTES, unpacker.consumed * survey.limits.ratio):
                survey.fail("budget:ratio", place)
                break
        return sink.buffer()
    except OSError as error:
        survey.fail("no-space", place, 0, f"what was unpacked cannot be kept in a temporary file: {error.strerror}")
        return b""


def note_end(unpacker: Unpacker, survey: Survey, place: Place, matters: bool = True) -> None:
    """Note how an unpacker ended, where it did not end well.

    It does not matter where a member of raw numbers began like compressed data and nothing known came out.
    """
    note = survey.fail if matters else survey.odd
    if unpacker.state == "missing":
        survey.fail("decoder-missing", place, 0, unpacker.detail)
    elif unpacker.state in ("truncated", "corrupt"):
        note(f"{unpacker.state}-compression", place, unpacker.consumed, unpacker.detail)
