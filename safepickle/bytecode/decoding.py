"""Codecs, ciphers and compression of literals, as far as a name or a nested file is written in them."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

LONGEST = 4096
"""Characters, bytes or items of any argument and result; bits of a number are eight times as many."""


class Refused(ValueError):
    """An operation that is not evaluated, as its result could be too long."""


COMPRESSORS = ("zlib", "bz2", "gzip", "lzma")


def inflated(module: str, data: Any) -> bytes:
    """What a compressed literal unpacks to, at most :data:`LONGEST` bytes of it."""
    if module in ("zlib", "gzip"):
        from zlib import decompressobj, error

        try:
            value = decompressobj(31 if module == "gzip" else 15).decompress(data, LONGEST + 1)
        except error as damage:
            raise ValueError(str(damage)) from None
    elif module == "bz2":
        from bz2 import BZ2Decompressor

        value = _decompressed(BZ2Decompressor(), data)
    else:
        from lzma import LZMADecompressor, LZMAError

        try:
            value = _decompressed(LZMADecompressor(memlimit=1 << 26), data)
        except LZMAError as damage:
            raise ValueError(str(damage)) from None
    return value


def _decompressed(decompressor: Any, data: bytes) -> bytes:
    try:
        value: bytes = decompressor.decompress(data, LONGEST + 1)
    except OSError as damage:
        raise ValueError(str(damage)) from None
    return value


def _octets(data: Any) -> bytes:
    if not isinstance(data, bytes):  # bytes() of a number would be as many zeros
        raise TypeError("not bytes")
    return data


def _rot13(text: str) -> str:
    lower, upper = "abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    return text.translate(str.maketrans(lower + upper, lower[13:] + lower[:13] + upper[13:] + upper[:13]))


def decoded(data: Any, encoding: str = "utf-8", errors: str = "strict") -> Any:
    """``codecs.decode``: text encodings, and the codecs that turn bytes or text into such."""
    codec = encoding.lower().replace("-", "_").removesuffix("_codec").replace("_", "")
    if codec == "rot13":
        return _rot13(data if isinstance(data, str) else _octets(data).decode("ascii"))
    if codec == "hex":
        return unhexed(data)
    if codec in ("base64", "quopri", "quotedprintable", "uu"):
        return binascii("a2b_base64" if codec == "base64" else "a2b_uu" if codec == "uu" else "a2b_qp")(data)
    if codec in ("zlib", "zip", "bz2"):
        return inflated("bz2" if codec == "bz2" else "zlib", data)
    if codec == "unicodeescape":
        raw = data.encode("latin-1", "backslashreplace") if isinstance(data, str) else _octets(data)
        return raw.decode("unicode-escape", errors) if b"\\N" not in raw else None
    if isinstance(data, str):
        raise Refused
    return _octets(data).decode(_text_encoding(codec), errors)


def encoded(text: Any, encoding: str = "utf-8", errors: str = "strict") -> Any:
    """``codecs.encode``."""
    codec = encoding.lower().replace("-", "_").removesuffix("_codec").replace("_", "")
    if codec == "rot13":
        return _rot13(text)
    if codec in ("hex", "base64", "uu") and not isinstance(text, str):
        return binascii({"hex": "hexlify", "base64": "b2a_base64", "uu": "b2a_uu"}[codec])(text)
    return text.encode(_text_encoding(codec), errors)


_TEXT_ENCODINGS = frozenset(
    ("utf8", "latin1", "ascii", "iso88591", "88591", "utf16", "utf16le", "utf16be", "utf32", "utf32le", "utf32be",
     "utf7", "cp1252", "cp437", "rawunicodeescape", "usascii", "l1", "u8", "utf8sig", "cp037", "cp500")
)  # fmt: skip


def _text_encoding(codec: str) -> str:
    if codec not in _TEXT_ENCODINGS:
        raise Refused
    return {
        "88591": "latin1",
        "iso88591": "latin1",
        "utf8sig": "utf-8-sig",
        "rawunicodeescape": "raw-unicode-escape",
    }.get(codec, codec if codec[:3] != "utf" else f"utf-{codec[3:]}".replace("le", "-le").replace("be", "-be"))


def unhexed(data: Any, *_rest: Any) -> bytes:
    """``bytes.fromhex`` and ``binascii.unhexlify``."""
    return bytes.fromhex(data if isinstance(data, str) else _octets(data).decode("ascii"))


def binascii(name: str) -> Callable[..., Any]:
    def apply(data: Any, *rest: Any, **keywords: Any) -> Any:
        import binascii as module

        return getattr(module, name)(data, *rest, **keywords)

    return apply


def base64(name: str) -> Callable[..., Any]:
    def apply(data: Any, *rest: Any, **keywords: Any) -> Any:
        import base64 as module

        if len(data) > LONGEST // 16:
            raise Refused  # these are slow
        return getattr(module, name)(data, *rest, **keywords)

    return apply


def unbase64(data: Any, altchars: Any = None, *_rest: Any, **_keywords: Any) -> bytes:
    from binascii import a2b_base64

    raw = data.encode("ascii") if isinstance(data, str) else _octets(data)
    if altchars is not None:
        raw = raw.translate(bytes.maketrans(altchars.encode() if isinstance(altchars, str) else altchars, b"+/"))
    return a2b_base64(raw)
