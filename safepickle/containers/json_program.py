"""Programs in JSON that a framework builds objects from, told as the pickle that would do the same."""

from __future__ import annotations

from .program import Program, Unreadable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..bytecode.trace import Place
    from .source import Source
    from .survey import Survey

MOST_BYTES = 4 << 20
"""Of a program that is read."""
_MOST = {b"[": 200_000, b"{": 200_000, b'"': 1_000_000}
"""Lists, objects and quotes in a program that is read: what they become takes many times their bytes."""
DEEPEST = 64
"""Levels that are written; a level takes a few of the interpreter's frames."""


class JsonProgram(Program):
    """What a framework does with an object in JSON; who derives from it says what becomes of one in `build`.

    Attributes
    ----------
    keys
        What an object has that is a program of it.
    unread
        Why not all of it was understood, where the rest of it could still be told.
    """

    keys: frozenset[str] = frozenset()
    unread = ""

    @classmethod
    def holds(cls, found: Any) -> bool:
        """Whether a value is a program of this kind."""
        return isinstance(found, dict) and cls.keys <= found.keys()

    def build(self, node: Any, depth: int) -> None:
        """Push what becomes of one value.

        Raises
        ------
        Unreadable
            When nothing becomes of it, or it is too deep.
        """
        if depth > DEEPEST:
            raise Unreadable(f"more than {DEEPEST} levels")
        if isinstance(node, list):
            self.many(b"]", b"e", node, depth)
        elif isinstance(node, dict):
            self.many(b"}", b"u", [part for pair in node.items() for part in pair], depth)
        else:
            self.plain(node)

    def many(self, empty: bytes, fill: bytes, parts: list[Any], depth: int) -> None:
        """Push a container: the opcode that makes it, its parts, the opcode that fills it."""
        self.opcodes += empty + b"("
        for part in parts:
            self.build(part, depth + 1)
        self.opcodes += fill


def fits(text: bytes) -> bool:
    """Whether what a text in JSON becomes takes a bounded amount of memory."""
    return len(text) <= MOST_BYTES and all(text.count(mark) <= most for mark, most in _MOST.items())


def read(kind: type[JsonProgram], source: Source, place: Place, survey: Survey) -> bool:
    """Add the pickle that a file amounts to; False where it is no program of that kind."""
    inside = (*place, (kind.step, ""))
    if source.partial or source.size > MOST_BYTES:
        survey.fail("unsupported-format", inside, 0, f"more than {MOST_BYTES >> 20} MB of it are not read")
        return True
    return read_text(kind, source.read(0, source.size), place, survey)


def read_text(kind: type[JsonProgram], text: bytes, place: Place, survey: Survey, errors: str = "") -> bool:
    """Add the pickle that a text amounts to; False where it is no program of that kind.

    It is in an encoding that JSON may be in; with `errors` it is in UTF-8, and they say what becomes of what is not.
    """
    from json import loads

    inside = (*place, (kind.step, ""))
    if not fits(text):
        survey.fail("unsupported-format", inside, 0, "it has more parts than are read")
        return True
    try:
        found = loads(text.decode("utf-8", errors) if errors else text)
    except RecursionError:
        survey.fail("budget:depth", inside)
        return True
    except ValueError:
        return False
    return add(kind, found, place, survey)


def add(kind: type[JsonProgram], found: Any, place: Place, survey: Survey) -> bool:
    """Add the pickle that a value of JSON amounts to; False where it is no program of that kind."""
    if not kind.holds(found):
        return False
    inside = (*place, (kind.step, ""))
    program = kind()
    try:
        program.build(found, 0)
    except Unreadable as error:
        survey.fail("unsupported-format", inside, 0, f"it cannot be read: {error}")
        return True
    if program.unread:
        survey.fail("unsupported-format", inside, 0, program.unread)
    program.tell(place, survey)
    return True
