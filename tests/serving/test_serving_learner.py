"""The learner on a real log: each event once, in order, and the same state after every crash."""

from __future__ import annotations

import json
import random
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from detectors.advice import Advice
from serving import auth
from serving import learner as module
from serving.advice import AdviceFollower
from serving.database import leases
from serving.database.clock import now
from serving.database.engine import Database, DatabaseUnavailable
from serving.database.records import NewLabel, add_label
from serving.database.tables import ApiKey, Checkpoint, Event, ScanNovelty
from serving.database.writer import ScanRecord, store_scans
from serving.learner import Learner, LeaseLost, check, replay, restore
from serving.learner_job import ADVICE, JOB
from tests.serving.models import HOSTILE
from tests.serving.records import record_of

WIDTH = 20


def records(number: int, seed: int = 1, flagged: float = 0.1) -> Iterator[ScanRecord]:
    """Scans with random rows; `flagged` is the share of malicious ones."""
    chance = random.Random(seed)
    pattern = record_of(HOSTILE, "x")
    for place in range(number):
        indices = sorted(chance.sample(range(WIDTH), 6))
        row = (indices, [chance.random() * 10 for _ in indices])
        verdict = "malicious" if chance.random() < flagged else "benign"
        yield record_of_pattern(pattern, f"{seed:08d}{place:024d}", verdict, row)


def record_of_pattern(
    pattern: ScanRecord, scan_id: str, verdict: str, row: tuple[list[int], list[float]]
) -> ScanRecord:
    values = {name: getattr(pattern, name) for name in ScanRecord.__slots__}
    return ScanRecord(**{**values, "id": scan_id, "verdict": verdict, "schema": "t", "width": WIDTH, "row": row})


def fill(database: Database, *parts: Iterator[ScanRecord]) -> None:
    with database.write() as connection:
        for part in parts:
            store_scans(connection, list(part))


def learn_all(database: Database, holder: str = "learner") -> Learner:
    learner = Learner(database, 30, holder)
    while learner.step():
        pass
    return learner


def stored_state(database: Database) -> tuple[int, bytes]:
    with database.read() as connection:
        query = sa.select(Checkpoint.event_id, Checkpoint.state).where(Checkpoint.reader == JOB)
        row = connection.execute(query).one()
    return row.event_id, zlib.decompress(row.state)


def drift(database: Database) -> list[dict[str, object]]:
    with database.read() as connection:
        return list(
            connection.execute(sa.select(Event.payload).where(Event.kind == "drift").order_by(Event.id)).scalars()
        )


def test_every_scan_is_learned_once_and_the_checkpoint_equals_a_replay(database: Database) -> None:
    fill(database, records(700))
    learn_all(database)
    with database.read() as connection:
        learned = connection.execute(sa.select(ScanNovelty.scan_id, ScanNovelty.novelty)).all()
        assert check(connection)
    assert len(learned) == 700
    assert 250 <= sum(novelty is None for _, novelty in learned) < 350, "flagged files do not count as usual ones"
    assert all(0 <= novelty <= 1 for _, novelty in learned if novelty is not None)


