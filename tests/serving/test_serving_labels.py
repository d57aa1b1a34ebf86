"""Which label of a file stands, and what is exported for the next training."""

from __future__ import annotations

import datetime
import hashlib
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from detectors.label_audit import audit
from pipelines import dataset
from safepickle.bytecode.trace import FileTrace
from serving import auth
from serving.database import candidates as candidates_module
from serving.database.candidates import load_candidates
from serving.database.clock import new_id, now
from serving.database.engine import Database
from serving.database.records import NewLabel, NothingToRetract, QuotaReached, UnknownScan, add_label
from serving.database.sources import audited_labels
from serving.database.writer import ScanRecord, store_scans
from serving.export import COLUMNS, export_labels
from serving.labels import LabelPolicy, Said, Standing, decision, standing
from tests.serving.models import benign, hostile
from tests.serving.records import record_of

A, B, C, D = 1, 2, 3, 4
MOMENT = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


def said(*labels: tuple[int, str, str]) -> Standing:
    """The standing label after (author, role, label), in this order."""
    return standing(
        Said(order, MOMENT + datetime.timedelta(minutes=order), label, author, role)
        for order, (author, role, label) in enumerate(labels)
    )


@pytest.mark.parametrize(
    ("labels", "label", "conflict"),
    [
        ([], None, False),
        ([(A, "analyst", "malicious")], "malicious", False),
        ([(A, "analyst", "malicious"), (A, "analyst", "benign")], "benign", False),
        ([(A, "analyst", "malicious"), (A, "analyst", "unsure")], None, False),
        ([(A, "analyst", "malicious"), (B, "analyst", "malicious")], "malicious", False),
        ([(A, "analyst", "malicious"), (B, "analyst", "benign")], None, True),
        ([(A, "analyst", "malicious"), (B, "analyst", "benign"), (B, "analyst", "malicious")], "malicious", False),
        ([(C, "admin", "benign"), (A, "analyst", "malicious"), (B, "analyst", "malicious")], "benign", False),
        ([(C, "admin", "unsure"), (A, "analyst", "malicious")], None, False),
        ([(A, "analyst", "benign"), (B, "analyst", "unsure")], None, False),
        ([(A, "analyst", "malicious"), (A, "analyst", "retracted")], None, False),
        ([(A, "analyst", "malicious"), (B, "analyst", "benign"), (A, "analyst", "retracted")], "benign", False),
        ([(C, "admin", "benign"), (A, "analyst", "malicious"), (C, "admin", "retracted")], "malicious", False),
        ([(A, "analyst", "retracted"), (A, "analyst", "malicious")], "malicious", False),
        ([(A, "analyst", "benign"), (B, "analyst", "benign"), (D, "analyst", "malicious")], None, True),
        ([(n, "analyst", "benign") for n in (A, B, C)] + [(D, "analyst", "malicious")], "benign", False),
        ([(n, "analyst", "malicious") for n in (A, B, C)] + [(D, "analyst", "unsure")], "malicious", False),
        ([(n, "analyst", "malicious" if n < 4 else "benign") for n in range(1, 7)], None, True),
    ],
)
def test_the_latest_label_of_the_highest_role_stands(
    labels: list[tuple[int, str, str]], label: str | None, conflict: bool
) -> None:
    found = said(*labels)
    assert (found.label, found.conflict) == (label, conflict)


def guarded(*labels: tuple[int, str, str, str]) -> Standing:
    """The standing label of a file that the floor calls malicious, after (author, person, role, label)."""
    return standing(
        [
            Said(order, MOMENT, label, author, role, person, guarded=True)
            for order, (author, person, role, label) in enumerate(labels)
        ],
        LabelPolicy(clearances=2),
    )


def test_one_person_cannot_clear_what_the_floor_calls_malicious_whatever_the_role_or_number_of_keys() -> None:
    once = guarded((A, "ann", "admin", "benign"))
    assert (once.label, once.pending) == (None, "benign")
    assert guarded((A, "ann", "analyst", "benign"), (B, "Ann", "analyst", "benign")).label is None
    assert guarded((A, "ann", "admin", "benign"), (B, "ben", "analyst", "benign")).label == "benign"
    assert guarded((A, "ann", "analyst", "malicious")).label == "malicious"
    assert guarded((A, "ann", "admin", "benign"), (B, "ben", "analyst", "malicious")).pending == "benign"


