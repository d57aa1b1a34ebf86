# cython: annotation_typing=False
"""Files in disguise: literals of a stream that, as they are or decoded, begin like something that holds pickles.

What a call is given as bytes or text it may load again: ``torch.storage._load_from_bytes``, ``pickle.loads``,
``codecs.decode``. Protocols 0 and 1 have no magic number, so the bytes are tried as a pickle.
"""

from __future__ import annotations

from binascii import Error, a2b_base64

from ..containers.pickle_walk import FIRST, imports_nothing, imports_something

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_ARCHIVES = (b"PK", b"\x1f\x8b", b"x\x01", b"x\x5e", b"x\x9c", b"x\xda", b"BZ", b"\xfd7", b"]\0", b"\x04\x22", b"(\xb5")
MAGICS = frozenset((*_ARCHIVES, b"\x93N", b"\x89H", *(bytes((0x80, protocol)) for protocol in range(6))))
"""First two bytes of pickles of protocol 2 and later, zip, gzip, zlib, bzip2, xz, lzma, lz4, zstd, npy and HDF5."""

BEGINNINGS = bytes(FIRST[code] or any(magic[0] == code for magic in MAGICS) for code in range(256))
"""Whether anything that may be a file begins with a byte."""
_SHORTEST_ENCODED = 16
_LONG = 32_768
"""Bytes from which on a literal may be more than what was given of it."""
_HEX = b"0123456789abcdefABCDEF"
_HEX_AND_BLANKS = _HEX + b" \t\r\n\v\f"
_STANDARD = bytes.maketrans(b"-_", b"+/")
_NOT_BASE64 = bytes(code for code in range(256) if not (code < 0x80 and chr(code).isalnum()) and code not in b"+/-_")
_PAD, _NO_DIGIT = 64, 65
DIGITS = bytes([_NO_DIGIT]) * 43 + bytes(
    [62, 65, 62, 65, 63, *range(52, 62), 65, 65, 65, _PAD, 65, 65, 65, *range(26), 65, 65, 65, 65, 63, 65]
) + bytes([*range(26, 52)]) + bytes([_NO_DIGIT]) * 133  # fmt: skip
"""Value of a byte as a digit of base64, in its standard or its URL-safe alphabet."""
_HEAD = 1024
"""Bytes of a literal that mostly tell that nothing is in it; of these the first `_WALKED` as they are."""
_WALKED = 96
_DECODED = 24


def may_carry(literal: str | bytes | bytearray) -> bool:
    """Whether a literal, or the head of one, begins like a file in any of its decodings; seldom so of noise."""
    return not _head_carries_nothing(literal) and any(begins_like_file(data) for data in decodings(literal))


def _head_carries_nothing(literal: str | bytes | bytearray) -> bool:
    """Whether the first bytes tell that no decoding of all of them begins like a file."""
    try:
        head = _bytes_of(literal[:_HEAD])
    except UnicodeEncodeError:
        return True
    if len(head) < 2 or head[:2] in MAGICS or not imports_nothing(head[:_WALKED]):
        return False
    if len(head) < _SHORTEST_ENCODED:
        return True
    if head[0] in _HEX_AND_BLANKS and not head.translate(None, _HEX_AND_BLANKS):
        return False
    decoded = _base64_head(head)
    if len(decoded) < 3:  # of these few digits decoders may make less than a magic number, if there are no more
        return len(literal) <= _HEAD and len(decoded) == 0 and _few_digits(head)
    return decoded[:2] not in MAGICS and imports_nothing(decoded)


def _few_digits(data: bytes) -> bool:
    """Whether there are so few digits of base64 that not even a magic number can come of them."""
    return len(data.translate(_STANDARD, _NOT_BASE64)) < 3


def _base64_head(head: bytes) -> bytes:
    """The first bytes that a decoder makes of `head` and of whatever follows it, at most `_DECODED`."""
    table = DIGITS
    decoded = bytearray(_DECODED)
    bits = digits = size = 0
    for i in range(len(head)):
        digit = table[head[i]]
        if digit < 64:
            bits = (bits << 6 | digit) & 0xFFFFFF
            digits += 1
            if digits & 3 == 0:
                decoded[size] = bits >> 16
                decoded[size + 1] = bits >> 8 & 0xFF
                decoded[size + 2] = bits & 0xFF
                size += 3
                if size == _DECODED:
                    break
        elif digit == _PAD and digits & 2:  # earlier in a group it is skipped
            break
    return bytes(decoded[:size])


def _bytes_of(literal: str | bytes | bytearray) -> bytes:
    return literal.encode("latin-1") if isinstance(literal, str) else bytes(literal)


def decodings(literal: str | bytes | bytearray) -> Iterator[bytes]:
    """The bytes of a literal, and what it means in hexadecimal and base64."""
    try:
        raw = _bytes_of(literal)
    except UnicodeEncodeError:
        return
    yield raw
    if len(raw) < _SHORTEST_ENCODED:
        return
    if not raw.translate(None, _HEX).strip():
        digits = raw.translate(None, b" \t\r\n\v\f")
        yield bytes.fromhex(digits[: len(digits) // 2 * 2].decode("ascii"))
    try:
        # decoders skip what is not of the alphabet, and so does this one
        yield a2b_base64(raw.translate(_STANDARD) + b"==")
    except Error:
        pass


def begins_like_file(data: bytes) -> bool:
    """A magic number, or opcodes that come to import something."""
    return data[:2] in MAGICS or imports_something(data, _LONG)
