"""Escapes of characters that need none, as JSON and YAML allow them: what hides a name from a search for it."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_DIGITS = {0x78: 2, 0x75: 4, 0x55: 8}
"""Hexadecimal digits behind ``\\x``, ``\\u`` and ``\\U``."""
_BEGINNINGS = (b"\\x", b"\\u00", b"\\U000000", b"\\\n", b"\\\r")
_KEPT = b'"\\'
_UNTIMED = 4096


def resolved(data: bytes, overdue: Callable[[], bool]) -> bytes:
    """The same text with escaped letters, digits and signs as themselves, and lines joined that a backslash ends.

    Parameters
    ----------
    data
        A text in UTF-8. Quotes and backslashes stay escaped, as do characters beyond ASCII.
    overdue
        Says, now and then, whether to leave the rest as it is.
    """
    if not any(mark in data for mark in _BEGINNINGS):
        return data
    parts: list[bytes] = []
    kept = count = 0
    at = data.find(b"\\")
    while at >= 0:
        character, behind = _escape(data, at)
        if character is not None:
            parts += (data[kept:at], character)
            kept = behind
        at = data.find(b"\\", behind)
        count += 1
        if count % _UNTIMED == 0 and overdue():
            break
    parts.append(data[kept:])
    return b"".join(parts) if len(parts) > 1 else data


def _escape(data: bytes, at: int) -> tuple[bytes | None, int]:
    """What the escape at a backslash stands for, None where that is to stay, and where it ends."""
    following = data[at + 1 : at + 2]
    if following in (b"\n", b"\r"):
        behind = at + 2
        while data[behind : behind + 1] in (b" ", b"\t", b"\n"):
            behind += 1
        return b"", behind
    digits = _DIGITS.get(following[0], 0) if following else 0
    behind = at + 2 + digits
    text = data[at + 2 : behind]
    if not digits or len(text) < digits or not text.isalnum():
        return None, at + 2
    try:
        code = int(text, 16)
    except ValueError:
        return None, at + 2
    return (bytes((code,)), behind) if 0x20 <= code < 0x7F and code not in _KEPT else (None, behind)
