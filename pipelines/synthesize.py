"""Stage `synthesize`: benign files by the real savers, malicious ones by the assembler, both as redacted Traces.

Nothing that is generated is ever loaded. The same parameters give the same bytes, on any number of processes.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from hashlib import sha256
from multiprocessing import get_context
from random import Random
from typing import Any, NamedTuple

from safepickle.features.library import UNKNOWN_LIBRARY
from safepickle.limits import Limits
from safepickle.scan import trace_bytes

from . import dataset
from .assemble import hostile, wrap
from .assemble.hosts import Host, Write
from .assemble.targets import Target, known_target, load_callables, novel_target
from .params import load_params
from .paths import SYNTHESIZED
from .savers import PRODUCERS, bank, controls, producer
from .savers.saved import group_of

CHUNK = 60
LIMITS = Limits(seconds=60.0)


class Sample(NamedTuple):
    """A generated file. `technique` is ``reach/form/place/container`` for malicious files, else what was saved."""

    name: str
    label: str
    group: str
    library: str
    technique: str
    effect: str
    pool: str
    data: bytes


class Job(NamedTuple):
    """A share of the work: so many files of one family and pool, the `part`-th such share."""

    family: str
    pool: str
    part: int
    files: int
    seed: int


def jobs(params: dict[str, Any]) -> list[Job]:
    """The shares of work for the section `synthesize` of the parameters.

    Raises
    ------
    ValueError
        For a family that nobody makes.
    """
    families = {**params["benign"], **params["malicious"]}
    unknown = sorted(set(families) - set(PRODUCERS) - set(_MALICIOUS))
    if unknown:
        raise ValueError(f"params.yaml, synthesize: nobody makes {', '.join(unknown)}")
    found = []
    for family, count in families.items():
        test = round(count * params["test_share"])
        for pool, share in (("train", count - test), ("test", test)):
            for part, start in enumerate(range(0, share, CHUNK)):
                found.append(Job(family, pool, part, min(CHUNK, share - start), params["seed"]))
    return found


def generate(params: dict[str, Any]) -> Iterator[Sample]:
    """Every sample, in a fixed order, in this process; `params` is the section `synthesize`."""
    for job in jobs(params):
        yield from run(job)


def run(job: Job) -> Iterator[Sample]:
    """The samples of one share."""
    rng = Random(f"{job.seed}:{job.family}:{job.pool}:{job.part}")
    return _malicious(job, rng) if job.family in _MALICIOUS else _benign(job, rng)


def _benign(job: Job, rng: Random) -> Iterator[Sample]:
    for index, saved in enumerate(producer(job.family)(rng, job.files, job.pool)):
        data, container = saved.data, "own"
        if saved.stream is not None and saved.pack is None:
            container = wrap.draw(rng)
            data = wrap.WRAPS[container](data, rng)
        number = job.part * CHUNK + index
        yield Sample(
            name=f"{job.family}-{job.pool}-{number:04d}",
            label="benign",
            group=f"{dataset.GENERATED_ORIGIN}-{group_of(job.family, job.pool, index)}",
            library=saved.library,
            technique=f"{saved.variant}/{container}",
            effect="none",
            pool=job.pool,
            data=data,
        )


def known(rng: Random, pool: str) -> Target:
    """A target drawn by package first, so that no large package floods the set; sinks themselves one time in four."""
    entries = [entry for entry in load_callables() if entry["pool"] == pool]
    if rng.random() < 0.25:
        return known_target(rng, rng.choice([entry for entry in entries if entry["distance"] == 0]))
    packages: dict[str, list[dict[str, object]]] = {}
    for entry in entries:
        packages.setdefault(str(entry["module"]).split(".")[0], []).append(entry)
    weights = [min(len(found), 6) for found in packages.values()]
    return known_target(rng, rng.choice(packages[rng.choices(list(packages), weights)[0]]))


_DRAWN = {
    "known": (known, hostile.payload),
    "novel": (novel_target, hostile.payload),
    "tampering": (known, hostile.tampering),
    "extension": (novel_target, hostile.extension),
}
_MALICIOUS = (*_DRAWN, "rebuilt")


def _malicious(job: Job, rng: Random) -> Iterator[Sample]:
    for index, (sample, group, effect) in enumerate(
        _rebuilt(job, rng) if job.family == "rebuilt" else _aimed(job, rng)
    ):
        if sample.host is not None and sample.host.pack is not None:
            container, data = "host", sample.host.pack(sample.data)
        else:
            container = wrap.draw(rng)
            data = wrap.WRAPS[container](sample.data, rng)
        yield Sample(
            name=f"{job.family}-{job.pool}-{job.part * CHUNK + index:04d}",
            label="malicious",
            group=f"{dataset.GENERATED_ORIGIN}-{group}",
            library=sample.host.library if sample.host else UNKNOWN_LIBRARY,
            technique=f"{sample.technique}/{container}",
            effect=effect,
            pool=job.pool,
            data=data,
        )


def _aimed(job: Job, rng: Random) -> Iterator[tuple[hostile.Sample, str, str]]:
    """Samples that call or plant a target, each with its group and effect."""
    draw, made_by = _DRAWN[job.family]
    hosts = bank.hosts(job.pool)
    for _ in range(job.files):
        target = draw(rng, job.pool)
        sample = hostile.compose(rng, target, hosts, partial(_stuffing, pool=job.pool), made_by)
        package = target.module.split(".")[0]
        if target.novel:
            package = f"novel-{job.pool}-{package.split('_')[0] or 'main'}"
        yield sample, package.lstrip("_"), "tamper" if job.family == "tampering" else target.effect


def _rebuilt(job: Job, rng: Random) -> Iterator[tuple[hostile.Sample, str, str]]:
    """Samples that call a function which cloudpickle or dill rebuilt."""
    found = (
        saved for saved in producer("closures")(rng, 8 * job.files, job.pool) if saved.variant.endswith("function")
    )
    for index, saved in zip(range(job.files), found, strict=False):
        assert saved.stream is not None
        host = Host(saved.variant, saved.library, "", job.pool, saved.stream)
        yield hostile.calling_the_result(rng, host), group_of("rebuilt", job.pool, index), "exec"


def _stuffing(rng: Random, pool: str) -> Write:
    return controls.harmless(rng, pool)[1]


def row(sample: Sample) -> dict[str, str]:
    """A sample's row of the dataset: its Trace, redacted, and no byte of it."""
    trace = trace_bytes(sample.data, LIMITS).redacted()
    return {
        "sha256": sha256(sample.data).hexdigest(),
        **{
            name: getattr(sample, name) for name in ("name", "label", "group", "library", "technique", "effect", "pool")
        },
        "origin": dataset.GENERATED_ORIGIN,
        "container": trace.container,
        "note": "",
        "trace": trace.to_json(),
    }


