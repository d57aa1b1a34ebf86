"""Which packages are linked with each other: all at once would not fit into memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from .analysis import read_summary
from .sources import STANDARD_LIBRARY, Source

ENOUGH = 0.8
"""Share of the imports of a package that a group must be able to serve for the package to join it."""

Needs = Mapping[str, Mapping[str, int]]
"""Package -> packages that it imports, and how many of its modules do."""


def groups(world: list[Source], index: int, megabytes: int) -> Iterator[tuple[list[Source], list[Source]]]:
    """Divide one version of each package into groups that are linked at a time.

    Parameters
    ----------
    world
        The standard library and one version of each package.
    index
        Only packages whose version has this index are to be told about; the others are there to be linked with.
    megabytes
        Source in a group, if it can be.

    Yields
    ------
    tuple
        The packages that the group is to tell about, and all that they are linked with: what they import. Each
        package to tell about comes once.
    """
    sizes = {source.package: size_of(source) for source in world}
    needs = _needs(world)
    by_package = {source.package: source for source in world}
    told = {source.package for source in world if source.index == index}
    for own, together in divide(sizes, needs, told, megabytes * 1_000_000):
        yield [by_package[name] for name in own], [by_package[name] for name in together]


def divide(sizes: Mapping[str, int], needs: Needs, told: set[str], limit: int) -> Iterator[tuple[list[str], list[str]]]:
    """Divide packages by name; see :func:`groups`."""
    waiting = sorted(told, key=lambda name: (-sizes[name], name))
    while waiting:
        own: list[str] = []
        together = {STANDARD_LIBRARY}
        for name in waiting:
            wider = _with_needs(name, together, sizes, needs, limit)
            wanted = needs.get(name, {})
            found = sum(count for needed, count in wanted.items() if needed in wider)
            fits = sum(sizes[member] for member in wider) <= limit and found >= ENOUGH * sum(wanted.values())
            if fits or not own:
                own.append(name)
                together = wider
        waiting = [name for name in waiting if name not in own]
        yield own, sorted(together, key=lambda name: (name != STANDARD_LIBRARY, name))


def _with_needs(name: str, present: set[str], sizes: Mapping[str, int], needs: Needs, limit: int) -> set[str]:
    """`present` with a package and as much of what it imports as there is room for, the most imported first."""
    found = present | {name}
    room = limit - sum(sizes[member] for member in found)
    for needed, _ in sorted(needs.get(name, {}).items(), key=lambda item: (-item[1], item[0])):
        if needed not in found and sizes[needed] <= room:
            found.add(needed)
            room -= sizes[needed]
    return found


def size_of(source: Source) -> int:
    """Bytes of Python source."""
    return sum(path.stat().st_size for path in source.folder.rglob("*.py"))


def _needs(world: list[Source]) -> Needs:
    imported = {source.package: _imports(source) for source in world}
    offered: dict[str, str] = {}
    for package, (modules, _) in imported.items():
        for module in modules:
            offered.setdefault(module, package)
    return {
        package: Counter(offered[name] for name in names if offered.get(name, package) != package)
        for package, (_, names) in imported.items()
        if package != STANDARD_LIBRARY
    }


def _imports(source: Source) -> tuple[set[str], list[str]]:
    """Top-level modules that a source has, and those that its modules import, once for each module."""
    summary = read_summary(source)
    own = {name.partition(".")[0] for name in summary.modules}
    found: list[str] = []
    for data in summary.modules.values():
        found += {name.partition(".")[0] for name in data["imports"]}
    return own, found
