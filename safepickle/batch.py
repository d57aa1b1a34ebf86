"""Many files, one after another: each becomes a file object, the plain form that reports are written from.

A file that cannot be read, or that our own code fails on, is ``incomplete`` with the reason; the rest goes on.
"""

from __future__ import annotations

import sys

from .discover import STDIN, Target
from .errors import BundleError, UnreadableFile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Any, BinaryIO

    from .findings import Finding
    from .scan import FileReport, Scanner

    FileObject = dict[str, Any]

STDIN_BYTES = 16 << 30
"""Bytes of standard input that are spooled to disk at most; a longer stream is ``incomplete``."""

_CHUNK = 1 << 20


def scan_all(scanner: Scanner, targets: Iterable[Target], hash: bool = False) -> Iterator[FileObject]:
    """Scan `targets` in their order; each result comes out as soon as it is there."""
    for target in targets:
        yield scan_target(scanner, target, hash)


def scan_target(scanner: Scanner, target: Target, hash: bool = False) -> FileObject:
    """Scan one target; never raises for what is wrong with the file."""
    if target.problem:
        return unscanned(target.path, "unreadable", target.problem)
    try:
        if target.path == STDIN:
            return _scan_stdin(scanner, hash)
        return file_object(scanner.scan_path(target.path, hash=hash))
    except (UnreadableFile, OSError) as error:
        return unscanned(target.path, "unreadable", str(error))
    except BundleError:
        raise
    except Exception as error:
        # A fault of ours must not pass for an answer, and must not keep the other files from theirs.
        return unscanned(target.path, "internal-error", f"{type(error).__name__}: {error}; please report this")


def file_object(report: FileReport) -> FileObject:
    """The JSON form of one report, with a plain dict for each finding and oddity."""
    return {
        "path": report.path,
        "sha256": report.sha256,
        "size": report.size,
        "container": report.container,
        "verdict": report.verdict,
        "score": report.score,
        "credibility": report.credibility,
        "complete": report.complete,
        "findings": [_with_rule(finding) for finding in report.findings],
        "detectors": dict(report.detectors),
        "oddities": [_plain(oddity) for oddity in report.oddities],
    }


def unscanned(path: str, kind: str, reason: str, size: int = 0) -> FileObject:
    """The file object of a file that was not scanned: ``incomplete``, with an oddity that says why."""
    return {
        "path": path,
        "sha256": None,
        "size": size,
        "container": "unread",
        "verdict": "incomplete",
        "score": None,
        "credibility": None,
        "complete": False,
        "findings": [],
        "detectors": {},
        "oddities": [{"kind": kind, "offset": 0, "count": 1, "detail": reason}],
    }


def _plain(record: Any) -> dict[str, Any]:
    fields: Mapping[str, Any] = record.__dict__
    return dict(fields)


def _with_rule(finding: Finding) -> dict[str, Any]:
    """A finding with what its rule says for all of its kind."""
    from .findings.rules import RULES

    rule = RULES[finding.rule]
    return {
        **_plain(finding),
        "steps": list(finding.steps),
        "witness": list(finding.witness),
        "advice": rule.advice,
        "cwe": [f"CWE-{number}" for number in rule.cwe],
        "atlas": list(rule.atlas),
    }


def _scan_stdin(scanner: Scanner, hash: bool) -> FileObject:
    from tempfile import NamedTemporaryFile

    if sys.stdin is None:
        return unscanned(STDIN, "unreadable", "standard input is closed")
    with NamedTemporaryFile(prefix="safepickle-") as spool:
        size = _spool(sys.stdin.buffer, spool.file)
        if size > STDIN_BYTES:
            return unscanned(
                STDIN, "budget:stdin", f"standard input is longer than {STDIN_BYTES:,} bytes; scan it as a file", size
            )
        return {**file_object(scanner.scan_path(spool.name, hash=hash)), "path": STDIN}


def _spool(source: BinaryIO, spool: Any) -> int:
    size = 0
    while size <= STDIN_BYTES:
        chunk = source.read(_CHUNK)
        if not chunk:
            break
        size += len(chunk)
        spool.write(chunk)
    spool.flush()
    return size
