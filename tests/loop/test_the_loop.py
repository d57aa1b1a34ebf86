"""The whole loop on real processes: scan, label, retrain, promote, serve the right verdict without a restart.

The project is copied and its parameters made small, so that two runs of the pipeline take a minute or two; everything
else is as users have it. Single scans run all the time, and processes are killed on the way; `make test-kills` kills
every process at every step.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator

import pytest

from tests.loop.load import Load
from tests.loop.project import HOSTILE, Project, asset, scan
from tests.serving.served import Served, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]


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


def test_a_label_becomes_the_verdict_of_a_new_version_while_processes_die_and_scans_go_on(
    project: Project, served: Served
) -> None:
    with Load(served) as load, served.client() as client:
        load.go_on()
        wrong = [scan(client, asset(number)) for number in range(4)]
        assert {found["verdict"] for found in wrong} <= {"suspicious", "malicious"}, "the champion must be wrong here"
        assert scan(client, HOSTILE)["verdict"] == "malicious"
        for found in wrong:
            label = {"scan_id": found["scan_id"], "label": "benign", "reason": "our own library, reviewed"}
            assert client.post("/v1/feedback", json=label).status_code in (200, 201)
        load.kill_learner()
        load.kill_scanners()

        assert project.killed("pipelines.retrain", when=["Running stage 'settle'"], after=load.kill_worker)
        assert project.champion() == 1
        load.go_on()
        said = project.run("pipelines.retrain", "--actor", "the loop's test")
        promoted = time.monotonic()
        assert project.is_pinned(1), "the challenger's thresholds were settled against the champion"
        assert "promoted version 2" in said

        wait_for(lambda: scan(client, HOSTILE)["model_version"] == "2", 20)
        waited = time.monotonic() - promoted
        load.serves(2)
        right = [scan(client, asset(number)) for number in range(4)]
        assert {found["verdict"] for found in right} == {"benign"}
        assert scan(client, asset(99))["verdict"] == "benign", "what was learned holds for files never seen"
        assert scan(client, HOSTILE)["verdict"] == "malicious"
        assert waited < 10, f"the new champion was served only after {waited:.1f} s"

        assert project.dies_before_step(2, "registry", "rollback", "--reason", "a test")
        assert project.champion() == 2
        project.run("registry", "rollback", "--reason", "a test")
        load.serves(1)
        project.run("registry", "promote", "2", "--reason", "it was right")
        load.serves(2)
    load.check()
    assert load.versions() == ["1", "2", "1", "2"]
    said = project.run("pipelines.retrain")
    assert "is the champion already" in said, "it was promoted already"
    assert "data and pipelines are up to date" in said.lower()
    assert len(project.run("registry", "list", "--json").split('"version"')) == 3


def test_the_same_data_and_parameters_give_the_same_bundle(project: Project) -> None:
    first = (project.root / "data/work/registered.json").read_text()
    work = project.root / "data/work"
    trained = ("folds.parquet", "features", "detectors", "trained", "stacked.parquet")
    for part in (*trained, "bundle", "ensemble_scores.parquet"):
        target = work / part
        shutil.rmtree(target) if target.is_dir() else target.unlink()
    project.run("dvc", "repro", "--force", "--no-run-cache", "settle")
    project.run("pipelines.register")
    assert (work / "registered.json").read_text() == first
