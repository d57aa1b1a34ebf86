"""The store of registered versions: a folder that is right after every crash."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safepickle.ensemble import load
from safepickle.errors import BundleError

from .errors import RegistryError
from .export import copy_bundle
from .files import discard, explained, read_bytes, replace_file, sync_folder
from .gate import Decision
from .ledger import ALIASES, LEDGER, Entry, Ledger, read_ledger
from .lock import exclusive
from .manifest import MANIFEST, SIGNATURE, Version, check_files, parse_manifest
from .signing import KEY_VARIABLE, is_signed, key_from_environment, sign
from .staging import KIND, Lineage, stage_files, stage_manifest

if TYPE_CHECKING:
    from safepickle.ensemble import Bundle

STORE_VARIABLE = "SAFEPICKLE_REGISTRY"
_ADVICE = "check that the folder can be written and the disk has room"
_GATE_WORDS = {
    "none": "it was never asked",
    "stale": "it compared with another champion",
    "hold": "it said hold",
    "reject": "it said reject",
}


class Registry:
    """Versions of the model, the aliases ``champion`` and ``challenger``, and their history.

    Readers take no lock: what they see is always the state before or after a change. Writers, in any number of
    processes and threads, follow one another. Nothing is ever changed in a registered version's folder.

    Parameters
    ----------
    root
        Folder of the store. It need not exist; registering makes it.

    Raises
    ------
    RegistryError
        When ``SAFEPICKLE_REGISTRY_KEY`` is set to something too short to be a key.
    """

    def __init__(self, root: Path) -> None:
        self.root = Path(root)
        self._key = key_from_environment()

    @classmethod
    def from_environment(cls) -> Registry:
        """Open the store that ``SAFEPICKLE_REGISTRY`` names, or ``registry/store`` in the working folder."""
        return cls(Path(os.environ.get(STORE_VARIABLE) or Path("registry") / "store"))

    # Reading

    def aliases(self) -> Ledger:
        """Return the state: ``champion``, ``challenger`` (numbers or None) and the complete ``history``.

        Raises
        ------
        RegistryError
            When ``aliases.json`` is missing, damaged, or not signed with the configured key.
        """
        with explained(f"cannot read the registry {self.root}", "check the folder and its permissions"):
            return read_ledger(self.root, self._key)

    def versions(self) -> tuple[Version, ...]:
        """Return all versions in order, their manifests checked (their other files are not: see :meth:`verify`)."""
        ledger = self.aliases()
        return tuple(self._read(number, ledger) for number in sorted(ledger.versions))

    def get(self, name: int | str) -> Version:
        """Return one version by number or alias, its manifest checked.

        Raises
        ------
        RegistryError
            When there is none, or its manifest is not the one that was registered.
        """
        ledger = self.aliases()
        return self._read(self._resolve(name, ledger), ledger)

    def verify(self, name: int | str) -> Version:
        """Return one version after checking every file of it against what was registered.

        Raises
        ------
        RegistryError
            Naming each file that was changed, removed or added, or a signature that is missing or wrong.
        """
        ledger = self.aliases()
        return self._verified(self._resolve(name, ledger), ledger)

    def load(self, name: int | str = "champion") -> tuple[Version, Bundle]:
        """Verify a version and load its bundle.

        Raises
        ------
        RegistryError
            When the version does not exist or is not what was registered, or the bundle cannot be loaded.
        """
        version = self.verify(name)
        try:
            bundle = load(version.bundle)
        except BundleError as error:
            raise RegistryError(f"version {version.number} cannot be loaded: {error}") from error
        if bundle.hash != version.bundle_hash:
            raise RegistryError(f"{version.bundle} was changed while it was being loaded; verify the store")
        return version, bundle

    def strays(self) -> tuple[str, ...]:
        """Return what lies in ``versions/`` without being registered: left by a killed registration, or planted."""
        known = {str(number) for number in self.aliases().versions}
        with explained(f"cannot read the registry {self.root}", "check the folder and its permissions"):
            return tuple(sorted(path.name for path in self._versions.glob("*") if path.name not in known))

    def export(self, name: int | str, folder: Path) -> Version:
        """Verify a version and copy its bundle to ``folder``, see :func:`~registry.export.copy_bundle`."""
        version = self.verify(name)
        copy_bundle(version, folder)
        return version

    # Writing

    def register(
        self,
        bundle: Path,
        onnx: Mapping[str, bytes],
        *,
        dataset_hash: str,
        params: Mapping[str, Any],
        git_commit: str,
        schema: Any,
        metrics: Mapping[str, Any],
        card: str,
        parent: int | None = None,
        decision: Decision | None = None,
    ) -> Version:
        """Add a version. The same bundle from the same data is the same version, which is then returned.

        Parameters
        ----------
        bundle
            Folder that :func:`safepickle.ensemble.load` accepts.
        onnx
            The ONNX twin of each detector, by the detector's name.
        dataset_hash, params, git_commit, schema, metrics, parent
            Lineage as JSON values (None instead of NaN), see :class:`~registry.staging.Lineage`.
        card
            The model card, Markdown.
        decision
            What the gate said, if it was asked already; see :meth:`record_decision`.

        Raises
        ------
        RegistryError
            When the bundle cannot be loaded, a name or value is unfit, the store cannot be written, or the version
            exists and was tampered with.
        """
        lineage = Lineage(dataset_hash, dict(params), git_commit, schema, dict(metrics), parent, decision)
        with explained(f"cannot make the registry {self.root}", _ADVICE):
            self.root.mkdir(parents=True, exist_ok=True)
        with self._writing() as ledger:
            if parent is not None:
                self._resolve(parent, ledger)
            if not (self.root / LEDGER).exists():
                # From here on, a folder in versions/ that the ledger does not know is known to be a leftover.
                self._write(ledger)
            number = max(ledger.versions, default=0) + 1
            staged = self.root / "staging" / str(number)
            discard(staged.parent)
            discard(self._versions / str(number))
            try:
                found = stage_files(staged, bundle, onnx, card)
                same = (n for n, e in ledger.versions.items() if (e.bundle, e.dataset) == (found, dataset_hash))
                if (twin := next(same, None)) is not None:
                    self._verified(twin, ledger)
                    number = twin
                else:
                    manifest = stage_manifest(staged, number, found, lineage, self._key)
                    self._publish(staged)
                    entry = Entry(hashlib.sha256(manifest).hexdigest(), found, dataset_hash)
                    ledger = ledger.replace(versions={**ledger.versions, number: entry})
            finally:
                discard(staged.parent)
            if decision is not None:
                ledger = ledger.replace(decisions={**ledger.decisions, number: decision})
            self._write(ledger)
            return self._read(number, ledger)

    def record_decision(self, name: int | str, decision: Decision) -> None:
        """Record what the gate said about a version; a later decision replaces an earlier one.

        Raises
        ------
        RegistryError
            When there is no such version, or the store cannot be written.
        """
        with self._writing() as ledger:
            number = self._resolve(name, ledger)
            self._write(ledger.replace(decisions={**ledger.decisions, number: decision}))

    def set_challenger(self, name: int | str | None, reason: str, actor: str) -> None:
        """Point ``challenger`` at a version, or at none. Raises RegistryError as :meth:`promote` does."""
        with self._writing() as ledger:
            number = None if name is None else self._verified(self._resolve(name, ledger), ledger).number
            self._write(
                ledger.moved("challenger", "challenge", number, _stated(actor, "actor"), _stated(reason, "reason"))
            )

    def promote(self, name: int | str, reason: str, actor: str, *, force: bool = False) -> Version:
        """Make a version champion.

        Parameters
        ----------
        name
            Number or alias.
        reason, actor
            Why and who, for the history.
        force
            Promote although the gate did not say ``promote`` about this version against the present champion; what
            it did say goes into the history.

        Raises
        ------
        RegistryError
            When the version is not what was registered, the gate did not clear it, or the store cannot be written.
        """
        with self._writing() as ledger:
            version = self._verified(self._resolve(name, ledger), ledger)
            gate = ledger.gate_for(version.number)
            if gate != "promote" and not force:
                raise RegistryError(
                    f"version {version.number} was not cleared by the gate ({_GATE_WORDS[gate]}); run the gate against "
                    "the present champion, or force it with a reason"
                )
            who, why = _stated(actor, "actor"), _stated(reason, "reason")
            if ledger.challenger == version.number:
                ledger = ledger.moved("challenger", "promote", None, who, why)
            self._write(ledger.moved("champion", "promote", version.number, who, why, gate))
            return version

    def rollback(self, reason: str, actor: str) -> Version:
        """Return to the champion before the present one; again, to the one before that.

        Raises
        ------
        RegistryError
            When there was none before, it is not what was registered, or the store cannot be written.
        """
        with self._writing() as ledger:
            if len(ledger.champions) < 2:
                raise RegistryError(f"no champion to return to in the registry {self.root}; promote a version instead")
            version = self._verified(ledger.champions[-2], ledger)
            who, why = _stated(actor, "actor"), _stated(reason, "reason")
            self._write(ledger.moved("champion", "rollback", version.number, who, why))
            return version

    def sign(self) -> tuple[int, ...]:
        """Sign the whole store with the configured key, after checking all hashes; for a new key.

        Signatures made with another key are not looked at: who runs this vouches for the store.

        Returns
        -------
        tuple of int
            The versions signed.

        Raises
        ------
        RegistryError
            When no key is configured, or a version is not what was registered.
        """
        if self._key is None:
            raise RegistryError(f"no key to sign with; set {KEY_VARIABLE}")
        with self._writing(signed=False) as ledger:
            for number in ledger.versions:
                self._verified(number, ledger, signed=False)
            for number in ledger.versions:
                path = self._versions / str(number)
                signature = sign(self._key, KIND, read_bytes(path / MANIFEST)).encode()
                replace_file(path / SIGNATURE, signature, self.root / f"{SIGNATURE}.new")
            self._write(ledger)
            return tuple(ledger.versions)

    # Within the store

    @property
    def _versions(self) -> Path:
        return self.root / "versions"

    @contextlib.contextmanager
    def _writing(self, signed: bool = True) -> Iterator[Ledger]:
        with explained(f"cannot write to the registry {self.root}", _ADVICE), exclusive(self.root / ".lock"):
            yield read_ledger(self.root, self._key if signed else None)

    def _write(self, ledger: Ledger) -> None:
        replace_file(self.root / LEDGER, ledger.to_bytes(self._key), self.root / f"{LEDGER}.new")

    def _publish(self, staged: Path) -> None:
        self._versions.mkdir(exist_ok=True)
        staged.rename(self._versions / staged.name)
        sync_folder(self._versions)
        sync_folder(self.root)

    def _resolve(self, name: int | str, ledger: Ledger) -> int:
        if name in ALIASES:
            number = ledger.champion if name == "champion" else ledger.challenger
            if number is None:
                raise RegistryError(f"there is no {name} in the registry {self.root}")
            return number
        if isinstance(name, str):
            if not (name.isascii() and name.isdecimal() and len(name) < 10):
                raise RegistryError(f"{name!r} is neither the number of a version nor one of {', '.join(ALIASES)}")
            name = int(name)
        if name not in ledger.versions:
            has = f"it has 1 to {max(ledger.versions)}" if ledger.versions else "it has none"
            raise RegistryError(f"there is no version {name} in the registry {self.root}; {has}")
        return name

    def _read(self, number: int, ledger: Ledger, signed: bool = True) -> Version:
        path = self._versions / str(number)
        manifest = path / MANIFEST
        try:
            data = read_bytes(manifest)
            digest = hashlib.sha256(data).hexdigest()
            if digest != ledger.versions[number].manifest:
                raise RegistryError(
                    f"version {number}: {manifest} was changed after registration; restore it from a backup"
                )
            if signed and self._key is not None:
                signature = read_bytes(path / SIGNATURE).decode("ascii", "replace")
                if not is_signed(self._key, KIND, data, signature):
                    raise RegistryError(
                        f"version {number}: {path / SIGNATURE} was not made with the key in {KEY_VARIABLE}"
                    )
        except OSError as error:
            raise RegistryError(
                f"version {number}: {error.filename or manifest} cannot be read: {error.strerror}"
            ) from error
        return parse_manifest(data, number, path)

    def _verified(self, number: int, ledger: Ledger, signed: bool = True) -> Version:
        version = self._read(number, ledger, signed)
        if problems := check_files(version):
            raise RegistryError(
                f"version {number} in the registry {self.root} is not what was registered: {'; '.join(problems)}; "
                "restore it from a backup, or use another version"
            )
        return version


def _stated(text: str, what: str) -> str:
    if not text.strip():
        raise RegistryError(f"the {what} is empty; the history needs one")
    return text.strip()
