"""The ways in which a stream can call a callable. Each leaves exactly one value on the stack."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import NamedTuple

from .literals import Named, Value, push
from .reach import GETATTR, Push, call, nested, value
from .stream import Assembler


class Call(NamedTuple):
    """A call to be written: code that pushes the callable, its arguments, and its plain name where it has one."""

    callee: Push
    arguments: tuple[Value, ...]
    plain: tuple[str, str] | None = None


class Form(NamedTuple):
    """One form of calling: whether it works for a number of arguments in a protocol, and the code."""

    applies: Callable[[Call, int], bool]
    write: Callable[[Assembler, Call, Random], None]


def named(module: str, name: str) -> Push:
    return value(Named(module, name))


def _values(made: Call) -> list[Push]:
    return [value(argument) for argument in made.arguments]


def _reduce(asm: Assembler, made: Call, rng: Random) -> None:
    call(asm, made.callee, *_values(made))


def _inst(asm: Assembler, made: Call, rng: Random) -> None:
    assert made.plain is not None
    asm.mark()
    for argument in made.arguments:
        push(asm, argument)
    asm.inst(*made.plain)


def _obj(asm: Assembler, made: Call, rng: Random) -> None:
    asm.mark()
    made.callee(asm)
    for argument in made.arguments:
        push(asm, argument)
    asm.obj()


def _consumer(rng: Random) -> Push:
    return named("builtins", rng.choice(("tuple", "frozenset", "set", "list")))


def _iterator(made: Call, name: str) -> list[Push]:
    return [named("builtins", name), made.callee, *(value([argument]) for argument in made.arguments)]


def _map_consumed(asm: Assembler, made: Call, rng: Random) -> None:
    call(asm, _consumer(rng), nested(*_iterator(made, "map")))


def _filter_consumed(asm: Assembler, made: Call, rng: Random) -> None:
    call(asm, _consumer(rng), nested(*_iterator(made, "filter")))


def _starmap(asm: Assembler, made: Call, rng: Random) -> None:
    lazy = nested(named("itertools", "starmap"), made.callee, value([tuple(made.arguments)]))
    call(asm, named("collections", "deque") if rng.random() < 0.5 else _consumer(rng), lazy)


def _tuple_of(asm: Assembler, *items: Push) -> None:
    if asm.protocol < 2 or not 1 <= len(items) <= 3:
        asm.mark()
    for item in items:
        item(asm)
    if asm.protocol < 2 or not 1 <= len(items) <= 3:
        asm.tuple_()
    else:
        (asm.tuple1, asm.tuple2, asm.tuple3)[len(items) - 1]()


def _newobj_map(asm: Assembler, made: Call, rng: Random) -> None:
    """``tuple.__new__(tuple, map.__new__(map, callee, [argument]))``: no REDUCE anywhere."""
    named("builtins", rng.choice(("tuple", "frozenset", "bytes")))(asm)
    first, *rest = _iterator(made, "map")

    def lazy(inner: Assembler) -> None:
        first(inner)
        _tuple_of(inner, *rest)
        inner.newobj()

    _tuple_of(asm, lazy)
    asm.newobj()


def _newobj_ex_partial(asm: Assembler, made: Call, rng: Random) -> None:
    """``partial.__new__(partial, callee, *arguments)()``: made by NEWOBJ_EX, called by REDUCE or OBJ."""

    def carrier(inner: Assembler) -> None:
        named("functools", "partial")(inner)
        _tuple_of(inner, made.callee, *_values(made))
        inner.empty_dict().newobj_ex()

    if rng.random() < 0.5:
        call(asm, carrier)
    else:
        asm.mark()
        carrier(asm)
        asm.obj()


def _partial(asm: Assembler, made: Call, rng: Random) -> None:
    call(asm, nested(named("functools", "partial"), made.callee, *_values(made)))


def _methodcaller(asm: Assembler, made: Call, rng: Random) -> None:
    call(asm, nested(named("operator", "methodcaller"), value("__call__"), *_values(made)), made.callee)


def _call_attribute(asm: Assembler, made: Call, rng: Random) -> None:
    call(asm, nested(GETATTR, made.callee, value("__call__")), *_values(made))


def _reduce_function(asm: Assembler, made: Call, rng: Random) -> None:
    call(asm, named("functools", "reduce"), made.callee, value(list(made.arguments)))


def _factory(asm: Assembler, made: Call, rng: Random) -> None:
    carrier = nested(named("functools", "partial"), made.callee, *_values(made))
    call(asm, named("operator", "getitem"), nested(named("collections", "defaultdict"), carrier), value("none"))


def _registered(asm: Assembler, made: Call, rng: Random) -> None:
    call(asm, named("atexit", "register"), made.callee, *_values(made))


def _context_run(asm: Assembler, made: Call, rng: Random) -> None:
    context = nested(named("_contextvars", "Context"))
    call(asm, nested(GETATTR, context, value("run")), made.callee, *_values(made))


def _holder(rng: Random) -> Push:
    return named(*rng.choice((("argparse", "Namespace"), ("types", "SimpleNamespace"), ("__main__", "Config"))))


def _planted(asm: Assembler, made: Call, rng: Random, slots: bool) -> None:
    """An instance that gets ``__setstate__`` planted by one BUILD and called by the next with the argument as state."""
    call(asm, _holder(rng))
    if slots:
        asm.none()
    asm.empty_dict().text("__setstate__")
    made.callee(asm)
    asm.setitem()
    if slots:
        asm.tuple2()
    asm.build()
    push(asm, made.arguments[0]).build()


def _build_setstate(asm: Assembler, made: Call, rng: Random) -> None:
    _planted(asm, made, rng, slots=False)


def _build_slots(asm: Assembler, made: Call, rng: Random) -> None:
    _planted(asm, made, rng, slots=True)


def _build_swallows(asm: Assembler, made: Call, rng: Random) -> None:
    """A call whose result becomes (part of) the state of a harmless instance."""
    call(asm, _holder(rng))
    asm.empty_dict().text("value")
    _reduce(asm, made, rng)
    asm.setitem().build()


def _setitem_swallows(asm: Assembler, made: Call, rng: Random) -> None:
    asm.empty_dict().text("weights")
    _reduce(asm, made, rng)
    asm.setitem()


def _popped(asm: Assembler, made: Call, rng: Random) -> None:
    _reduce(asm, made, rng)
    asm.pop().none() if rng.random() < 0.5 else asm.pop().empty_dict()


def _any(made: Call, protocol: int) -> bool:
    return True


def _some(made: Call, protocol: int) -> bool:
    return len(made.arguments) >= 1


def _truthy(made: Call, protocol: int) -> bool:
    return len(made.arguments) == 1 and bool(made.arguments[0])


FORMS: dict[str, Form] = {
    "reduce": Form(_any, _reduce),
    "reduce_popped": Form(_any, _popped),
    "reduce_in_dict": Form(_any, _setitem_swallows),
    "reduce_in_state": Form(_any, _build_swallows),
    "inst": Form(lambda made, protocol: made.plain is not None, _inst),
    "obj": Form(lambda made, protocol: protocol >= 1, _obj),
    "newobj_map": Form(lambda made, protocol: protocol >= 2 and _some(made, protocol), _newobj_map),
    "newobj_ex_partial": Form(lambda made, protocol: protocol >= 4, _newobj_ex_partial),
    "build_setstate": Form(lambda made, protocol: protocol >= 1 and _truthy(made, protocol), _build_setstate),
    "build_slots": Form(lambda made, protocol: protocol >= 2 and _truthy(made, protocol), _build_slots),
    "partial": Form(_any, _partial),
    "map": Form(_some, _map_consumed),
    "filter": Form(lambda made, protocol: len(made.arguments) == 1, _filter_consumed),
    "starmap": Form(_some, _starmap),
    "methodcaller": Form(_any, _methodcaller),
    "call_attribute": Form(_any, _call_attribute),
    "reduce_function": Form(lambda made, protocol: len(made.arguments) == 2, _reduce_function),
    "factory": Form(_any, _factory),
    "atexit": Form(_any, _registered),
    "context_run": Form(_any, _context_run),
}


def forms(made: Call, protocol: int) -> list[str]:
    """The forms that work for a call in a protocol, in a fixed order."""
    return [form for form, (applies, _) in FORMS.items() if applies(made, protocol)]


def write_call(asm: Assembler, made: Call, form: str, rng: Random) -> None:
    """Write the call in one of the :data:`FORMS`."""
    FORMS[form].write(asm, made, rng)
