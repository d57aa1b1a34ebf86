"""What an atom stands for, looked up over all packages: the functions, classes and instances that it may be.

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

from collections.abc import Iterable, Mapping
from typing import Any

from safepickle.capabilities.sinks import CONTAINERS, SWITCHES, root_kind

from .program import Class, Function, Module, Program
from .records import NativeCallable

Object = tuple[Any, ...]
Objects = tuple[Object, ...]
MAX_DEPTH = 24
MAX_OBJECTS = 12
MAX_BOUND = 6
"""A constructor that is given more classes than this is told nothing by them."""
FROZEN = {"_frozen_importlib": "importlib._bootstrap", "_frozen_importlib_external": "importlib._bootstrap_external"}
"""Modules that the interpreter has under a name of its own."""


class Resolver:
    """Looks up what atoms stand for. Answers are kept."""

    def __init__(self, program: Program, native: Mapping[str, NativeCallable]) -> None:
        self.program = program
        self.native = native
        self._native_names: dict[str, list[str]] = {}
        self._names: dict[str, Objects] = {}
        self._returns: dict[tuple[int, int], Objects] = {}
        self._callees: dict[tuple[int, int, int], Objects] = {}
        self._results: dict[tuple[int, int, int], Objects] = {}
        self._members: dict[tuple[int, str], Objects] = {}
        self._fields: dict[tuple[int, str], Objects] = {}
        self._depth = 0
        self.bound: dict[tuple[int, int], Objects] = {}
        """Classes that are passed to parameters of constructors, somewhere in the programme."""

    def bind_classes(self) -> None:
        """Find what classes constructors are given, so that ``self.factory = factory`` has a meaning."""
        bound: dict[tuple[int, int], list[Object]] = {}
        for function in self.program.functions():
            for number, call in enumerate(function.calls):
                places: list[tuple[int | str, tuple[str, ...]]] = list(enumerate(call.args, 1))
                places += call.keywords.items()
                if any(atom[0] in "gd" for _, atoms in places for atom in atoms):
                    self._bind(function, number, places, bound)
        for kept in (self._names, self._returns, self._callees, self._results, self._members, self._fields):
            kept.clear()
        self.bound = {key: tuple(items) for key, items in bound.items() if len(items) <= MAX_BOUND}

    def _bind(
        self, function: Function, number: int, places: Iterable[tuple[int | str, tuple[str, ...]]],
        bound: dict[tuple[int, int], list[Object]],
    ) -> None:  # fmt: skip
        makers = [
            maker[1]
            for callee in self.callees(function, function.owner, number)
            for maker in (self.member(callee[1], "__init__") if callee[0] == "c" else ())
            if maker[0] == "f"
        ]
        for place, atoms in places if makers else ():
            classes = [
                item for atom in atoms for item in self.objects(function, function.owner, atom) if item[0] == "c"
            ]
            for maker in makers if classes else ():
                position = place if isinstance(place, int) else -1
                if place in maker.parameters:
                    position = maker.parameters.index(place)
                if 0 < position < len(maker.parameters):
                    known = bound.setdefault((id(maker), position), [])
                    known += [item for item in classes if item not in known]

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
            return tuple(self.member(found, name))
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
        return tuple(dict.fromkeys(answer))[:MAX_OBJECTS]

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

    def objects(self, function: Function, own: Class | None, atom: str) -> Objects:
        """What an atom of a function stands for, when its first parameter is an instance of class `own`."""
        if self._depth > MAX_DEPTH:
            return ()
        self._depth += 1
        try:
            return self._objects(function, own, atom)
        finally:
            self._depth -= 1

    def _objects(self, function: Function, own: Class | None, atom: str) -> Objects:
        head = atom[0]
        if head == "g":
            return self.named(atom[1:])
        if head == "d":
            return self._defined(atom[1:])
        if head == "i":
            kind, _, name = atom[1:].partition(".")
            return (("t", f"builtins.{kind}" + ("." + name if name else "")),)
        if head == "I":
            kind, _, name = atom[1:].partition("|")
            return self._path(self._instances(self.named(kind)), name)
        if head not in "pcku":
            return ()
        base, _, path = atom.partition(".")
        if head == "p":
            return self._path(self._parameter(function, own, int(base[1:])), path)
        if head == "c":
            return self._path(self.results(function, own, int(base[1:])), path)
        if head == "k":
            return () if path else (("k", function, own, int(base[1:])),)
        return self._above(function, own, path) if path else ()

    def _defined(self, place: str) -> Objects:
        name, _, qualname = place.partition(":")
        module = self.program.modules.get(name)
        if module is None:
            return ()
        if root_kind(f"{name}.{qualname}"):
            return (("n", f"{name}.{qualname}"),)
        if qualname in module.functions:
            return (("f", module.functions[qualname]),)
        return (("c", module.classes[qualname]),) if qualname in module.classes else ()

    def _instances(self, classes: Objects) -> Objects:
        found: list[Object] = []
        for item in classes:
            if item[0] == "c":
                found.append(("i", item[1]))
            elif item[0] == "n" and (item[1] in self.native or root_kind(item[1])):
                found.append(("t", item[1]))
        return tuple(found)

    def _parameter(self, function: Function, own: Class | None, number: int) -> Objects:
        if number == 0 and own is not None and function.owner is not None:
            if function.kind in ("method", "property"):
                return (("i", own),)
            if function.kind == "class":
                return (("c", own),)
        return (("p", number, ""),)

    def _path(self, items: Objects, path: str) -> Objects:
        for name in path.split(".") if path else ():
            found: list[Object] = []
            for item in items:
                found += self.attribute(item, name)
            items = tuple(dict.fromkeys(found))
        return items

    def _above(self, function: Function, own: Class | None, path: str) -> Objects:
        """An attribute of ``super()`` in a method."""
        owner = function.owner
        name, _, rest = path.partition(".")
        if owner is None or own is None:
            return ()
        order = self.mro(own)
        start = order.index(owner) + 1 if owner in order else 1
        for found in order[start:]:
            if isinstance(found, str):
                if root_kind(found) or f"{found}.{name}" in self.native:
                    return (("n", f"{found}.{name}"),)
            elif name in found.names:
                items: list[Object] = []
                for item in self._path(self._raw(found, name), rest):
                    bound = item[0] == "f" and item[1].kind != "static" and name != "__new__"
                    items.append(("b", item[1], own) if bound else item)
                return tuple(items)
        return (("t", ""),) if all(isinstance(item, Class) for item in order) else (("n", f"builtins.object.{name}"),)

    def _raw(self, found: Class, name: str) -> Objects:
        around = self.program.around(found)
        items: list[Object] = []
        for atom in found.names[name]:
            items += self.objects(around, None, atom)
        return tuple(dict.fromkeys(items))

    def callees(self, function: Function, own: Class | None, number: int) -> Objects:
        """What call `number` of a function may call."""
        key = (id(function), id(own), number)
        found = self._callees.get(key)
        if found is None:
            self._callees[key] = ()
            items: list[Object] = []
            for atom in function.calls[number].callee:
                items += self.objects(function, own, atom)
            found = self._callees[key] = tuple(dict.fromkeys(items))[:MAX_OBJECTS]
        return found

    def returned(self, function: Function, own: Class | None) -> Objects:
        """What a function may return."""
        key = (id(function), id(own))
        found = self._returns.get(key)
        if found is None:
            self._returns[key] = ()
            items: list[Object] = []
            for atom in function.returns:
                items += self.objects(function, own, atom)
            if not [item for item in items if item[0] not in "pt"]:
                for atom in function.annotated:
                    items += self.objects(function, own, atom)
            found = self._returns[key] = tuple(dict.fromkeys(items))[:MAX_OBJECTS]
        return found

    def results(self, function: Function, own: Class | None, number: int) -> Objects:
        """What the result of call `number` of a function may be."""
        key = (id(function), id(own), number)
        known = self._results.get(key)
        if known is None:
            self._results[key] = ()
            found: list[Object] = []
            for callee in self.callees(function, own, number):
                found += self._result(callee, function, own, number)
            known = self._results[key] = tuple(dict.fromkeys(found))[:MAX_OBJECTS]
        return known

    def _result(self, callee: Object, function: Function, own: Class | None, number: int) -> Iterable[Object]:
        kind = callee[0]
        if kind == "c":
            return [("i", callee[1])]
        if kind == "f":
            return self._passed(callee[1], callee[1].owner, 0, function, own, number)
        if kind == "b":
            return self._passed(callee[1], callee[2], 1, function, own, number)
        if kind == "i":
            return [
                item
                for method in self.member(callee[1], "__call__")
                if method[0] == "f"
                for item in self._passed(method[1], callee[1], 1, function, own, number)
            ]
        if kind == "k":
            inner = callee[1].module.functions.get(callee[1].closures[callee[3]][0])
            return [item for item in self.returned(inner, None) if item[0] != "p"] if inner else []
        return self._native_result(callee, function, own, number) if kind in "nt" else []

    def _passed(
        self, called: Function, bound: Class | None, shift: int, function: Function, own: Class | None, number: int
    ) -> Iterable[Object]:
        """What a function returns, where it gives back an argument: that argument."""
        call = function.calls[number]
        for item in self.returned(called, bound):
            if item[0] != "p":
                yield item
                continue
            position = item[1] - shift
            given: tuple[str, ...] = ()
            if 0 <= position < len(call.args) and item[1] < called.positional:
                given = call.args[position]
            elif item[1] < len(called.parameters):
                given = call.keywords.get(called.parameters[item[1]], ())
            for atom in given:
                yield from self._path(self.objects(function, own, atom), item[2])

    def _by_prefix(self, function: Function, own: Class | None, args: tuple[tuple[str, ...], ...]) -> Iterable[Object]:
        """Methods whose names begin as the computed name of a ``getattr`` does: ``getattr(self, "do_" + name)``."""
        prefixes = [atom[1:-1] for atom in (args[1] if len(args) > 1 else ()) if atom[0] == "s" and atom[-1] == "\0"]
        found: list[Object] = []
        for prefix in prefixes:
            for atom in args[0] if len(prefix) > 1 else ():
                for item in self.objects(function, own, atom):
                    for owner in self.mro(item[1]) if item[0] in "ci" else ():
                        for name in owner.names if isinstance(owner, Class) else ():
                            if name.startswith(prefix):
                                found += self.attribute(item, name)
        return dict.fromkeys(found)

    def _native_result(self, callee: Object, function: Function, own: Class | None, number: int) -> Iterable[Object]:
        name: str = callee[1]
        call = function.calls[number]
        if name == "builtins.getattr":
            return self._by_prefix(function, own, call.args)
        if name.endswith(".__new__"):
            classes = [
                item for atom in (call.args[0] if call.args else ()) for item in self.objects(function, own, atom)
            ]
            return self._instances(tuple(classes))
        entry = self.native.get(name)
        if entry is None:
            return [("t", name)] if root_kind(name) else []
        if entry.returns.startswith("@"):
            parameter = entry.returns[1:]
            position = entry.parameters.index(parameter) if parameter in entry.parameters else 99
            given = call.args[position] if position < len(call.args) else call.keywords.get(parameter, ())
            return [item for atom in given for item in self.objects(function, own, atom)]
        if entry.returns in ("builtins.object", ""):
            return [("t", "")] if not entry.returns else []
        source = self.named(entry.returns)
        return self._instances(tuple(item for item in source if item[0] in "cn")) or [("t", entry.returns)]
