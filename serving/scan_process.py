"""The process that reads hostile files: it scans one after another and can be killed at any time.

It imports the scanner and nothing else, has no secret of the service, and talks over one socket. A message
is two lengths (big-endian, 32 bits each), a JSON header and bytes. A request carries its files in the bytes, one
behind the other, or a single one as a descriptor when it lies in a temporary file. It is answered by one message or
more; their `answers` are those of its files in their order, each with the lengths of its part of the bytes: the
compressed Trace (`trace_bytes`) and what the console shows of the file (`story_bytes`).
"""

from __future__ import annotations

import gc
import mmap
import os
import socket
import struct
import sys
import zlib
from hashlib import sha256
from time import monotonic
from typing import Any

from detectors.advice import names_of
from safepickle.batch import file_object
from safepickle.bytecode.trace import FileTrace
from safepickle.decompile.reading import Readings
from safepickle.errors import SafePickleError
from safepickle.features import SCHEMA, extract
from safepickle.features.library import library_of
from safepickle.limits import DEFAULT_LIMITS
from safepickle.mapped import Mapped
from safepickle.scan import FileReport, Scanner, trace_data

from .console.story import pack, tell
from .json_text import dump, load

LENGTHS = struct.Struct(">II")
READ_BYTES = 64 * 1024
HELD_SECONDS = 0.02
"""How long answers of one request may wait for the next ones, to be sent together."""
PR_SET_PDEATHSIG = 1
SIGKILL = 9


def serve(channel: int, parent: int, options: dict[str, Any]) -> int:
    """Load the model, say so, then answer requests until the other side closes.

    Parameters
    ----------
    channel
        Descriptor of a connected stream socket.
    parent
        Process id of the service's worker, whose death ends this process.
    options
        `model` (folder or None for the packaged champion), `seconds` and `memory` (limits of one scan).

    Returns
    -------
    int
        Exit code: 0, or 1 when the model could not be loaded.
    """
    die_with(parent)
    _limit_memory(options["memory"])
    with socket.socket(fileno=channel) as wire:
        try:
            scanner = Scanner(model=options["model"], limits=DEFAULT_LIMITS.replace(seconds=options["seconds"]))
            ready = describe_model(scanner)
        except SafePickleError as error:
            send(wire, {"refused": str(error)})
            return 1
        # What stays for good is not looked through again and again for what can be freed.
        gc.freeze()
        send(wire, ready)
        while (request := _receive(wire)) is not None:
            header, body, descriptor = request
            try:
                _answer_all(scanner, wire, header, body, descriptor)
            except Exception as error:
                send(wire, {"error": f"{type(error).__name__}: {error}"})
                if isinstance(error, MemoryError):
                    return 1
            finally:
                if descriptor is not None:
                    os.close(descriptor)
    return 0


def describe_model(scanner: Scanner) -> dict[str, Any]:
    """What the service tells of the loaded model."""
    bundle = scanner.bundle
    return {
        "version": scanner.model_version,
        "hash": bundle.hash,
        "schema": str(bundle.schema_version),
        "features": len(bundle.names),
        "detectors": sorted(bundle.manifest["detectors"]),
        "thresholds": bundle.thresholds,
    }


def send(wire: socket.socket, header: dict[str, Any], body: bytes = b"") -> None:
    """Send one message."""
    text = dump(header)
    wire.sendall(LENGTHS.pack(len(text), len(body)) + text + body)


def _answer_all(
    scanner: Scanner, wire: socket.socket, header: dict[str, Any], body: bytes, descriptor: int | None
) -> None:
    """Scan the files of a request; after a fault in one of them nothing is said of it and those behind it."""
    answers: list[dict[str, Any]] = []
    parts: list[bytes] = []
    sent = monotonic()
    start = 0
    for number, (name, digest, size) in enumerate(header["files"], 1):
        if descriptor is None:
            data: bytes | mmap.mmap = body[start : start + size]
        else:
            # Not closed by hand: views of it may live as long as the report.
            data = Mapped(descriptor, 0, access=mmap.ACCESS_READ)
        start += size
        answer, part = _answer(scanner, data, name, digest, header["story"])
        answers.append(answer)
        parts.append(part)
        if number == len(header["files"]) or monotonic() - sent > HELD_SECONDS:
            send(wire, {"answers": answers}, b"".join(parts))
            answers, parts, sent = [], [], monotonic()


