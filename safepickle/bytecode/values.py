"""What the machine's abstract values stand for when they are read: references, literals, results, call sites."""

from __future__ import annotations

from codecs import escape_decode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Stop(Exception):
    """The machine cannot go on; `reason` names why, `offset` the opcode."""

    def __init__(self, reason: str, offset: int) -> None:
        super().__init__(reason)
        self.reason = reason
        self.offset = offset


class Reference:
    """What a value stands for when it can be called: mirrors :class:`~.trace.Ref`.

    `bound` comes before the arguments that it is called with, and `keywords` besides them.
    """

    __slots__ = ("bound", "keywords", "kind", "name", "steps")

    def __init__(
        self,
        kind: str,
        name: str,
        steps: tuple[str, ...] = (),
        bound: tuple[Any, ...] = (),
        keywords: dict[str, Any] | None = None,
    ) -> None:
        self.kind = kind
        self.name = name
        self.steps = steps
        self.bound = bound
        self.keywords = keywords


class Literal:
    """A folded literal, with the callables through which it was computed."""

    __slots__ = ("steps", "value")

    def __init__(self, value: Any, steps: tuple[str, ...] = ()) -> None:
        self.value = value
        self.steps = steps


class Instance:
    """The result of a call, as far as it is known: callee name, arguments, BUILD state, the machine's value."""

    __slots__ = ("arguments", "callee", "node", "state")

    def __init__(self, callee: str, arguments: Any, state: Any, node: int = -1) -> None:
        self.callee = callee
        self.arguments = arguments
        self.state = state
        self.node = node


class Shared:
    """A container that had or may have got other items than these; of a dict, keys and values in turn.

    `more` are callables among the items that are not known.
    """

    __slots__ = ("items", "kind", "more")

    def __init__(self, kind: str, items: list[Any], more: list[Any]) -> None:
        self.kind = kind
        self.items = items
        self.more = more


class Unknown:
    """The one value of which nothing is known; see :data:`UNKNOWN`."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN = Unknown()


class CallSite:
    """First site of one call shape; `callee` and `arguments` are abstract values."""

    __slots__ = ("arguments", "callee", "count", "depth", "offset", "opcode", "uses")

    def __init__(self, opcode: int, callee: int, arguments: int, offset: int, depth: int) -> None:
        self.opcode = opcode
        self.callee = callee
        self.arguments = arguments
        self.offset = offset
        self.depth = depth
        self.count = 0
        self.uses = 0


def text_line(code: int, raw: bytes) -> str:
    """Argument of STRING, UNICODE or another text opcode, decoded as the laxest unpickler does."""
    if code == 0x56:
        text = raw.decode("raw-unicode-escape", "replace")
        # no half of a pair of surrogates gets into a Trace: not all that is written as text could hold it
        return text if b"\\" not in raw else text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
    if code == 0x53:
        raw = raw.strip()
        if len(raw) >= 2 and raw[:1] == raw[-1:] and raw[:1] in (b"'", b'"'):
            raw = raw[1:-1]
        if b"\\" in raw:
            raw = _unescaped(raw)
        return raw.decode("latin-1")
    return raw.decode("utf-8", "replace")


def _unescaped(raw: bytes) -> bytes:
    """Escapes of a STRING resolved; one that Python warns of stays as it is, and nothing is warned of."""
    parts = []
    at = 0
    while (backslash := raw.find(b"\\", at)) >= 0:
        parts.append(raw[at:backslash])
        kind = raw[backslash + 1 : backslash + 2]
        at = backslash + 2
        if kind == b"x":
            at += 2
        elif kind and kind in b"01234567":
            while at < backslash + 4 and raw[at : at + 1] and raw[at : at + 1] in b"01234567":
                at += 1
            parts.append(bytes((int(raw[backslash + 1 : at], 8) & 0xFF,)))
            continue
        elif not kind or kind not in b"\n\\'\"abfnrtv":
            parts.append(raw[backslash:at])
            continue
        try:
            parts.append(escape_decode(raw[backslash:at])[0])
        except ValueError:  # \x without two digits: the unpickler raises
            parts.append(raw[backslash:at])
    parts.append(raw[at:])
    return b"".join(parts)


def text_number(code: int, line: bytes) -> int | bool | None:
    """Value of INT or LONG, None when it has too many digits to matter.

    The unpickler in C lets ``strtol`` read INT, for which a leading 0 means octal; both stop at a NUL.

    Raises
    ------
    ValueError
        When no unpickler takes it for a number.
    """
    text = line.partition(b"\0")[0].strip() if b"\0" in line else line.strip()
    if code == 0x49 and line[:1] == b"\0":
        return 0
    if code == 0x49 and text in (b"00", b"01"):
        return text == b"01"
    if code == 0x4C and text[-1:] == b"L":
        text = text[:-1]
    if len(text) > 4000:
        return None
    if code == 0x49 and text.lstrip(b"+-")[:1] == b"0":
        try:
            return int(text, 8)
        except ValueError:
            pass
    try:
        return int(text, 0)
    except ValueError:
        return int(text)


def text_key(line: bytes) -> int:
    """A memo key written as text.

    Raises
    ------
    ValueError
        When it is no number.
    """
    if b"\0" in line:
        line = line.partition(b"\0")[0]
    line = line.strip()
    if len(line) > 5000:
        raise ValueError("too many digits")
    return int(line)


def text_float(line: bytes) -> bool:
    """Whether all unpicklers take the argument of FLOAT for the same number.

    Raises
    ------
    ValueError
        When none of them takes it for one.
    """
    text = line.partition(b"\0")[0]
    float(text)
    return text == line == line.strip() and b"_" not in line


def is_plain(code: int, line: bytes) -> bool:
    """Whether the argument of INT, LONG or a memo opcode is written in the one way that all readers take alike."""
    digits = line.removesuffix(b"L") if code == 0x4C else line
    digits = digits.removeprefix(b"-")
    return digits.isdigit() and (digits[0] != 0x30 or digits == b"0")
