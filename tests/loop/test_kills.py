"""Every process of the loop killed at every step while single scans run: no request fails, no event is lost or doubled.

This takes half an hour and more: `make test-kills`. What is tolerated of the service is said in :class:`Load`.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import pytest

from registry import Registry
from tests.loop.load import Load
from tests.loop.project import HOSTILE, SMALL, Project, asset, scan
from tests.serving.served import Served, wait_for

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(5400),
    pytest.mark.skipif(not os.environ.get("SAFEPICKLE_KILLS"), reason="make test-kills sets SAFEPICKLE_KILLS"),
]

DETECTORS = (
    "random_forest", "catboost", "monotone", "per_call", "autoencoder", "isolation_forest", "local_outlier_factor",
    "one_class_svm",
)  # fmt: skip
STEPS = (
    "serving export-labels", "dvc repro ensemble",
    *(f"Running stage '{name}'" for name in (
        "collect", "split", "featurize", *(f"train@{name}" for name in DETECTORS), "baseline", "ensemble",
    )),
    "thresholds are settled against", "Running stage 'settle'", "Running stage 'evaluate'",
    "Running stage 'robustness'", "Running stage 'register'", "the gate says", "gate: ",
)  # fmt: skip
"""What a retraining prints as a step begins or ends."""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A copy whose challengers stay in shadow until a test says how many scans are enough; its first is champion."""
    made = Project(tmp_path_factory.mktemp("kills"), retrain=waiting_for(1_000_000))
    made.run("dvc", "repro")
    made.run("registry", "promote", "1", "--force", "--reason", "the first champion")
    return made


@pytest.fixture(scope="module")
def served(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    settings = {"poll_interval": 0.2, "learner_interval": 0.1, "lease_seconds": 3}
    service = Served(tmp_path_factory.mktemp("served"), project.store, **settings)
    project.environment["SAFEPICKLE_DATABASE_URL"] = service.environment["SAFEPICKLE_DATABASE_URL"]
    service.start()
    yield service
    service.stop()


@pytest.fixture(scope="module")
def load(served: Served) -> Iterator[Load]:
    with Load(served) as running:
        yield running


def waiting_for(scans: int) -> dict[str, Any]:
    """Parameters of retraining whose challengers judge so many scans in shadow."""
    return {**SMALL["retrain"], "shadow": {"scans": scans, "flagged_more": 1, "flagged_less": 99, "seconds": 9}}


def tell(text: str) -> None:
    """Say what was done, and when."""
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


def shaken(load: Load, chance: random.Random) -> Callable[[], None]:
    """What kills some of the service's own processes, drawn at random."""
    return chance.choice([load.kill_worker, load.kill_scanners, load.kill_learner])


def label_assets(load: Load, served: Served) -> None:
    """Label four files of a library; after each label a process of the service dies."""
    with served.client() as client:
        found = [scan(client, asset(number)) for number in range(4)]
        assert {each["verdict"] for each in found} <= {"suspicious", "malicious"}, "the champion must be wrong here"
    for each, kill in zip(
        found, (load.kill_learner, load.kill_worker, load.kill_scanners, load.kill_learner), strict=True
    ):
        with served.client() as client:
            label = {"scan_id": each["scan_id"], "label": "benign", "reason": "our own library, reviewed"}
            assert client.post("/v1/feedback", json=label).status_code in (200, 201)
        kill()
        tell(f"labelled a file, then {kill.__name__}")
    assert served.query("SELECT count(*) FROM labels")[0][0] == 4


def drift(load: Load, served: Served) -> None:
    """Have every second file hostile until an alarm is in the log, while learners die."""
    wait_for(lambda: served.query("SELECT count(*) FROM scan_novelties")[0][0] >= 300, 300, served.log)
    load.hostile_share = 0.5
    alarms = "SELECT json_extract(payload, '$.stream') FROM events WHERE kind = 'drift'"
    started = time.monotonic()
    while not served.query(alarms):
        assert time.monotonic() - started < 300, "no alarm"
        load.kill_learner()
        load.go_on(30)
    load.hostile_share = 0.05
    tell(f"drift of {sorted({row[0] for row in served.query(alarms)})}")


def retrain(load: Load, project: Project, chance: random.Random) -> None:
    """Kill the retraining in each of its steps, then something of the service; the old champion goes on serving."""
    left = list(STEPS)
    while left:
        wait = chance.uniform(0.0, 1.0)
        step = project.killed("pipelines.retrain", when=left, after=lambda wait=wait: time.sleep(wait))
        assert step is not None, f"retraining ended without {left}"
        left.remove(step)
        kill = shaken(load, chance)
        kill()
        assert project.champion() == 1
        load.serves(1)
        tell(f"retraining killed at {step!r}, then {kill.__name__}")


def shadow(load: Load, project: Project, served: Served) -> None:
    """The challenger judges live scans while learners die; it is promoted by what it said, each scan judged once."""
    said = project.run("pipelines.retrain", code=4)
    assert "its shadow says hold" in said, said
    number = Registry(project.store).aliases().challenger
    judged = "SELECT count(*) FROM shadow_scores WHERE version = ?"
    for _ in range(3):
        before = served.query(judged, number)[0][0]
        wait_for(lambda before=before: served.query(judged, number)[0][0] > before + 10, 120, served.log)
        load.kill_learner()
        load.kill_worker()
    wait_for(lambda: served.query(judged, number)[0][0] >= 60, 120, served.log)
    project.change_params(retrain=waiting_for(40))
    tell(f"version {number} judged {served.query(judged, number)[0][0]} scans in shadow, learners and workers killed")


def each_step(load: Load, project: Project, before: int, after: int, *command: str) -> None:
    """Kill a command before each of its changes of the disk; the champion is the one before or after, and is served."""
    for step in count():
        died = project.dies_before_step(step, *command)
        found = project.champion()
        assert found in (before, after)
        if step % 6 == 0:
            load.serves(found)
        if found == after:
            break
        assert died, "it ended and changed nothing"
    load.kill_worker()
    load.serves(after)
    tell(f"`{' '.join(command[:3])}` killed before each of {step} steps; {after} is champion and served")


def test_the_loop_survives_the_death_of_every_process_at_every_step(
    project: Project, served: Served, load: Load
) -> None:
    chance = random.Random(6)
    load.go_on()
    for kill in (load.kill_worker, load.kill_scanners, load.kill_learner) * 3:
        kill()
    tell("each process of the service killed three times")
    label_assets(load, served)
    drift(load, served)
    retrain(load, project, chance)
    shadow(load, project, served)
    each_step(load, project, 1, 2, "pipelines.retrain", "--finish")
    with served.client() as client:
        assert {scan(client, asset(number))["verdict"] for number in range(5)} == {"benign"}
        assert scan(client, HOSTILE)["verdict"] == "malicious"
    each_step(load, project, 2, 1, "registry", "rollback", "--reason", "a test")
    each_step(load, project, 1, 2, "registry", "promote", "2", "--reason", "it was right")
    load.go_on(30)
    load.__exit__()
    load.check()
    versions = load.versions()
    tell(f"{len(load.answers)} scans answered, repeated: {dict(load.repeated)}, slowest {load.slowest:.1f} s")
    tell(f"champions taken over: {versions}")
    assert versions == ["1", "2", "1", "2"]
    doubled = served.query("SELECT scan_id FROM shadow_scores GROUP BY scan_id, version HAVING count(*) > 1")
    assert not doubled
