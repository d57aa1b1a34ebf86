# cython: annotation_typing=False
"""What a string or bytes literal looks like: the class that stands for it in a redacted Trace.

Hand-written character tests instead of regular expressions: ``re`` would double the start-up of a scan. Every literal
that a call is given is looked at, so that this file is compiled where a compiler was at hand, with the C types of
``literals.pxd`` beside it.
"""

from __future__ import annotations

from array import array
from math import log2

CLASSES = (
    "empty", "identifier", "dotted", "number", "text", "path", "url", "host", "shell", "code",
    "hex", "base64", "pickle", "bytecode", "binary",
)  # fmt: skip
"""Every class that :func:`looks_like` and :func:`looks_like_bytes` return."""
MODEL = "model"
"""Class of bytes that are a whole model file, all of which was understood: what is in it is told by its own streams."""

_BASE64 = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=-_\n")
_HEX = frozenset("0123456789abcdefABCDEF")
_SHELL_MARKS = (" && ", " || ", " | ", ";", "$(", "`", " > ", " >> ", " 2>", " < ", "${")
_KEYWORDS = ("import ", "lambda", "def ", "class ", "return ", "exec(", "eval(", "print(", "from ", "assert ", "raise ")
_ASCII_TEXT = bytes((0x09, 0x0A, 0x0D, *range(0x20, 0x7F)))
_NO_CONTROLS = _ASCII_TEXT + bytes(range(0x80, 0x100))
_MANY = 512
"""Bytes from which on it is quicker to count all symbols in one go than each by itself."""
_MARSHAL_CODE = (b"\xe3", b"\x63")
COMPILED = not __file__.endswith(".py")
"""Whether this is the compiled build of the module."""


def entropy(data: bytes | bytearray) -> float:
    """Shannon entropy in bits per byte, rounded to two places."""
    total = len(data)
    if total == 0:
        return 0.0
    bits = 0.0
    for count in _counted(bytes(data)) if COMPILED or total >= _MANY else _counted_each(data):
        share = count / total
        bits -= share * log2(share)
    return round(bits, 2) + 0.0


def _counted(data: bytes) -> list[int]:
    """How often each symbol occurs, in the order of their set: in another one the sum may be rounded otherwise."""
    if not COMPILED:
        from collections import Counter

        counter = Counter(data)
        return [counter[symbol] for symbol in set(iter(counter))]
    counts = array("i", bytes(4 * 256))
    met = []
    for symbol in data:
        if counts[symbol] == 0:
            met.append(symbol)
        counts[symbol] += 1
    return [counts[symbol] for symbol in set(met)]


def _counted_each(data: bytes | bytearray) -> list[int]:
    """The same of few symbols, where nothing is compiled."""
    return [data.count(symbol) for symbol in set(data)]


def looks_like(text: str) -> str:
    """Class of a string literal."""
    if not text:
        return "empty"
    if text.isidentifier():
        return "identifier"
    if _is_number(text):
        return "number"
    head = text[:4096]
    if "\x80" <= head[0] <= "\x80" and len(head) > 2 and head[1] <= "\x05":
        return "pickle"
    if _is_url(head):
        return "url"
    if _is_dotted(head):
        return "host" if _is_host(head) else "dotted"
    if _is_code(head):
        return "code"
    if _is_path(head):
        return "path"
    if not _printable(head):
        return "binary"
    if _is_shell(head):
        return "shell"
    return _encoded(head) or "text"


def looks_like_bytes(data: bytes | bytearray) -> str:
    """Class of a bytes literal."""
    if not data:
        return "empty"
    if data[0] == 0x80 and len(data) > 2 and data[1] <= 5:
        return "pickle"
    if data[:1] in _MARSHAL_CODE and len(data) > 32 and data[1:4] == b"\x00\x00\x00":
        return "bytecode"
    # a look at the first bytes tells of most that it is no text
    if data[:64].translate(None, _ASCII_TEXT) or data[:4096].translate(None, _ASCII_TEXT):
        return "binary"
    return looks_like(data[:4096].decode("ascii"))


