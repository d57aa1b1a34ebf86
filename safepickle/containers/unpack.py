"""Streaming decompression that stops at its budgets and keeps what came out before the damage."""

from __future__ import annotations

import mmap
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
RECOVERY_BYTES = 64
"""Step in which the last bytes before damaged data are won back."""

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
        self._recovering = False
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
                out = self._step(min(size, RECOVERY_BYTES) if self._recovering else size)
            except (zlib.error, OSError, EOFError, ValueError, MemoryError) as error:
                self._damaged(str(error))
            except Exception as error:
                # lzma.LZMAError, without importing lzma for formats that do not need it
                if type(error).__name__ != "LZMAError":
                    raise
                self._damaged(str(error))
        self.produced += len(out)
        return out

    def _damaged(self, detail: str) -> None:
        """Win back the bytes before the damage, which were lost with the call that met it."""
        if self._recovering:
            self.state, self.detail = "corrupt", detail
            return
        wanted = self.produced
        self._begin()
        while self.produced < wanted and self.state == "more":
            self.produced += len(self._step(min(STEP_BYTES, wanted - self.produced)))
        self._recovering = True

    def _step(self, size: int) -> bytes:
        decoder = self._decoder
        starved = not self._pending and getattr(decoder, "needs_input", True)
        if starved:
            self._pending = self._source.read(self.consumed, CHUNK_BYTES)
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
    """All that is still to come after `head`, with it; how it ended is noted in `survey`.

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
        data = sink.buffer()
    except OSError as error:
        survey.fail("no-space", place, 0, f"what was unpacked cannot be kept in a temporary file: {error.strerror}")
        return b""
    note_end(unpacker, survey, place)
    return data


def note_end(unpacker: Unpacker, survey: Survey, place: Place) -> None:
    """Note how an unpacker ended, where it did not end well."""
    if unpacker.state == "missing":
        survey.fail("decoder-missing", place, 0, unpacker.detail)
    elif unpacker.state in ("truncated", "corrupt"):
        survey.fail(f"{unpacker.state}-compression", place, unpacker.consumed, unpacker.detail)
