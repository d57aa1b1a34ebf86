"""Pure functions on literals, by our own table: how a file may write a name without writing it.

Each gets values that were read from the stream and gives a literal; what is not of a listed type, or would be
longer than :data:`LONGEST`, is not evaluated. Functions raise what Python's own do.
"""

from __future__ import annotations

import operator

from .decoding import COMPRESSORS, LONGEST, Refused, base64, binascii, decoded, encoded, inflated, unbase64, unhexed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

_TEXT = """
    lower upper swapcase title capitalize strip lstrip rstrip split rsplit splitlines partition rpartition
    removeprefix removesuffix startswith endswith find rfind index rindex count isalpha isdigit isalnum
    isupper islower isspace __add__ __len__ __contains__ __eq__ __ne__
"""
_METHODS: dict[type, str] = {
    str: _TEXT + " casefold isidentifier maketrans __str__",
    bytes: _TEXT + " hex maketrans",
    list: "copy index count __add__ __len__ __contains__",
    tuple: "index count __add__ __len__ __contains__",
    dict: "copy keys values items __len__ __contains__",
    int: """
        bit_length __add__ __sub__ __mul__ __floordiv__ __mod__ __and__ __or__ __xor__ __rshift__ __neg__ __invert__
        __int__ __index__
    """,
}
"""Methods without side effect whose result is not much longer than what they are given."""
_OPERATORS = """
    add concat sub mod floordiv xor and_ or_ rshift neg pos abs invert inv not_ truth eq ne lt le gt ge contains index
    countOf indexOf is_ is_not
"""


def known(value: Any, also: type | None = None) -> bool:
    """Whether a value is a literal with nothing unknown in it, of an ordinary length.

    Containers may share their items, so that all of them are counted; `also` is a type that may be among them.
    """
    pending = [value]
    left = LONGEST
    while pending:
        item = pending.pop()
        if isinstance(item, (str, bytes, bytearray)):
            if len(item) > LONGEST:
                return False
        elif isinstance(item, int):
            if item.bit_length() > 8 * LONGEST:
                return False
        elif isinstance(item, (list, tuple, dict)):
            left -= len(item)
            if left < 0:
                return False
            pending.extend(item.values() if isinstance(item, dict) else item)
        elif item is not None and not isinstance(item, float) and (also is None or not isinstance(item, also)):
            return False
    return True


def evaluate(function: Callable[..., Any], arguments: tuple[Any, ...], keywords: dict[str, Any] | None) -> Any:
    """The literal that a function of :data:`FUNCTIONS` gives, None where it gives none that is known."""
    if not known(arguments) or (keywords and not known(keywords)):
        return None
    arguments = tuple([bytes(item) if isinstance(item, bytearray) else item for item in arguments])
    try:
        value = function(*arguments, **keywords) if keywords else function(*arguments)
    except MemoryError:
        raise  # a function that takes memory by what it is handed has no place in the table
    except Exception:
        return None  # the unpickler would raise here
    if isinstance(value, bytearray):
        value = bytes(value)
    return value if known(value) else None


def _method(owner: type, name: str) -> Callable[..., Any]:
    function = getattr(owner, name)

    def apply(*arguments: Any) -> Any:
        value = function(*arguments)
        return list(value) if isinstance(value, (type({}.keys()), type({}.values()), type({}.items()))) else value

    return apply


def _sized(length: Any) -> int:
    if not isinstance(length, int) or not 0 <= length <= LONGEST:
        raise Refused
    return length


def join(separator: Any, parts: Any) -> Any:
    """``separator.join(parts)``."""
    parts = list(parts)
    if sum(len(part) for part in parts) + len(separator) * len(parts) > LONGEST:
        raise Refused
    return separator.join(parts)


def _replace(text: Any, old: Any, new: Any, count: int = -1) -> Any:
    if text.count(old) * len(new) > LONGEST:
        raise Refused
    return text.replace(old, new, count)


