"""Sends a served SafePickle real files and mutants of them, and looks for whatever must not happen.

No answer may be a server error, none may take forever, each scan that was answered must be in the log once, and the
processes must not grow. Without ``SAFEPICKLE_CORPUS`` the files are the generated ones of the fuzzers::

    python -m tests.serving.mutants [--mutants 100000] [--seed 1]

Files are bytes here and nothing else: none is loaded.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import os
import random
import sys
import tarfile
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import httpx

from tests.bytecode.generated import mutated
from tests.guided.seeds import seeds
from tests.serving.served import Served

BATCH_FILES = 250
BATCH_BYTES = 16 << 20
LARGEST_SEED = 64 * 1024
"""Bytes of a file that mutants are made of."""
ALONE = 20
"""One in so many mutants is scanned alone, the others in batches."""
EXPECTED = (200, 504)
"""Of a file: scanned; it took too long."""


class Sent:
    """What was sent and how it was answered."""

    def __init__(self) -> None:
        self.files = 0
        self.statuses: Counter[int] = Counter()
        self.verdicts: Counter[str] = Counter()
        self.scan_ids: list[str] = []
        self.slowest = 0.0
        self.wrong: list[str] = []

    def count(self, status: int, answer: dict[str, object]) -> None:
        """One file was answered."""
        self.statuses[status] += 1
        if status == 200:
            self.verdicts[str(answer["verdict"])] += 1
            self.scan_ids.append(str(answer["scan_id"]))
        elif status not in EXPECTED:
            self.wrong.append(f"{status}: {json.dumps(answer)[:300]}")

    def took(self, seconds: float) -> None:
        """One request was answered."""
        self.slowest = max(self.slowest, seconds)


def send_alone(client: httpx.Client, files: Iterable[bytes], sent: Sent) -> None:
    """Scan files one by one."""
    for data in files:
        started = time.monotonic()
        response = client.post("/v1/scan?name=sent.bin", content=data)
        sent.took(time.monotonic() - started)
        sent.files += 1
        sent.count(response.status_code, response.json())


def send_batches(client: httpx.Client, files: Iterable[bytes], sent: Sent) -> None:
    """Scan files as members of tar archives."""
    for group in _groups(files):
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive:
            for number, data in enumerate(group):
                member = tarfile.TarInfo(f"{number}.bin")
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
        started = time.monotonic()
        response = client.post(
            "/v1/scans:batch", content=packed.getvalue(), headers={"Content-Type": "application/x-tar"}
        )
        sent.took(time.monotonic() - started)
        sent.files += len(group)
        lines = [json.loads(line) for line in response.text.splitlines()]
        *answers, ending = lines
        for answer in answers:
            sent.count(answer["status"], answer.get("scan") or answer["problem"])
        if response.status_code != 200 or not ending.get("done") or len(answers) != len(group):
            sent.wrong.append(f"{response.status_code}: {len(answers)} answers to {len(group)} files; {ending}")


def mutants(files: Sequence[bytes], count: int, seed: int) -> Iterator[bytes]:
    """`count` mutants of those files that are small; the same for the same seed."""
    source = random.Random(seed)
    small = [data for data in files if 0 < len(data) <= LARGEST_SEED]
    for _ in range(count):
        data = mutated(source, source.choice(small), source.choice(small))
        yield data[: source.randrange(len(data) + 1)] if source.random() < 0.1 else data


def send_mutants(client: httpx.Client, files: Sequence[bytes], count: int, seed: int, sent: Sent) -> None:
    """Scan mutants, most of them in batches."""
    made = mutants(files, count, seed)
    while group := list(islice(made, ALONE * 50)):
        send_alone(client, group[::ALONE], sent)
        send_batches(client, (data for place, data in enumerate(group) if place % ALONE), sent)


def lost(served: Served, sent: Sent, before: tuple[int, int]) -> list[str]:
    """What is wrong with the log: each answered scan is stored once, with one event, and nothing else is."""
    scans, events = stored(served)
    found = {row[0] for row in served.query("SELECT id FROM scans")}
    missing = [scan_id for scan_id in sent.scan_ids if scan_id not in found]
    answered = len(sent.scan_ids)
    wrong = [f"{len(missing)} scans are not stored, such as {missing[0]}"] if missing else []
    if (scans - before[0], events - before[1]) != (answered, answered):
        wrong.append(f"{answered} scans were answered, {scans - before[0]} stored, with {events - before[1]} events")
    return wrong


def stored(served: Served) -> tuple[int, int]:
    """(scans, events of scans)."""
    ((scans, events),) = served.query("SELECT (SELECT count(*) FROM scans), count(*) FROM events WHERE kind = 'scan'")
    return scans, events


def memory(served: Served) -> dict[str, list[int]]:
    """Megabytes of private and shared memory of each worker and each scan process."""
    return {
        "workers": sorted(process.memory_info().rss >> 20 for process in served.workers()),
        "scan processes": sorted(process.memory_info().rss >> 20 for process in served.scanners()),
    }


def corpus_files() -> list[bytes]:
    """All files of the corpus that ``SAFEPICKLE_CORPUS`` names, or the generated ones."""
    folder = os.environ.get("SAFEPICKLE_CORPUS")
    if not folder:
        return seeds("all")
    with (Path(folder) / "manifest.csv").open(encoding="utf-8", newline="") as source:
        return [(Path(folder) / row["file"]).read_bytes() for row in csv.DictReader(source)]


def main() -> int:
    """Command line; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mutants", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    files = corpus_files()
    sent = Sent()
    with tempfile.TemporaryDirectory() as folder:
        served = Served(Path(folder), Path(folder) / "store", scan_processes=1, known_answers=0)
        served.start()
        try:
            with served.client() as client:
                client.timeout = httpx.Timeout(300)
                send_batches(client, files[:BATCH_FILES], Sent())  # what processes load once is loaded now
                before = stored(served)
                _report("at the start", served, sent)
                send_alone(client, files, sent)
                send_batches(client, files, sent)
                _report(f"{len(files)} files, alone and in batches", served, sent)
                for seed in range(options.seed, options.seed + 4):
                    send_mutants(client, files, options.mutants // 4, seed, sent)
                    _report("mutants", served, sent)
            wrong = [*sent.wrong, *lost(served, sent, before)]
            errors = [line for line in served.log.read_text().splitlines() if '"level": "error"' in line]
        finally:
            served.stop()
    print("\n".join([*wrong, *errors][:20]) or "nothing wrong: no server error, nothing lost")
    return bool(wrong or errors)


def _report(what: str, served: Served, sent: Sent) -> None:
    sizes = "; ".join(f"{name} {sizes} MB" for name, sizes in memory(served).items())
    print(f"{what}: {sent.files} files sent, statuses {dict(sorted(sent.statuses.items()))}, {sizes}")
    print(f"  verdicts {dict(sorted(sent.verdicts.items()))}, slowest request {sent.slowest:.1f} s", flush=True)


def _groups(files: Iterable[bytes]) -> Iterator[list[bytes]]:
    group: list[bytes] = []
    size = 0
    for data in files:
        group.append(data)
        size += len(data)
        if len(group) == BATCH_FILES or size > BATCH_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group


if __name__ == "__main__":
    sys.exit(main())
