"""Small models for the service: one that knows a hostile file, and one that takes it for a benign one."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np

from detectors import RandomForest, Stacking, save
from registry import Registry
from safepickle.bytecode.trace import FileTrace
from safepickle.features import SCHEMA, Knowledge, Prevalence, extract
from safepickle.limits import DEFAULT_LIMITS
from safepickle.scan import trace_bytes

HOSTILE = b"\x80\x02cos\nsystem\nX\x0a\x00\x00\x00echo inert\x85R."
"""Would run ``echo inert`` in a shell. Written byte by byte; no test loads it."""

BENIGN = pickle.dumps({"weights": [0.1, 0.2, 0.3], "classes": ["cat", "dog"]}, protocol=4)


def hostile(number: int) -> bytes:
    """A hostile file like no other number's."""
    text = f"echo inert {number}".encode()
    return b"\x80\x02cos\nsystem\nX" + len(text).to_bytes(4, "little") + text + b"\x85R."


def benign(number: int, length: int = 3) -> bytes:
    """A benign file like no other number's."""
    return pickle.dumps({"number": number, "weights": [float(value) for value in range(length)]}, protocol=4)


def build_bundle(folder: Path, *, blind: bool, seed: int = 1) -> Path:
    """Write a bundle that tells hostile from benign files, or takes one for the other if `blind`."""
    prevalence = Prevalence.count([("a", trace_bytes(BENIGN, DEFAULT_LIMITS))])

    def row(data: bytes) -> list[float]:
        trace: FileTrace = trace_bytes(data, DEFAULT_LIMITS)
        return extract(trace, Knowledge(prevalence))[0]

    files = [(hostile(number), 1) for number in range(30)] + [(benign(number, number % 7), 0) for number in range(30)]
    rows = np.array([row(data) for data, _ in files], np.float32)
    y = np.array([label for _, label in files])
    if blind:
        y = 1 - y
    weight = np.ones(len(y))
    columns = range(len(SCHEMA.names))
    forest = RandomForest(trees=3, columns=columns, seed=seed).fit(rows, y, weight)
    stacking = Stacking(seed=seed).fit(
        {"random_forest": forest.score(rows)}, y, weight, {"suspicious": 0.1, "malicious": 0.05}
    )
    save(
        folder,
        detectors={"random_forest": forest.export()},
        stacking=stacking.export(),
        schema_version=SCHEMA.version,
        names=SCHEMA.names,
        call_names=SCHEMA.call_names,
        prevalence=prevalence.to_json(),
    )
    return folder


def register(store: Registry, bundle: Path, card: str) -> int:
    """Add a bundle to the store; return its number."""
    version = store.register(
        bundle,
        {},
        dataset_hash=card,
        params={},
        git_commit="0" * 40,
        schema=SCHEMA.version,
        metrics={},
        card=card,
    )
    return int(version.number)
