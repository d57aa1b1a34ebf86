"""What CPython's own unpicklers do with streams, observed in a process where nothing real can be reached.

``_pickle.Unpickler`` (from a file, and from one that can be looked into ahead), ``pickle._Unpickler`` and
``pickletools.genops`` read them in :mod:`tests.bytecode.inert`, which says what an event is. Only streams that
:mod:`tests.bytecode.generated` made are ever given to them. Another version's are asked by the name of its
interpreter: ``Oracle("python3.13")``.
"""

from __future__ import annotations

import json
import select
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from tests.bytecode import inert

BATCH = 64
PATIENCE = 60
"""Seconds after which a batch is given up."""


class Reading(NamedTuple):
    """What one unpickler did with one of the streams that follow each other in the bytes."""

    reader: str
    start: int
    end: int
    """Offset behind STOP; -1 when it raised."""
    executed: int
    """Opcodes, where the reader tells; else -1."""
    error: str
    events: list[tuple[str, str, int]]


class Lexed(NamedTuple):
    """What ``pickletools`` made of a stream: `end` is -1 where it gave up."""

    start: int
    end: int
    opcodes: dict[str, int]


class Observed(NamedTuple):
    """All readings of the same bytes."""

    readings: list[Reading]
    lexed: list[Lexed]


class Oracle:
    """A subprocess that reads streams; started again when one of them ended it.

    Parameters
    ----------
    interpreter
        Name or path of the Python whose unpicklers are asked; this one by default.
    """

    def __init__(self, interpreter: str = "") -> None:
        self.interpreter = shutil.which(interpreter) if interpreter else sys.executable
        if self.interpreter is None:
            raise FileNotFoundError(f"no interpreter {interpreter!r} to ask; name one that `which` finds, or a path")
        self._process: subprocess.Popen[bytes] | None = None
        self._answered = False
        self.lost: list[bytes] = []
        """Streams that ended the process."""

    def __enter__(self) -> Oracle:
        return self

    def __exit__(self, *_error: object) -> None:
        self._end()

    def read(self, streams: Iterable[bytes]) -> Iterator[tuple[bytes, Observed]]:
        """Each of the `streams` with what the readers did; those that ended the process are left out."""
        source = iter(streams)
        while batch := tuple(islice(source, BATCH)):
            self.send(batch)
            yield from self.receive(batch)

    def send(self, batch: Sequence[bytes]) -> None:
        """Hand streams over, which are read while the caller does something else."""
        process = self._process or self._start()
        assert process.stdin is not None
        try:
            process.stdin.write(_packed(batch))
            process.stdin.flush()
        except BrokenPipeError:
            self._end()

    def receive(self, batch: Sequence[bytes]) -> list[tuple[bytes, Observed]]:
        """What became of the streams that were sent last."""
        answers = self._answers(batch)
        if answers is not None:
            return list(zip(batch, answers, strict=True))
        self._end()
        if not self._answered:
            raise RuntimeError(f"{self.interpreter} cannot run {inert.__file__}")
        if len(batch) == 1:
            self.lost.append(batch[0])
            return []
        found = []
        for data in batch:  # one of them ended the process
            self.send((data,))
            found.extend(self.receive((data,)))
        return found

    def _answers(self, batch: Sequence[bytes]) -> list[Observed] | None:
        if self._process is None:
            return None
        stdout = self._process.stdout
        assert stdout is not None
        answers = []
        for index in range(len(batch)):
            if index == 0 and not select.select([stdout], [], [], PATIENCE)[0]:
                return None
            line = stdout.readline()
            if not line.endswith(b"\n"):
                return None
            self._answered = True
            plain = json.loads(line)
            answers.append(
                Observed(
                    [_reading(reading) for reading in plain["readings"]], [Lexed(*lexed) for lexed in plain["lexed"]]
                )
            )
        return answers

    def _start(self) -> subprocess.Popen[bytes]:
        assert self.interpreter is not None
        self._process = subprocess.Popen(
            [self.interpreter, "-I", "-S", str(Path(inert.__file__))], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        return self._process

    def _end(self) -> None:
        if self._process is None:
            return
        self._process.kill()
        code = self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            try:
                pipe.close()
            except OSError:
                pass
        self._process = None
        if code == inert.TOUCHED:
            raise RuntimeError("a stream reached for something outside the sandbox; see above for what")


def _packed(batch: Sequence[bytes]) -> bytes:
    parts = [struct.pack("<I", len(batch))]
    for data in batch:
        parts += (struct.pack("<I", len(data)), data)
    return b"".join(parts)


def _reading(plain: list[Any]) -> Reading:
    reader, start, end, executed, error, events = plain
    return Reading(reader, start, end, executed, error, [(what, name, count) for what, name, count in events])
