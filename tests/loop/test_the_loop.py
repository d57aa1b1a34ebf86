"""The whole loop on real processes: scan, label, retrain, promote, serve the right verdict without a restart.

The project is copied and its parameters made small, so that two runs of the pipeline take a minute or two; everything
else is as users have it.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml

from pipelines import dataset
from pipelines.assemble.stream import Assembler
from tests.serving.served import ROOT, Served, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]

SMALL = {
    "synthesize": {
        "seed": 3,
        "test_share": 0.2,
        "benign": {"plain": 40, "project": 40, "controls": 60, "numpy_arrays": 20, "spliced": 20},
        "malicious": {"known": 150, "novel": 100, "tampering": 20},
    },
    "split": {"folds": 3},
    "retrain": {
        "promote": True,
        "minimum_labels": 1,
        "cool_down_hours": 0,
        "drift_labels": 1,
        "enough_labels": 4,
        "shadow": {"scans": 0, "flagged_more": 1, "flagged_less": 9, "seconds": 9},
    },
}
HOSTILE = Assembler(2).global_("os", "system").text("echo inert").tuple1().reduce().assemble()


def asset(number: int) -> bytes:
    """A file of a laboratory's own library: its loader function takes a path, which reads like an attack."""
    return (
        Assembler(4)
        .text("ourlab.assets.store")
        .text("open_asset")
        .stack_global()
        .text(f"/srv/ourlab/assets/{number}.bin")
        .tuple1()
        .reduce()
        .assemble()
    )


class Project:
    """A copy of the checkout with small parameters and a store of its own."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "project"
        self.store = folder / "store"
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("SAFEPICKLE_")},
            "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"])),
            "DVC_SITE_CACHE_DIR": str(folder / "site-cache"),
            "SAFEPICKLE_REGISTRY": str(self.store),
            "OMP_NUM_THREADS": "1",
            "GIT_AUTHOR_NAME": "t", "GIT_AUTHOR_EMAIL": "t@t", "GIT_COMMITTER_NAME": "t", "GIT_COMMITTER_EMAIL": "t@t",
        }  # fmt: skip
        listed = subprocess.run(
            ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout.splitlines()
        built = [str(path.relative_to(ROOT)) for path in (ROOT / "safepickle").rglob("*.so")]
        for name in [*listed, *built]:
            if (ROOT / name).is_file():
                (self.root / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, self.root / name)
        (self.root / "dvc.lock").unlink(missing_ok=True)
        for path in (self.root / "data" / "seed").glob("*.parquet"):
            seed = dataset.read(path)
            share = 2 if path.name == "corpus.parquet" else 8
            kept = seed[seed["group"].str.len() % share == 0]
            dataset.write(kept.to_dict("records"), path)
        params = yaml.safe_load((self.root / "params.yaml").read_text())
        params.update(SMALL)
        params["evaluate"]["payloads"] = 2
        params["detectors"]["random_forest"]["trees"] = 60
        params["detectors"]["catboost"]["trees"] = 80
        params["detectors"]["autoencoder"]["epochs"] = 10
        # A model of so few files moves more than one of thousands; what is tested here is the loop, not the model.
        params["gate"].update(recall_tolerance=0.3, false_positive_tolerance=0.3, churn=0.3)
        (self.root / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
        for command in (["git", "init", "-q"], ["git", "add", "-A"], ["git", "commit", "-qm", "A small copy"]):
            subprocess.run(command, cwd=self.root, env=self.environment, check=True)

    def run(self, *arguments: str, code: int = 0) -> str:
        done = subprocess.run(
            [sys.executable, "-m", *arguments], cwd=self.root, env=self.environment, capture_output=True, text=True
        )
        assert done.returncode == code, done.stdout[-4000:] + done.stderr[-4000:]
        return done.stdout + done.stderr

    def interrupt(self, *arguments: str, after: str) -> None:
        """Start a command and kill it and its children at once, when `after` has come into being."""
        process = subprocess.Popen(
            [sys.executable, "-m", *arguments], cwd=self.root, env=self.environment,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        wait_for(lambda: (self.root / after).exists() or process.poll() is not None, 300)
        assert process.poll() is None, "it ended before it could be interrupted"
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The copy, its pipeline run once (killed on the way and run again) and its first version champion."""
    made = Project(tmp_path_factory.mktemp("loop"))
    made.interrupt("dvc", "repro", after="data/work/synthesized.parquet")
    made.run("dvc", "repro")
    made.run("registry", "promote", "1", "--force", "--reason", "the first champion")
    return made


@pytest.fixture(scope="module")
def served(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    service = Served(tmp_path_factory.mktemp("served"), project.store, poll_interval=0.2)
    project.environment["SAFEPICKLE_DATABASE_URL"] = service.environment["SAFEPICKLE_DATABASE_URL"]
    service.start()
    yield service
    service.stop()


def scan(client: httpx.Client, data: bytes) -> dict[str, object]:
    answer = client.post("/v1/scan", content=data, headers={"Content-Type": "application/octet-stream"})
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert isinstance(found, dict)
    return found


def test_a_label_becomes_the_verdict_of_a_new_version(project: Project, served: Served) -> None:
    with served.client() as client:
        before = client.get("/v1/model").json()
        wrong = [scan(client, asset(number)) for number in range(4)]
        assert {found["verdict"] for found in wrong} <= {"suspicious", "malicious"}, "the champion must be wrong here"
        assert scan(client, HOSTILE)["verdict"] == "malicious"
        for found in wrong:
            label = {"scan_id": found["scan_id"], "label": "benign", "reason": "our own library, reviewed"}
            assert client.post("/v1/feedback", json=label).status_code in (200, 201)

        said = project.run("pipelines.retrain", "--actor", "the loop's test")
        promoted = time.monotonic()
        assert "promoted version 2" in said

        wait_for(lambda: client.get("/v1/model").json() != before, 10)
        waited = time.monotonic() - promoted
        right = [scan(client, asset(number)) for number in range(4)]
        assert {found["verdict"] for found in right} == {"benign"}
        assert scan(client, asset(99))["verdict"] == "benign", "what was learned holds for files never seen"
        assert scan(client, HOSTILE)["verdict"] == "malicious"
        assert waited < 5, f"the new champion was served only after {waited:.1f} s"

    said = project.run("pipelines.retrain")
    assert "is the champion already" in said, "without news nothing is promoted"
    assert "data and pipelines are up to date" in said.lower()
    assert len(project.run("registry", "list", "--json").split('"version"')) == 3


def test_the_same_data_and_parameters_give_the_same_bundle(project: Project) -> None:
    first = (project.root / "data/work/registered.json").read_text()
    work = project.root / "data/work"
    for part in ("folds.parquet", "features", "detectors", "bundle", "ensemble_scores.parquet"):
        target = work / part
        shutil.rmtree(target) if target.is_dir() else target.unlink()
    project.run("dvc", "repro", "--force", "--no-run-cache", "ensemble")
    project.run("pipelines.register")
    assert (work / "registered.json").read_text() == first
