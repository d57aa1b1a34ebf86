"""What an atom stands for: the objects of :mod:`pipelines.capabilities.names` that it may be, calls resolved."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from safepickle.capabilities.sinks import root_kind

from .atoms import item_at
from .names import MAX_OBJECTS, Names, Object, Objects
from .program import Class, Function, Program
from .records import NativeCallable

MAX_DEPTH = 24
TAKING_OUT = frozenset("get items pop popitem popleft setdefault values".split())
"""Methods of containers that give what they hold."""


class Resolver(Names):
    """Looks up what atoms stand for. Answers are kept."""

    def __init__(self, program: Program, native: Mapping[str, NativeCallable]) -> None:
        super().__init__(program, native)
        self._returns: dict[tuple[int, int], Objects] = {}
        self._callees: dict[tuple[int, int, int], Objects] = {}
        self._results: dict[tuple[int, int, int], Objects] = {}
        self._items: dict[tuple[int, int, int, int], Objects] = {}
        self._depth = 0

    def forget(self) -> None:
        """Drop all answers: they may be others now that more is known of constructors."""
        looked_up = (self._names, self._members, self._fields)
        for kept in (*looked_up, self._returns, self._callees, self._results, self._items):
            kept.clear()

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
            index = item_at(path)
            if index >= 0:
                return self._path(self._item(function, own, int(base[1:]), index), path.partition(".")[2])
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
            for atom in function.calls[number].callee:
                found += self._held(function, own, atom)
            known = self._results[key] = tuple(dict.fromkeys(found))[:MAX_OBJECTS]
        return known

    def _item(self, function: Function, own: Class | None, number: int, index: int) -> Objects:
        """What one item of the result of call `number` may be; but for tuples the whole counts as its items."""
        key = (id(function), id(own), number, index)
        known = self._items.get(key)
        if known is None:
            self._items[key] = ()
            found: list[Object] = []
            for callee in self.callees(function, own, number):
                called = callee[1] if callee[0] in "fb" else None
                if called is None or index >= len(called.items):
                    found += self._result(callee, function, own, number)
                    continue
                bound = callee[2] if callee[0] == "b" else called.owner
                items = [item for atom in called.items[index] for item in self.objects(called, bound, atom)]
                found += self._given_back(items, called, int(callee[0] == "b"), function, own, number)
            known = self._items[key] = tuple(dict.fromkeys(found))[:MAX_OBJECTS]
        return known

    def _held(self, function: Function, own: Class | None, atom: str) -> Iterable[Object]:
        """What a container in a field holds, if an atom is its method that takes it out; it counts as its elements."""
        field, _, name = atom.rpartition(".")
        if name in TAKING_OUT and field[:1] == "p" and "." in field:
            for item in self.objects(function, own, field):
                if item[0] in "fk" or (item[0] in "ci" and not self.member(item[1], name)):
                    yield item

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
        return self._given_back(self.returned(called, bound), called, shift, function, own, number)

    def _given_back(
        self, items: Iterable[Object], called: Function, shift: int, function: Function, own: Class | None, number: int
    ) -> Iterable[Object]:
        call = function.calls[number]
        for item in items:
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
