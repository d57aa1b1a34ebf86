"""What CPython's own unpicklers do with a stream, observed in a process where nothing real can be reached.

Both ``_pickle.Unpickler`` and ``pickle._Unpickler`` read the stream, with every global, extension code and
persistent id answered by an inert stand-in that only notes what is done to it. They run in a subprocess with
limits on memory and time. Only streams that :mod:`tests.bytecode.generated` made are ever given to them.

An event is ``[what, name, count]``: ``import`` and ``call`` of a global by its canonical name, ``call`` (of what a
call returned), ``build``, ``append``, ``extend``, ``setitem``, ``add``, ``persistent_load``, ``ext``; `name` leads
back to the global that all came from, and `count` is the number of arguments.
"""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

BATCH = 64
BETWEEN = "\x1e\x1f"
"""Between module and attribute in the name of an event, as names may have anything else in them."""
EXTENSIONS = {1: ("vendor", "extended"), 2: ("os", "system"), 300: ("vendor.far", "Extended"), 70_000: ("a", "b")}
"""What the subprocess has in its extension registry."""


class Reading(NamedTuple):
    """What one unpickler did with one of the streams that follow each other in the bytes."""

    reader: str
    start: int
    end: int
    """Offset behind STOP; -1 when it raised."""
    events: list[tuple[str, str, int]]


class Oracle:
    """A subprocess that reads streams; started again when one of them ended it."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self.lost = 0

    def __enter__(self) -> Oracle:
        return self

    def __exit__(self, *_error: object) -> None:
        self._end()

    def read(self, streams: Iterable[bytes]) -> Iterator[tuple[bytes, list[Reading]]]:
        """Each of the `streams` with what the unpicklers did; those that ended the subprocess are left out."""
        batch: list[bytes] = []
        for data in streams:
            batch.append(data)
            if len(batch) == BATCH:
                yield from self._batch(batch)
                batch = []
        yield from self._batch(batch)

    def _batch(self, batch: list[bytes]) -> Iterator[tuple[bytes, list[Reading]]]:
        while batch:
            process = self._process or self._start()
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(b"".join(struct.pack("<I", len(data)) + data for data in batch))
            process.stdin.flush()
            done = 0
            for data in batch:
                line = process.stdout.readline()
                if not line.endswith(b"\n"):
                    self._end()
                    self.lost += 1
                    done += 1
                    break
                done += 1
                yield data, [Reading(*plain) for plain in json.loads(line)]
            batch = batch[done:]

    def _start(self) -> subprocess.Popen[bytes]:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(Path(__file__))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # the unpickler in C complains of its own bytearrays
        )
        return self._process

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    try:
                        pipe.close()
                    except OSError:
                        pass
            self._process = None


# --- in the subprocess ---------------------------------------------------------------------------

EVENTS: list[tuple[str, str, int]] = []
_IMPLICIT = {"__setstate__": "build", "append": "append", "extend": "extend", "add": "add"}


class _Noting:
    """An attribute that, found on a stand-in or its class, notes that it was called."""

    def __init__(self, what: str) -> None:
        self.what = what

    def __get__(self, instance: Any, owner: Any) -> Any:
        target = owner if instance is None else instance
        name = target.stands_for

        def noted(*arguments: object) -> None:
            EVENTS.append((self.what, name, len(arguments)))

        return noted


class _ClassOfStandIns(type):
    stands_for: str

    def __call__(cls, *arguments: Any, **_named: Any) -> Any:
        EVENTS.append(("call", cls.stands_for, len(arguments)))
        return object.__new__(cls)

    def __setitem__(cls, _key: object, _value: object) -> None:
        EVENTS.append(("setitem", cls.stands_for, 2))


class _StandIn(metaclass=_ClassOfStandIns):
    stands_for = ""

    def __new__(cls, *arguments: Any, **_named: Any) -> Any:
        # pickle._Unpickler also lets NEWOBJ call __new__ of what is no class
        EVENTS.append(("call" if isinstance(cls, type) else "call result", cls.stands_for, len(arguments)))
        return object.__new__(cls)

    def __call__(self, *arguments: Any, **_named: Any) -> Any:
        EVENTS.append(("call result", self.stands_for, len(arguments)))
        return object.__new__(type(self))

    def __setitem__(self, _key: object, _value: object) -> None:
        EVENTS.append(("setitem", self.stands_for, 2))


for _name, _what in _IMPLICIT.items():
    setattr(_StandIn, _name, _Noting(_what))


def _found(module: str, name: str) -> object:
    EVENTS.append(("import", module + BETWEEN + name, 0))
    return type("StandIn", (_StandIn,), {"stands_for": module + BETWEEN + name})


def _persistent() -> object:
    EVENTS.append(("persistent_load", "", 1))
    return type("StandIn", (_StandIn,), {"stands_for": "persistent" + BETWEEN})


def _readings(data: bytes) -> list[Reading]:
    import _pickle
    import copyreg
    import io
    import pickle

    class InC(_pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            return _found(module, name)

        def persistent_load(self, _pid: object) -> Any:
            return _persistent()

    class InPython(pickle._Unpickler):  # type: ignore[misc, name-defined]
        def find_class(self, module: str, name: str) -> Any:
            return _found(module, name)

        def persistent_load(self, _pid: object) -> Any:
            return _persistent()

    found = []
    for reader, unpickler in (("c", InC), ("python", InPython)):
        file = io.BytesIO(data)
        for _ in range(3):
            start = file.tell()
            EVENTS.clear()
            copyreg._extension_cache.clear()  # type: ignore[attr-defined]
            try:
                unpickler(file, encoding="latin-1", buffers=iter([b"abc"] * 99)).load()
                end = file.tell()
            except BaseException as error:
                if isinstance(error, (KeyboardInterrupt, SystemExit)):
                    raise
                end = -1
            found.append(Reading(reader, start, end, list(EVENTS[:2000])))
            if end < 0 or end >= len(data):
                break
    return found


def _serve() -> None:
    import copyreg
    import resource
    import signal
    import warnings

    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    copyreg._inverted_registry.update(EXTENSIONS)  # type: ignore[attr-defined]

    def stop(_signal: int, _frame: object) -> None:
        raise TimeoutError

    signal.signal(signal.SIGALRM, stop)
    while len(head := sys.stdin.buffer.read(4)) == 4:
        data = sys.stdin.buffer.read(struct.unpack("<I", head)[0])
        # The alarm ends what Python runs; the limit on CPU time ends what does not come back to Python.
        usage = resource.getrusage(resource.RUSAGE_SELF)
        resource.setrlimit(resource.RLIMIT_CPU, (int(usage.ru_utime + usage.ru_stime) + 5, resource.RLIM_INFINITY))
        signal.setitimer(signal.ITIMER_REAL, 5)
        readings = _readings(data)
        signal.setitimer(signal.ITIMER_REAL, 0)
        sys.stdout.write(json.dumps(readings) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _serve()
