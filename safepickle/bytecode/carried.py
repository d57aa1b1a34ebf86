"""Files in disguise: literals of a stream that, as they are or decoded, begin like something that holds pickles.

What a call is given as bytes or text it may load again: ``torch.storage._load_from_bytes``, ``pickle.loads``,
``codecs.decode``. Protocols 0 and 1 have no magic number, so the bytes are tried as a pickle.
"""

from __future__ import annotations

from binascii import Error, a2b_base64

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_ARCHIVES = (b"PK", b"\x1f\x8b", b"x\x01", b"x\x5e", b"x\x9c", b"x\xda", b"BZ", b"\xfd7", b"]\0", b"\x04\x22", b"(\xb5")
MAGICS = frozenset((*_ARCHIVES, b"\x93N", b"\x89H", *(bytes((0x80, protocol)) for protocol in range(6))))
"""First two bytes of pickles of protocol 2 and later, zip, gzip, zlib, bzip2, xz, lzma, lz4, zstd, npy and HDF5."""

_SHORTEST_ENCODED = 16
_LONG = 32_768
"""Bytes from which on a literal may be more than what was given of it."""
_IMPORTING = frozenset(("GLOBAL", "INST", "STACK_GLOBAL"))
_HEX = b"0123456789abcdefABCDEF"


def may_carry(literal: str | bytes | bytearray) -> bool:
    """Whether a literal, or the head of one, begins like a file in any of its decodings; seldom so of noise."""
    return any(begins_like_file(data) for data in decodings(literal))


def decodings(literal: str | bytes | bytearray) -> Iterator[bytes]:
    """The bytes of a literal, and what it means in hexadecimal and base64."""
    if isinstance(literal, str):
        try:
            raw = literal.encode("latin-1")
        except UnicodeEncodeError:
            return
    else:
        raw = bytes(literal)
    yield raw
    if len(raw) < _SHORTEST_ENCODED:
        return
    if not raw.translate(None, _HEX).strip():
        digits = raw.translate(None, b" \t\r\n\v\f")
        yield bytes.fromhex(digits[: len(digits) // 2 * 2].decode("ascii"))
    try:
        # decoders skip what is not of the alphabet, and so does this one
        yield a2b_base64(raw.replace(b"-", b"+").replace(b"_", b"/") + b"==")
    except Error:
        pass


def begins_like_file(data: bytes) -> bool:
    """A magic number, or opcodes that come to import something."""
    if data[:2] in MAGICS:
        return True
    from ..containers.pickle_walk import walk

    seen = walk(data, 0, len(data), _IMPORTING)
    return seen.named or (
        seen.opcodes > 0 and (seen.ended == "long" or (seen.ended == "window" and len(data) >= _LONG))
    )
