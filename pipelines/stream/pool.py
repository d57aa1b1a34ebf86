"""The files that streams are drawn from: those of the dataset, with their family and date of disclosure."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from safepickle.bytecode.trace import FileTrace
from safepickle.features.library import library_of
from safepickle.limits import DEFAULT_LIMITS
from safepickle.scan import trace_bytes

from .. import dataset
from ..canaries import canaries
from ..params import load_params
from ..split import load_all
from .seen import Seen

DISCLOSURE = Path(__file__).with_name("disclosure.csv")
GENERATED = "generated"
NEVER = ""
NOVEL = "novel code"
"""Family of the generated files whose callables are of made-up packages: no two name the same."""
CORE = ("GLOBAL REDUCE", "by OBJ")
"""Forms of call in which root sinks are learned from."""

Rows = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Pool:
    """Files by number.

    Parameters
    ----------
    traces, groups, libraries
        What each file is, in which group, and of which library.
    malicious
        bool[n].
    family
        Of a malicious file: the module or the technique of the attack. Of a benign one: its library.
    disclosed
        Of a malicious file: when the first of its callables was listed, ``YYYY-MM-DD``, or empty.
    container
        Its kind.
    sha256
        Of the content.
    core
        Plain calls of each root sink. What the capability table starts from is known at all times, so every model
        learns from them; in other forms they are canaries.
    seen
        What was computed of files before.
    """

    traces: list[FileTrace]
    groups: list[str]
    libraries: list[str]
    malicious: NDArray[np.bool_]
    family: NDArray[np.str_]
    disclosed: NDArray[np.str_]
    container: NDArray[np.str_]
    sha256: list[str]
    core: Rows
    seen: Seen = field(default_factory=Seen)


def load_pool() -> Pool:
    """All benign files, and the malicious ones whose effect is learned."""
    frame = load_all()
    effects = load_params()["train"]["effects"]
    used = (frame["label"] == "benign") | ((frame["label"] == "malicious") & frame["effect"].isin(effects))
    frame = frame[used].reset_index(drop=True)
    sinks = [canary for canary in canaries() if canary.hostile and canary.name.endswith(CORE)]
    core = pd.DataFrame(
        {
            "sha256": [sha256(canary.data).hexdigest() for canary in sinks],
            "label": "malicious", "origin": "core", "library": "", "technique": "root sink", "container": "pickle",
            "group": [f"core/{canary.name.partition(' ')[0]}" for canary in sinks],
        }
    )  # fmt: skip
    traces = [*dataset.traces(frame), *(trace_bytes(canary.data, DEFAULT_LIMITS) for canary in sinks)]
    files = len(frame)
    frame = pd.concat([frame, core], ignore_index=True)
    malicious = (frame["label"] == "malicious").to_numpy(bool)
    dates = read_disclosure()
    disclosed = [disclosure(trace, dates) if bad else NEVER for trace, bad in zip(traces, malicious, strict=True)]
    return Pool(
        traces=traces,
        groups=[str(group) for group in frame["group"]],
        libraries=[library_of(trace) for trace in traces],
        malicious=malicious,
        family=np.array([_family(row) for _, row in frame.iterrows()], dtype=np.str_),
        disclosed=np.array(disclosed, dtype=np.str_),
        container=frame["container"].to_numpy(np.str_),
        sha256=[str(value) for value in frame["sha256"]],
        core=np.arange(files, len(frame)),
    )


def read_disclosure(path: Path = DISCLOSURE) -> dict[str, str]:
    """Date by callable, ``module.name`` or ``module.*``."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(line for line in file if not line.startswith("#")))
    return {f"{row['module']}.{row['name']}": row["date"] for row in rows}


def disclosure(trace: FileTrace, dates: dict[str, str]) -> str:
    """When the first of the callables that a file names was listed; empty if none ever was."""
    found = []
    for stream in trace.walk():
        for name in {entry.name for entry in stream.imports} | {call.callee.name for call in stream.calls}:
            parts = name.split(".")
            keys = [name, *(".".join(parts[:length]) + ".*" for length in range(1, len(parts)))]
            found += [dates[key] for key in keys if key in dates]
    return min(found, default=NEVER)


def _family(row: pd.Series[str]) -> str:
    if row["label"] == "benign":
        return str(row["library"] or "none")
    if row["origin"] == GENERATED:
        return NOVEL if str(row["group"]).startswith("generated-novel-") else str(row["group"])
    return str(row["technique"] or row["group"])


def by_family(pool: Pool, rows: Rows) -> dict[str, Rows]:
    """Rows of each family, in the order of the names."""
    names = pd.Series(pool.family[rows])
    return {str(name): rows[np.asarray(places)] for name, places in sorted(names.groupby(names).indices.items())}
