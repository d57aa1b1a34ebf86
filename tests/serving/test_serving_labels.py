"""Which label of a file stands, and what is exported for the next training."""

from __future__ import annotations

import datetime
import hashlib
from pathlib import Path

import pandas as pd
import pytest

from pipelines import dataset
from safepickle.bytecode.trace import FileTrace
from serving import auth
from serving.database.clock import new_id, now
from serving.database.engine import Database
from serving.database.records import NewLabel, UnknownScan, add_label
from serving.database.writer import ScanRecord, store_scans
from serving.export import COLUMNS, export_labels
from serving.labels import Said, Standing, standing
from tests.serving.models import benign, hostile
from tests.serving.records import record_of

A, B, C = 1, 2, 3
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
    ],
)
def test_the_latest_label_of_the_highest_role_stands(
    labels: list[tuple[int, str, str]], label: str | None, conflict: bool
) -> None:
    found = said(*labels)
    assert (found.label, found.conflict) == (label, conflict)


class Desk:
    """Scans and labels files on a database."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.keys: dict[str, tuple[int, str]] = {}
        with database.write() as connection:
            for name, role in (("ann", "analyst"), ("ben", "analyst"), ("cleo", "admin")):
                self.keys[name] = (auth.add_key(connection, role, name, "")[0], role)

    def scan(self, data: bytes, name: str = "x.pkl") -> str:
        record: ScanRecord = record_of(data, name)
        with self.database.write() as connection:
            store_scans(connection, [record])
        return record.sha256

    def label(self, who: str, data: bytes, label: str) -> None:
        number, role = self.keys[who]
        with self.database.write() as connection:
            add_label(
                connection, NewLabel(label, "because", sha256=hashlib.sha256(data).hexdigest()), number, who, role
            )


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
