"""The stage: quotas, pools that share no module, the same bytes for the same seed, labels that are true."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from pipelines import synthesize
from pipelines.assemble import pool
from pipelines.assemble.targets import load_callables
from pipelines.dataset import COLUMNS
from pipelines.savers import PRODUCERS
from safepickle.scan import trace_bytes

ROOT = Path(__file__).resolve().parents[2]
SMALL: dict[str, Any] = {
    "seed": 1,
    "test_share": 0.25,
    "benign": {**dict.fromkeys(PRODUCERS, 12), "controls": 40, "scikit_learn": 46},
    "malicious": {"known": 60, "novel": 40, "tampering": 12, "rebuilt": 8},
}
QUICK: dict[str, Any] = {
    **SMALL,
    "benign": dict.fromkeys(("plain", "project", "controls", "vocabulary", "damaged", "python2", "closures"), 40),
    "malicious": {},
}
# Benign files name these, and hostile ones call them: their arguments make the difference.
DUAL_USE = {"builtins.open"}


@pytest.fixture(scope="session")
def samples() -> list[synthesize.Sample]:
    return list(synthesize.generate(SMALL))


def test_each_family_has_its_quota_and_the_test_pool_its_share(samples: list[synthesize.Sample]) -> None:
    for family, count in {**SMALL["benign"], **SMALL["malicious"]}.items():
        mine = [sample for sample in samples if sample.name.startswith(f"{family}-t")]
        assert len(mine) == count, family
        assert sum(sample.pool == "test" for sample in mine) == round(count * 0.25)
        label = "malicious" if family in SMALL["malicious"] else "benign"
        assert {sample.label for sample in mine} == {label}


def test_a_family_nobody_makes_is_refused() -> None:
    with pytest.raises(ValueError, match="telepathy"):
        synthesize.jobs({**SMALL, "benign": {"telepathy": 3}})


def test_no_group_is_in_both_pools_or_has_both_labels(samples: list[synthesize.Sample]) -> None:
    for field in ("pool", "label"):
        seen: dict[str, str] = {}
        for sample in samples:
            assert seen.setdefault(sample.group, getattr(sample, field)) == getattr(sample, field), sample.group


def test_the_pools_of_callables_share_no_package_and_neither_do_their_aliases() -> None:
    packages: dict[str, set[str]] = {"train": set(), "test": set()}
    for entry in load_callables():
        names = [str(entry["module"])]
        names += [alias[0] for alias in entry.get("aliases", [])]  # type: ignore[attr-defined]
        packages[str(entry["pool"])] |= {name.split(".")[0].lstrip("_") for name in names}
        assert entry["pool"] == pool.pool_of(str(entry["module"]))
    assert packages["train"].isdisjoint(packages["test"])
    assert min(map(len, packages.values())) >= 20


def test_many_modules_share_the_pool_of_callables_and_none_floods_it() -> None:
    entries = load_callables()
    modules = [str(entry["module"]) for entry in entries]
    assert len(entries) >= 400
    assert len(set(modules)) >= 250
    assert max(modules.count(module) for module in set(modules)) <= 20


def test_benign_files_name_no_callable_of_the_malicious_pool(samples: list[synthesize.Sample]) -> None:
    hostile = {f"{entry['module']}.{entry['name']}" for entry in load_callables()}
    named = {
        entry.name
        for sample in samples
        if sample.label == "benign"
        for stream in trace_bytes(sample.data).walk()
        for entry in stream.imports
    }
    assert len(named) > 100
    assert named & hostile <= DUAL_USE


def test_size_does_not_give_the_label_away(samples: list[synthesize.Sample]) -> None:
    shares = {}
    for label in ("benign", "malicious"):
        traces = [trace_bytes(sample.data) for sample in samples if sample.label == label]
        sizes = [sum(sum(stream.opcodes.values()) for stream in trace.walk()) for trace in traces]
        shares[label] = sum(size <= 40 for size in sizes) / len(sizes)
        assert max(sizes) > 2_000
    assert shares["benign"] > 0.2
    assert shares["malicious"] < 0.8


def test_the_same_seed_gives_the_same_bytes_whatever_the_hash_seed() -> None:
    code = (
        "import sys, json, hashlib; from pipelines import synthesize; digest = hashlib.sha256()\n"
        "for sample in synthesize.generate(json.loads(sys.argv[1])): digest.update(repr(sample).encode())\n"
        "print(digest.hexdigest())"
    )
    digests = set()
    for hash_seed in ("0", "1"):
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", code, json.dumps(QUICK)],
            env={**os.environ, "PYTHONHASHSEED": hash_seed, "OMP_NUM_THREADS": "1"},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        digests.add(done.stdout)
    assert len(digests) == 1
    assert len(digests.pop().strip()) == 64


def test_another_seed_gives_other_bytes() -> None:
    def digest(seed: int) -> str:
        made = synthesize.generate({**QUICK, "seed": seed, "benign": {"controls": 20}})
        return sha256(b"".join(sample.data for sample in made)).hexdigest()

    assert digest(1) == digest(1) != digest(2)


def test_a_row_has_the_columns_of_the_dataset_and_no_literal_of_the_file(samples: list[synthesize.Sample]) -> None:
    sample = next(sample for sample in samples if sample.name == "novel-train-0000")
    row = synthesize.row(sample)
    assert set(row) == set(COLUMNS)
    assert row["sha256"] == sha256(sample.data).hexdigest()
    assert '"literal"' not in row["trace"]


def test_every_malicious_sample_shows_in_its_trace(samples: list[synthesize.Sample]) -> None:
    for sample in samples:
        if sample.label == "malicious":
            streams = trace_bytes(sample.data).walk()
            assert any(stream.imports for stream in streams), sample.name
