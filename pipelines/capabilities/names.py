"""Names and attributes, looked up over all packages: the functions, classes and instances that they stand for.

Objects are tuples, told apart by their first item::

    ("f", Function)              a function, or a method that is not bound
    ("b", Function, Class)       a method bound to an instance of the class (or to the class)
    ("c", Class)  ("i", Class)   a class; an instance of it
    ("m", Module)
    ("k", Function, Class|None, number)   a closure that the function makes
    ("n", name)                  something without source, by full name: root sinks, what C modules have, unknown
    ("t", type)                  an instance of a class without source; ``t`` alone is a value nobody calls
    ("p", number, attributes)    what the caller passes, or an attribute of it
    ("v", name)                  what a field of an instance holds, when it came from a parameter
    ("u", name)                  an attribute that no class in sight has
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any

from safepickle.capabilities.sinks import CONTAINERS, SWITCHES, root_kind

from .program import Class, Function, Module, Program
from .records import NativeCallable

Object = tuple[Any, ...]
Objects = tuple[Object, ...]
MAX_OBJECTS = 12
FROZEN = {"_frozen_importlib": "importlib._bootstrap", "_frozen_importlib_external": "importlib._bootstrap_external"}
"""Modules that the interpreter has under a name of its own."""


class Names(ABC):
    """Looks up names in modules and attributes of objects. Answers are kept."""

    def __init__(self, program: Program, native: Mapping[str, NativeCallable]) -> None:
        self.program = program
        self.native = native
        self._native_names: dict[str, list[str]] = {}
        self._names: dict[str, Objects] = {}
        self._members: dict[tuple[int, str], Objects] = {}
        self._fields: dict[tuple[int, str], Objects] = {}
        self.bound: dict[tuple[int, int], Objects] = {}
        """Classes and instances that are passed to parameters which methods keep, somewhere in the programme."""

    @abstractmethod
    def objects(self, function: Function, own: Class | None, atom: str) -> Objects:
        """What an atom of a function stands for, when its first parameter is an instance of class `own`."""

    @abstractmethod
    def returned(self, function: Function, own: Class | None) -> Objects:
        """What a function may return."""

    def known_native(self, name: str) -> bool:
        """Whether a name without source belongs to what is written in C and described."""
        return name in self.native or bool(root_kind(name)) or name in SWITCHES or name in CONTAINERS

    def named(self, name: str) -> Objects:
        """What a full dotted name stands for."""
        found = self._names.get(name)
        if found is None:
            self._names[name] = ()
            found = self._names[name] = self._named(name)
        return found

    def _named(self, name: str) -> Objects:
        if root_kind(name) or name in SWITCHES or name in CONTAINERS:
            return (("n", name),)
        modules = self.program.modules
        first, _, rest = name.partition(".")
        if first in FROZEN:
            return self.named(f"{FROZEN[first]}.{rest}" if rest else FROZEN[first])
        if name in modules:
            head, _, tail = name.rpartition(".")
            shadow = self._in_module(modules[head], tail) if head in modules and tail in modules[head].names else ()
            return (*[item for item in shadow if item[0] != "m"], ("m", modules[name]))
        head, _, tail = name.rpartition(".")
        if not head:
            return (("n", name),)
        found: list[Object] = []
        for item in self.named(head):
            found += self.attribute(item, tail)
        return tuple(dict.fromkeys(found))[:MAX_OBJECTS]

    def _in_module(self, module: Module, name: str) -> Objects:
        found: list[Object] = []
        for atom in module.names.get(name, ()):
            if atom != f"g{module.name}.{name}":
                found += self.objects(module.code, None, atom)
        for function, atoms in module.extra.get(name, {}).items():
            for atom in atoms:
                inner = module.functions.get(function)
                if inner is not None:
                    found += [item for item in self.objects(inner, inner.owner, atom) if item[0] != "p"]
        if not found:
            for star in module.stars:
                if f"{star}.{name}" in self.native or root_kind(f"{star}.{name}"):
                    found.append(("n", f"{star}.{name}"))
                elif star in self.program.modules and star != module.name:
                    found += [
                        item for item in self.named(f"{star}.{name}") if item[0] != "n" or self.known_native(item[1])
                    ]
        return tuple(dict.fromkeys(found))

    def native_names(self, module: str) -> list[str]:
        """Names of a module in C, as far as they are described."""
        if not self._native_names:
            for name in self.native:
                head, _, tail = name.rpartition(".")
                self._native_names.setdefault(head, []).append(tail)
        return self._native_names.get(module, [])

    def lazy(self, module: Module) -> dict[str, Objects]:
        """What the ``__getattr__`` of a module gives, by the names that it has where it is defined."""
        function = module.functions.get("__getattr__")
        found: dict[str, list[Object]] = {}
        for item in self.returned(function, None) if function is not None else ():
            if item[0] in "fc":
                found.setdefault(item[1].qualname, []).append(item)
        return {name: tuple(items) for name, items in found.items()}

    def attribute(self, item: Object, name: str) -> Objects:
        """What attribute `name` of an object is."""
        kind = item[0]
        if kind == "m":
            return self._of_module(item[1], name)
        if kind in "ci":
            return self._of_class(item[1], name, kind == "i")
        if kind == "n":
            return (("n", f"{item[1]}.{name}"),)
        if kind == "t":
            return (("t", f"{item[1]}.{name}"),) if item[1] else (("t", ""),)
        if kind == "p":
            return (("p", item[1], f"{item[2]}.{name}" if item[2] else name),)
        if kind in "uv":
            return (("u", name),)
        return (("n", "builtins.function." + name),) if name.startswith("__") else ()

    def _of_module(self, module: Module, name: str) -> Objects:
        full = f"{module.name}.{name}"
        if root_kind(full) or full in SWITCHES or full in CONTAINERS:
            return (("n", full),)
        found = self._in_module(module, name)
        if found:
            return found
        if full in self.program.modules:
            return (("m", self.program.modules[full]),)
        if name in module.names or name in module.extra:
            return (("t", ""),)  # plain data
        if "__getattr__" in module.functions and name in self.lazy(module):
            return self.lazy(module)[name]
        if f"builtins.{name}" in self.native or root_kind(f"builtins.{name}"):
            return (("n", f"builtins.{name}"),)
        return (("n", full),)

    def mro(self, found: Class) -> tuple[Class | str, ...]:
        """Classes in the order of lookup; those without source as names."""
        if found.mro is None:
            found.mro = (found,)
            order: list[Class | str] = []
            around = self.program.around(found)
            for base in found.bases:
                for atom in base:
                    for item in self.objects(around, None, atom):
                        if item[0] == "c":
                            order += self.mro(item[1])
                        elif item[0] == "n":
                            order.append(item[1])
            last = {id(item) if isinstance(item, Class) else item: index for index, item in enumerate(order)}
            kept = [
                item for index, item in enumerate(order) if last[id(item) if isinstance(item, Class) else item] == index
            ]
            found.mro = (found, *[item for item in kept if item is not found])
        return found.mro

    def member(self, found: Class, name: str) -> Objects:
        """What a class itself has under a name: methods not bound, other values as they are."""
        key = (id(found), name)
        known = self._members.get(key)
        if known is not None:
            return known
        self._members[key] = ()
        answer: Objects = ()
        for owner in self.mro(found):
            if isinstance(owner, str):
                if f"{owner}.{name}" in self.native or root_kind(owner) or root_kind(f"{owner}.{name}"):
                    answer = (("n", f"{owner}.{name}"),)
                    break
            elif name in owner.names:
                around = self.program.around(owner)
                items: list[Object] = []
                for atom in owner.names[name]:
                    items += self.objects(around, None, atom)
                answer = tuple(dict.fromkeys(items)) or (("t", ""),)
                break
        self._members[key] = answer
        return answer

    def _of_class(self, found: Class, name: str, instance: bool) -> Objects:
        if f"{found.name}.{name}" in CONTAINERS:
            return (("n", f"{found.name}.{name}"),)
        if name == "__class__":
            return (("c", found),)
        if name == "__init__" and not instance:
            return self.member(found, name) or (("n", "builtins.object.__init__"),)
        answer: list[Object] = []
        for item in self.member(found, name):
            if item[0] == "f":
                answer += self._bound(item[1], found, instance)
            else:
                answer.append(item)
        if instance and not [item for item in answer if item[0] != "t"]:
            answer += self._of_fields(found, name)
        if not answer and instance:
            answer = [("u", name)]
        elif not answer:
            answer = [
                item for meta in self._metas(found) for item in self._of_class(meta, name, True) if item[0] != "u"
            ]
        return tuple(dict.fromkeys(answer))[:MAX_OBJECTS]

    def _metas(self, found: Class) -> list[Class]:
        """Classes that a class is an instance of."""
        metas = []
        for owner in self.mro(found):
            if isinstance(owner, Class):
                around = self.program.around(owner)
                metas += [item[1] for atom in owner.meta for item in self.objects(around, None, atom) if item[0] == "c"]
        return metas

    def _bound(self, function: Function, found: Class, instance: bool) -> Iterable[Object]:
        if function.kind == "class":
            return [("b", function, found)]
        if not instance or function.kind == "static" or function.owner is None:
            return [("f", function)]
        if function.kind == "property":
            return [item for item in self.returned(function, found) if item[0] != "p"] or [("u", function.qualname)]
        return [("b", function, found)]

    def _of_fields(self, found: Class, name: str) -> Objects:
        """What methods put into an attribute of their instances."""
        key = (id(found), name)
        known = self._fields.get(key)
        if known is None:
            self._fields[key] = ()
            items: list[Object] = []
            for owner in self.mro(found):
                if isinstance(owner, Class) and name in owner.fields:
                    for function, atoms in owner.fields[name][:8]:
                        for atom in atoms:
                            for item in self.objects(function, found, atom):
                                items.append(("v", name) if item[0] == "p" else item)
                                if item[0] == "p" and not item[2]:
                                    items += self.bound.get((id(function), item[1]), ())
            known = self._fields[key] = tuple(dict.fromkeys(items))[:MAX_OBJECTS]
        return known
