"""The packages whose source is analysed: the manifest in params.yaml, and what of it lies on the disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from safepickle.record import Record

from ..paths import WORK

CACHE = WORK / "capabilities"
SOURCES = CACHE / "sources"
STANDARD_LIBRARY = "python"
"""Name under which a standard library counts as a package."""


class Target(Record):
    """The interpreter and platform that a wheel is for, as pip spells them."""

    python: str
    platform: str


class Wanted(Record):
    """One version of one package of the manifest; `index` counts its versions from the newest, which is 0."""

    package: str
    version: str
    index: int = 0

    def __str__(self) -> str:
        return f"{self.package}=={self.version}"


class Source(Record):
    """The source of one version of one package, in a folder as it would lie on ``sys.path``.

    A compiled module is an empty file of its name, so that one knows of it.
    """

    package: str
    version: str
    index: int
    folder: Path

    def __str__(self) -> str:
        return f"{self.package} {self.version}"


class Manifest(Record):
    """Section ``capabilities`` of params.yaml."""

    jobs: int
    link_megabytes: int
    dask: str | None
    targets: tuple[Target, ...]
    standard_libraries: tuple[str, ...]
    packages: tuple[Wanted, ...]

    @classmethod
    def read(cls, params: dict[str, Any], packages: str = "packages") -> Manifest:
        """Read the section, the packages from its entry of that name.

        Raises
        ------
        SystemExit
            When it is missing or malformed.
        """
        try:
            section = params["capabilities"]
            return cls(
                jobs=int(section["jobs"]),
                link_megabytes=int(section["link_megabytes"]),
                dask=section["dask"],
                targets=tuple(Target(str(target["python"]), target["platform"]) for target in section["targets"]),
                standard_libraries=tuple(map(str, section["standard_libraries"])),
                packages=tuple(
                    Wanted(package, str(version), index)
                    for package, versions in section[packages].items()
                    for index, version in enumerate(reversed(versions))
                ),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise SystemExit(f"params.yaml: the section capabilities cannot be read: {error!r}") from None
