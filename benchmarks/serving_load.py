"""Requests a second and latencies of a served SafePickle, on this machine.

Starts ``bentoml serve`` with two workers on a database and a port of its own and prints the rates of a bare answer
(``/healthz``), of scans of one 5 kB pickle over and over, of scans of 5 kB pickles that are all different, on some
connections that stay open, and of batches of small files that are all different::

    python benchmarks/serving_load.py [--seconds 5] [--connections 16] [--registry FOLDER]

The client shares the cores with the service, so rates are a lower bound; CPU time a request depends less on what
else the machine does.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import io
import itertools
import json
import os
import pickle
import random
import signal
import socket
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path

import psutil

KEY = "key-of-the-load-benchmark"
ROOT = Path(__file__).resolve().parent.parent
SERIAL = b"000000000000"
SINGLE_BYTES = 5000
BATCH_BYTES = 1000
BATCH_FILES = 5000
BATCHES = 4
ROUNDS = 3
START_SECONDS = 60.0
MARKS = {
    "workers": "_bentoml_impl.worker.service",
    "scan processes": '"serving.scan_process"',
    "learner": '"serving.learner"',
}
SERVE = (sys.executable, "-m", "bentoml", "serve", "serving.service:SafePickleService")


class Connection(asyncio.Protocol):
    """One connection that sends the next request as soon as the answer to the one before has come."""

    def __init__(self, requests: Iterator[bytes], until: float) -> None:
        self.requests = requests
        self.until = until
        self.seconds: list[float] = []
        self.failures = 0
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._buffer = b""
        self._sent = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, blank, rest = self._buffer.partition(b"\r\n\r\n")
        if not blank:
            return
        length = next(int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
        if len(rest) < length:
            return
        self._buffer = rest[length:]
        self.seconds.append(time.perf_counter() - self._sent)
        self.failures += not head.startswith(b"HTTP/1.1 200")
        if time.perf_counter() < self.until:
            self._send()
        else:
            self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.closed.done():
            self.closed.set_result(None)

    def _send(self) -> None:
        self._sent = time.perf_counter()
        self._transport.write(next(self.requests))


async def load(port: int, requests: Iterator[bytes], connections: int, seconds: float) -> tuple[list[float], int]:
    """Latencies in seconds, sorted, and the number of answers other than 200."""
    until = time.perf_counter() + seconds
    loop = asyncio.get_running_loop()
    started = [
        (await loop.create_connection(lambda: Connection(requests, until), "127.0.0.1", port))[1]
        for _ in range(connections)
    ]
    await asyncio.gather(*(connection.closed for connection in started))
    latencies = sorted(second for connection in started for second in connection.seconds)
    return latencies, sum(connection.failures for connection in started)


def small_pickle(size: int) -> bytes:
    """A pickle of about `size` bytes, a dictionary of names and numbers; :data:`SERIAL` in it may be any digits."""
    chance = random.Random(1)
    layers = {f"layer.{i}.weight": [chance.randrange(1 << 30) for _ in range(12)] for i in range(max(1, size // 100))}
    return pickle.dumps({"serial": SERIAL.decode(), **layers}, protocol=4)


def numbered(data: bytes) -> Iterator[bytes]:
    """The same data with another number in it each time, so that no content comes twice."""
    before, after = data.split(SERIAL)
    return (before + b"%012d" % number + after for number in itertools.count(time.monotonic_ns() // 1000 % 10**11))


def scans(data: Iterator[bytes]) -> Iterator[bytes]:
    """Requests that scan one file after another."""
    for body in data:
        head = (
            f"POST /v1/scan?name=a.pkl HTTP/1.1\r\nHost: x\r\nX-API-Key: {KEY}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        yield head.encode() + body


def batch(data: Iterator[bytes], files: int) -> bytes:
    """A request with many files as a tar archive, that closes its connection."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for number, body in enumerate(itertools.islice(data, files)):
            member = tarfile.TarInfo(f"{number}.pkl")
            member.size = len(body)
            archive.addfile(member, io.BytesIO(body))
    body = packed.getvalue()
    head = (
        f"POST /v1/scans:batch HTTP/1.1\r\nHost: x\r\nX-API-Key: {KEY}\r\nContent-Type: application/x-tar\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body


async def load_batches(port: int, requests: list[bytes]) -> int:
    """Send batches at the same time and read their answers; return how many files were scanned."""

    async def one(request: bytes) -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 22)

        async def send() -> None:
            writer.write(request)
            await writer.drain()

        sending = asyncio.create_task(send())
        last = b""
        while line := await reader.readline():
            if line.startswith(b'{"done"'):
                last = line
        await sending
        writer.close()
        ending = json.loads(last)
        if not ending["done"]:
            raise SystemExit(f"a batch ended early: {ending}")
        return int(ending["scanned"])

    return sum(await asyncio.gather(*(one(request) for request in requests)))


