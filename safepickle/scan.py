"""The public API: a file, bytes or a stored Trace -> a report with a verdict and its evidence."""

from __future__ import annotations

import os
from array import array
from mmap import ACCESS_READ
from time import monotonic

from .bytecode.region import Budget, Found, trace_region
from .bytecode.trace import CHANGING, Call, FileTrace, Oddity, Place, Trace, flattened
from .containers import open_file
from .containers.zip_layout import MODELS
from .ensemble import Bundle, Judgement, load
from .errors import BundleError, UnreadableFile
from .features import SCHEMA, Knowledge, Prevalence, extract
from .features.per_call import telling
from .findings import Finding, find, place_text
from .json_text import parse
from .limits import DEFAULT_LIMITS, Limits
from .mapped import Mapped
from .record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    import mmap
    from collections.abc import Callable, Mapping, Set
    from typing import TypeVar

    from .bytecode.region import Unwrap, Watch
    from .containers import Region

    Buffer = bytes | mmap.mmap
    T = TypeVar("T")

CHAMPION = os.path.join(os.path.dirname(__file__), "champion")
"""The model that ships with the package."""
MAPPED_FROM = 1 << 20
"""Files of this size and more are mapped rather than read."""
_HASHED_BYTES = 4 << 20
_REMEMBERED = 256
_WORTH_NAMING = 0.5
"""Score of a single call from which on the model's finding names it."""
_NOTHING_RUNS = Judgement(0.0, "benign", {})
_TEXTS = ("text", "json", "yaml", "jinja-template")
"""Containers that may be programs as files, and are but strings in a pickle."""


class Verdict(Record):
    """What is said of a Trace: ``benign``, ``suspicious``, ``malicious`` or ``incomplete``, and why."""

    verdict: str
    score: float
    detectors: Mapping[str, float]
    findings: tuple[Finding, ...]
    credibility: float


class FileReport(Record):
    """Everything a scan found out about one file.

    Parameters
    ----------
    path
        As given.
    sha256
        Of the content, when asked for.
    size
        Bytes.
    container
        Kind found by content.
    verdict
        ``benign``, ``suspicious``, ``malicious`` or ``incomplete``.
    score
        Calibrated probability of malicious, 0 to 1.
    complete
        Whether everything that a loader could execute was understood.
    findings
        Evidence, worst first.
    detectors
        Raw score of each detector; none of a file that names nothing.
    oddities
        Of the containers.
    trace
        What loading would do; with the literals of the file.
    credibility
        How much the file is like anything that the model learned from, 0 to 1; see :class:`.ensemble.Judgement`.
    """

    path: str
    sha256: str | None
    size: int
    container: str
    verdict: str
    score: float | None
    complete: bool
    findings: tuple[Finding, ...]
    detectors: Mapping[str, float]
    oddities: tuple[Oddity, ...]
    trace: FileTrace
    credibility: float


