"""Instances of classes that only a project of its own has: ``__main__.Net``, ``myproj.models.Thing``."""

from __future__ import annotations

import enum
import sys
from collections import namedtuple
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from types import ModuleType
from typing import Any

from ..assemble import words
from ..assemble.conversion import dumps
from .plain import config, moment, text
from .saved import Saved


@contextmanager
def project_module(name: str, **members: Any) -> Iterator[None]:
    """Let pickle find `members` in a module of that name for as long as the block lasts."""
    replaced: dict[str, ModuleType | None] = {}
    parts = name.split(".")
    try:
        for end in range(1, len(parts) + 1):
            full = ".".join(parts[:end])
            replaced[full] = sys.modules.get(full)
            sys.modules[full] = ModuleType(full)
        for key, member in members.items():
            setattr(sys.modules[name], key, member)
        yield
    finally:
        for full, former in replaced.items():
            if former is None:
                del sys.modules[full]
            else:
                sys.modules[full] = former


def _restored(self: Any, state: Any) -> None:
    self.__dict__.update(state)


def _plain_class(rng: Random, module: str, name: str) -> Any:
    cls = type(name, (), {"__module__": module})
    instance = cls()
    instance.__dict__.update(config(rng, 1))
    return cls, instance


def _slotted(rng: Random, module: str, name: str) -> Any:
    fields = sorted(rng.sample(words.PLAIN, rng.randrange(1, 5)))
    cls = type(name, (), {"__module__": module, "__slots__": tuple(fields)})
    instance = cls()
    for field in fields:
        setattr(instance, field, rng.choice([text(rng), rng.random(), None]))
    return cls, instance


def _stateful(rng: Random, module: str, name: str) -> Any:
    def state(self: Any) -> Any:
        return {"version": 1, **self.__dict__}

    cls = type(name, (), {"__module__": module, "__getstate__": state, "__setstate__": _restored})
    instance = cls()
    instance.__dict__.update(config(rng, 0))
    return cls, instance


def _with_new_arguments(rng: Random, module: str, name: str) -> Any:
    def arguments(self: Any) -> Any:
        return (text(rng), rng.randrange(9))[: 1 + len(name) % 2]

    def new(cls: type, *_: Any) -> Any:
        return object.__new__(cls)

    cls = type(name, (), {"__module__": module, "__getnewargs__": arguments, "__new__": new})
    return cls, cls()


def _with_new_keywords(rng: Random, module: str, name: str) -> Any:
    def arguments(self: Any) -> Any:
        return (text(rng),), {"size": rng.randrange(99)}

    def new(cls: type, *_: Any, **__: Any) -> Any:
        return object.__new__(cls)

    cls = type(name, (), {"__module__": module, "__getnewargs_ex__": arguments, "__new__": new})
    return cls, cls()


def _reduced_to_itself(rng: Random, module: str, name: str) -> Any:
    arguments = tuple(rng.choice([text(rng), rng.randrange(999), rng.random(), None, True, [1, 2], {"k": 1}])
                      for _ in range(rng.randrange(0, 4)))  # fmt: skip

    def reduced(self: Any) -> Any:
        return cls, arguments, config(rng, 0) if rng.random() < 0.4 else None

    cls = type(name, (), {"__module__": module, "__reduce__": reduced})
    return cls, cls()


def _tuple_class(rng: Random, module: str, name: str) -> Any:
    fields = sorted(rng.sample(words.PLAIN, rng.randrange(1, 5)))
    cls = namedtuple(name, fields)  # type: ignore[misc]
    cls.__module__ = module
    return cls, [cls(*(text(rng) for _ in fields)) for _ in range(rng.randrange(1, 20))]


def _enum_class(rng: Random, module: str, name: str) -> Any:
    cls = enum.Enum(name, sorted(set(rng.sample(words.PLAIN, 3))), module=module)  # type: ignore[misc]
    return cls, list(cls)[: rng.randrange(1, 3)]


def _list_class(rng: Random, module: str, name: str) -> Any:
    cls = type(name, (list,), {"__module__": module})
    return cls, cls(text(rng) for _ in range(rng.randrange(0, 9)))


def _dict_class(rng: Random, module: str, name: str) -> Any:
    cls = type(name, (dict,), {"__module__": module})
    instance = cls(config(rng, 0))
    instance.word2idx = {word: index for index, word in enumerate(rng.sample(words.PLAIN, 9))}
    return cls, instance


def _nested_instances(rng: Random, module: str, name: str) -> Any:
    cls = type(name, (), {"__module__": module})
    tree: list[Any] = []
    for index in range(rng.randrange(5, 200)):
        node = cls()
        node.__dict__.update(id=index, value=rng.random(), when=moment(rng), children=tree[-2:], label=text(rng))
        tree.append(node)
    return cls, tree


MAKERS = {
    "plain-class": _plain_class, "slots": _slotted, "setstate": _stateful, "newargs": _with_new_arguments,
    "newargs-ex": _with_new_keywords, "reduce": _reduced_to_itself, "namedtuple": _tuple_class, "enum": _enum_class,
    "list-subclass": _list_class, "dict-subclass": _dict_class, "tree": _nested_instances,
}  # fmt: skip


def _by_function(rng: Random, pool: str, module: str) -> tuple[str, Any]:
    """An object that a project's own function rebuilds from ordinary arguments."""
    name = words.function(rng, pool)

    def rebuild(*_: Any) -> None:
        return None

    rebuild.__module__, rebuild.__qualname__, rebuild.__name__ = module, name, name
    arguments = tuple(rng.choice([text(rng), rng.randrange(999), rng.random(), config(rng, 0), [0.5, 1.5], None])
                      for _ in range(rng.randrange(0, 4)))  # fmt: skip
    holder = type("Holder", (), {"__reduce__": lambda self: (rebuild, arguments)})
    data: Any = (rebuild, holder())
    return name, data


def produce(rng: Random, count: int, pool: str) -> Iterator[Saved]:
    """Yield pickles of instances of made-up project classes and of results of made-up project functions."""
    kinds = [*MAKERS, "function", "function", "class-itself"]
    for index in range(count):
        kind = kinds[index % len(kinds)]
        module = words.project_module(rng, pool) if rng.random() < 0.7 else words.module(rng, pool)
        protocol = rng.choice((0, 1, 2, 2, 3, 4, 4, 4, 5))
        protocol = max(protocol, {"newargs-ex": 4, "slots": 2}.get(kind, 0))
        if kind == "function":
            name, (member, value) = _by_function(rng, pool, module)
        else:
            name = words.class_name(rng, pool)
            member, value = MAKERS[kind if kind in MAKERS else "plain-class"](rng, module, name)
            value = member if kind == "class-itself" else value
        with project_module(module, **{name: member}):
            wrapped = rng.choice([value, value, {"model": value, "epoch": rng.randrange(99)}, [value]])
            data = dumps(wrapped, protocol, python=rng.random() < 0.1)
        yield Saved(kind, "project", data, data)
