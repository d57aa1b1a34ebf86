"""Names, groups and version of the features."""

from __future__ import annotations

from ..record import Record


class Schema(Record):
    """Order and meaning of a feature row.

    Parameters
    ----------
    version
        Raised whenever a name is added, removed or changes its meaning.
    groups
        (group, names) in the order of the row.
    call_names
        Names of the row of a call, in order.
    monotone
        Names whose value can only grow when content is added to a file.
    """

    version: int
    groups: tuple[tuple[str, tuple[str, ...]], ...]
    call_names: tuple[str, ...]
    monotone: frozenset[str]

    @property
    def names(self) -> tuple[str, ...]:
        """All names in the order of the row."""
        return tuple(name for _group, names in self.groups for name in names)

    def columns(self, groups: tuple[str, ...], monotone: bool = False) -> list[int]:
        """Positions of the features of the named groups; with `monotone`, of those in the monotone subset.

        Raises
        ------
        KeyError
            For a group that does not exist.
        """
        known = dict(self.groups)
        wanted = {name for group in groups for name in known[group]}
        return [
            index for index, name in enumerate(self.names) if name in wanted and (not monotone or name in self.monotone)
        ]

    def to_json(self) -> dict[str, object]:
        """Plain form, as bundles and registry manifests store it."""
        return {
            "version": self.version,
            "groups": {group: list(names) for group, names in self.groups},
            "calls": list(self.call_names),
            "monotone": sorted(self.monotone),
        }
