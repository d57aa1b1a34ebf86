"""Summaries of packages: what each of their functions calls and with what, before any name is looked up.

A summary depends on one package alone, so it can be made in a pool and kept by package version.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from safepickle.record import Record

from .modules import find_modules, summarise

SCHEMA = 1
"""Version of the summaries' JSON; a stored summary of another version must be made again."""


class PackageSummary(Record):
    """Summary of the Python source of one package.

    Parameters
    ----------
    package, version
        As given to :func:`analyse`; they end up in every :class:`~pipelines.capabilities.records.Step`.
    modules
        Module name -> summary of the module, JSON-able, described in :mod:`pipelines.capabilities.program`.
    """

    package: str
    version: str
    modules: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-able form."""
        return {"schema": SCHEMA, "package": self.package, "version": self.version, "modules": self.modules}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> PackageSummary:
        """Read what :meth:`to_json` made.

        Raises
        ------
        ValueError
            When it was made by another version of the analysis.
        """
        if data.get("schema") != SCHEMA:
            raise ValueError(f"summary of {data.get('package')} has schema {data.get('schema')}, expected {SCHEMA}")
        return cls(data["package"], data["version"], data["modules"])


def analyse(folder: Path, package: str, version: str, top: Iterable[str] | None = None) -> PackageSummary:
    """Summarise the Python source of a package. Nothing is imported or run.

    Parameters
    ----------
    folder
        A folder as on ``sys.path``: a wheel's files unpacked, or the folder of the standard library.
    package, version
        What they are called in witness paths.
    top
        Names of the modules at the top of `folder` that belong to the package; None for all.

    Raises
    ------
    OSError
        When a file cannot be read.
    """
    modules = {}
    for name, path in find_modules(folder, top=frozenset(top) if top is not None else None):
        found = summarise(name, path, path.relative_to(folder).as_posix())
        if found is not None:
            modules[name] = found
    return PackageSummary(package, version, modules)