class Scanner:
    """Scans files with one model.

    Parameters
    ----------
    model
        Folder of a bundle; the champion that ships with the package when None.
    limits
        Budgets of one file.
    allow
        Names (``module.name``) whose imports and calls are no evidence. A call stays one that hands over a callable
        which is not allowed, and so does a call of what an allowed name returned.

    Raises
    ------
    BundleError
        When the model is missing, damaged or made for another feature schema.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | None = None,
        limits: Limits = DEFAULT_LIMITS,
        allow: Set[str] = frozenset(),
    ) -> None:
        self.limits = limits
        self.allow = frozenset(allow)
        self.bundle: Bundle = load(CHAMPION if model is None else model, SCHEMA.version)
        if (self.bundle.names, self.bundle.call_names) != (SCHEMA.names, SCHEMA.call_names):
            raise BundleError(
                f"the model {self.bundle.hash[:12]} has other features than this version; install another"
            )
        self.prevalence = _prevalence(self.bundle)
        self.knowledge = Knowledge(self.prevalence)
        self._judged: dict[tuple[bytes, tuple[tuple[float, ...], ...]], Judgement] = {}

    @property
    def model_version(self) -> str:
        """First twelve digits of the bundle's hash."""
        return self.bundle.hash[:12]

    def scan_path(self, path: str, hash: bool = False) -> FileReport:
        """Scan a regular file.

        Raises
        ------
        UnreadableFile
            When it cannot be opened or read, or is no regular file.
        """
        trace, digest = with_file(path, lambda data: (trace_data(data, self.limits), _sha256(data) if hash else None))
        return self.report(trace, path, digest)

    def scan_bytes(self, data: bytes, name: str = "<bytes>", hash: bool = False) -> FileReport:
        """Scan bytes at hand."""
        return self.report(trace_data(data, self.limits), name, _sha256(data) if hash else None)

    def report(self, trace: FileTrace, path: str, sha256: str | None = None) -> FileReport:
        """Report on an already traced file."""
        said = self.judge(trace)
        return FileReport(
            path, sha256, trace.size, trace.container, said.verdict, said.score, trace.complete,
            said.findings, said.detectors, trace.oddities, trace, said.credibility,
        )  # fmt: skip

    def judge(self, trace: FileTrace) -> Verdict:
        """The one place where a verdict is made.

        Evidence outranks what was not understood: only a file that is neither malicious nor suspicious can be
        ``incomplete``. What names nothing and calls nothing runs nothing, however strange its opcodes look to a
        detector: its score is 0, and no detector is asked.
        """
        if self.allow:
            trace = _without(trace, self.allow)
        findings = find(trace, self.knowledge)
        runs = any(stream.calls or stream.imports for stream in trace.walk())
        judgement = self._judgement(trace) if runs else _NOTHING_RUNS
        score = judgement.score
        verdict = judgement.tier
        if verdict == "benign" and not trace.complete:
            verdict = "incomplete"
        if verdict in ("malicious", "suspicious") and not any(f.severity in ("high", "critical") for f in findings):
            findings = _with_model(findings, self._model_finding(trace, judgement))
        return Verdict(verdict, score, judgement.detectors, findings, judgement.credibility)

    def _model_finding(self, trace: FileTrace, judgement: Judgement) -> Finding:
        """What the ensemble says, and the call that the detector of single calls finds worst."""
        levels, score = self.bundle.thresholds, judgement.score
        if score < levels["suspicious"]:
            return Finding(
                "unlike-anything", "medium", "is like nothing that the model has seen",
                f"Fewer than {self.bundle.least_credibility:.1%} of benign files are as unlike the others (credibility "
                f"{judgement.credibility:.4f}), and it is not like the malicious ones either: its low score "
                f"({score:.3f}) is a guess.",
            )  # fmt: skip
        said = Finding(
            "model-score", "medium", f"reads like a malicious file (score {score:.3f})",
            f"The evidence alone does not explain it; the ensemble calls files suspicious from "
            f"{levels['suspicious']:.3f} and malicious from {levels['malicious']:.3f}.",
        )  # fmt: skip
        told = (
            (self.bundle.score_call(row), stream, entry) for row, stream, entry in telling(trace.walk(), self.knowledge)
        )
        worst = max(told, key=lambda found: found[0], default=None)
        if worst is None or worst[0] < _WORTH_NAMING:
            return said
        _score, stream, entry = worst
        name = entry.callee.name if isinstance(entry, Call) else entry.name
        what = "calling" if isinstance(entry, Call) else "importing"
        return said.replace(
            title=f"{said.title}, most of all for {what} {name or 'something that has no name'}",
            stream=place_text(stream.place), offset=stream.offset + entry.offset, callee=name,
        )  # fmt: skip

    def _judgement(self, trace: FileTrace) -> Judgement:
        """What the ensemble says of a file, remembered for files that differ in nothing that it looks at."""
        row, calls = extract(trace, self.knowledge)
        key = array("d", row).tobytes(), tuple(calls)
        judgement = self._judged.get(key)
        if judgement is None:
            if len(self._judged) >= _REMEMBERED:
                self._judged.clear()
            judgement = self._judged[key] = self.bundle.judge(row, calls)
        return judgement


def trace_path(path: str, limits: Limits = DEFAULT_LIMITS) -> FileTrace:
    """Trace a regular file without judging it.

    Raises
    ------
    UnreadableFile
        When it cannot be opened or read, or is no regular file.
    """
    return with_file(path, lambda data: trace_data(data, limits))


def trace_bytes(data: bytes, limits: Limits = DEFAULT_LIMITS) -> FileTrace:
    """Trace bytes without judging them."""
    return trace_data(data, limits)


def trace_data(data: Buffer, limits: Limits, watch: Watch | None = None) -> FileTrace:
    """Trace a buffer: open its containers, then every stream in them; `watch` is told of each stream."""
    found, container = _trace_contents(data, 0, len(data), (), limits, Budget(limits, watch))
    return FileTrace(len(data), container, found.complete, found.traces, found.oddities)