def _translate(text: Any, table: Any, *rest: Any) -> Any:
    if isinstance(table, dict) and any(isinstance(item, str) and len(item) > 8 for item in table.values()):
        raise Refused
    return text.translate(table, *rest)


def multiplied(left: Any, right: Any) -> Any:
    """``left * right``."""
    for items, times in ((left, right), (right, left)):
        if isinstance(items, (str, bytes, list, tuple)) and isinstance(times, int):
            _sized(len(items) * max(times, 0))
    return left * right


def _shift(left: int, right: int) -> int:
    return left << _sized(right)


def _power(left: int, right: int, modulus: int | None = None) -> int:
    _sized(abs(left).bit_length() * abs(right) // 8)
    return pow(left, right, modulus)


def _padded(method: str) -> Callable[..., Any]:
    def apply(text: Any, width: int, *fill: Any) -> Any:
        return getattr(text, method)(_sized(width), *fill)

    return apply


def _plain_format(text: Any) -> None:
    """Refuse a format with a width of four digits or more, or one that is itself computed."""
    digits = 0
    pattern = text.decode("latin-1") if isinstance(text, (bytes, bytearray)) else text
    for char in pattern:
        digits = digits + 1 if char.isdigit() else 0
        if digits > 3 or char == "*":
            raise Refused


def _format(text: str, *arguments: Any, **keywords: Any) -> str:
    from _string import formatter_parser  # type: ignore[import-not-found]

    _plain_format(text)
    for _literal, field, spec, _conversion in formatter_parser(text):
        if "{" in (spec or "") or "." in (field or "") or "[" in (field or ""):
            raise Refused
    if len(text) * (1 + max((len(str(item)) for item in (*arguments, *keywords.values())), default=0)) > 64 * LONGEST:
        raise Refused
    return text.format(*arguments, **keywords)


def modulo(left: Any, right: Any) -> Any:
    """``left % right``: of a number or a text."""
    if isinstance(left, (str, bytes)):
        _plain_format(left)
        items = right if isinstance(right, tuple) else (right,)
        if len(left) * (1 + max((len(str(item)) for item in items), default=0)) > 64 * LONGEST:
            raise Refused
    return left % right


def _rendered(value: Any, spec: str = "") -> str:
    _plain_format(spec)
    return format(value, spec)


def _packed(layout: Any, *values: Any) -> bytes:
    import struct

    try:
        _sized(struct.calcsize(layout))
        return struct.pack(layout, *values)
    except struct.error as damage:
        raise ValueError(str(damage)) from None


def _unpacked(layout: Any, data: Any, *rest: Any) -> tuple[Any, ...]:
    import struct

    try:
        _sized(struct.calcsize(layout))
        return struct.unpack_from(layout, data, *rest)
    except struct.error as damage:
        raise ValueError(str(damage)) from None


# --- constructors --------------------------------------------------------------------------------


def _to_str(value: Any = "", *rest: Any) -> Any:
    if rest:
        return decoded(value, *rest)
    return value if isinstance(value, str) else str(value) if isinstance(value, (int, bytes)) else None


def to_bytes(value: Any = b"", *rest: Any) -> bytes:
    """``bytes(value)``: of numbers, a length, a text with its encoding."""
    if isinstance(value, str):
        return encoded(value, *rest)  # type: ignore[no-any-return]
    return bytes(_sized(value)) if isinstance(value, int) else bytes(value)


def _int_to_bytes(value: int, length: int = 1, byteorder: Any = "big", **keywords: Any) -> bytes:
    return int.to_bytes(value, _sized(length), byteorder, **keywords)


def _range(*bounds: int) -> list[int]:
    _sized(len(range(*bounds)))
    return list(range(*bounds))


def _sliced(items: Iterable[Any], *bounds: Any) -> list[Any]:
    from itertools import islice

    return list(islice(items, *bounds))


def _table() -> dict[str, Callable[..., Any]]:
    table: dict[str, Callable[..., Any]] = {}
    for owner, names in _METHODS.items():
        table.update({f"builtins.{owner.__name__}.{name}": _method(owner, name) for name in names.split()})
    for name in _OPERATORS.split():
        table[f"operator.{name}"] = modulo if name == "mod" else getattr(operator, name)
    for text in ("str", "bytes"):
        own: dict[str, Callable[..., Any]] = {
            "join": join, "replace": _replace, "translate": _translate, "__mod__": modulo, "__mul__": multiplied,
            "__rmul__": multiplied, **{name: _padded(name) for name in ("zfill", "ljust", "rjust", "center")},
        }  # fmt: skip
        table.update({f"builtins.{text}.{name}": function for name, function in own.items()})
    for module in COMPRESSORS:
        table[f"{module}.decompress"] = lambda data, *_rest, module=module: inflated(module, data)
    for name in ("b32decode", "b32hexdecode", "b16decode", "b85decode", "a85decode", "b64encode", "b32encode",
                 "b85encode", "b16encode", "a85encode", "urlsafe_b64encode"):  # fmt: skip
        table[f"base64.{name}"] = base64(name)
    for name in ("a2b_uu", "a2b_qp", "hexlify", "b2a_hex", "b2a_base64"):
        table[f"binascii.{name}"] = binascii(name)
    return table


FUNCTIONS: dict[str, Callable[..., Any]] = {
    **_table(),
    "builtins.str.format": _format,
    "builtins.str.format_map": lambda text, names: _format(text, **names),
    "string.Formatter.format": lambda _self, text, *arguments, **keywords: _format(text, *arguments, **keywords),
    "builtins.format": _rendered,
    "builtins.str.__format__": _rendered,
    "builtins.str.encode": encoded,
    "builtins.bytes.decode": decoded,
    "builtins.bytearray.decode": decoded,
    "builtins.bytes.fromhex": unhexed,
    "builtins.bytearray.fromhex": unhexed,
    "builtins.list.__mul__": multiplied,
    "builtins.tuple.__mul__": multiplied,
    "builtins.int.to_bytes": _int_to_bytes,
    "builtins.int.from_bytes": int.from_bytes,
    "builtins.int.__lshift__": _shift,
    "operator.mul": multiplied,
    "operator.lshift": _shift,
    "operator.pow": _power,
    "builtins.pow": _power,
    "builtins.str": _to_str,
    "builtins.bytes": to_bytes,
    "builtins.bytearray": to_bytes,
    "builtins.int": int,
    "builtins.chr": chr,
    "builtins.ord": ord,
    "builtins.hex": hex,
    "builtins.oct": oct,
    "builtins.bin": bin,
    "builtins.abs": abs,
    "builtins.len": len,
    "builtins.sum": lambda numbers, *start: sum(numbers, *start) if all(isinstance(n, int) for n in numbers) else None,
    "builtins.repr": lambda value: repr(value) if isinstance(value, (str, bytes, int)) else None,
    "builtins.ascii": lambda value: ascii(value) if isinstance(value, (str, bytes, int)) else None,
    "builtins.range": _range,
    "itertools.islice": _sliced,
    "codecs.decode": decoded,
    "codecs.encode": encoded,
    "codecs.utf_8_decode": lambda data, *rest: (decoded(data, "utf-8", *rest[:1]), len(data)),
    "codecs.latin_1_decode": lambda data, *rest: (decoded(data, "latin1"), len(data)),
    "base64.b64decode": unbase64,
    "base64.standard_b64decode": unbase64,
    "base64.decodebytes": unbase64,
    "base64.urlsafe_b64decode": lambda data: unbase64(data, b"-_"),
    "binascii.a2b_base64": unbase64,
    "binascii.unhexlify": unhexed,
    "binascii.a2b_hex": unhexed,
    "quopri.decodestring": lambda data, *_rest: binascii("a2b_qp")(data),
    "struct.pack": _packed,
    "struct.unpack": _unpacked,
    "struct.unpack_from": _unpacked,
}
"""Functions by the names of :func:`~.names.candidates`."""
