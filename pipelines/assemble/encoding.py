"""How text protocols write strings."""

from __future__ import annotations


def raw_unicode_escape(value: str) -> bytes:
    """Encode as UNICODE's argument: raw-unicode-escape, with what would end or confuse the line escaped as well.

    Follows ``Pickler.save_str`` of CPython.
    """
    for char in ("\\", "\0", "\n", "\r", "\x1a"):
        value = value.replace(char, f"\\u{ord(char):04x}")
    return value.encode("raw-unicode-escape")
