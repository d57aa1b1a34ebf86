"""Evaluation of one call and of those that it makes, on what is known of their arguments."""

from __future__ import annotations

import sys

from . import made, pure, resolving
from .calling import HOW, argument_of
from .code_objects import names_in_code
from .decoding import LONGEST
from .higher_order import CALLERS, HOLDERS, LAZY, PASSING
from .names import candidates
from .values import UNKNOWN, Instance, Reference, Shared

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Made = tuple[str, Reference, tuple[Any, ...]]
    """A call that another one makes: opcode as in a Trace, callee, arguments."""

CALLS = 32
"""Calls of different callees that one call may make."""
ALIKE = 4
"""Calls of the same callee that are recorded."""
DEEPEST = 12
EFFORT = 8_192
"""Applications of a callable within one call."""


class Run:
    """Evaluation of one call and of those that it makes."""

    def __init__(self) -> None:
        self.calls: list[Made] = []
        self.counts: dict[tuple[str, str], int] = {}
        self.cut = False
        self.depth = 0
        self.left = EFFORT
        self.through: Reference | None = None

    def record(self, opcode: str, callee: Any, arguments: tuple[Any, ...], via: tuple[str, ...]) -> None:
        """Note a call that is made."""
        if isinstance(callee, Instance):
            if not callee.callee:
                return
            callee = Reference("result", callee.callee, via[:8])
        elif isinstance(callee, Reference):
            if not callee.name:
                return
            callee = Reference(callee.kind, callee.name, (*callee.steps, *via)[:8])
        else:
            return
        key = (opcode, callee.name)
        count = self.counts[key] = self.counts.get(key, 0) + 1
        if count > ALIKE:
            return
        if len(self.calls) >= CALLS:
            self.cut = True
            return
        self.calls.append((opcode, callee, arguments))

    # --- calling ---------------------------------------------------------------------------------

    def outermost(self, callee: Any, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
        """Evaluate the call that the stream makes, which is recorded already under the callee's name."""
        if isinstance(callee, Reference) and callee.kind != "carrier":
            return self.effects(callee, (*callee.bound, *arguments), {**(callee.keywords or {}), **keywords}, ())
        if isinstance(callee, Instance):
            target = self._target(callee)
            if "weakref.ref" in candidates(callee.callee):
                self.through = Reference("attribute", f"{callee.callee}.__call__")
                return made.itself(*callee.arguments) if isinstance(callee.arguments, tuple) else None
            if target is None and made.rebuilt(callee.callee, callee.state) is None:
                self.consume(arguments, ())
                self._called_code(callee, ())
                return None
            if isinstance(target, Reference):
                self.through = Reference("carrier", target.name, (*target.steps, callee.callee)[:8])
        return self.call(callee, arguments, keywords, ())

    def call(self, callee: Any, arguments: tuple[Any, ...], keywords: dict[str, Any], via: tuple[str, ...]) -> Any:
        """Value of a call that another one makes; it is recorded unless it is a pure one."""
        self.left -= 1
        if self.depth >= DEEPEST or self.left < 0:
            self.cut = True
            return UNKNOWN
        self.depth += 1
        try:
            return self._call(self.see(callee), arguments, keywords, via)
        finally:
            self.depth -= 1

    def _call(self, callee: Any, arguments: tuple[Any, ...], keywords: dict[str, Any], via: tuple[str, ...]) -> Any:
        if isinstance(callee, Instance):
            target = self._target(callee)
            rebuilt = made.rebuilt(callee.callee, callee.state)
            if rebuilt is not None:
                return self.call(rebuilt, arguments, keywords, (*via, callee.callee))
            if target is not None:
                more = callee.arguments[1:] if callee.callee.endswith(".MethodType") else ()
                return self.call(target, (*more, *arguments), keywords, (*via, callee.callee))
            self.record("carried", callee, _shown(arguments, keywords), via)
            self._called_code(callee, via)
            return UNKNOWN
        if not isinstance(callee, Reference):
            return UNKNOWN
        arguments, keywords = (*callee.bound, *arguments), {**(callee.keywords or {}), **keywords}
        value = self.effects(callee, arguments, keywords, via)
        if value is None:
            if callee.kind != "getter":
                plain = Reference("global", callee.name, callee.steps) if callee.kind == "carrier" else callee
                self.record("carried", plain, _shown(arguments, keywords), via)
            return Instance(callee.name, arguments, None)
        return value

    def _target(self, held: Instance) -> Any:
        """The callable that the result of a call calls when it is called itself, or None."""
        for name in candidates(held.callee):
            holder = HOLDERS.get(name)
            if holder is not None and isinstance(held.arguments, tuple):
                found = argument_of(holder, held.arguments, {})
                if found is None:
                    found = resolving.attribute(held, holder.keyword)
                    if isinstance(found, Reference) and found.kind == "method":
                        return None
                return found
        return None

    def _called_code(self, function: Instance, via: tuple[str, ...]) -> None:
        """Record what a function that the stream makes of a code object may call."""
        for name, constants in names_in_code(function):
            self.record("carried", Reference("attribute", name), constants or (UNKNOWN,), (*via, function.callee))

    # --- what a callee does ----------------------------------------------------------------------

    def effects(
        self, callee: Reference, arguments: tuple[Any, ...], keywords: dict[str, Any], via: tuple[str, ...]
    ) -> Any:
        """Value of a call, None where it cannot be told; the calls that it makes are recorded."""
        via = (*via, callee.name)
        names = candidates(callee.name)
        if callee.kind == "getter":
            return self._get(callee, arguments[len(callee.bound) :], via)
        if not any(name in LAZY or name in PASSING or name in HOLDERS for name in names):
            arguments = tuple([self.consume(argument, via) for argument in arguments])
        for name in names:
            if name in _BY_NAME:
                return self._by_name(name, arguments, keywords, via)
            if name in pure.FUNCTIONS:
                return pure.evaluate(pure.FUNCTIONS[name], arguments, keywords)
            if name in CALLERS and name not in LAZY:
                return self._fire(name, arguments, keywords, via)
        return self._by_last_part(names[0], arguments, keywords, via)

    def _by_name(self, name: str, arguments: tuple[Any, ...], keywords: dict[str, Any], via: tuple[str, ...]) -> Any:
        function = _BY_NAME[name]
        try:
            if isinstance(function, str):
                return getattr(self, function)(arguments, keywords, via)
            return function(*arguments, **keywords)
        except (TypeError, ValueError, AttributeError, LookupError, ArithmeticError):
            return None  # the unpickler would raise here, or an argument is unknown

    def _by_last_part(
        self, name: str, arguments: tuple[Any, ...], keywords: dict[str, Any], via: tuple[str, ...]
    ) -> Any:
        """Dunder methods that any callable has, and methods that change a container which has a name."""
        owner, _dot, last = name.rpartition(".")
        if last in FILLING:
            if arguments and isinstance(arguments[0], Instance):
                return None
            changed = arguments[0] if arguments and owner in _CONTAINERS else Reference("attribute", owner)
            if isinstance(changed, Reference) and changed.name.partition(".")[0] in sys.stdlib_module_names:
                self.record(FILLING[last], changed, arguments[owner in _CONTAINERS :], via)
        elif last == "__call__" and owner:
            return self.call(Reference("attribute", owner), arguments, keywords, via)
        elif last == "__new__" and arguments:
            return self.effects(Reference("attribute", owner), arguments[1:], keywords, via[:-1])
        elif last == "__get__" and owner and arguments:
            return self._bound(Reference("attribute", owner), arguments, via)
        return None

    def _bound(self, owner: Reference, arguments: tuple[Any, ...], via: tuple[str, ...]) -> Any:
        """``__get__`` of a function or of what wraps one."""
        held = arguments[0]
        target = self._target(held) if isinstance(held, Instance) else None
        if target is not None:
            kind = held.callee.rpartition(".")[2]
            if kind.endswith("property"):
                return self.call(target, arguments[1:2], {}, via)
            return made.bound(target, *(() if kind == "staticmethod" else arguments[2:3]))
        if isinstance(held, Reference) and (
            (owner.name.rpartition(".")[2].lstrip("_")[:1].isupper()) or owner.name.startswith("types.")
        ):
            return made.bound(held, *arguments[1:2])
        return made.bound(owner, *arguments[:1])

    def _fire(self, name: str, arguments: tuple[Any, ...], keywords: dict[str, Any], via: tuple[str, ...]) -> Any:
        """Call the arguments that a caller calls."""
        value = None
        for caller in CALLERS[name]:
            function = argument_of(caller, arguments, keywords)
            if not isinstance(function, (Reference, Instance)):
                continue
            value = HOW[caller.how](self, caller, function, arguments, keywords, via)
        return value

    def _get(self, getter: Reference, arguments: tuple[Any, ...], via: tuple[str, ...]) -> Any:
        """Call what attrgetter, itemgetter or methodcaller returned."""
        if not arguments:
            return None
        owner = self.see(arguments[0])
        if getter.name.endswith("methodcaller"):
            method = resolving.attribute(owner, getter.bound[0])
            if method is None:
                return None
            return self.call(method, getter.bound[1:], getter.keywords or {}, via)
        if getter.name.endswith("itemgetter"):
            found = [self._getitem((owner, key), {}, via) for key in getter.bound]
        else:
            found = [resolving.static_attribute(path, owner) for path in getter.bound]
        return found[0] if len(found) == 1 else tuple(found)

    def _getitem(self, arguments: tuple[Any, ...], keywords: dict[str, Any], via: tuple[str, ...]) -> Any:
        owner, key = self.see(arguments[0]), self.see(arguments[1])
        if isinstance(owner, Instance) and owner.callee.endswith("defaultdict"):
            factory = self._target(owner)
            return None if factory is None else self.call(factory, (), {}, (*via, owner.callee))
        try:
            return resolving.item(owner, key)
        except (TypeError, ValueError, LookupError):
            return None

    def _getattr(self, arguments: tuple[Any, ...], keywords: dict[str, Any], via: tuple[str, ...]) -> Any:
        return resolving.attribute(self.see(arguments[0]), self.see(arguments[1]))

    def _setattr(self, arguments: tuple[Any, ...], keywords: dict[str, Any], via: tuple[str, ...]) -> None:
        owner, name, value = arguments
        if isinstance(owner, Reference):
            self.record("BUILD", owner, ({name: value},) if isinstance(name, str) else (UNKNOWN,), via)

    def _setitem(self, arguments: tuple[Any, ...], keywords: dict[str, Any], via: tuple[str, ...]) -> None:
        if isinstance(arguments[0], Reference):
            self.record("setitem", arguments[0], arguments[1:], via)

    def _setstate(self, arguments: tuple[Any, ...], keywords: dict[str, Any], via: tuple[str, ...]) -> Any:
        """BUILD on a partial gives it another function and arguments; on anything else it plants attributes."""
        owner, state = arguments
        if isinstance(owner, Reference) and owner.kind == "carrier":
            return made.rebuilt("functools.partial", state)
        for part in state if isinstance(state, tuple) else (state,):
            self._hooks(part, via[:-1])
        return None

    def _class(self, arguments: tuple[Any, ...], keywords: dict[str, Any], via: tuple[str, ...]) -> Any:
        """A class is made: what its namespace has under the names of hooks is called by the interpreter."""
        if len(arguments) == 1 and via[-1].endswith("builtins.type"):
            owner = self.see(arguments[0])
            return resolving.attribute(owner, "__class__") if not isinstance(owner, Reference) else None
        for argument in (*arguments, *keywords.values()):
            self._hooks(argument, via)
        return None

    def _hooks(self, namespace: Any, via: tuple[str, ...]) -> None:
        unnamed = namespace.more if isinstance(namespace, Shared) and namespace.kind == "dict" else ()
        for key, value in (*resolving.entries(namespace), *(("__unnamed__", value) for value in unnamed)):
            if not isinstance(key, str) or not key[:2] == key[-2:] == "__" or key == "__class__":
                continue
            if isinstance(value, Instance) and self._target(value) is None:
                continue  # what models have there too: functions made of code objects
            if isinstance(value, (Reference, Instance)):
                self.call(value, (UNKNOWN,), {}, (*via, key))

    # --- iterables -------------------------------------------------------------------------------

    def see(self, value: Any) -> Any:
        """What an instance really is, where that can be told from the call that made it."""
        if isinstance(value, Instance) and value.callee in _ON_DEMAND and isinstance(value.arguments, tuple):
            try:
                found = _ON_DEMAND[value.callee](*value.arguments)
            except (TypeError, ValueError, AttributeError, LookupError):
                return value
            return value if found is None else found
        return value

    def consume(self, value: Any, via: tuple[str, ...], depth: int = 4) -> Any:
        """Fire the lazy iterators in a value that is handed over; a list of their items where these are known."""
        if isinstance(value, Instance):
            for name in candidates(value.callee):
                if name in LAZY and isinstance(value.arguments, tuple):
                    return self._fire_lazy(name, value, via)
                if name in PASSING and isinstance(value.arguments, tuple) and depth > 0:
                    for argument in value.arguments:
                        self.consume(argument, (*via, value.callee), depth - 1)
        elif isinstance(value, (tuple, list, Shared)) and depth > 0:
            items = value.items if isinstance(value, Shared) else value
            for item in items[:64]:
                if isinstance(item, (Instance, tuple, list, Shared)):
                    self.left -= 1
                    if self.left < 0:
                        self.cut = True
                        break
                    self.consume(item, via, depth - 1)
        return value

    def _fire_lazy(self, name: str, lazy: Instance, via: tuple[str, ...]) -> Any:
        results = self._fire(name, lazy.arguments, {}, (lazy.callee, *via))
        return results if isinstance(results, list) and pure.known(results) else lazy

    def items(self, iterable: Any, via: tuple[str, ...]) -> list[Any]:
        """Items of what is iterated over; one unknown item where they are not known."""
        iterable = self.consume(iterable, via)
        if isinstance(iterable, Shared):
            known = iterable.items[:: 2 if iterable.kind == "dict" else 1]
            return [*known, *iterable.more] or [UNKNOWN]
        if isinstance(iterable, (list, tuple, str, bytes, bytearray, dict)):
            return list(iterable)[:LONGEST]
        return [UNKNOWN]


def _shown(arguments: tuple[Any, ...], keywords: dict[str, Any]) -> tuple[Any, ...]:
    return (*arguments, keywords) if keywords else arguments


_CONTAINERS = ("builtins.dict", "builtins.list", "builtins.set", "builtins.bytearray")
FILLING = {
    "append": "append", "extend": "extend", "insert": "append", "__setitem__": "setitem", "update": "setitem",
    "setdefault": "setitem", "add": "add", "__iadd__": "extend", "remove": "setitem", "clear": "setitem",
    "__delitem__": "setitem",
}  # fmt: skip
"""Methods that change a container -> how a Trace calls that."""

_BY_NAME: dict[str, Any] = {
    **dict.fromkeys(
        ("builtins.getattr", "builtins.object.__getattribute__", "builtins.type.__getattribute__",
         "inspect.getattr_static"), "_getattr"
    ),
    **dict.fromkeys(
        ("operator.getitem", "builtins.dict.get", "builtins.dict.pop", "builtins.dict.setdefault",
         "collections.defaultdict.__missing__", "collections.defaultdict.__getitem__",
         *(f"builtins.{kind}.__getitem__" for kind in ("dict", "list", "tuple", "str", "bytes"))), "_getitem"
    ),
    **dict.fromkeys(
        ("builtins.type", "abc.ABCMeta", "enum.EnumMeta", "enum.EnumType", "dataclasses.make_dataclass",
         "cloudpickle.cloudpickle._make_skeleton_class", "dill._dill._create_type"), "_class"
    ),
    **dict.fromkeys(("builtins.setattr", "builtins.object.__setattr__", "builtins.type.__setattr__"), "_setattr"),
    **dict.fromkeys(("operator.setitem", "operator.delitem", "operator.iadd", "operator.iconcat"), "_setitem"),
    "builtins.object.__setstate__": "_setstate",
    "xmlrpc.server.resolve_dotted_attribute": lambda owner, path, *_rest: resolving.static_attribute(path, owner),
    "operator.attrgetter": made.getter("attrgetter"),
    "operator.itemgetter": made.getter("itemgetter"),
    "operator.methodcaller": made.getter("methodcaller"),
    "importlib.import_module": resolving.module,
    "importlib.__import__": resolving.top_module,
    "builtins.__import__": resolving.top_module,
    "pkgutil.resolve_name": resolving.resolved,
    "pydoc.locate": resolving.resolved,
    "string.Formatter.get_field": lambda _self, *rest: resolving.field(*rest),
    "functools.partial": made.partial,
    "copyreg.add_extension": made.extension,
    "copy.copy": made.itself,
    "copy.deepcopy": made.itself,
    "builtins.vars": made.namespace_of,
    "builtins.reversed": made.in_reverse,
    "builtins.list": made.listed,
    "builtins.tuple": made.tupled,
    "builtins.next": made.first,
}  # fmt: skip
"""What is more than a pure function of literals, by name: a method of :class:`Run`, or a function of the arguments."""

_ON_DEMAND: dict[str, Callable[..., Any]] = {
    "cloudpickle.cloudpickle.subimport": resolving.module,
    "dill._dill._import_module": resolving.module,
    "dill._dill._get_attr": resolving.attribute,
    "dill._dill._load_type": made.type_named,
    "cloudpickle.cloudpickle._builtin_type": made.type_named,
}
"""What the results of calls are that models make too: looked at where something is done with such a result."""

EVALUATED = frozenset((*_BY_NAME, *pure.FUNCTIONS, *CALLERS))
"""Names of :func:`~.names.candidates` for which an evaluation may tell more than the call itself."""
MAKERS = frozenset((*HOLDERS, *LAZY, *PASSING, *_ON_DEMAND))
"""Names of what returns something that is looked into when it is used."""
_LOOKUPS = frozenset(
    """
    operator.attrgetter operator.itemgetter operator.methodcaller importlib.import_module importlib.__import__
    builtins.__import__ pkgutil.resolve_name pydoc.locate string.Formatter.get_field
    xmlrpc.server.resolve_dotted_attribute
    """.split()
)
RESOLVING = frozenset(name for name, how in _BY_NAME.items() if how in ("_getattr", "_getitem") or name in _LOOKUPS)
"""Names of what returns some other object by its name."""
