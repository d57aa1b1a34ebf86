"""Files scanned by several processes at once, results in the order of the files.

The processes talk JSON over pipes. ``multiprocessing`` would do the same by unpickling what they send, and this
package unpickles nothing, not even its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue

from .batch import scan_target, unscanned
from .discover import STDIN, Target
from .record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .batch import FileObject
    from .scan import Scanner

AHEAD = 64
"""Results that may wait for an earlier one, for each process: what bounds the memory."""

# The path is set before anything of ours is imported: a -c process would look in the current folder first, which
# may be the folder of hostile files that is being scanned.
_BOOT = "import sys; sys.path[:] = {path!r}; from safepickle.workers import serve; serve()"


class Settings(Record):
    """What a worker needs to build its scanner."""

    model: str | None = None
    allow: frozenset[str] = frozenset()
    hash: bool = False


def scan_with_workers(
    scanner: Scanner, targets: Iterable[Target], settings: Settings, jobs: int
) -> Iterator[FileObject]:
    """Like :func:`safepickle.batch.scan_all`, with `jobs` processes. A process that dies costs one file."""
    idle: SimpleQueue[_Worker] = SimpleQueue()
    workers = [_Worker(settings) for _ in range(jobs)]
    for worker in workers:
        idle.put(worker)

    def run(target: Target) -> FileObject:
        if target.problem or target.path == STDIN:
            return scan_target(scanner, target, settings.hash)
        worker = idle.get()
        try:
            return worker.scan(target.path)
        finally:
            idle.put(worker)

    waiting: deque[Future[FileObject]] = deque()
    with ThreadPoolExecutor(jobs) as pool:
        try:
            for target in targets:
                waiting.append(pool.submit(run, target))
                while waiting and (waiting[0].done() or len(waiting) >= AHEAD * jobs):
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
            for worker in workers:
                worker.close()


class _Worker:
    """One process, started when its first file comes and again after it died."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._process: subprocess.Popen[str] | None = None
        self._closed = False

    def scan(self, path: str) -> FileObject:
        try:
            process = self._process or self._start()
            assert process.stdin is not None and process.stdout is not None
            process.stdin.write(json.dumps(path) + "\n")
            process.stdin.flush()
            answer: FileObject = json.loads(process.stdout.readline())
        except (OSError, ValueError) as error:
            return unscanned(path, "internal-error", self._bury(error))
        return answer

    def close(self) -> None:
        """End the process at once; it holds nothing that would be lost."""
        self._closed = True
        if self._process is not None:
            _end(self._process)

    def _start(self) -> subprocess.Popen[str]:
        if self._closed:
            raise OSError("the scan was stopped")
        process = subprocess.Popen(
            [sys.executable, "-c", _BOOT.format(path=[entry for entry in sys.path if entry])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="ascii",
        )
        self._process = process
        assert process.stdin is not None
        settings = self._settings
        process.stdin.write(json.dumps([settings.model, sorted(settings.allow), settings.hash]) + "\n")
        return process

    def _bury(self, error: Exception) -> str:
        process, self._process = self._process, None
        if process is None:
            return f"the process that should read it did not start: {error}"
        code = _end(process)
        return f"the process that read it died ({f'signal {-code}' if code < 0 else f'exit code {code}'})"


def _end(process: subprocess.Popen[str]) -> int:
    process.kill()
    code = process.wait()
    for pipe in (process.stdin, process.stdout):
        try:
            if pipe is not None:
                pipe.close()
        except OSError:  # what was still to be flushed has nobody to go to
            pass
    return code


def serve() -> None:
    """What a worker process does: read a path a line, answer a file object a line, until the parent is gone."""
    import signal

    from .scan import Scanner

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    # Whatever might print must not end up between the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)
    model, allow, hash = json.loads(sys.stdin.readline())
    scanner = Scanner(model=model, allow=frozenset(allow))
    try:
        for line in sys.stdin:
            answers.write(json.dumps(scan_target(scanner, Target(json.loads(line)), hash)) + "\n")
            answers.flush()
    except (BrokenPipeError, KeyboardInterrupt):
        os._exit(1)