def _rows(job: Job) -> list[dict[str, str]]:
    return [row(sample) for sample in run(job)]


def rows(params: dict[str, Any], processes: int = 2) -> Iterator[dict[str, str]]:
    """Rows of all samples, with progress on stderr. Jobs that need the slowest imports come first."""
    work = sorted(jobs(params), key=lambda job: (job.family not in _MALICIOUS, PRODUCERS[::-1].index(job.family)
                                                 if job.family in PRODUCERS else 0))  # fmt: skip
    total = sum(job.files for job in work)
    done = 0
    os.environ["OMP_NUM_THREADS"] = "1"  # read by the processes when they import numpy and torch
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as executor:
        for job, found in zip(work, executor.map(_rows, work), strict=True):
            done += len(found)
            print(f"{done:5d} of {total}  {job.family} ({job.pool})", file=sys.stderr)
            yield from found


def main(arguments: list[str] | None = None) -> None:
    """Run the stage."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.synthesize", description=__doc__)
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args(arguments)
    params = load_params()["synthesize"]
    unique = {found["sha256"]: found for found in rows(params, options.processes)}
    frame = dataset.write(unique.values(), SYNTHESIZED)
    print(frame.groupby(["label", "pool"]).size().to_string())
    print(f"{len(frame)} files, dataset {dataset.dataset_hash(frame)[:12]}")


if __name__ == "__main__":
    main()
