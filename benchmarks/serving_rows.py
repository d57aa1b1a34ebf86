"""How long lists take when the database holds millions of scans.

Fills a new database with generated scans, events, novelties, labels and drift alarms, serves SafePickle on it and asks
over HTTP what the API offers, each question many times with other values; prints the median and the longest time, and
the CPU time of the service and the database for one, which depends less on what else the machine does::

    python -m benchmarks.serving_rows --rows 10000000 [--postgresql]

It is SQLite in a temporary folder, or PostgreSQL on a server of its own (``initdb`` has to be installed). Ten million
rows take some minutes and 10 GB. Traces are left out: no list reads them.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import http.client
import random
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlencode

import psutil
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from benchmarks.serving_load import KEY, served
from serving.auth import add_key
from serving.database.engine import Database
from serving.database.migrate import upgrade
from serving.database.tables import Base
from tests.serving.postgres import Cluster

BATCH = 250_000
START = 1_750_000_000_000
LABELS_A_SCAN = 100
QUESTIONS = 30
SCANNER_KEY = "key-of-a-scanner-in-the-benchmark"
FILLED = ("scans", "events", "scan_novelties", "labels")
SERVER = {
    "shared_buffers": "512MB",
    "maintenance_work_mem": "512MB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "4GB",
}
"""Settings of PostgreSQL, of which most are for a quick fill."""

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
        # The first key has made all scans.
        add_key(connection, "scanner", "generated", "", SCANNER_KEY)
        add_key(connection, "admin", "asking", "", KEY)
        indexes = [index for name in FILLED for index in Base.metadata.tables[name].indexes]
        for index in indexes:
            index.drop(connection)
    for start in range(0, rows, BATCH):
        with database.write() as connection:
            if _is_postgresql(connection):
                # References need no check, and nobody else appends to the log.
                connection.execute(sa.text("SET LOCAL session_replication_role = replica"))
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
        f"INSERT INTO scan_novelties (scan_id, event_id, novelty) {numbers} SELECT {scan_id}, i + 1, 0.01 * (i % 97) "
        "FROM numbers",
        "INSERT INTO labels (at, scan_id, sha256, label, author_id, author, role, reason, model_version) "
        f"{numbers} SELECT {at}, {scan_id}, {sha256}, 'benign', 1, 'generated', 'analyst', 'known', '1' FROM numbers "
        f"WHERE i % {LABELS_A_SCAN} = 2",
    ]


def _text(*parts: str) -> str:
    """SQL for texts joined with expressions, in turn; SQLAlchemy takes a bare colon for a parameter."""
    return " || ".join(part if place % 2 else "'" + part.replace(":", "\\:") + "'" for place, part in enumerate(parts))


def questions(rows: int, chance: random.Random) -> dict[str, Callable[[], str]]:
    """Paths that are asked for, with values drawn anew at each call."""

    def scan_id() -> str:
        number = chance.randrange(rows)
        return f"{START + number:012x}{number:020x}"

    def sha256() -> str:
        number = chance.randrange(rows) // 5
        return f"{number * 2654435761 % 4294967296:032x}{number:032x}"

    def name() -> str:
        return f"model-{chance.randrange(5000)}.pkl"

    def moment() -> str:
        at = datetime.datetime.fromtimestamp((START + chance.randrange(rows)) / 1000, datetime.UTC)
        return at.isoformat()

    def asked(path: str, **equal: str) -> str:
        return f"/v1/{path}?" + urlencode({**equal, "limit": "50"})

    def listed(equal: Callable[[], dict[str, str]], before: bool = False) -> Callable[[], str]:
        return lambda: asked("scans", **equal(), **({"cursor": f"1.{scan_id()}"} if before else {}))

    return {
        "the latest scans": listed(dict),
        "scans from anywhere on": listed(dict, before=True),
        "by verdict, from anywhere on": listed(lambda: {"verdict": "malicious"}, before=True),
        "by a rare container": listed(lambda: {"container": "7z"}),
        "by hash": listed(lambda: {"sha256": sha256()}),
        "by name": listed(lambda: {"name": name()}),
        "by name and verdict": listed(lambda: {"name": name(), "verdict": "malicious"}),
        "by container, model and verdict": listed(
            lambda: {"container": "zip", "model_version": "1", "verdict": "malicious"}, before=True
        ),
        "own scans of one key": listed(lambda: {"verdict": "suspicious"}, before=True),
        "malicious before a moment": listed(lambda: {"until": moment(), "verdict": "malicious"}),
        "by a name and a verdict never met": listed(lambda: {"name": name(), "verdict": "incomplete"}),
        "one scan": lambda: f"/v1/scans/{scan_id()}",
        "labels": lambda: asked("labels"),
        "labels of a hash": lambda: asked("labels", sha256=sha256()),
        "labels before a moment": lambda: asked("labels", until=moment()),
        "labels of an author and kind": lambda: asked("labels", author="generated", label="malicious"),
        "labels of nobody": lambda: asked("labels", author="nobody"),
        "drift alarms": lambda: asked("drift"),
        "drift alarms before a moment": lambda: asked("drift", until=moment()),
        "audit log": lambda: asked("audit"),
        "the queue": lambda: "/v1/queue?limit=50",
        "metrics": lambda: "/metrics",
    }


OF_A_SCANNER = "own scans of one key"
PAUSES = {"metrics": 0.5}
"""Seconds between two requests: the queue is counted at most once in some seconds, and shall be counted."""


class Rows(NamedTuple):
    """A database that was filled: its address, and the id of its server's first process, None for SQLite."""

    url: str
    server: int | None


