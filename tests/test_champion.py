"""The model that ships with the package is the one that the pipeline makes of this checkout."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import yaml

from safepickle.features import SCHEMA
from safepickle.scan import CHAMPION, Scanner

ROOT = Path(__file__).resolve().parent.parent


def test_the_shipped_champion_is_the_bundle_that_dvc_locked() -> None:
    lock = yaml.safe_load((ROOT / "dvc.lock").read_text(encoding="utf-8"))
    (locked,) = (out for out in lock["stages"]["settle"]["outs"] if out["path"] == "data/work/bundle")
    listing = [
        {"md5": hashlib.md5(path.read_bytes()).hexdigest(), "relpath": path.name}
        for path in sorted(Path(CHAMPION).iterdir())
    ]
    assert hashlib.md5(json.dumps(listing).encode()).hexdigest() + ".dir" == locked["md5"]


def test_the_shipped_champion_fits_the_features_and_its_size_is_bounded() -> None:
    scanner = Scanner()
    assert scanner.bundle.names == SCHEMA.names
    assert sum(path.stat().st_size for path in Path(CHAMPION).iterdir()) <= 8_000_000
