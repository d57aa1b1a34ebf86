"""The header of a .npy file: a Python literal, parsed here without evaluating anything.

Source: numpy/lib/_format_impl.py, NEP 1.
"""

from __future__ import annotations

MAGIC = b"\x93NUMPY"
MAX_NESTING = 32
MAX_DIMENSIONS = 64

_PLAIN_KINDS = frozenset("?biufcmMSUVa")


class HeaderError(ValueError):
    """The header is not a literal that this parser knows."""


class _Parser:
    """Recursive descent over ``{}``, ``()``, ``[]``, strings, whole numbers, True, False and None."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def document(self) -> object:
        value = self._value(0)
        self._blanks()
        if self._at != len(self._text):
            raise HeaderError(f"something follows at character {self._at}")
        return value

    def _blanks(self) -> None:
        text, at = self._text, self._at
        while at < len(text) and text[at] in " \t\r\n\f":
            at += 1
        self._at = at

    def _peek(self) -> str:
        self._blanks()
        return self._text[self._at : self._at + 1]

    def _value(self, nesting: int) -> object:
        if nesting > MAX_NESTING:
            raise HeaderError("nested too deeply")
        first = self._peek()
        if first == "{":
            return self._dict(nesting)
        if first == "(":
            return self._sequence(")", nesting)
        if first == "[":
            return self._sequence("]", nesting)
        if first in ("'", '"') or self._text[self._at : self._at + 2] in ("u'", 'u"', "b'", 'b"'):
            return self._string()
        return self._word()

    def _dict(self, nesting: int) -> dict[str, object]:
        self._at += 1
        found: dict[str, object] = {}
        while self._peek() != "}":
            key = self._value(nesting + 1)
            if not isinstance(key, str) or self._peek() != ":":
                raise HeaderError(f"a key and a colon are missing at character {self._at}")
            self._at += 1
            found[key] = self._value(nesting + 1)
            self._comma("}")
        self._at += 1
        return found

    def _sequence(self, closing: str, nesting: int) -> object:
        self._at += 1
        items: list[object] = []
        comma = False
        while self._peek() != closing:
            items.append(self._value(nesting + 1))
            comma = self._comma(closing)
        self._at += 1
        if closing == "]":
            return items
        return items[0] if len(items) == 1 and not comma else tuple(items)

    def _comma(self, closing: str) -> bool:
        if self._peek() == ",":
            self._at += 1
            return True
        if self._peek() != closing:
            raise HeaderError(f"a comma or {closing} is missing at character {self._at}")
        return False

    def _string(self) -> str:
        if self._text[self._at] in "ub":
            self._at += 1
        quote = self._text[self._at]
        if self._text.startswith(quote * 3, self._at):
            raise HeaderError("a string in three quotes")
        end = self._at + 1
        while self._text[end : end + 1] not in ("", quote, "\n"):
            # an escape is kept as written: it matters only that its quote does not end the string
            end += 2 if self._text[end] == "\\" else 1
        if self._text[end : end + 1] != quote:
            raise HeaderError(f"the string from character {self._at} has no end")
        value = self._text[self._at + 1 : end]
        self._at = end + 1
        return value

    def _word(self) -> object:
        end = self._at
        while end < len(self._text) and (self._text[end].isalnum() or self._text[end] in "_-+."):
            end += 1
        word = self._text[self._at : end]
        self._at = end
        if word in ("True", "False", "None"):
            return {"True": True, "False": False, "None": None}[word]
        digits = word[:-1] if word.endswith("L") else word
        if not digits.isascii() or not digits.isdigit() or len(digits) > 20:
            raise HeaderError(f"{word[:20]!r} is not a known word or number")
        return int(digits)


class NpyHeader:
    """What a .npy header says.

    Attributes
    ----------
    data_offset
        Where the array's bytes begin.
    plain
        Whether the array is raw numbers or characters. Otherwise, or when in doubt, a pickle follows.
    data_size
        Bytes of a plain array.
    """

    def __init__(self, data_offset: int, plain: bool, data_size: int) -> None:
        self.data_offset = data_offset
        self.plain = plain
        self.data_size = data_size


def text_span(head: bytes) -> tuple[int, int]:
    """Start and length of the header's text, from the first 12 bytes of a file.

    Raises
    ------
    HeaderError
        When the version is unknown or the bytes end too soon.
    """
    if not head.startswith(MAGIC) or len(head) < 12:
        raise HeaderError("the file ends in its header")
    if head[6] == 1:
        return 10, int.from_bytes(head[8:10], "little")
    if head[6] in (2, 3):
        return 12, int.from_bytes(head[8:12], "little")
    raise HeaderError(f"unknown version {head[6]}")


def parse(text: bytes, data_offset: int) -> NpyHeader:
    """Parse the text of a header.

    Raises
    ------
    HeaderError
        When it is not the literal of a dictionary with `descr` and `shape`.
    """
    found = _Parser(text.decode("utf-8", "replace")).document()
    if not isinstance(found, dict) or "descr" not in found or "shape" not in found:
        raise HeaderError("descr or shape is missing")
    count = _item_count(found["shape"])
    if count is None:
        raise HeaderError("the shape is not a few whole numbers")
    size = item_size(found["descr"])
    data_size = (size or 0) * count
    if data_size >> 63:
        raise HeaderError("the array is larger than any file")
    return NpyHeader(data_offset, size is not None, data_size)


def item_size(descr: object) -> int | None:
    """Bytes of one item of a dtype's `descr`; None when it holds objects or is not certain not to."""
    if isinstance(descr, str):
        return _scalar_size(descr)
    if isinstance(descr, tuple) and len(descr) == 2:
        size, count = item_size(descr[0]), _item_count(descr[1])
        return None if size is None or count is None else size * count
    if isinstance(descr, list):
        sizes = [_field_size(field) for field in descr]
        return None if None in sizes else sum(size for size in sizes if size is not None)
    return None


def _item_count(shape: object) -> int | None:
    lengths = shape if isinstance(shape, tuple) else (shape,)
    if len(lengths) > MAX_DIMENSIONS:
        return None
    count = 1
    for length in lengths:
        if type(length) is not int:
            return None
        count *= length
    return count


def _field_size(field: object) -> int | None:
    if not isinstance(field, tuple) or len(field) not in (2, 3):
        return None
    return item_size(field[1] if len(field) == 2 else (field[1], field[2]))


def _scalar_size(descr: str) -> int | None:
    code = descr[1:] if descr[:1] in ("<", ">", "|", "=") else descr
    if not code or code[0] not in _PLAIN_KINDS:
        return None
    digits = code[1:]
    if code[0] in "mM":
        digits = digits.partition("[")[0]
    if code == "?":
        return 1
    if not digits.isascii() or not digits.isdigit() or len(digits) > 18:
        return None
    return int(digits) * (4 if code[0] == "U" else 1)
