"""Decompressors by codec, all with the interface of :class:`bz2.BZ2Decompressor`: so much in, no more than so much out.

The standard library's where it has one; lz4 and zstd are extras, imported when such data is met and not before.
Sources: https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md, RFC 8878 (zstd).
"""

from __future__ import annotations

import sys
import zlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

DICTIONARY_BYTES = 256 << 20
"""Memory that an LZMA decoder may ask for; ``xz -9`` needs 65 MiB."""

WINDOW_BYTES = 128 << 20
"""Memory that a zstd decoder may ask for; ``zstd --long`` needs as much."""

_ZLIB_BITS = {"deflate": -15, "zlib": 15, "gzip": 31}
ZLIB_CODECS = frozenset(_ZLIB_BITS)

LZ4_MAGIC = b"\x04\x22\x4d\x18"
LZ4_LEGACY_MAGIC = b"\x02\x21\x4c\x18"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
SKIPPABLE_MAGICS = tuple(bytes((first,)) + b"\x2a\x4d\x18" for first in range(0x50, 0x60))
"""How a frame begins that decoders of lz4 and zstd step over."""

_LEGACY_BLOCK = 8 << 20
_LARGEST_LEGACY_BLOCK = _LEGACY_BLOCK + _LEGACY_BLOCK // 255 + 16


class DecoderMissing(Exception):
    """The module that decodes the format is not here; says what to install."""


class Damaged(ValueError):
    """Compressed data that a decoder refuses, whatever it raises itself."""


def make_decoder(codec: str, filters: tuple[Mapping[str, int], ...] = ()) -> Any:
    """A decompressor object for ``deflate zlib gzip bz2 xz lzma raw-lzma lz4 lz4-legacy zstd``.

    Parameters
    ----------
    codec
        What to decode.
    filters
        For ``raw-lzma``: the chain of filters, as :mod:`lzma` describes one.

    Raises
    ------
    DecoderMissing
        When this Python was built without it, or the extra is not installed.
    Damaged
        When no decoder takes such filters.
    """
    if codec in _ZLIB_BITS:
        return zlib.decompressobj(_ZLIB_BITS[codec])
    if codec in ("lz4", "lz4-legacy"):
        return _lz4(codec)
    if codec == "zstd":
        return _zstd()
    try:
        if codec == "bz2":
            from bz2 import BZ2Decompressor

            return BZ2Decompressor()
        from lzma import FORMAT_ALONE, FORMAT_RAW, FORMAT_XZ, LZMADecompressor, LZMAError
    except ImportError as error:
        raise DecoderMissing(f"this Python was built without {codec}: {error}; use one that has it") from None
    if codec != "raw-lzma":
        return LZMADecompressor(FORMAT_XZ if codec == "xz" else FORMAT_ALONE, DICTIONARY_BYTES)
    try:
        return LZMADecompressor(FORMAT_RAW, filters=list(filters))
    except (LZMAError, ValueError, OverflowError) as error:
        raise Damaged(str(error)) from None


def _lz4(codec: str) -> Any:
    try:
        if codec == "lz4":
            from lz4.frame import LZ4FrameDecompressor

            return _Guarded(LZ4FrameDecompressor())
        from lz4.block import decompress
    except ImportError:
        raise DecoderMissing("lz4 is not installed: pip install 'safepickle-ml[lz4]'") from None
    return _LegacyLz4(decompress)


def _zstd() -> Any:
    if sys.version_info >= (3, 14):
        from compression.zstd import DecompressionParameter, ZstdDecompressor

        log = WINDOW_BYTES.bit_length() - 1
        return _Guarded(ZstdDecompressor(options={DecompressionParameter.window_log_max: log}))
    try:
        from zstandard import ZstdDecompressor
    except ImportError:
        raise DecoderMissing("zstandard is not installed: pip install 'safepickle-ml[zstd]'") from None
    return _ZstdFrame(lambda: ZstdDecompressor(max_window_size=WINDOW_BYTES).decompressobj())


def _called(decode: Callable[[], bytes]) -> bytes:
    """What a decoder of another library gives; its errors have no common base."""
    try:
        return decode()
    except MemoryError:
        raise
    except Exception as error:
        raise Damaged(f"{type(error).__name__}: {error}") from None


