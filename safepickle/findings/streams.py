"""Evidence that is no call: oddities of a stream or a container, and where understanding ended."""

from __future__ import annotations

from .finding import Finding, place_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..bytecode.trace import Oddity, Place, Trace

_DIFFERING = frozenset(
    ("read-across-frame", "read-differs-without-arrays", "memo-of-earlier-stream", "polyglot", "zip-header-mismatch",
     "duplicate-member", "frame-past-end", "zip-hidden-member", "stream-after-junk", "embedded-pickle",
     "pickle-in-storage")
)  # fmt: skip
_NAMES = frozenset(("computed-global", "folded-global", "bytes-as-name"))
_WHY = {
    "odd-budget": "A limit of the scan was reached; what lies behind it is unknown.",
    "odd-reading": "Readers do not agree on what these bytes mean; each of their readings was followed.",
    "odd-name": "Ordinary files write names out; what the name comes to was followed as far as possible.",
    "odd-structure": "A well-formed file of its kind does not have this; it is no proof of anything.",
}
_SEVERITY = {"odd-budget": "medium", "odd-reading": "low", "odd-name": "low", "odd-structure": "info"}


def of_oddity(oddity: Oddity, place: Place, base: int) -> Finding:
    """Finding for an oddity; `base` is where the stream begins whose oddity it is."""
    kind = oddity.kind
    if kind.startswith("budget:"):
        rule = "odd-budget"
    elif kind in _DIFFERING:
        rule = "odd-reading"
    else:
        rule = "odd-name" if kind in _NAMES else "odd-structure"
    severity = "info" if kind == "polyglot" else _SEVERITY[rule]  # what each of the formats holds was read
    title = kind.replace("-", " ").replace(":", ": ") + (f" ({oddity.detail})" if oddity.detail else "")
    return Finding(rule, severity, title, _WHY[rule], place_text(place), base + oddity.offset, count=oddity.count)


def of_coverage(trace: Trace) -> Finding:
    """Finding for a stream that was not understood to its end."""
    coverage = trace.coverage
    where = place_text(trace.place), trace.offset + coverage.offset
    if coverage.reason == "truncated":
        return Finding(
            "not-understood", "low", "ends in the middle of a pickle",
            f"Loading it fails there, after the {coverage.understood:,} bytes before it were executed.", *where,
        )  # fmt: skip
    return Finding(
        "not-understood", "medium", f"stops being a pickle: {coverage.reason}",
        f"{coverage.understood:,} bytes were understood; a loader would fail here or read on in its own way.", *where,
    )  # fmt: skip