def _trace_contents(
    data: Buffer, start: int, end: int, place: Place, limits: Limits, budget: Budget
) -> tuple[Found, str]:
    """Streams in ``data[start:end]`` and in what it contains, and the name of its container."""
    contents = open_file(data, limits, start, end)
    streams: list[Trace] = []
    oddities = list(contents.oddities)
    complete = contents.complete

    def unwrap(literal: Buffer, begin: int, behind: int, inner: Place) -> Found:
        left = limits.replace(seconds=max(0.0, budget.deadline - monotonic()), unpacked_bytes=max(0, budget.unpacked))
        found, container = _trace_contents(literal, begin, behind, inner, left, budget)
        if container.rstrip(")").rpartition("(")[2] in _TEXTS:
            return found.replace(oddities=tuple(odd for odd in found.oddities if odd.kind != "unsupported-format"))
        return found.replace(model=found.complete and container in MODELS)

    budget.unpacked -= contents.unpacked
    for region in contents.regions:
        found = _trace_region(region, place, budget, unwrap)
        streams.extend(found.traces)
        oddities.extend(
            oddity.replace(detail=oddity.detail or "/".join(member for _step, member in region.place if member))
            for oddity in found.oddities
        )
        complete = complete and found.complete
    return Found(tuple(streams), tuple(oddities), complete), contents.container


def _trace_region(region: Region, place: Place, budget: Budget, unwrap: Unwrap) -> Found:
    try:
        return trace_region(
            region.data,
            region.start,
            region.end,
            (*place, *region.place),
            budget,
            region.role == "legacy-torch",
            unwrap,
        )
    except Exception as error:
        # A fault of ours in one part must not cost what the other parts give away.
        reason = f"{type(error).__name__}: {error}"[:400]
        return Found((), (Oddity("internal-error", region.start, 1, f"{reason}; please report this"),), False)


def with_file(path: str, use: Callable[[Buffer], T]) -> T:
    """Open a regular file without blocking on anything else, and hand its bytes over.

    Raises
    ------
    UnreadableFile
        When it cannot be opened or read, or is no regular file.
    """
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    except OSError as error:
        raise UnreadableFile(f"{path}: {error.strerror}; check the path and its permissions") from None
    try:
        if not _is_regular(os.fstat(handle).st_mode):
            raise UnreadableFile(f"{path}: not a regular file; give a file or a folder")
        return _with_handle(handle, use)
    except OSError as error:
        raise UnreadableFile(f"{path}: {error.strerror or error}; the file cannot be read") from None
    finally:
        os.close(handle)


def _with_handle(handle: int, use: Callable[[Buffer], T]) -> T:
    size = os.fstat(handle).st_size
    if size < MAPPED_FROM:
        parts = []
        while part := os.read(handle, MAPPED_FROM):
            parts.append(part)
        return use(b"".join(parts))
    # Not closed by hand: views of it may live as long as the report; it goes with the last of them.
    return use(Mapped(handle, 0, access=ACCESS_READ))


def _is_regular(mode: int) -> bool:
    return mode & 0o170000 == 0o100000


def _sha256(data: Buffer) -> str:
    from hashlib import sha256

    digest = sha256()
    with memoryview(data) as view:
        for begin in range(0, len(data), _HASHED_BYTES):
            digest.update(view[begin : begin + _HASHED_BYTES])
            if isinstance(data, Mapped):
                data.touched(_HASHED_BYTES)
    return digest.hexdigest()


def _prevalence(bundle: Bundle) -> Prevalence:
    try:
        return Prevalence.from_json(parse(bundle.prevalence_json))
    except ValueError as error:
        raise BundleError(f"the model {bundle.hash[:12]} has a damaged prevalence table: {error}") from None


def _without(trace: FileTrace, allow: frozenset[str]) -> FileTrace:
    """The file without the imports and calls of allowed names."""

    def prune(stream: Trace) -> Trace:
        return stream.replace(
            imports=tuple(entry for entry in stream.imports if entry.name not in allow),
            calls=tuple(call for call in stream.calls if not _is_allowed(call, allow)),
            children=tuple(prune(child) for child in stream.children),
        )

    return trace.replace(streams=tuple(prune(stream) for stream in trace.streams))


def _is_allowed(call: Call, allow: frozenset[str]) -> bool:
    """Whether a call is only of what is allowed, or fills or builds what that returned."""
    if call.callee.name not in allow:
        return False
    if call.callee.kind not in ("global", "attribute", "carrier"):
        return call.callee.kind == "result" and call.opcode in CHANGING
    handed = (argument.ref for argument in flattened(call.args) if argument.type == "global")
    return all(ref is not None and ref.name in allow for ref in handed)


def _with_model(findings: tuple[Finding, ...], said: Finding) -> tuple[Finding, ...]:
    """The findings with what the model says, behind those that are as grave."""
    at = sum(finding.severity == said.severity for finding in findings)
    return (*findings[:at], said, *findings[at:])
