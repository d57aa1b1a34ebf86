"""The champion that a challenger is settled against, pinned beside the data: the same inputs give the same bundle."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import pandas as pd

from registry.export import copy_bundle
from registry.gate import SetResult
from registry.manifest import Version
from registry.store import Registry
from safepickle.bytecode.trace import FileTrace
from safepickle.ensemble import bundle_hash, load
from safepickle.errors import BundleError
from safepickle.record import Record
from safepickle.scan import Scanner

from . import dataset
from .dataset import FEEDBACK_ORIGIN
from .evaluation.judging import FLAGGED
from .paths import CHAMPION, TRAINED

PANEL = 3
"""Files of each library that the gate looks at one by one."""
BUNDLE, FACTS = CHAMPION / "bundle", CHAMPION / "champion.json"


class Pinned(Record):
    """The champion that is pinned.

    Parameters
    ----------
    version
        Its number in the registry.
    hash
        Of its bundle.
    bundle
        Folder of it.
    sets
        Its results on the frozen evaluation sets.
    """

    version: int
    hash: str
    bundle: Path
    sets: Mapping[str, SetResult]


def pin(registry: Registry) -> bool:
    """Pin the registry's champion for the bundle that was trained, unless the champion was made of that very bundle.

    Returns
    -------
    bool
        Whether another champion than before is pinned.

    Raises
    ------
    RegistryError
        When the champion is not what was registered.
    """
    number = registry.aliases().champion
    if number is None:
        return False
    version = registry.verify(number)
    if _is_whole() and (made_of(version.bundle) == bundle_hash(TRAINED) or _is_pinned(version)):
        return False
    copy_bundle(version, BUNDLE)
    facts = {"version": version.number, "bundle": version.bundle_hash, "sets": version.metrics["gate"]}
    part = FACTS.with_suffix(".part")
    part.write_text(json.dumps(facts, sort_keys=True) + "\n", encoding="utf-8")
    part.replace(FACTS)
    return True


def made_of(bundle: Path) -> str:
    """Hash of a bundle as it was trained, before its thresholds were raised."""
    model = load(bundle)
    return str(model.manifest.get("raised", {}).get("from", model.hash))


def pinned() -> Pinned | None:
    """The champion that is pinned, None where none ever was.

    Raises
    ------
    SystemExit
        When the pinned files do not belong together, as pinning was interrupted.
    """
    if not FACTS.exists() and not BUNDLE.exists():
        return None
    try:
        facts = json.loads(FACTS.read_text(encoding="utf-8"))
        found = bundle_hash(BUNDLE)
    except (OSError, ValueError, BundleError) as error:
        raise SystemExit(
            f"the champion in {CHAMPION} cannot be read ({error}); run `python -m pipelines.retrain`"
        ) from None
    if facts["bundle"] != found:
        raise SystemExit(
            f"{FACTS} is of another bundle than {BUNDLE}; run `python -m pipelines.retrain`, which pins it"
        )
    sets = {name: SetResult(**result) for name, result in facts["sets"].items()}
    return Pinned(int(facts["version"]), found, BUNDLE, sets)


def cleared(frame: pd.DataFrame, champion: Scanner) -> Iterator[tuple[FileTrace, bool]]:
    """Benign files that nobody labelled and the champion does not flag, and whether each is of the panel.

    The panel is the first few files of each library.
    """
    benign = frame[(frame["label"] == "benign") & (frame["origin"] != FEEDBACK_ORIGIN)].sort_values("sha256")
    first = benign.groupby("library").cumcount() < PANEL
    for file, shown in zip(dataset.traces(benign), first, strict=True):
        if champion.judge(file).verdict not in FLAGGED:
            yield file, bool(shown)


def _is_whole() -> bool:
    """Whether no champion is pinned, or one with all its files: pinning may have been interrupted."""
    try:
        pinned()
    except SystemExit:
        return False
    return True


def _is_pinned(version: Version) -> bool:
    found = pinned()
    return found is not None and (found.version, found.hash) == (version.number, version.bundle_hash)