@contextlib.contextmanager
def served(registry: str, settings: Mapping[str, str] | None = None) -> Iterator[tuple[int, int]]:
    """A service of its own, with other settings if any are given; yields its port and the id of its first process."""
    with tempfile.TemporaryDirectory() as folder, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
        probe.close()
        environment = {
            **os.environ,
            "SAFEPICKLE_DATABASE_URL": f"sqlite:///{folder}/serving.db",
            "SAFEPICKLE_ADMIN_KEY": KEY,
            "SAFEPICKLE_WORKERS": "2",
            "BENTOML_DO_NOT_TRACK": "True",
            "BENTOML_HOME": f"{folder}/bentoml",
            **({"SAFEPICKLE_REGISTRY": os.path.abspath(registry)} if registry else {}),
            **(settings or {}),
        }
        service = subprocess.Popen(
            [*SERVE, "--host", "127.0.0.1", "--port", str(port)],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.DEVNULL,
        )
        try:
            _wait(port)
            if environment.get("SAFEPICKLE_LEARNER") != "false":
                _wait_for_learner(port)
            yield port, service.pid
        finally:
            service.send_signal(signal.SIGINT)
            service.wait(30)


def processor_seconds(pid: int) -> dict[str, float]:
    """CPU time that the descendants of a process have used, by what they are."""
    used = dict.fromkeys(MARKS, 0.0)
    for process in psutil.Process(pid).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            for kind, mark in MARKS.items():
                if mark in process.cmdline():
                    used[kind] += sum(process.cpu_times()[:2])
    return used


def each(before: dict[str, float], after: dict[str, float], requests: int) -> dict[str, float]:
    """Milliseconds of CPU for one request, by process; without the learner, which works on what was answered."""
    return {kind: (after[kind] - before[kind]) / requests * 1000 for kind in MARKS if kind != "learner"}


def parts(costs: dict[str, float]) -> str:
    """Those in words."""
    told = ", ".join(f"{cost:.2f} {kind}" for kind, cost in costs.items())
    return f"{sum(costs.values()):.2f} ms CPU each ({told})"


def _wait(port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2).close()
            return
        except (urllib.error.URLError, OSError):
            if time.monotonic() > deadline:
                raise SystemExit("the service did not become ready; see what it printed") from None
            time.sleep(0.2)


def _wait_for_learner(port: int) -> None:
    """Scan a file and wait until it is learned: the imports of the learner's process would be in all figures."""
    base, headers = f"http://127.0.0.1:{port}", {"X-API-Key": KEY}
    request = urllib.request.Request(f"{base}/v1/scan", small_pickle(100), headers)
    urllib.request.urlopen(request, timeout=30).close()
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        request = urllib.request.Request(f"{base}/v1/drift", headers=headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            if json.load(answer)["learned"]["event_id"] is not None:
                return
        time.sleep(0.2)
    raise SystemExit("the learner did not begin; see what the service printed")


def _percentile(latencies: list[float], share: float) -> float:
    return latencies[min(len(latencies) - 1, int(len(latencies) * share))] * 1000


def _measure_batches(port: int, pid: int) -> None:
    data = numbered(small_pickle(BATCH_BYTES))
    asyncio.run(load_batches(port, [batch(data, 200)]))
    requests = [batch(data, BATCH_FILES) for _ in range(BATCHES)]
    before, started = processor_seconds(pid), time.perf_counter()
    scanned = asyncio.run(load_batches(port, requests))
    took = time.perf_counter() - started
    costs = each(before, processor_seconds(pid), scanned)
    size = len(next(data))
    print(f"{'batches':12} {scanned / took:8.0f} files/s, {parts(costs)}; ", end="")
    print(f"{BATCHES} of {BATCH_FILES} new files of {size} bytes")


def main() -> None:
    """Command line; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=12.0)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--registry", default="", help="store whose champion scans; default: the service's default")
    options = parser.parse_args()
    body = small_pickle(SINGLE_BYTES)
    kinds = {
        "bare answer": itertools.repeat(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"),
        "same file": scans(itertools.repeat(body)),
        "new files": scans(numbered(body)),
    }
    rates: dict[str, list[float]] = {}
    costs: dict[str, list[float]] = {}
    with served(options.registry) as (port, pid):
        for requests in kinds.values():
            asyncio.run(load(port, requests, options.connections, 1.0))
        # In turn, and more than once: what else the machine does is then spread over all of them.
        for _ in range(ROUNDS):
            for kind, requests in kinds.items():
                before = processor_seconds(pid)
                seconds = options.seconds / ROUNDS
                latencies, failures = asyncio.run(load(port, requests, options.connections, seconds))
                used = each(before, processor_seconds(pid), len(latencies))
                rates.setdefault(kind, []).append(len(latencies) / seconds)
                costs.setdefault(kind, []).append(sum(used.values()))
                print(f"{kind:12} {rates[kind][-1]:8.0f} requests/s, {parts(used)}; ", end="")
                print(f"p50 {_percentile(latencies, 0.5):.2f} ms, p99 {_percentile(latencies, 0.99):.2f} ms; ", end="")
                print(f"{failures} failed on {options.connections} connections", flush=True)
        _measure_batches(port, pid)
    for kind in ("same file", "new files"):
        rate, cost = (
            statistics.median(values[kind]) / statistics.median(values["bare answer"]) for values in (rates, costs)
        )
        print(
            f"{kind:12} {rate:8.2f} of the bare rate, {cost:.1f} times its CPU   ({len(body)} bytes a scan, 2 workers)"
        )


if __name__ == "__main__":
    main()
