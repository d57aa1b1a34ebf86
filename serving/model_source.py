"""Where the model comes from: the registry's champion, or the one inside the package."""

from __future__ import annotations

import dataclasses
import logging
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from registry.errors import RegistryError
from registry.ledger import LEDGER
from registry.store import Registry

from .children import runs

logger = logging.getLogger("safepickle.serving")

PREFIX = "safepickle-model-"


class ModelRefused(Exception):
    """A model is missing, was tampered with, or cannot be loaded."""


@dataclasses.dataclass(frozen=True, slots=True)
class ModelInfo:
    """A loaded model as the API shows it; `thresholds` are scores, `hash` names the bundle."""

    version: str
    origin: str
    hash: str
    schema: str
    features: int
    detectors: tuple[str, ...]
    thresholds: dict[str, float]


@dataclasses.dataclass(frozen=True, eq=False, slots=True)
class ModelSource:
    """A model that can be loaded: `folder` is a private copy of the bundle, None for the packaged champion.

    Scan processes are started from it at any time, so it must not change when the registry does.
    """

    origin: str
    version: str
    folder: Path | None
    hash: str

    def __str__(self) -> str:
        return f"model {self.version} ({self.origin})"

    def describe(self, loaded: dict[str, Any]) -> ModelInfo:
        """Put together what is known here and what the scan process says it has loaded.

        Raises
        ------
        ModelRefused
            When it loaded another bundle than this.
        """
        if self.hash and loaded["hash"] != self.hash:
            raise ModelRefused(f"{self}: the bundle's hash is {loaded['hash']}, the registry says {self.hash}")
        return ModelInfo(
            version=self.version or loaded["version"],
            origin=self.origin,
            hash=loaded["hash"],
            schema=loaded["schema"],
            features=loaded["features"],
            detectors=tuple(loaded["detectors"]),
            thresholds=loaded["thresholds"],
        )

    def discard(self) -> None:
        """Remove the private copy."""
        if self.folder is not None:
            shutil.rmtree(self.folder.parent, ignore_errors=True)


class Champions:
    """Follows the champion alias of a registry's store.

    Parameters
    ----------
    root
        Folder of the store; it need not exist.
    folder
        Where private copies are made; None means the system's folder for temporary files.
    """

    def __init__(self, root: Path, folder: str | None = None) -> None:
        self.registry = Registry(root)
        self._ledger = root / LEDGER
        self._folder = Path(folder or tempfile.gettempdir())

    def stamp(self) -> tuple[int, ...]:
        """A value that changes whenever an alias may have changed; costs one system call."""
        try:
            status = os.stat(self._ledger)
        except OSError:
            return ()
        return status.st_ino, status.st_mtime_ns, status.st_size

    def champion(self) -> int | None:
        """Number of the champion; None when the store has none.

        Raises
        ------
        ModelRefused
            When the store cannot be read.
        """
        try:
            return self.registry.aliases().champion
        except RegistryError as error:
            raise ModelRefused(str(error)) from error

    def earlier(self) -> list[int]:
        """Champions before the present one, the latest first.

        Raises
        ------
        ModelRefused
            When the store cannot be read.
        """
        try:
            return list(reversed(self.registry.aliases().champions[:-1]))
        except RegistryError as error:
            raise ModelRefused(str(error)) from error

    def fetch(self, number: int | None) -> ModelSource:
        """Verify a version and copy its bundle; None stands for the champion inside the package.

        Raises
        ------
        ModelRefused
            When the version is not what was registered, or cannot be copied.
        """
        if number is None:
            return ModelSource(origin="package", version="", folder=None, hash="")
        private = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=self._folder))
        try:
            version = self.registry.export(number, private / "bundle")
        except (RegistryError, OSError) as error:
            shutil.rmtree(private, ignore_errors=True)
            raise ModelRefused(str(error)) from error
        return ModelSource("registry", str(version.number), private / "bundle", version.bundle_hash)

    def sweep(self) -> None:
        """Remove the copies that killed workers left behind."""
        for path in self._folder.glob(PREFIX + "*"):
            pid = path.name.removeprefix(PREFIX).partition("-")[0]
            if pid.isdecimal() and not runs(int(pid)):
                shutil.rmtree(path, ignore_errors=True)