def test_a_retraction_by_number_takes_back_what_another_person_said() -> None:
    labels = [
        Said(1, MOMENT, "benign", A, "analyst", "ann"),
        Said(2, MOMENT, "malicious", B, "analyst", "ben"),
        Said(3, MOMENT, "retracted", C, "admin", "cleo", retracts=1),
    ]
    assert standing(labels).label == "malicious"
    assert standing(labels[:2]).conflict


@pytest.mark.parametrize(
    ("known", "wanted"),
    [
        (Standing(None), ("malicious", "model")),
        (Standing("benign", "admin", MOMENT), ("benign", "label")),
        (Standing(None, "admin", MOMENT, pending="benign"), ("malicious", "model")),
        (Standing(None, "analyst", MOMENT, conflict=True), ("malicious", "model")),
    ],
)
def test_a_known_answer_decides_only_when_a_label_stands(known: Standing, wanted: tuple[str, str]) -> None:
    assert decision("malicious", known) == wanted


class Desk:
    """Scans and labels files on a database."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.keys: dict[str, tuple[int, str]] = {}
        with database.write() as connection:
            for name, role in (("ann", "analyst"), ("ben", "analyst"), ("cleo", "admin")):
                self.keys[name] = (auth.add_key(connection, role, name, "")[0], role)

    def scan(self, data: bytes, name: str = "x.pkl", **changes: object) -> str:
        record: ScanRecord = record_of(data, name, **changes)
        with self.database.write() as connection:
            store_scans(connection, [record])
        return record.sha256

    def label(
        self, who: str, data: bytes, label: str, retracts: int | None = None, quota: int | None = None
    ) -> dict[str, Any]:
        number, role = self.keys[who]
        sha256 = hashlib.sha256(data).hexdigest()
        new = NewLabel(label, "because", sha256=sha256, evidence="ticket 7", retracts=retracts)
        with self.database.write() as connection:
            return add_label(connection, new, number, who, role, quota)


@pytest.fixture
def desk(database: Database) -> Desk:
    return Desk(database)


def test_an_export_holds_the_standing_labels_with_their_traces(desk: Desk, tmp_path: Path) -> None:
    good, bad, disputed, unsure = benign(1), hostile(1), hostile(2), hostile(3)
    for data in (good, bad, disputed, unsure):
        desk.scan(data)
    desk.label("ann", good, "malicious")
    desk.label("cleo", good, "benign")
    desk.label("ann", bad, "malicious")
    desk.label("ann", disputed, "malicious")
    desk.label("ben", disputed, "benign")
    desk.label("ann", unsure, "unsure")
    out = tmp_path / "feedback" / "labels.parquet"
    with desk.database.read() as connection:
        done = export_labels(connection, out)
    frame = pd.read_parquet(out)
    assert tuple(frame.columns) == COLUMNS
    assert dict(zip(frame["sha256"], frame["label"], strict=True)) == {
        hashlib.sha256(good).hexdigest(): "benign",
        hashlib.sha256(bad).hexdigest(): "malicious",
    }
    assert list(frame["sha256"]) == sorted(frame["sha256"])
    assert done.rows == 2
    assert done.conflicts == (hashlib.sha256(disputed).hexdigest(),)
    assert done.unsure == (hashlib.sha256(unsure).hexdigest(),)
    for text in frame["trace"]:
        assert "inert" not in text
        assert FileTrace.from_json(text).to_json() == text


def test_the_pipeline_reads_an_export(desk: Desk, tmp_path: Path) -> None:
    desk.scan(hostile(1))
    desk.label("ann", hostile(1), "malicious")
    with desk.database.read() as connection:
        export_labels(connection, tmp_path / "labels.parquet")
    assert COLUMNS == dataset.COLUMNS
    assert list(dataset.read(tmp_path / "labels.parquet")["label"]) == ["malicious"]


def test_without_labels_an_export_is_an_empty_dataset(desk: Desk, tmp_path: Path) -> None:
    with desk.database.read() as connection:
        assert export_labels(connection, tmp_path / "labels.parquet").rows == 0
    assert len(dataset.read(tmp_path / "labels.parquet")) == 0


def test_an_export_is_the_same_bytes_whatever_the_order_of_the_labels(desk: Desk, tmp_path: Path) -> None:
    exports = []
    for files in ([hostile(1), benign(1), hostile(2)], []):
        for data in files:
            desk.scan(data)
            desk.label("ann", data, "malicious")
        with desk.database.read() as connection:
            export_labels(connection, tmp_path / "labels.parquet")
        exports.append((tmp_path / "labels.parquet").read_bytes())
        desk.label("ben", hostile(2), "malicious")
        desk.scan(hostile(2))
    assert exports[0] == exports[1]


def test_variants_of_one_file_share_a_group_and_other_files_do_not(desk: Desk, tmp_path: Path) -> None:
    for data in (hostile(1), hostile(2), benign(1)):
        desk.scan(data)
        desk.label("ann", data, "malicious")
    with desk.database.read() as connection:
        export_labels(connection, tmp_path / "labels.parquet")
    groups = dict(pd.read_parquet(tmp_path / "labels.parquet")[["sha256", "group"]].to_numpy())
    first, second, other = (groups[hashlib.sha256(data).hexdigest()] for data in (hostile(1), hostile(2), benign(1)))
    assert first == second != other


def test_a_failed_export_leaves_the_earlier_one(desk: Desk, tmp_path: Path) -> None:
    out = tmp_path / "labels.parquet"
    with desk.database.read() as connection:
        export_labels(connection, out)
        before = out.read_bytes()
        blocked = tmp_path / "file"
        blocked.write_text("")
        with pytest.raises(OSError, match="file"):
            export_labels(connection, blocked / "labels.parquet")
    assert out.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".part")] == []


def test_a_file_without_a_readable_trace_is_reported_and_left_out(desk: Desk, tmp_path: Path) -> None:
    record = record_of(hostile(1), "x", trace=b"damaged")
    with desk.database.write() as connection:
        store_scans(connection, [record])
    desk.label("ann", hostile(1), "malicious")
    with desk.database.read() as connection:
        done = export_labels(connection, tmp_path / "labels.parquet")
    assert (done.rows, done.untraced) == (0, (record.sha256,))


def test_a_label_by_hash_belongs_to_the_latest_scan(desk: Desk) -> None:
    desk.scan(hostile(1))
    latest = record_of(hostile(1), "y", id=new_id(), at=now() + datetime.timedelta(seconds=1), model_version="later")
    number, role = desk.keys["ann"]
    with desk.database.write() as connection:
        store_scans(connection, [latest])
        stored = add_label(connection, NewLabel("benign", "r", sha256=latest.sha256), number, "ann", role)
    assert (stored["scan_id"], stored["model_version"]) == (latest.id, "later")


def test_a_label_for_an_unknown_scan_is_an_error(desk: Desk) -> None:
    number, role = desk.keys["ann"]
    with pytest.raises(UnknownScan), desk.database.write() as connection:
        add_label(connection, NewLabel("benign", "r", scan_id="nothing"), number, "ann", role)


def test_a_label_keeps_what_the_model_said_and_what_the_person_points_to(desk: Desk) -> None:
    desk.scan(hostile(1), floor=0.97, guarded=True)
    stored = desk.label("ann", hostile(1), "malicious")
    assert stored["evidence"]["given"] == "ticket 7"
    assert (stored["evidence"]["verdict"], stored["evidence"]["floor"]) == ("malicious", 0.97)
    assert stored["evidence"]["rules"]
    assert (stored["guarded"], stored["role"], stored["model_version"]) == (True, "analyst", "1")


def test_a_benign_label_that_waits_for_a_second_person_is_not_exported(desk: Desk, tmp_path: Path) -> None:
    sha256 = desk.scan(hostile(1), guarded=True)
    desk.label("cleo", hostile(1), "benign")
    for rows, pending in ((0, (sha256,)), (1, ())):
        with desk.database.read() as connection:
            done = export_labels(connection, tmp_path / "labels.parquet")
        assert (done.rows, done.pending) == (rows, pending)
        desk.label("ann", hostile(1), "benign")


def test_only_an_admin_takes_back_what_another_person_said(desk: Desk) -> None:
    desk.scan(hostile(1))
    first = desk.label("ann", hostile(1), "benign")["label_id"]
    for who, retracts in (("ben", first), ("ben", None), ("cleo", first + 100)):
        with pytest.raises(NothingToRetract):
            desk.label(who, hostile(1), "retracted", retracts)
    assert desk.label("cleo", hostile(1), "retracted", first)["retracts"] == first
    with pytest.raises(NothingToRetract):
        desk.label("ann", hostile(1), "retracted")


def test_a_key_gives_no_more_labels_an_hour_than_its_quota(desk: Desk) -> None:
    for number in range(3):
        desk.scan(hostile(number))
        desk.label("ann", hostile(number), "malicious", quota=3)
    with pytest.raises(QuotaReached):
        desk.label("ann", hostile(0), "benign", quota=3)
    desk.label("ben", hostile(0), "benign", quota=3)


def test_people_are_asked_about_what_no_label_stands_for(desk: Desk) -> None:
    names = {desk.scan(hostile(number), guarded=number == 3): number for number in range(5)}
    desk.label("ann", hostile(0), "malicious")
    desk.label("ann", hostile(1), "malicious")
    desk.label("ben", hostile(1), "benign")
    desk.label("ann", hostile(2), "unsure")
    desk.label("ann", hostile(3), "benign")
    with desk.database.read() as connection:
        candidates, shown = load_candidates(connection, 100)
    assert {names[found.sha256]: found.contested for found in candidates} == {1: True, 3: True, 4: False}
    assert set(shown) == {found.scan_id for found in candidates}


def test_labels_of_a_person_that_the_audit_doubts_are_not_exported_until_an_admin_says_the_same(
    desk: Desk, tmp_path: Path
) -> None:
    def export() -> tuple[int, int]:
        with desk.database.read() as connection:
            done = export_labels(connection, tmp_path / "labels.parquet")
        return done.rows, len(done.quarantined)

    for number in range(12):
        desk.scan(hostile(number))
        desk.label("ann", hostile(number), "malicious")
    assert export() == (12, 0)
    for number in range(20, 28):
        desk.scan(hostile(number))
        desk.label("ben", hostile(number), "benign")
    with desk.database.read() as connection:
        first = audit(audited_labels(connection))[0]
    assert first.person == "ben"
    assert any("contradicts the model in 8 of 8" in reason for reason in first.suspicions)
    assert export() == (12, 8)
    desk.label("cleo", hostile(20), "benign")
    assert export() == (13, 7)


def test_what_was_taken_back_is_not_audited(desk: Desk) -> None:
    desk.scan(hostile(1))
    desk.label("ann", hostile(1), "benign")
    desk.label("ann", hostile(1), "retracted")
    with desk.database.read() as connection:
        assert audited_labels(connection) == []


def test_of_many_files_people_are_asked_about_the_newest_and_of_the_others_the_doubtful_ones(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(candidates_module, "NEWEST", 2)
    monkeypatch.setattr(candidates_module, "PRESSING", 2)
    changes: list[dict[str, Any]] = [
        {"score": 0.0}, {"complete": False}, {"score": 0.45}, {"score": 0.99}, {"score": 0.5}, {"score": 0.1},
        {"score": 0.2}, {"score": 0.0},
    ]  # fmt: skip
    start = now()
    names = {}
    for number, change in enumerate(changes):
        at = start + datetime.timedelta(seconds=number)
        names[desk.scan(hostile(number), at=at, id=new_id(at), **change)] = number
    # What is labelled takes no place from what is not.
    desk.label("ann", hostile(4), "malicious")
    desk.label("ann", hostile(6), "malicious")
    with desk.database.read() as connection:
        found, _ = load_candidates(connection)
    assert sorted(names[one.sha256] for one in found) == [1, 2, 5, 7]
