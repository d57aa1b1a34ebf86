"""All evidence in a file, worst first, each kind of it once."""

from __future__ import annotations

from ..features.knowledge import Knowledge
from .calls import CallEvidence
from .finding import SEVERITIES, Finding
from .streams import of_coverage, of_oddity

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..bytecode.trace import FileTrace

_LIMIT = 500
"""Findings of one severity that are reported."""
_VARIANTS = 10
"""Findings of one rule about one callee that are told apart by their arguments."""
_GRAVE = ("critical", "high")


def find(file: FileTrace, known: Knowledge) -> tuple[Finding, ...]:
    """Evidence in a file, worst first, without duplicates.

    Parameters
    ----------
    file
        What loading would do.
    known
        What is known of names: what benign files call too is no news, unless it is a root sink.
    """
    kept: dict[str, dict[tuple[str, str, str], list[Finding | int]]] = {name: {} for name in reversed(SEVERITIES)}
    variants: dict[tuple[str, str, str], int] = {}
    for finding in _all(file, known):
        alike = kept[finding.severity]
        group = (finding.rule, finding.callee or finding.title, "")
        key = (*group[:2], finding.title) if finding.severity in _GRAVE else group
        if key not in alike and variants.get(group, 0) >= _VARIANTS and finding.severity in _GRAVE:
            key = next(known for known in alike if known[:2] == key[:2])
        if key in alike:
            entry = alike[key]
            entry[1] = entry[1] + finding.count  # type: ignore[operator]
        elif len(alike) < _LIMIT:
            alike[key] = [finding, finding.count]
            variants[group] = variants.get(group, 0) + 1
    return tuple([_counted(*entry) for alike in kept.values() for entry in alike.values()])  # type: ignore[arg-type]


def _counted(finding: Finding, count: int) -> Finding:
    return finding if count == finding.count else finding.replace(count=count)


def _all(file: FileTrace, known: Knowledge) -> Iterator[Finding]:
    for trace in file.walk():
        evidence = CallEvidence(trace, known)
        for call in trace.calls:
            yield from evidence.of_call(call)
        yield from evidence.of_imports()
        for oddity in trace.oddities:
            if not evidence.doubtful or oddity.kind.startswith("budget:"):
                yield of_oddity(oddity, trace.place, trace.offset)
        if trace.coverage.state != "complete":
            yield of_coverage(trace)
    for oddity in file.oddities:
        yield of_oddity(oddity, (), 0)
