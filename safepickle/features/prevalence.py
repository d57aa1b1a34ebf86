"""How usual a name is among benign files: counted by group (repository, producer), never by file."""

from __future__ import annotations

from math import log2

from ..bytecode.trace import CARRIED, Call, FileTrace
from ..capabilities.table import lookup

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

VERSION = 1
CALL = "()"
PARTS = 10
"""Parts that groups fall into, of which a training row does not see its own."""
_REMEMBERED = 8192


def names_of(file: FileTrace) -> set[str]:
    """Names that a file imports, and :func:`called` those that it calls, through whatever spelling."""
    names: set[str] = set()
    for trace in file.walk():
        names.update(entry.name for entry in trace.imports if entry.name)
        names.update(called(call) for call in trace.calls if call.callee.name)
    return names


def called(call: Call) -> str:
    """What a call is counted as: to name something is not to call it, nor is that to call what it returns."""
    return call.callee.name + (CALL * 2 if calls_result(call) else CALL)


def calls_result(call: Call) -> bool:
    """Whether what an earlier call returned is called, rather than built upon or filled."""
    return call.callee.kind == "result" and call.opcode in ("REDUCE", "OBJ", "NEWOBJ", "NEWOBJ_EX", CARRIED)


def usual_name(name: str) -> str:
    """The spelling under which moved, re-exported and inherited names, or calls of them, are counted together.

    Leading underscores of path components and the difference between ``numpy.core`` and ``numpy._core`` carry
    no meaning for how usual a name is.
    """
    written = name.rstrip(CALL)
    found = None if written.endswith("*") else lookup(written)
    if found is not None and found.status in ("root", "analysed", "native"):
        name = found.name + name[len(written) :]
    if "._" not in name:
        return name
    return ".".join(
        part.lstrip("_") if not part.endswith("__") and part.strip("_") else part for part in name.split(".")
    )


class Prevalence:
    """Groups of benign training files by the names they use.

    Parameters
    ----------
    counts
        Usual name, or a call of it -> number of groups.
    groups
        Number of groups counted.
    parts
        The same of each part of the groups; kept while training, so that a row can leave its own part out.
    """

    def __init__(
        self, counts: Mapping[str, int], groups: int, parts: Sequence[tuple[Mapping[str, int], int]] = ()
    ) -> None:
        self.counts = counts
        self.groups = groups
        self.parts = parts
        self._asked: dict[str, int] = {}

    @classmethod
    def count(cls, files: Iterable[tuple[str, FileTrace]]) -> Prevalence:
        """Count benign training files given as (group, file)."""
        own: dict[str, set[str]] = {}
        for group, file in files:
            own.setdefault(group, set()).update(level for name in names_of(file) for level in _levels(name))
        parts = [_counted([names for group, names in own.items() if part_of(group) == part]) for part in range(PARTS)]
        counts, groups = _counted(list(own.values()))
        return cls(counts, groups, parts)

    def groups_with(self, name: str) -> int:
        """Groups that use `name`."""
        count = self._asked.get(name)
        if count is None:
            if len(self._asked) >= _REMEMBERED:
                self._asked.clear()
            count = self._asked[name] = self.counts.get(usual_name(name), 0)
        return count

    def groups_beyond(self, part: int, name: str) -> float:
        """Groups that use `name`, estimated from those that are not in a part of them.

        Were a training row to leave out its own group alone, what it has in common with other rows would be counted
        one less for benign files than for malicious ones, which are not counted: a detector would learn just that.
        """
        counts, groups = self.parts[part]
        others = self.groups - groups
        name = usual_name(name)
        return (self.counts.get(name, 0) - counts.get(name, 0)) * self.groups / others if others else 0.0

    def novelty(self, name: str, without: int | None = None) -> float:
        """1 for a name that no benign group uses, falling to 0 at 64 groups; `without` is a part that does not count.

        >>> Prevalence({"a.b": 1, "a.c": 80}, 80).novelty("a.x")
        1.0
        """
        groups = self.groups_with(name) if without is None else self.groups_beyond(without, name)
        return max(0.0, 1.0 - log2(1 + groups) / 6.0)

    def to_json(self) -> dict[str, object]:
        """Plain form for a bundle."""
        return {"version": VERSION, "groups": self.groups, "counts": dict(sorted(self.counts.items()))}

    @classmethod
    def from_json(cls, plain: Mapping[str, object]) -> Prevalence:
        """Read :meth:`to_json`'s form.

        Raises
        ------
        ValueError
            When it is not one.
        """
        counts, groups = plain.get("counts"), plain.get("groups")
        if plain.get("version") != VERSION or not isinstance(counts, dict) or not isinstance(groups, int):
            raise ValueError(f"not a prevalence table of version {VERSION}")
        return cls(counts, groups)


def _levels(name: str) -> tuple[str, ...]:
    """The name, its module and its top-level package (marked, so that a package is not a callable).

    A call counts for itself alone; what it calls was imported.
    """
    if name.endswith(CALL):
        return (usual_name(name),)
    module = name.rpartition(".")[0]
    return (usual_name(name), usual_name(module + ".*"), name.partition(".")[0] + ".**")


def _counted(groups: list[set[str]]) -> tuple[dict[str, int], int]:
    counts: dict[str, int] = {}
    for names in groups:
        for name in names:
            counts[name] = counts.get(name, 0) + 1
    return counts, len(groups)


def part_of(group: str) -> int:
    """Part that a group falls into, 0 to ``PARTS - 1``."""
    from zlib import crc32

    return crc32(group.encode()) % PARTS