@contextlib.contextmanager
def filled(folder: Path, rows: int, postgresql: bool) -> Iterator[Rows]:
    """A database with so many scans, which is gone afterwards."""
    with contextlib.ExitStack() as stack:
        made = Rows(f"sqlite:///{folder}/serving.db", None)
        if postgresql:
            cluster = Cluster(folder, folder.parent, SERVER)
            stack.callback(cluster.close)
            cluster.start()
            made = Rows(cluster.new_database(), cluster.pid)
        else:
            upgrade(made.url)
        database = Database(made.url, 60)
        started = time.perf_counter()
        fill(database, rows)
        took = time.perf_counter() - started
        kind = database.engine.dialect.name
        print(f"{rows} scans on {kind}, {_size(database):.1f} GB, made in {took:.0f} s", flush=True)
        database.close()
        yield made


def _size(database: Database) -> float:
    """Gigabytes of a database."""
    if database.file is not None:
        return database.file.stat().st_size / 1e9
    with database.read() as connection:
        return float(connection.execute(sa.text("SELECT pg_database_size(current_database())")).scalar_one()) / 1e9


def ask(port: int, rows: int, pids: Sequence[int]) -> dict[str, float]:
    """Ask everything some times and print how long it took; return the longest of each in seconds.

    `pids` are the first processes of those whose CPU time is told.
    """
    longest: dict[str, float] = {}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    for what, path in questions(rows, random.Random(1)).items():
        seconds = []
        headers = {"X-API-Key": SCANNER_KEY if what == OF_A_SCANNER else KEY}
        used = _used(pids)
        for _ in range(QUESTIONS):
            time.sleep(PAUSES.get(what, 0))
            target = path()
            started = time.perf_counter()
            connection.request("GET", target, headers=headers)
            answer = connection.getresponse()
            body = answer.read()
            seconds.append(time.perf_counter() - started)
            if answer.status != 200:
                raise SystemExit(f"GET {target} was answered {answer.status}: {body[:300]!r}")
        work = (_used(pids) - used) / QUESTIONS
        longest[what] = max(seconds)
        median = sorted(seconds)[QUESTIONS // 2]
        print(
            f"{what:34} {median * 1000:7.1f} ms, at most {max(seconds) * 1000:7.1f} ms; {work * 1000:5.1f} ms of CPU",
            flush=True,
        )
    return longest


def _used(pids: Sequence[int]) -> float:
    """Seconds of CPU that processes with these ids and their descendants have used so far."""
    processes = [one for pid in pids for one in (psutil.Process(pid), *psutil.Process(pid).children(recursive=True))]
    used = 0.0
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            used += sum(process.cpu_times()[:2])
    return used


def main() -> None:
    """Command line; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--postgresql", action="store_true", help="default: SQLite")
    parser.add_argument("--folder", default=None, help="where the database's folder is made")
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(dir=options.folder))
        made = stack.enter_context(filled(Path(folder), options.rows, options.postgresql))
        # Ten million events would be new to the learner, which has nothing to do with what is measured.
        settings = {"SAFEPICKLE_DATABASE_URL": made.url, "SAFEPICKLE_LEARNER": "false"}
        port, pid = stack.enter_context(served("", settings))
        ask(port, options.rows, [pid] if made.server is None else [pid, made.server])


if __name__ == "__main__":
    main()
