"""How usual a name is among benign files: counted by group (repository, producer), never by file."""

from __future__ import annotations

from math import log2

from ..bytecode.trace import CARRIED, Call, FileTrace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

VERSION = 1
CALL = "()"
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
    """The spelling under which moved and re-exported names are counted together.

    Leading underscores of path components and the difference between ``numpy.core`` and ``numpy._core`` carry
    no meaning for how usual a name is.
    """
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
    own
        Group -> names it counts for; kept while training, so that a row can leave its own group out.
    """

    def __init__(self, counts: Mapping[str, int], groups: int, own: Mapping[str, frozenset[str]] | None = None) -> None:
        self.counts = counts
        self.groups = groups
        self.own = own or {}
        self._asked: dict[str, int] = {}

    @classmethod
    def count(cls, files: Iterable[tuple[str, FileTrace]]) -> Prevalence:
        """Count benign training files given as (group, file)."""
        own: dict[str, set[str]] = {}
        for group, file in files:
            own.setdefault(group, set()).update(level for name in names_of(file) for level in _levels(usual_name(name)))
        counts: dict[str, int] = {}
        for names in own.values():
            for name in names:
                counts[name] = counts.get(name, 0) + 1
        return cls(counts, len(own), {group: frozenset(names) for group, names in own.items()})

    def groups_with(self, name: str, without: str | None = None) -> int:
        """Groups that use `name`, leaving the group `without` out."""
        count = self._asked.get(name, -1)
        if count >= 0 and without is None:
            return count
        asked, name = name, usual_name(name)
        count = self.counts.get(name, 0)
        if len(self._asked) >= _REMEMBERED:
            self._asked.clear()
        self._asked[asked] = count
        if count and without is not None and name in self.own.get(without, ()):
            count -= 1
        return count

    def novelty(self, name: str, without: str | None = None) -> float:
        """1 for a name that no benign group uses, falling to 0 at 64 groups.

        >>> Prevalence({"a.b": 1, "a.c": 80}, 80).novelty("a.x")
        1.0
        """
        return max(0.0, 1.0 - log2(1 + self.groups_with(name, without)) / 6.0)

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
        return (name,)
    module = name.rpartition(".")[0]
    return (name, module + ".*", name.partition(".")[0] + ".**")
