"""Merges what the analysis says of the same name in several versions of its package: the worst of all of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from pathlib import Path
from typing import Any

from safepickle.capabilities.layout import CALL
from safepickle.capabilities.sinks import SINKS, sink_kind

from .entries import REACHED, Entry, ModuleEntries, Way
from .native import inert
from .records import NativeCallable, Reached, Row
from .sources import STANDARD_LIBRARY, Source
from .summary import PackageSummary
from .thinning import thin

FILLING = frozenset(["gsys.modules.__setitem__", "gbuiltins.globals", "gbuiltins.exec", "genum.global_enum"])
"""What a module calls that gives itself names; enumerations do so in ``_convert_`` as well."""
_FORMS = {"function": "function", "method": "function", "class": "class"}


class Merged:
    """All modules of all versions.

    Parameters
    ----------
    packages
        Package -> its versions, oldest first.
    """

    def __init__(self, packages: Mapping[str, Sequence[str]]) -> None:
        self._packages = packages
        self._modules: dict[str, ModuleEntries] = {}
        self._older: list[tuple[Entry, str]] = []
        self._twins: set[tuple[str, str]] = set()
        """Modules, and those that they replace their own definitions from."""
        self._bound: dict[str, dict[str, tuple[int, str]]] = {}
        """Module -> names in it that a statement binds: bits of the versions, and what name they stand for."""

    # --- taking in -----------------------------------------------------------------------------------

    def add_modules(self, summary: PackageSummary) -> None:
        """Take in the modules of one version of a package; the rows come after them."""
        bit = 1 << self._packages[summary.package].index(summary.version)
        for name, data in summary.modules.items():
            module = self._module(name, summary.package)
            if module.package != summary.package:
                continue
            module.itself.versions |= bit
            path = Path(data["path"])
            flags = ("p" if path.name == "__init__.py" else "") + ("d" if _makes_names(data) else "")
            module.flags = "".join(sorted({*module.flags, *flags} - {"n"}))
            self._twins.update((name, star) for star in data["stars"])
            self._bind(module, "", data["names"], bit)
            self._bind(module, "", dict.fromkeys(data["extra"], ()), bit)
            for qualname, found in data["classes"].items():
                if "<" in qualname or "#" in qualname:
                    continue
                bases = tuple(base for atoms in found.get("bases", ()) for base in _named(atoms) if base)
                if bases:
                    module.names.setdefault(qualname, Entry("class")).bases = bases
                self._bind(module, qualname + ".", found["names"], bit)

    def _bind(self, module: ModuleEntries, prefix: str, names: Mapping[str, Sequence[str]], bit: int) -> None:
        """Note that names exist: of variables and imported modules there are no rows."""
        for name, atoms in names.items():
            full = prefix + name
            targets = [atom[1:] for atom in atoms if atom[0] == "g"] if not prefix else []
            versions, _ = self._bound.setdefault(module.name, {}).get(full, (0, ""))
            # of ntpath and posixpath the last
            self._bound[module.name][full] = (versions | bit, targets[-1] if len(targets) == len(atoms) > 0 else "")

    def _add_bound(self) -> None:
        for module_name, names in self._bound.items():
            module = self._modules[module_name]
            for name, (versions, target) in names.items():
                if name not in module.names:
                    entry = module.names[name] = Entry("value", unknown=True)
                    entry.versions = versions
                    entry.target = target if target != f"{module_name}.{name}" else ""

    def add_unread(self, source: Source) -> None:
        """Take in the modules of a source that were not read, whether compiled, left out or not understood."""
        for path in sorted([*source.folder.rglob("*.so"), *source.folder.rglob("*.py")]):
            parts = path.relative_to(source.folder).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            if name and name not in self._modules:
                self._module(name, source.package).flags = "n"
            elif path.suffix == ".so" and "n" not in self._modules[name].flags:  # in C in one version of several
                self._modules[name].flags = "".join(sorted({*self._modules[name].flags, "d"}))

    def add_native(self, callables: Mapping[str, NativeCallable]) -> None:
        """Take in the standard library's callables written in C."""
        names = {name.partition(".")[0] for name in callables}
        every = (1 << len(self._packages[STANDARD_LIBRARY])) - 1
        for name in sorted(names):
            module = self._modules.get(name)
            if module is None or "n" in module.flags:
                module = self._modules[name] = ModuleEntries(name, STANDARD_LIBRARY, "c")
                module.itself.versions = every
                module.itself.inert = True
        for name, native in callables.items():
            module_name, _, qualname = name.partition(".")
            module = self._modules[module_name]
            if qualname not in module.names:
                entry = module.names[qualname] = Entry(_FORMS[native.kind], inert=inert(native))
                entry.unknown = not (entry.inert or native.calls or native.reaches)
                entry.versions = module.itself.versions
                for kind, parameter in native.reaches:
                    entry.add(Way(kind, 0, parameter != "-", False, ""))
                if native.calls:
                    entry.add(Way(CALL, 0, True, False, ""))
        for root in SINKS:
            module_name, _, qualname = root.rpartition(".")
            if module_name in self._modules:
                self._modules[module_name].names.setdefault(qualname, Entry(inert=False, unknown=True))

    def add_row(self, row: Row, versions: Mapping[str, str], modules: Set[str]) -> None:
        """Take in what was derived with these versions of the packages, if it is of one of `modules`.

        What was derived of the oldest versions comes first.
        """
        place = self.split(row.name)
        if place is None or place[0].name not in modules:
            return
        module, qualname = place
        if not qualname:
            self._merge(module.itself, row)
            return
        entry = module.names.get(qualname)
        if entry is None:
            entry = module.names[qualname] = Entry()
        if not entry.versions:
            entry.inert = row.inert
        entry.versions |= 1 << self._packages[module.package].index(versions[module.package])
        if row.target != row.name:
            if entry.target and entry.target != row.target:
                self._older.append((entry, entry.target))
            entry.target = row.target
        else:
            self._merge(entry, row)

    def _merge(self, entry: Entry, row: Row) -> None:
        entry.form = _FORMS.get(row.kind, "value")
        entry.line = row.line
        entry.inert = row.inert and (entry.inert or row.kind == "module")
        entry.unknown |= row.unknown > 0
        for reach in row.reaches:
            self._add_reach(entry, reach)

    def _add_reach(self, entry: Entry, reach: Reached) -> None:
        """Add a reach to an entry, and to what stands on its way and has no row of its own."""
        if reach.kind not in REACHED:
            return
        ways = [step.name for step in reach.witness[1:]]
        if not ways:
            entry.add(Way(reach.kind, 0, reach.flows, reach.implicit, ""))
            return
        entry.add(Way(reach.kind, len(ways), reach.flows, reach.implicit, ways[0], last=len(ways) == 1))
        for at, step in enumerate(reach.witness[1:-1], 1):
            place = self.split(step.name)
            if place is not None and place[1] and place[1] not in place[0].names:
                hidden = place[0].names[place[1]] = Entry()
                hidden.line = step.line
                hidden.versions = place[0].itself.versions
                following = reach.witness[at + 1].name
                depth = len(reach.witness) - 1 - at
                hidden.add(Way(reach.kind, depth, reach.flows, reach.implicit, following, last=depth == 1))

    def _module(self, name: str, package: str) -> ModuleEntries:
        found = self._modules.get(name)
        if found is None:
            found = self._modules[name] = ModuleEntries(name, package)
        return found

    def split(self, name: str) -> tuple[ModuleEntries, str] | None:
        """The module that a full name lies in, and its qualified name there."""
        module = name
        while module:
            found = self._modules.get(module)
            if found is not None:
                return found, name[len(module) + 1 :]
            module = module.rpartition(".")[0]
        return None

    # --- giving out ----------------------------------------------------------------------------------

    def finish(self) -> list[ModuleEntries]:
        """All modules, their ways checked: each leads on, and ends in a root sink."""
        self._add_bound()
        for entry, target in self._older:
            self._take_over(entry, self._entry(target))
        self._compare_twins()
        for module in self._modules.values():
            for entry in module.names.values():
                if entry.target and entry.ways:
                    moved = self._entry(entry.target)
                    if moved is None or self._is_native(entry.target):  # not what it was: there is no such source
                        entry.target = ""
                    else:
                        self._take_over(moved, entry)
                        entry.ways = {}
        self._cut_loose_ends()
        self._shorten()
        thin(self._modules, self.split, self._entry)
        return sorted(self._modules.values(), key=lambda module: module.name)

    def _compare_twins(self) -> None:
        """Of what is written in C and in Python as well, the source tells."""
        for name, replacing in sorted(self._twins):
            native = self._modules.get(replacing)
            if native is not None and "c" in native.flags:
                for qualname, entry in self._modules[name].names.items():
                    if qualname in native.names and not entry.target:
                        self._take_over(native.names[qualname], entry)

    def _shorten(self) -> None:
        """Say of a re-exported function that is inert just that, which takes less room than where it leads."""
        for module in self._modules.values():
            for entry in module.names.values():
                found = self._entry(entry.target) if entry.target else None
                if found is not None and found.form == "function" and found.brief == "i":
                    entry.target, entry.inert, entry.unknown = "", True, False

    def _is_native(self, name: str) -> bool:
        place = self.split(name)
        return place is not None and "c" in place[0].flags

    def _take_over(self, entry: Entry, other: Entry | None) -> None:
        """Let an entry reach what another one reaches: it was the same thing in an older version."""
        if other is not None and other is not entry:
            for way in other.ways.values():
                entry.add(way)
            if other.ways:
                entry.inert = entry.inert and not any(way.flows for way in other.ways.values())

    def _entry(self, name: str) -> Entry | None:
        for _ in range(8):
            place = self.split(name)
            if place is None:
                return None
            module, qualname = place
            entry = module.names.get(qualname)
            if entry is None or not entry.target:
                return entry
            name = entry.target
        return None

    def _cut_loose_ends(self) -> None:
        depths: dict[tuple[int, str], int] = {}
        for entry in self._entries():
            for kind, way in list(entry.ways.items()):
                depth = self._depth(entry, kind, depths)
                if depth is None:
                    del entry.ways[kind]
                    entry.unknown, entry.inert = True, False
                elif depth != way.depth:
                    entry.ways[kind] = way.replace(depth=depth)

    def _entries(self) -> Iterator[Entry]:
        for module in self._modules.values():
            yield module.itself
            yield from module.names.values()

    def _depth(self, entry: Entry, kind: str, depths: dict[tuple[int, str], int]) -> int | None:
        """Steps from an entry to the sink; None if the way ends before it, or turns in a circle."""
        path: list[tuple[int, str]] = []
        current: Entry | None = entry
        while True:
            key = (id(current), kind)
            if current is None or kind not in current.ways or key in path:
                return None
            following = current.ways[kind].following
            if not following:
                depths[key] = 0
            if key in depths:
                depth = depths[key]
                break
            path.append(key)
            if current.ways[kind].last or sink_kind(following):
                depth = 0
                break
            place = self.split(following)
            current = place[0].itself if place is not None and not place[1] else self._entry(following)
        for key in reversed(path):
            depth += 1
            depths[key] = depth
        return depth


def _named(atoms: Sequence[str]) -> Iterator[str]:
    """The full names among atoms of the analysis (:mod:`.atoms`); empty for what has none."""
    for atom in atoms:
        if atom[0] == "g":
            yield atom[1:]
        elif atom[0] == "d":
            yield atom[1:].replace(":", ".")


def _makes_names(data: dict[str, Any]) -> bool:
    """Whether a module may have names that its source does not show."""
    calls = data["code"].get("calls", ())
    filled = any(atom in FILLING or atom.endswith("._convert_") for _, callee, *_ in calls for atom in callee)
    return filled or "__getattr__" in data["functions"] or bool(data["stars"])
