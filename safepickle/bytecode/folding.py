"""What a call really calls: names computed by the stream, and callables that are handed from one to the next.

Nothing of the scanned file is imported or called. A call is evaluated on what is known of its arguments: to a
literal by :mod:`.pure`, to a :class:`~.values.Reference` by :mod:`.resolving`, to further calls by
:mod:`.higher_order`. What cannot be told stays unknown.
"""

from __future__ import annotations

from .evaluation import EFFORT, EVALUATED, FILLING, MAKERS, RESOLVING, Run
from .made import Extension, is_known, named_arguments
from .names import candidates
from .pure import FUNCTIONS, evaluate
from .values import UNKNOWN, Reference

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .evaluation import Made
    from .values import Instance

_REMEMBERED = 4096


class Folded:
    """What came of evaluating a call.

    `value` is None where it cannot be told, `calls` are those that the call makes in turn, `cut` tells whether a
    budget cut them short, and `effort` how many callables were applied. `through` is what an object really is that
    was made by a call and is called now; None where it is called by its name.
    """

    __slots__ = ("calls", "cut", "effort", "through", "value")

    def __init__(self, value: Any, run: Run | None = None) -> None:
        self.value = value
        self.calls: tuple[Made, ...] = tuple(run.calls) if run else ()
        self.cut = run.cut if run else False
        self.effort = EFFORT - run.left if run else 0
        self.through = run.through if run else None


def fold(callee: Reference | Instance, arguments: Any, keywords: bool = False) -> Folded:
    """Evaluate ``callee(*arguments)`` as far as that can be told without running anything.

    Parameters
    ----------
    callee
        What is called, e.g. a reference whose name is in :data:`FOLDABLE`.
    arguments
        Tuple of literals, references, instances or ``UNKNOWN``; anything else if the arguments are not known.
    keywords
        Whether the last argument is a dict of keyword arguments (NEWOBJ_EX).
    """
    if isinstance(callee, Reference) and not callee.bound and not keywords and isinstance(arguments, tuple):
        function = _pure(callee.name)
        if function is not None and all(type(argument) in _PLAIN for argument in arguments):
            return Folded(evaluate(function, arguments, None))
    run = Run()
    named: dict[str, Any] = {}
    if not isinstance(arguments, tuple):
        run.consume(arguments, ())
        arguments = (UNKNOWN,)
    elif keywords and arguments:
        named = named_arguments(arguments[-1])
        arguments = arguments[:-1]
    value = run.outermost(callee, arguments, named)
    known = is_known(value) or isinstance(value, Extension)
    return Folded(value if known else None, run)


_PLAIN = frozenset((str, bytes, int))
_pure_functions: dict[str, Callable[..., Any] | None] = {}


def _pure(name: str) -> Callable[..., Any] | None:
    """The pure function of literals that a name means first of all, remembered as the same few are called a lot."""
    if name not in _pure_functions:
        if len(_pure_functions) >= _REMEMBERED:
            _pure_functions.clear()
        meant = next((candidate for candidate in candidates(name) if candidate in EVALUATED), "")
        _pure_functions[name] = FUNCTIONS.get(meant)
    return _pure_functions[name]


class Names:
    """Canonical names that lead to one of `known`, through whatever module they are named, or to one of `methods`."""

    def __init__(self, known: frozenset[str], methods: frozenset[str] = frozenset()) -> None:
        self.known = known
        self.methods = methods
        self.seen: dict[str, bool] = {}

    def __contains__(self, name: object) -> bool:
        if not isinstance(name, str):
            return False
        found = self.seen.get(name)
        if found is None:
            if len(self.seen) >= _REMEMBERED:
                self.seen.clear()
            found = self.seen[name] = self._leads(name)
        return found

    def _leads(self, name: str) -> bool:
        last = name.rpartition(".")[2]
        return last in self.methods or any(candidate in self.known for candidate in candidates(name))


FOLDABLE = Names(EVALUATED, frozenset((*FILLING, "__call__", "__new__", "__get__")))
"""Names of callables for which :func:`fold` may tell more than their call does."""
LOOKED_INTO = Names(MAKERS)
"""Names of callables whose results :func:`fold` looks into: once one is called, every call may fire it."""
RESOLVERS = Names(RESOLVING)
"""Names of callables whose result is some other object by its name: calling that is calling a computed callee."""