class _Guarded:
    """A decoder of another library that has the interface already."""

    def __init__(self, decoder: Any) -> None:
        self._decoder = decoder

    def __getattr__(self, name: str) -> Any:
        return getattr(self._decoder, name)

    def decompress(self, data: bytes, size: int) -> bytes:
        return _called(lambda: self._decoder.decompress(data, size))


class _Pieces:
    """Base of decoders that are fed in pieces as long as the format says, one a call, to bound what comes out."""

    def __init__(self) -> None:
        self.eof = False
        self._input = b""
        self._at = 0

    @property
    def needs_input(self) -> bool:
        return not self.eof and len(self._input) - self._at < self._wanted()

    @property
    def unused_data(self) -> bytes:
        return self._input[self._at :] if self.eof else b""

    def decompress(self, data: bytes, _size: int) -> bytes:
        if data:
            self._input, self._at = self._input[self._at :] + data, 0
        return b"" if self.eof or self.needs_input else self._advance()

    def _wanted(self) -> int:
        """Bytes without which :meth:`_advance` cannot go on."""
        raise NotImplementedError

    def _advance(self) -> bytes:
        """Decode the next piece."""
        raise NotImplementedError

    def _take(self, size: int) -> bytes:
        self._at += size
        return self._input[self._at - size : self._at]


class _ZstdFrame(_Pieces):
    """One frame, at most one block a call, which is 128 KiB: `zstandard` itself knows no such bound."""

    def __init__(self, make: Callable[[], Any]) -> None:
        super().__init__()
        self._make = make
        self._decoder: Any = None
        self._state = "magic"
        self._left = 0
        self._checksum = 0

    def _wanted(self) -> int:
        return {"magic": 8, "block": 3}.get(self._state, 1 if self._left else 0)

    def _advance(self) -> bytes:
        if self._state == "magic":
            self._begin()
            return b""
        if self._state == "block":
            return self._feed(self._begin_block())
        piece = self._take(min(self._left, len(self._input) - self._at))
        self._left -= len(piece)
        state = self._state
        if not self._left:
            self.eof, self._state = state in ("skipped", "last"), "block"
        return b"" if state == "skipped" else self._feed(piece)

    def _begin(self) -> None:
        head = self._input[self._at : self._at + 8]
        if head[:4] in SKIPPABLE_MAGICS:
            self._state, self._left = "skipped", int.from_bytes(self._take(8)[4:], "little")
            return
        descriptor = head[4]
        one_segment = descriptor >> 5 & 1
        self._checksum = descriptor & 4
        self._state = "header"
        self._left = 6 - one_segment + (0, 1, 2, 4)[descriptor & 3] + (one_segment, 2, 4, 8)[descriptor >> 6]

    def _begin_block(self) -> bytes:
        header = self._take(3)
        number = int.from_bytes(header, "little")
        is_repeated_byte = number >> 1 & 3 == 1
        self._left = 1 if is_repeated_byte else number >> 3
        self._state = "data"
        if number & 1:
            self._left += self._checksum
            self._state = "last"
        return header

    def _feed(self, data: bytes) -> bytes:
        if self._decoder is None:
            self._decoder = self._make()
        return _called(lambda: self._decoder.decompress(data)) if data else b""


class _LegacyLz4(_Pieces):
    """The format of lz4 before 2013: a magic, then blocks of 8 MiB, each behind its packed size, up to the end."""

    def __init__(self, decode: Any) -> None:
        super().__init__()
        self._decode = decode
        self._block = -1

    @property
    def may_end(self) -> bool:
        """Whether nothing is missing if the input ends here."""
        return self._block < 0 and self._at == len(self._input)

    def _wanted(self) -> int:
        return 4 if self._block < 0 else self._block

    def _advance(self) -> bytes:
        if self._block < 0:
            head = self._input[self._at : self._at + 4]
            if head == LZ4_LEGACY_MAGIC:
                self._at += 4
                return b""
            block = int.from_bytes(head, "little")
            self.eof = block > _LARGEST_LEGACY_BLOCK
            self._at += 0 if self.eof else 4
            self._block = -1 if self.eof else block
            return b""
        packed = self._take(self._block)
        self._block = -1
        return _called(lambda: self._decode(packed, uncompressed_size=_LEGACY_BLOCK))
