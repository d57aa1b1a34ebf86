"""``python -m pipelines.stream``: measure learning over time and write docs/learning-over-time.md.

It needs the datasets of ``dvc repro synthesize``. What was measured on them is kept in ``data/work/stream`` and not
measured again, so it can be stopped at any time; ``--fresh`` begins anew.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from safepickle.limits import DEFAULT_LIMITS
from safepickle.scan import trace_bytes

from ..canaries import canaries
from ..paths import COLLECTED, SYNTHESIZED, WORK
from .alarms import alarms
from .families import new_families
from .methods import METHODS, Outcome, Setting
from .poison import poisoned
from .pool import Pool, load_pool
from .report import write_report
from .streams import STREAMS

CACHE = WORK / "stream"
BUDGET = 20
OTHERS = ((0, 0), (5, 0), (50, 0), (BUDGET, 1), (BUDGET, 3))
"""Budgets and delays beside the main one; with a delay of six periods no label comes in time, as with none."""

Unit = tuple[str, Callable[[Pool, Any], Any]]


def units(seeds: int) -> Iterator[Unit]:
    """Everything to measure, by name; what matters most comes first for every seed."""
    for seed in range(seeds):
        for stream in STREAMS:
            for method in METHODS:
                yield f"run {stream} {method} {BUDGET} 0 {seed}", _run(stream, method, BUDGET, 0, seed)
        yield f"alarms {seed}", _alarms(seed)
        yield f"families {seed}", _families(seed)
        yield f"poison {seed}", _poison(seed)
    for seed in range(seeds):
        for budget, delay in OTHERS:
            yield f"run drift ours {budget} {delay} {seed}", _run("drift", "ours", budget, delay, seed)


def _run(stream: str, method: str, budget: int, delay: int, seed: int) -> Callable[[Pool, Any], Any]:
    def measure(pool: Pool, panel: Any) -> Any:
        outcome: Outcome = METHODS[method](pool, STREAMS[stream](pool, seed), Setting(budget, delay, seed, panel))
        return dataclasses.asdict(outcome)

    return measure


def _alarms(seed: int) -> Callable[[Pool, Any], Any]:
    return lambda pool, _panel: alarms(pool, STREAMS["drift"](pool, seed), seed)


def _families(seed: int) -> Callable[[Pool, Any], Any]:
    def measure(pool: Pool, panel: Any) -> Any:
        found = new_families(pool, STREAMS["drift"](pool, seed), Setting(BUDGET, 0, seed, panel))
        return [{**dataclasses.asdict(family), "labels": family.labels} for family in found]

    return measure


def _poison(seed: int) -> Callable[[Pool, Any], Any]:
    def measure(pool: Pool, panel: Any) -> Any:
        results = poisoned(pool, STREAMS["drift"](pool, seed), Setting(BUDGET, 0, seed, panel))
        return {name: dataclasses.asdict(result) for name, result in results.items()}

    return measure


def run(seeds: int) -> None:
    """Measure what is not measured yet, telling how far it is."""
    todo = [unit for unit in units(seeds) if not _path(unit[0]).exists()]
    if not todo:
        return
    _folder().mkdir(parents=True, exist_ok=True)
    pool = load_pool()
    panel = list(canaries())
    traces = [trace_bytes(canary.data, DEFAULT_LIMITS) for canary in panel], np.array([c.hostile for c in panel])
    started = time.monotonic()
    for number, (name, measure) in enumerate(todo, 1):
        if _path(name).exists():  # by another process, which shares the work
            continue
        result = measure(pool, traces)
        part = _path(name).with_suffix(".part")
        part.write_text(json.dumps(result), encoding="utf-8")
        os.replace(part, _path(name))
        spent = time.monotonic() - started
        left = spent / number * (len(todo) - number)
        sys.stderr.write(f"{number} of {len(todo)}: {name}; about {left / 60:.0f} minutes left\n")


def results(seeds: int) -> dict[str, Any]:
    """What was measured, by name of the unit."""
    found = {}
    for name, _measure in units(seeds):
        if _path(name).exists():
            found[name] = json.loads(_path(name).read_text(encoding="utf-8"))
    return found


@functools.cache
def _folder() -> Path:
    """Where what was measured on these datasets is kept."""
    digest = sha256()
    for path in (COLLECTED, SYNTHESIZED):
        try:
            digest.update(path.read_bytes())
        except FileNotFoundError:
            raise SystemExit(f"{path} is missing; run `dvc repro`, which makes it") from None
    return CACHE / digest.hexdigest()[:12]


def _path(name: str) -> Path:
    return _folder() / (name.replace(" ", "_") + ".json")


def main(arguments: list[str] | None = None) -> int:
    """Command line; see the module's docstring."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.stream", description=__doc__)
    parser.add_argument("--seeds", type=int, default=10, help="repetitions (default 10)")
    parser.add_argument("--fresh", action="store_true", help="forget what was measured before")
    parser.add_argument("--report", action="store_true", help="measure nothing, write the report of what there is")
    parser.add_argument("--out", type=Path, default=Path("docs"), help="folder of the report (default docs)")
    options = parser.parse_args(arguments)
    if options.fresh:
        shutil.rmtree(CACHE, ignore_errors=True)
    if not options.report:
        run(options.seeds)
    write_report(results(options.seeds), options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