def _is_number(text: str) -> bool:
    if len(text) > 40:
        return False
    try:
        float(text)
    except ValueError:
        return False
    return True


def _is_url(text: str) -> bool:
    scheme, mark, rest = text.partition("://")
    return bool(mark) and 1 < len(scheme) < 20 and scheme.replace("+", "").isalnum() and bool(rest)


def _is_dotted(text: str) -> bool:
    parts = text.split(".", 12)
    return len(parts) > 1 and all(part.isidentifier() or (part[:1].isdigit() and part.isalnum()) for part in parts)


def _is_host(text: str) -> bool:
    last = text.rsplit(".", 1)[1]
    parts = text.split(".")
    return (len(parts) == 4 and all(part.isdigit() for part in parts)) or last in ("com", "net", "org", "io", "onion")


def _is_code(text: str) -> bool:
    if "__" in text and ("(" in text or "." in text):
        return True
    for keyword in _KEYWORDS:
        at = text.find(keyword)
        begins_word = at == 0 or (at > 0 and not (text[at - 1].isalnum() or text[at - 1] == "_"))
        if begins_word and (
            keyword[-1] == "(" or keyword == "import " or "\n" in text or "=" in text or _balanced_call(text)
        ):
            return True
    return _balanced_call(text)


def _balanced_call(text: str) -> bool:
    """``name(...)`` or ``name = ...``: an opening bracket right behind a name, and a closing one."""
    at = text.find("(")
    while at > 0:
        if (text[at - 1].isalnum() or text[at - 1] == "_") and text.find(")", at) > 0:
            name = text[:at].rsplit(None, 1)[-1]
            if name.replace(".", "").replace("_", "").isalnum() and not name[0].isdigit():
                return True
        at = text.find("(", at + 1)
    head, mark, _tail = text.partition("=")
    return bool(mark) and "\n" in text and head.strip().isidentifier()


def _is_path(text: str) -> bool:
    if " " in text or "\n" in text:
        return False
    if text[:1] in "/~" or text[:2] in ("./", "..") or text[1:3] in (":\\", ":/"):
        return len(text) > 1
    if "/" not in text and "\\" not in text:
        stem, dot, suffix = text.rpartition(".")
        return bool(dot) and bool(stem) and 0 < len(suffix) <= 5 and suffix.isalnum() and _printable(text)
    parts = text.replace("\\", "/").split("/")
    return all(part.replace(".", "").replace("-", "").replace("_", "").isalnum() for part in parts if part)


def _is_shell(text: str) -> bool:
    words = text.split(None, 6)
    if not words:
        return False
    command = words[0].rsplit("/", 1)[-1]
    if not command or not all(letter.isalnum() or letter in "-_.+" for letter in command) or len(command) > 24:
        return False
    if any(mark in text for mark in _SHELL_MARKS):
        return command == command.lower() and len(words) > 1
    if len(words) < 2 or command != command.lower() or text[-1:] in ".?!:":
        return False
    return any(word[:1] in "-/$~<>|&'\"" or "://" in word for word in words[1:]) or (
        len(words) <= 3 and text.isascii() and all(_wordlike(word) for word in words)
    )


def _wordlike(word: str) -> bool:
    return all(letter.isalnum() or letter in "-_./'\"" for letter in word)


def _encoded(text: str) -> str:
    if len(text) < 16:
        return ""
    symbols = set(text)
    if symbols <= _HEX and len(text) % 2 == 0:
        return "hex"
    if symbols <= _BASE64 and len(text) >= 24 and len(symbols) > 10 and text.rstrip("=\n").find("=") < 0:
        return "base64"
    return ""


def _printable(text: str) -> bool:
    return not text.encode("utf-8", "surrogatepass").translate(None, _NO_CONTROLS)
