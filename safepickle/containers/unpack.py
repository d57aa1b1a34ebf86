"""Streaming decompression that stops at its budgets and keeps what came out before the damage."""

from __future__ import annotations

import sys
import zlib

from .decoders import LZ4_MAGIC, SKIPPABLE_MAGICS, ZLIB_CODECS, ZSTD_MAGIC, DecoderMissing, make_decoder
from .source import Source
from .store import Sink

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..bytecode.trace import Place
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
_FRAMES = (LZ4_MAGIC, *SKIPPABLE_MAGICS)
_RESTART = {
    "gzip": (b"\x1f\x8b",), "bz2": (b"BZh",), "xz": (b"\xfd7zXZ\x00",), "lz4": _FRAMES,
    "zstd": (ZSTD_MAGIC, *SKIPPABLE_MAGICS),
}  # fmt: skip
"""Formats of which several streams may follow each other, and how the next one begins."""


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
        As :func:`~safepickle.containers.decoders.make_decoder` names it.
    prefix
        Bytes to feed before the source: a header that another container keeps elsewhere.
    filters
        For ``raw-lzma``.

    Attributes
    ----------
    produced, consumed
        Bytes out and in so far.
    state
        ``more``, or how it ended: ``ended`` (well), ``truncated``, ``corrupt``, ``missing`` (no decoder here).
    """

    def __init__(
        self, source: Source, codec: str, prefix: bytes = b"", filters: tuple[Mapping[str, int], ...] = ()
    ) -> None:
        self._source = source
        self._codec = codec
        self._prefix = prefix
        self._filters = filters
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
            self._decoder = make_decoder(self._codec, self._filters)
        except DecoderMissing as error:
            self.state, self.detail = "missing", str(error)
        except _damage() as error:
            self.state, self.detail = "corrupt", str(error)

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
            if self._codec in ZLIB_CODECS and self._largest == 1:
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
            self._restart(decoder.unused_data or b"")
        elif starved and not fed and not out:
            self.state = "ended" if getattr(decoder, "may_end", False) else "truncated"
        return out

    def _restart(self, unused: bytes) -> None:
        """Go on with the next stream, where one follows; NULs may lie between."""
        magics = _RESTART.get(self._codec)
        if magics is not None:
            rest = unused.lstrip(b"\0")
            if len(rest) < max(map(len, magics)):
                ahead = self._source.read(self.consumed, CHUNK_BYTES)
                self.consumed += len(ahead)
                unused += ahead
                rest = unused.lstrip(b"\0")
            if rest.startswith(magics):
                self._decoder = make_decoder(self._codec)
                self._pending = rest
                return
        self.consumed -= len(unused)
        self.state = "ended"


def drain(unpacker: Unpacker, survey: Survey, place: Place, head: bytes = b"", alone: bool = False) -> Source:
    """All that is still to come after `head`, with it.

    Budgets: ``unpacked_bytes`` over all layers of the file, ``ratio`` of this layer, ``seconds``. `head` was already
    paid for.
    """
    sink = Sink(survey.store)
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
        return sink.source(alone)
    except OSError as error:
        survey.fail("no-space", place, 0, f"what was unpacked cannot be kept in a temporary file: {error.strerror}")
        return Source(b"", 0, 0, alone)


def note_end(unpacker: Unpacker, survey: Survey, place: Place, matters: bool = True) -> None:
    """Note how an unpacker ended, where it did not end well.

    It does not matter where a member of raw numbers began like compressed data and nothing known came out.
    """
    note = survey.fail if matters else survey.odd
    if unpacker.state == "missing":
        survey.fail("decoder-missing", place, 0, unpacker.detail)
    elif unpacker.state in ("truncated", "corrupt"):
        note(f"{unpacker.state}-compression", place, unpacker.consumed, unpacker.detail)
