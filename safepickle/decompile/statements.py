"""What a stream does when it is loaded, as a list of statements in the order of execution."""

from __future__ import annotations

from .values import Container, Name, Result, Value, mark_used

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Hashable

MOST_SHAPES = 20_000
"""Shapes of statements that are told apart; all further ones are counted together."""
_DEPTH = 2
_WIDTH = 8


class Statement:
    """One statement, and how many more like it follow.

    Parameters
    ----------
    opcode
        As in a Trace: ``REDUCE ... BUILD``, ``append extend setitem add persistent_load ext``; ``change`` for what is
        put into a container that was handed on, and ``raise`` for where loading ends early.
    offset
        Byte offset of the opcode in its stream.
    callee
        What is called or changed; None for ``persistent_load``.
    arguments
        Its arguments: a tuple in most cases, the state of BUILD.
    keywords
        Of NEWOBJ_EX.
    """

    __slots__ = ("arguments", "callee", "count", "keywords", "last", "offset", "opcode", "result", "shape")

    def __init__(self, opcode: str, offset: int, callee: Value | None, arguments: Value | None,
                 keywords: Value | None = None) -> None:  # fmt: skip
        self.opcode = opcode
        self.offset = offset
        self.callee = callee
        self.arguments = arguments
        self.keywords = keywords
        self.result: Result | None = None
        self.count = 1
        self.last = offset
        self.shape = 0


class Statements:
    """Collects statements; alike ones are one with a count.

    Parameters
    ----------
    wanted
        Offsets of statements that are kept whatever they are like.
    """

    def __init__(self, wanted: frozenset[int]) -> None:
        self.wanted = wanted
        self.kept: list[Statement] = []
        self.shapes: dict[Hashable, Statement] = {}

    def add(self, statement: Statement, returns: bool) -> Result | None:
        """Append a statement; with `returns`, the value that it gives."""
        shape = _shape_of(statement)
        if len(self.shapes) >= MOST_SHAPES and shape not in self.shapes:
            shape = (statement.opcode,)
        first = self.shapes.setdefault(shape, statement)
        keep = first is statement or statement.offset in self.wanted
        if keep:
            statement.shape = len(self.shapes)
            self.kept.append(statement)
            for value in (statement.callee, statement.arguments, statement.keywords):
                hand_on(value)
        else:
            first.count += 1
            first.last = statement.offset
            for value in (statement.callee, statement.arguments, statement.keywords):
                mark_used(value)
        if not returns:
            return None
        result = Result(statement if keep else first, statement.offset, not keep)
        if keep:
            statement.result = result
        return result


def hand_on(value: Value | None) -> None:
    """Note that a statement uses a value, and what is in it."""
    pending = [value]
    while pending:
        one = pending.pop()
        if isinstance(one, Result):
            one.uses += 1
        elif isinstance(one, Name):
            one.used = True
            pending += [part for part in (one.module, one.name) if isinstance(part, Value)]
        elif isinstance(one, Container) and not one.handed:
            one.handed = True
            pending += one.items


def _shape_of(statement: Statement) -> Hashable:
    arguments = _shape(statement.arguments, 0 if statement.opcode == "BUILD" else _DEPTH)
    return statement.opcode, _identity(statement.callee), arguments, _shape(statement.keywords, 1)


def _identity(value: Value | None) -> Hashable:
    """What tells callees apart: their names, or the shape of the call that returned them."""
    if isinstance(value, Name):
        return value.text or "computed"
    if isinstance(value, Result):
        return value.statement.shape
    if isinstance(value, Container):
        return value.kind, value.offset
    return type(value).__name__


def _shape(value: Value | None, depth: int) -> Hashable:
    if isinstance(value, Container):
        if not depth or value.kind not in ("tuple", "list"):
            return value.kind
        return value.kind, tuple([_shape(item, depth - 1) for item in value.items[:_WIDTH]])
    return _identity(value)
