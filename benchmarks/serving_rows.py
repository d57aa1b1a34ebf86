"""How long lists take when the database holds millions of scans.

Fills a new database with generated scans, events, labels and drift alarms, then asks what the API and the console ask,
each question many times with other values, and prints the median and the longest::

    python -m benchmarks.serving_rows --rows 10000000 [--url postgresql://...]

Without ``--url`` it is SQLite in a temporary folder. Ten million rows take some minutes and 10 GB.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections.abc import Callable

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from serving.database.candidates import load_candidates
from serving.database.engine import Database
from serving.database.listing import Span, learned_until, list_audit, list_drift, list_labels, list_scans
from serving.database.migrate import upgrade
from serving.database.records import UnknownScan, load_scan
from serving.database.tables import Base
from serving.queue import rank

BATCH = 250_000
START = 1_750_000_000_000
LABELS_A_SCAN = 100
QUESTIONS = 30
THRESHOLDS = {"suspicious": 0.3, "malicious": 0.9}
FILLED = ("scans", "events", "labels")

# Names for what the two databases spell differently: hexadecimal digits, and a moment from milliseconds.
_WORDS = {
    "sqlite": {
        "hex": "printf('%0{digits}x', {value})",
        "moment": "strftime('%Y-%m-%d %H\\:%M\\:%f000', {value} / 1000.0, 'unixepoch')",
    },
    "postgresql": {
        "hex": "lpad(to_hex(CAST({value} AS bigint)), {digits}, '0')",
        "moment": "to_timestamp({value} / 1000.0)",
    },
}


def fill(database: Database, rows: int) -> None:
    """Generate `rows` scans, one a millisecond: one in a hundred is not benign, five contents are shared by two."""
    with database.write() as connection:
        connection.execute(sa.text(_key(connection)))
        indexes = [index for name in FILLED for index in Base.metadata.tables[name].indexes]
        for index in indexes:
            index.drop(connection)
    for start in range(0, rows, BATCH):
        with database.write() as connection:
            for statement in _statements(connection.dialect.name):
                connection.execute(sa.text(statement), {"first": start, "last": min(start + BATCH, rows) - 1})
    with database.write() as connection:
        if _is_postgresql(connection):
            connection.execute(sa.text("SET LOCAL statement_timeout = 0"))
        for index in indexes:
            index.create(connection)
    if _is_postgresql(database.engine):
        with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(sa.text("SET statement_timeout = 0"))
            connection.execute(sa.text("VACUUM ANALYZE"))


def _is_postgresql(connection: Connection | sa.Engine) -> bool:
    return connection.dialect.name == "postgresql"


def _key(connection: Connection) -> str:
    moment = _WORDS[connection.dialect.name]["moment"].format(value=START)
    return (
        "INSERT INTO api_keys (name, role, handle, digest, created_at) "
        f"VALUES ('generated', 'analyst', 'generated', 'none', {moment})"
    )


def _statements(dialect: str) -> list[str]:
    """Inserts of the rows from :first to :last."""
    words = _WORDS[dialect]

    def hexadecimal(digits: int, value: str) -> str:
        return words["hex"].format(digits=digits, value=value)

    at = words["moment"].format(value=f"({START} + i)")
    scan_id = f"{hexadecimal(12, f'({START} + i)')} || {hexadecimal(20, 'i')}"
    # A multiplier with no factor in common with 2**32 scatters contents over the index.
    sha256 = f"{hexadecimal(32, '(i / 5 * 2654435761) % 4294967296')} || {hexadecimal(32, 'i / 5')}"
    verdict = "CASE WHEN i % 100 = 0 THEN 'malicious' WHEN i % 100 = 1 THEN 'suspicious' ELSE 'benign' END"
    container = "CASE WHEN i % 1000000 = 7 THEN '7z' WHEN i % 3 = 0 THEN 'zip' ELSE 'pickle' END"
    kind = "CASE WHEN i % 100000 = 0 THEN 'drift' ELSE 'scan' END"
    event = _text('{"scan_id":"', scan_id, '","verdict":"benign","schema":"1","width":300,"row":[[],[]]}')
    numbers = (
        "WITH RECURSIVE numbers(i) AS "
        "(SELECT CAST(:first AS bigint) UNION ALL SELECT i + 1 FROM numbers WHERE i < CAST(:last AS bigint))"
    )
    json = "json" if dialect == "postgresql" else "text"
    detectors = _text('{"random_forest":0.5,"distance":0.25}')
    return [
        "INSERT INTO scans (id, at, sha256, size, name, container, verdict, score, complete, model_version, "
        f"api_key_id, findings, detectors, oddities, shape) {numbers} SELECT {scan_id}, {at}, {sha256}, 4096, "
        f"'model-' || (i % 5000) || '.pkl', {container}, {verdict}, 0.01 * (i % 100), i % 500 <> 3, "
        f"CAST(1 + i / 4000000 AS varchar), 1, '[]', CAST({detectors} AS {json}), '[]', "
        f"{hexadecimal(16, 'i % 100000')} FROM numbers",
        f"INSERT INTO events (at, kind, payload) {numbers} SELECT {at}, {kind}, CAST({event} AS {json}) FROM numbers",
        "INSERT INTO labels (at, scan_id, sha256, label, author_id, author, role, reason, model_version) "
        f"{numbers} SELECT {at}, {scan_id}, {sha256}, 'benign', 1, 'generated', 'analyst', 'known', '1' FROM numbers "
        f"WHERE i % {LABELS_A_SCAN} = 2",
    ]


def _text(*parts: str) -> str:
    """SQL for texts joined with expressions, in turn; SQLAlchemy takes a bare colon for a parameter."""
    return " || ".join(part if place % 2 else "'" + part.replace(":", "\\:") + "'" for place, part in enumerate(parts))


def questions(rows: int, chance: random.Random) -> dict[str, Callable[[Connection], object]]:
    """What is asked, with values drawn anew at each call."""

    def scan_id() -> str:
        number = chance.randrange(rows)
        return f"{START + number:012x}{number:020x}"

    def sha256() -> str:
        number = chance.randrange(rows) // 5
        return f"{number * 2654435761 % 4294967296:032x}{number:032x}"

    def name() -> str:
        return f"model-{chance.randrange(5000)}.pkl"

    def listed(equal: Callable[[], dict[str, str | int]], before: bool = False) -> Callable[[Connection], object]:
        return lambda connection: list_scans(connection, equal(), Span(), scan_id() if before else None, 50)

    def shown(connection: Connection) -> object:
        try:
            return load_scan(connection, scan_id())
        except UnknownScan:
            raise SystemExit("a generated scan is missing") from None

    return {
        "the latest scans": listed(lambda: {}),
        "scans from anywhere on": listed(lambda: {}, before=True),
        "by verdict, from anywhere on": listed(lambda: {"verdict": "malicious"}, before=True),
        "by a rare container": listed(lambda: {"container": "7z"}),
        "by hash": listed(lambda: {"sha256": sha256()}),
        "by name": listed(lambda: {"name": name()}),
        "by name and verdict": listed(lambda: {"name": name(), "verdict": "malicious"}),
        "by container, model and verdict": listed(
            lambda: {"container": "zip", "model_version": "1", "verdict": "malicious"}, before=True
        ),
        "own scans of one key": listed(lambda: {"api_key_id": 1, "verdict": "suspicious"}, before=True),
        "one scan": shown,
        "labels": lambda connection: list_labels(connection, {}, Span(), None, 50),
        "drift alarms": lambda connection: list_drift(connection, Span(), None, 50),
        "audit log": lambda connection: list_audit(connection, {}, Span(), None, 50),
        "how far the learner is": learned_until,
        "the queue": lambda connection: rank(load_candidates(connection)[0], THRESHOLDS, 50),
    }


def main() -> None:
    """Command line; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--url", default="", help="of an empty database; default: SQLite in a temporary folder")
    parser.add_argument("--folder", default=None, help="where that temporary folder is made")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        url = options.url or f"sqlite:///{folder}/serving.db"
        upgrade(url)
        database = Database(url, 60)
        started = time.perf_counter()
        fill(database, options.rows)
        size = f", {database.file.stat().st_size / 1e9:.1f} GB" if database.file else ""
        took = time.perf_counter() - started
        print(f"{options.rows} scans on {database.engine.dialect.name}{size}, made in {took:.0f} s", flush=True)
        ask(database, options.rows)
        database.close()


def ask(database: Database, rows: int) -> dict[str, float]:
    """Ask everything some times and print how long it took; return the longest of each in seconds."""
    longest: dict[str, float] = {}
    for what, question in questions(rows, random.Random(1)).items():
        seconds, work = [], []
        for _ in range(QUESTIONS):
            with database.read() as connection:
                started, used = time.perf_counter(), time.process_time()
                question(connection)
                seconds.append(time.perf_counter() - started)
                work.append(time.process_time() - used)
        longest[what] = max(seconds)
        median = QUESTIONS // 2
        print(f"{what:32} {sorted(seconds)[median] * 1000:8.2f} ms, at most {max(seconds) * 1000:8.2f} ms; ", end="")
        print(f"{sorted(work)[median] * 1000:8.2f} ms of this process", flush=True)
    return longest


if __name__ == "__main__":
    main()
