"""Requests a second and latencies of a served SafePickle, on this machine.

Starts ``bentoml serve`` with two workers on a database and a port of its own, sends a 5 kB pickle over and over on
some connections that stay open, then the same for ``/healthz``, and prints both and their ratio::

    python benchmarks/serving_load.py [--seconds 5] [--connections 16] [--registry FOLDER]

The client shares the cores with the service, so rates are a lower bound; CPU time a request depends less on what
else the machine does.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import pickle
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil

KEY = "key-of-the-load-benchmark"
ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 60.0
SERVE = (sys.executable, "-m", "bentoml", "serve", "serving.service:SafePickleService")


class Connection(asyncio.Protocol):
    """One connection that sends the same request again as soon as its answer has come."""

    def __init__(self, request: bytes, until: float) -> None:
        self.request = request
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
        self._transport.write(self.request)


async def load(port: int, request: bytes, connections: int, seconds: float) -> tuple[list[float], int]:
    """Latencies in seconds, sorted, and the number of answers other than 200."""
    until = time.perf_counter() + seconds
    loop = asyncio.get_running_loop()
    started = [
        (await loop.create_connection(lambda: Connection(request, until), "127.0.0.1", port))[1]
        for _ in range(connections)
    ]
    await asyncio.gather(*(connection.closed for connection in started))
    latencies = sorted(second for connection in started for second in connection.seconds)
    return latencies, sum(connection.failures for connection in started)


def five_kilobytes() -> bytes:
    """A pickle of about 5 kB: a dictionary of names and numbers."""
    numbers = random.Random(5)
    return pickle.dumps({f"layer.{n}.weight": [numbers.random() for _ in range(8)] for n in range(52)}, protocol=4)


@contextlib.contextmanager
def served(registry: str) -> Iterator[tuple[int, int]]:
    """A service of its own; yields its port and the id of its first process."""
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
        }
        service = subprocess.Popen(
            [*SERVE, "--host", "127.0.0.1", "--port", str(port)],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.DEVNULL,
        )
        try:
            _wait(port)
            yield port, service.pid
        finally:
            service.send_signal(signal.SIGINT)
            service.wait(30)


def processor_seconds(pid: int) -> float:
    """CPU time that a process and its descendants have used, the learner's left out."""
    total = 0.0
    for process in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]:
        with contextlib.suppress(psutil.NoSuchProcess):
            if '"serving.learner"' not in process.cmdline():
                total += sum(process.cpu_times()[:2])
    return total


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


def _percentile(latencies: list[float], share: float) -> float:
    return latencies[min(len(latencies) - 1, int(len(latencies) * share))] * 1000


def main() -> None:
    """Command line; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--registry", default="", help="store whose champion scans; default: the service's default")
    options = parser.parse_args()
    body = five_kilobytes()
    head = f"POST /v1/scan?name=five.pkl HTTP/1.1\r\nHost: x\r\nX-API-Key: {KEY}\r\nContent-Length: {len(body)}\r\n\r\n"
    requests = {"/healthz": b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", "/v1/scan": head.encode() + body}
    rates = {}
    with served(options.registry) as (port, pid):
        for path, request in requests.items():
            asyncio.run(load(port, request, options.connections, 0.5))
            before = processor_seconds(pid)
            latencies, failures = asyncio.run(load(port, request, options.connections, options.seconds))
            each = (processor_seconds(pid) - before) / len(latencies) * 1000
            rates[path] = len(latencies) / options.seconds
            print(f"{path:10} {rates[path]:8.0f} requests/s, {each:.2f} ms CPU each; ", end="")
            print(f"p50 {_percentile(latencies, 0.5):.2f} ms, p99 {_percentile(latencies, 0.99):.2f} ms; ", end="")
            print(f"{failures} failed on {options.connections} connections")
    print(f"ratio      {rates['/v1/scan'] / rates['/healthz']:8.2f}   ({len(body)} bytes a scan, 2 workers)")


if __name__ == "__main__":
    main()