def test_a_restart_after_any_step_gives_the_state_of_one_run(
    database: Database, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BATCH", 64)
    fill(database, records(600))
    with database.read() as connection:
        last = connection.execute(sa.select(sa.func.max(Event.id))).scalar_one()
        whole = module._dump(replay(connection, last).to_state())
    # A learner of its own for every step, as if each had been killed after it.
    while Learner(database, 30, "learner").step():
        pass
    assert stored_state(database) == (last, whole)


def test_a_crash_between_reading_and_storing_loses_and_doubles_nothing(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BATCH", 50)
    fill(database, records(400))
    learner = Learner(database, 30, "learner")
    store = module._store
    calls = 0

    def failing(*arguments: object) -> None:
        nonlocal calls
        calls += 1
        store(*arguments)  # type: ignore[arg-type]
        if calls % 2:
            raise DatabaseUnavailable("the disk is full")

    monkeypatch.setattr(module, "_store", failing)
    for _ in range(40):
        try:
            if not learner.step():
                break
        except DatabaseUnavailable:
            continue
    with database.read() as connection:
        assert check(connection)
        assert connection.execute(sa.select(sa.func.count()).select_from(ScanNovelty)).scalar_one() == 400


def test_drift_is_stored_once_as_an_event_with_its_evidence(database: Database) -> None:
    fill(database, records(500, 1, flagged=0.02), records(400, 2, flagged=0.7))
    learn_all(database)
    alarms = drift(database)
    flagged = [alarm for alarm in alarms if alarm["stream"] == "flagged"]
    assert len(flagged) == 1
    assert flagged[0]["before"] < 0.2 < flagged[0]["after"]  # type: ignore[operator]
    assert len(flagged[0]["examples"]) == 5  # type: ignore[arg-type]
    learn_all(database)
    assert drift(database) == alarms


def test_a_checkpoint_that_cannot_be_read_is_made_anew_without_repeating_alarms(database: Database) -> None:
    fill(database, records(500, 1, flagged=0.02), records(400, 2, flagged=0.7))
    learn_all(database)
    before, alarms = stored_state(database), drift(database)
    for state in (b"not compressed", zlib.compress(b"{}"), zlib.compress(b'{"format": 2}')):
        with database.write() as connection:
            connection.execute(sa.update(Checkpoint).where(Checkpoint.reader == JOB).values(state=state))
        with database.read() as connection:
            model, last = restore(connection)
        assert (last, module._dump(model.to_state())) == before
    fill(database, records(10, 3))
    learn_all(database)
    assert drift(database) == alarms
    with database.read() as connection:
        assert check(connection)


def test_an_event_that_cannot_be_used_is_skipped_the_same_way_every_time(database: Database) -> None:
    fill(database, records(20, 1))
    damaged = [
        {},
        {"scan_id": "x", "verdict": "benign", "schema": "t", "width": WIDTH, "row": [[WIDTH], [1.0]]},
        {"scan_id": "x", "verdict": "benign", "schema": "t", "width": WIDTH, "row": [[0], []]},
        {"scan_id": "x", "verdict": "benign", "schema": "t", "width": 3, "row": [[0], [1.0]]},
        {"scan_id": "x", "verdict": "benign", "schema": "t", "width": "many", "row": [[], []]},
    ]
    with database.write() as connection:
        connection.execute(sa.insert(Event), [{"at": now(), "kind": "scan", "payload": payload} for payload in damaged])
    fill(database, records(20, 2))
    learn_all(database)
    with database.read() as connection:
        assert check(connection)
        assert connection.execute(sa.select(sa.func.count()).select_from(ScanNovelty)).scalar_one() == 40


def test_only_the_holder_of_the_lease_learns(database: Database) -> None:
    fill(database, records(10))
    learner = learn_all(database, "first")
    with pytest.raises(LeaseLost):
        Learner(database, 30, "second").step()
    learner.release()
    assert Learner(database, 30, "second").step() == 0
    with pytest.raises(LeaseLost):
        learner.step()


def test_a_holder_that_lost_its_lease_in_the_middle_of_a_batch_stores_nothing(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(database, records(10))
    learner = Learner(database, 30, "first")
    teach = module.teach

    def slow(*arguments: object) -> object:
        lessons = list(teach(*arguments))  # type: ignore[arg-type]
        with database.write() as connection:
            leases.release(connection, JOB, "first")
            leases.acquire(connection, JOB, "second", 30)
        return iter(lessons)

    monkeypatch.setattr(module, "teach", slow)
    with pytest.raises(LeaseLost):
        learner.step()
    with database.read() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(ScanNovelty)).scalar_one() == 0
        assert connection.execute(sa.select(sa.func.count()).select_from(Checkpoint)).scalar_one() == 0


def test_a_checkpoint_that_differs_from_the_log_is_noticed(database: Database, tmp_path: Path) -> None:
    fill(database, records(300))
    learn_all(database)
    _, state = stored_state(database)
    changed = json.loads(state)
    changed["recent"]["novelty"][0] = "another"
    with database.write() as connection:
        text = json.dumps(changed, sort_keys=True, separators=(",", ":"))
        connection.execute(
            sa.update(Checkpoint).where(Checkpoint.reader == JOB).values(state=zlib.compress(text.encode()))
        )
    with database.read() as connection:
        assert not check(connection)


def label(database: Database, scan_id: str, label: str, key: str = "ann") -> None:
    with database.write() as connection:
        known = connection.execute(sa.select(ApiKey.id).where(ApiKey.name == key)).scalar()
        number = auth.add_key(connection, "analyst", key, "")[0] if known is None else known
        add_label(connection, NewLabel(label, "r", scan_id=scan_id), number, key, "analyst")


def advice(database: Database) -> Advice:
    with database.read() as connection:
        query = sa.select(Checkpoint.state).where(Checkpoint.reader == ADVICE)
        return Advice.from_state(json.loads(zlib.decompress(connection.execute(query).scalar_one())))


def family(number: int, seed: int) -> Iterator[ScanRecord]:
    """Benign verdicts on different contents that name the same two unusual things."""
    for record in records(number, seed, flagged=0.0):
        values = {name: getattr(record, name) for name in ScanRecord.__slots__}
        yield ScanRecord(**{**values, "names": (7001, 7002), "sha256": record.id * 2, "score": 0.01})


def test_labels_teach_what_is_advised_and_each_replay_agrees(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BATCH", 40)
    fill(database, records(150, flagged=0.0), family(3, 5))
    bad = f"{5:08d}{0:024d}"
    label(database, bad, "malicious")
    while Learner(database, 30, "learner").step():  # another one for every step, as if each had been killed
        pass
    assert advice(database).raises([7001, 7002])
    with database.read() as connection:
        assert check(connection)
    fill(database, records(30, 9))
    label(database, bad, "retracted")
    learn_all(database)
    assert not advice(database).raises([7001, 7002])
    with database.read() as connection:
        assert check(connection)


def test_a_benign_label_that_waits_for_a_second_person_teaches_nothing(database: Database) -> None:
    fill(database, family(2, 5))
    with database.write() as connection:
        guarded = next(family(1, 6))
        values = {name: getattr(guarded, name) for name in ScanRecord.__slots__}
        store_scans(connection, [ScanRecord(**{**values, "guarded": True})])
    label(database, f"{5:08d}{0:024d}", "malicious")
    label(database, guarded.id, "benign")
    learn_all(database)
    assert advice(database).raises([7001, 7002])
    label(database, guarded.id, "benign", "ben")
    learn_all(database)
    assert not advice(database).raises([7001, 7002])


def test_those_who_scan_follow_the_advice_and_keep_it_when_a_new_one_is_damaged(database: Database) -> None:
    follower = AdviceFollower(database, 1.0)
    fill(database, records(100, flagged=0.0), family(2, 5))
    label(database, f"{5:08d}{0:024d}", "malicious")
    learn_all(database)
    assert not follower.raises([7001, 7002])
    follower.look()
    assert follower.raises([7001, 7002])
    with database.write() as connection:
        connection.execute(
            sa.update(Checkpoint).where(Checkpoint.reader == ADVICE).values(event_id=10**6, state=zlib.compress(b"{}"))
        )
    with pytest.raises(ValueError, match="damaged advice"):
        follower.look()
    assert follower.raises([7001, 7002])
