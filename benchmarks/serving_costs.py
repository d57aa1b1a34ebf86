"""What the parts of a scan by the service cost, in CPU time of one thread.

Runs the service's own code in this process, without HTTP, event loop and threads: what a request costs beyond the sum
is theirs, and ``benchmarks/serving_load.py`` measures whole requests::

    python -m benchmarks.serving_costs
"""

from __future__ import annotations

import asyncio
import dataclasses
import tempfile
import time
from collections.abc import Callable, Iterator

from benchmarks.serving_load import BATCH_BYTES, KEY, SINGLE_BYTES, numbered, small_pickle
from safepickle.scan import Scanner, trace_data
from serving.auth import Principal, add_key
from serving.bodies import Spool
from serving.database.clock import new_id, now
from serving.database.migrate import upgrade
from serving.database.writer import ScanRecord, store_scans
from serving.json_text import dump, load
from serving.known_answers import Scanned
from serving.labels import Standing
from serving.model_source import ModelInfo
from serving.runtime import Runtime, answer_of
from serving.scan_process import describe_report
from serving.settings import Settings

ROUNDS = 5
SECONDS = 0.3
"""Of each round."""
TOGETHER = (1, 8, 32, 128)
"""Scans of one transaction."""
MODEL = ModelInfo(version="1", origin="package", hash="", schema="", features=0, detectors=(), thresholds={})


def cost(work: Callable[[], object], each: int = 1) -> float:
    """Milliseconds of CPU for one of the `each` things that `work` does: the least of some rounds."""
    work()
    found = []
    for _ in range(ROUNDS):
        times = 0
        started, until = time.thread_time(), time.perf_counter() + SECONDS
        while time.perf_counter() < until:
            work()
            times += each
        found.append((time.thread_time() - started) / times * 1000)
    return min(found)


def received(data: bytes) -> Spool:
    """A body that came in one piece."""
    spool = Spool(1 << 20)
    try:
        spool.write(data).send(None)
    except StopIteration:
        return spool
    raise AssertionError("a small body waits for nothing")


class Parts:
    """The parts of a scan of one kind of file.

    Parameters
    ----------
    runtime
        With a database, not started.
    scanner
        With the model inside the package.
    size
        Bytes of a file, about.
    """

    def __init__(self, runtime: Runtime, scanner: Scanner, size: int) -> None:
        self.runtime = runtime
        self.scanner = scanner
        self.files = numbered(small_pickle(size))
        self.spool = received(next(self.files))
        with runtime.database.write() as connection:
            add_key(connection, "scanner", f"for {size} bytes", "", f"{KEY}-{size}")
        self.key = f"{KEY}-{size}"
        self.principal: Principal = runtime.authenticator.identify(self.key)
        self.record = self.recorded(self.described())

    def scan(self) -> object:
        """Read a file and judge it."""
        return self.scanner.report(trace_data(next(self.files), self.scanner.limits), "a.pkl")

    def described(self) -> Scanned:
        """What the scan process answers, as the worker has it."""
        report = self.scanner.report(trace_data(self.spool.content, self.scanner.limits), "a.pkl")
        header, trace = describe_report(self.scanner, report, self.spool.sha256)
        return {**header, "story": None}, trace, MODEL

    def recorded(self, scanned: Scanned) -> ScanRecord:
        """A scan as it is stored."""
        return self.runtime.record(self.principal, "a.pkl", self.spool, scanned)

    def store(self, number: int) -> None:
        """Store scans in one transaction."""
        records = [dataclasses.replace(self.record, id=new_id(at)) for at in [now()] * number]
        with self.runtime.database.write() as connection:
            store_scans(connection, records)

    def costs(self) -> Iterator[tuple[str, float]]:
        """What and milliseconds."""
        data, report = self.spool.content, self.scanner.report(trace_data(self.spool.content, self.scanner.limits), "")
        scanned = self.described()
        yield "who asks", cost(lambda: self.runtime.authenticator.recall(self.key))
        yield "the body, counted and hashed", cost(lambda: received(data).sha256)
        yield "the scan", cost(self.scan)
        yield "what is stored and learned of it", cost(lambda: describe_report(self.scanner, report, ""))
        yield "that as JSON, and read", cost(lambda: load(dump(scanned[0])))
        for number in TOGETHER:
            yield f"stored, {number} together", cost(lambda count=number: self.store(count), number)  # type: ignore[misc]
        known = Standing(None)
        yield "the answer", cost(lambda: dump(answer_of(self.recorded(scanned), known)))


def main() -> None:
    """Command line; see the module's docstring."""
    scanner = Scanner()
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(database_url=f"sqlite:///{folder}/serving.db", key_cache=3600.0)
        upgrade(settings.database_url)
        runtime = Runtime(settings)
        tables = [dict(Parts(runtime, scanner, size).costs()) for size in (SINGLE_BYTES, BATCH_BYTES)]
        asyncio.run(runtime.stop())
    print(f"{'ms of CPU, of a pickle of':34} {SINGLE_BYTES:>10} {BATCH_BYTES:>10} bytes")
    for what in tables[0]:
        print(f"{what:34} {tables[0][what]:10.3f} {tables[1][what]:10.3f}")


if __name__ == "__main__":
    main()