def _answer(
    scanner: Scanner, data: bytes | mmap.mmap, name: str, digest: str, wish: str
) -> tuple[dict[str, Any], bytes]:
    readings = Readings()
    report = scanner.report(trace_data(data, scanner.limits, readings.add), name)
    answer, trace = describe_report(scanner, report, digest)
    tells = wish == "always" or (wish == "flagged" and report.verdict != "benign")
    story = _story(report, readings) if tells else b""
    answer["trace_bytes"], answer["story_bytes"] = len(trace), len(story)
    return answer, trace + story


def _story(report: FileReport, readings: Readings) -> bytes:
    """What the console shows of a file, packed; empty after a fault, which must not cost the verdict."""
    try:
        return pack(tell(report, readings))
    except Exception as error:
        sys.stderr.write(f"SafePickle: no story could be told of a file: {type(error).__name__}: {error}\n")
        return b""


def describe_report(scanner: Scanner, report: FileReport, sha256: str) -> tuple[dict[str, Any], bytes]:
    """One report as the service wants it: header and compressed Trace.

    The header has the file object of the API (`file`) and the row of features for the learner as the
    numbers that are not zero (`row`: indices, values) with its full `width` and its `schema`; and `floor`, `guarded`
    and `shape`, see :class:`~serving.database.tables.Scan`, `library` and `names` (:mod:`detectors.advice`).
    """
    redacted = report.trace.redacted()
    row, _calls = extract(report.trace, scanner.knowledge)
    indices = [index for index, value in enumerate(row) if value]
    floor = scanner.bundle.floor(report.detectors)
    header = {
        "file": {**file_object(report), "sha256": sha256},
        "floor": floor,
        "guarded": floor >= scanner.bundle.thresholds["malicious"],
        "shape": shape_of(report.trace),
        "library": library_of(report.trace)[:100],
        "names": names_of(report.trace, scanner.knowledge),
        "schema": str(SCHEMA.version),
        "width": len(row),
        "row": [indices, [row[index] for index in indices]],
    }
    return header, zlib.compress(redacted.to_json().encode())


def shape_of(trace: FileTrace) -> str:
    """Sixteen hexadecimal digits of the names that a file imports and calls: near copies have the same."""
    names = {entry.name for stream in trace.walk() for entry in stream.imports}
    names |= {call.callee.name for stream in trace.walk() for call in stream.calls}
    return sha256("\n".join(sorted(names)).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def read_trace(stored: bytes) -> FileTrace:
    """The Trace that :func:`describe_report` compressed. Raises ValueError when it is damaged."""
    try:
        return FileTrace.from_json(zlib.decompress(stored).decode())
    except zlib.error as error:
        raise ValueError(f"damaged Trace: {error}") from None


def _receive(wire: socket.socket) -> tuple[dict[str, Any], bytes, int | None] | None:
    """The next request: header, bytes, descriptor; None when the service has closed."""
    # A request comes when the one before it was answered: nothing of the next one is read with it.
    start, descriptors, _, _ = socket.recv_fds(wire, READ_BYTES, 1)
    if not start:
        return None
    start = _at_least(wire, start, LENGTHS.size)
    header_length, body_length = LENGTHS.unpack_from(start)
    middle = LENGTHS.size + header_length
    message = _at_least(wire, start, middle + body_length)
    return load(message[LENGTHS.size : middle]), message[middle:], descriptors[0] if descriptors else None


def _at_least(wire: socket.socket, data: bytes, size: int) -> bytes:
    """`data`, with what is missing to `size` read behind it."""
    if len(data) >= size:
        return data
    whole = bytearray(size)
    whole[: len(data)] = data
    with memoryview(whole) as view:
        at = len(data)
        while at < size:
            count = wire.recv_into(view[at:])
            if not count:
                raise EOFError("the service closed the connection within a message")
            at += count
    return bytes(whole)


def die_with(parent: int) -> None:
    """Have the kernel kill this process when the worker dies, even in the middle of a scan (Linux only)."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            raise SystemExit(0)


def _limit_memory(size: int) -> None:
    import resource

    # Private memory, not address space: a mapped file of any size does not count.
    resource.setrlimit(resource.RLIMIT_DATA, (size, size))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
