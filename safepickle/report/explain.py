"""What loading a file would do, in plain words and in the order in which it would happen."""

from __future__ import annotations

from ..findings import place_text
from .printable import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..bytecode.trace import Call, Descriptor, Ref, Trace
    from ..findings import Finding
    from ..scan import FileReport

_ARGUMENTS = 6
_LITERAL = 120
_CALLS = 60
_FINDINGS = 20
_LESSER = ("low", "info")
_NOTHING = "  builds plain data and calls nothing"

# What a model is rebuilt with. Only wording: a call named here that has a finding is told in full all the same.
_BULK = {
    "numpy.core.multiarray._reconstruct": "rebuilds {} numpy {array|arrays}",
    "numpy._core.multiarray._reconstruct": "rebuilds {} numpy {array|arrays}",
    "numpy.core.numeric._frombuffer": "rebuilds {} numpy {array|arrays}",
    "numpy._core.numeric._frombuffer": "rebuilds {} numpy {array|arrays}",
    "joblib.numpy_pickle.NumpyArrayWrapper": "reads {} numpy {array|arrays} that follow in the file",
    "numpy.core.multiarray.scalar": "rebuilds {} numpy {number|numbers}",
    "numpy._core.multiarray.scalar": "rebuilds {} numpy {number|numbers}",
    "numpy.dtype": "makes {} numpy data {type|types}",
    "torch._utils._rebuild_tensor_v2": "rebuilds {} torch {tensor|tensors}",
    "torch._utils._rebuild_parameter": "rebuilds {} torch {parameter|parameters}",
    "collections.OrderedDict": "makes {} ordered {dictionary|dictionaries}",
}

_IMPLICIT = {
    "append": "adds items to",
    "extend": "adds items to",
    "setitem": "sets items of",
    "add": "adds items to",
}

_BRACKETS = {"tuple": ("(", ")"), "list": ("[", "]"), "set": ("{", "}"), "dict": ("{", "}")}


def explain(report: FileReport) -> Iterator[str]:
    """Lines of text about every stream of the file, then the verdict and its reasons.

    Parameters
    ----------
    report
        Of a scan whose trace still has its literals; without them their kind and length are named.
    """
    path = printable(report.path, 4096)
    traces = report.trace.walk()
    yield f"{path}: {printable(report.container)}, {report.size:,} bytes"
    if not traces:
        yield "  no pickle stream was found in it" + ("" if report.complete else ", but not all of it was understood")
    told: set[int] = set()
    for trace in traces:
        yield ""
        yield from _stream(trace, report.findings, told)
    yield ""
    yield from _verdict(report, told)


def _stream(trace: Trace, findings: tuple[Finding, ...], told: set[int]) -> Iterator[str]:
    where = printable(place_text(trace.place), 4096)
    first = trace.offset
    yield f"{where + ', ' if where else ''}bytes {first:,} to {first + trace.length:,}: loading this stream"
    bulk: dict[str, int] = {}
    lines: list[tuple[bool, str]] = []
    for call in sorted(trace.calls, key=lambda call: call.offset):
        found = [index for index, finding in enumerate(findings) if _is_about(finding, call, trace)]
        grave = any(findings[index].severity not in _LESSER for index in found)
        usual = "" if grave else _usual(call)
        if usual:
            bulk[usual] = bulk.get(usual, 0) + call.count
        elif usual is not None:
            told.update(found)
            lines.append((grave, _call_line(call, first, [findings[index] for index in found])))
    yield from (f"  {line}" for line in _fitting(lines))
    yield from (f"  {_counted(phrase, count)}" for phrase, count in bulk.items())
    if not lines and not bulk:
        names = sorted({printable(item.name or item.written) for item in trace.imports})
        yield f"  imports {', '.join(names[:_CALLS])} and calls nothing" if names else _NOTHING
    if trace.coverage.state != "complete":
        reason = printable(trace.coverage.reason) or trace.coverage.state
        yield f"  is not understood from byte {first + trace.coverage.offset:,} on: {reason}"


def _fitting(lines: list[tuple[bool, str]]) -> list[str]:
    """The lines of at most `_CALLS` calls, those that matter before others, in their order."""
    cut = len(lines) - _CALLS
    if cut <= 0:
        return [line for _, line in lines]
    kept = sorted(sorted(range(len(lines)), key=lambda index: not lines[index][0])[:_CALLS])
    return [*(lines[index][1] for index in kept), f"and makes {cut:,} more kinds of calls; safepickle trace has all"]


def _is_about(finding: Finding, call: Call, trace: Trace) -> bool:
    return (finding.stream, finding.offset, finding.callee) == (
        place_text(trace.place),
        trace.offset + call.offset,
        call.callee.name,
    )


def _usual(call: Call) -> str | None:
    """Phrase for a call that every model makes, None for one not worth telling, empty for any other."""
    name = call.callee.name
    if call.opcode == "BUILD":
        return None
    if call.opcode in ("NEWOBJ", "NEWOBJ_EX") and call.callee.kind == "global":
        return _BULK.get(name, f"creates {{}} {printable(name)} {{object|objects}}")
    if name == "copyreg._reconstructor" and call.args and call.args[0].ref:
        return f"creates {{}} {printable(call.args[0].ref.name)} {{object|objects}}"
    if call.opcode == "persistent_load":
        return "asks the loader for {} stored {object|objects} by persistent id"
    if call.opcode in _IMPLICIT and name:
        return None
    return _BULK.get(name, "")


def _counted(phrase: str, count: int) -> str:
    """``"rebuilds {} numpy {array|arrays}"`` with the number and the fitting noun."""
    before, _, rest = phrase.partition("{}")
    between, _, rest = rest.partition("{")
    nouns, _, after = rest.partition("}")
    one, _, many = nouns.partition("|")
    return f"{before}{count:,}{between}{one if count == 1 else many}{after}"


def _call_line(call: Call, base: int, findings: list[Finding]) -> str:
    times = f", {call.count:,} times" if call.count > 1 else ""
    effect = ""
    if findings and findings[0].effect:
        known = findings[0].effect != "unknown"
        effect = f"  -> {printable(findings[0].effect) if known else 'to unknown effect'} [{findings[0].severity}]"
    return f"{_sentence(call)}{times}  (byte {base + call.offset:,}){effect}"


def _sentence(call: Call) -> str:
    callee = _name(call.callee)
    if call.opcode == "BUILD":
        return f"sets the state of {callee}"
    if call.opcode in _IMPLICIT:
        return f"{_IMPLICIT[call.opcode]} {callee}"
    if call.opcode == "ext":
        return f"looks {callee} up in the extension registry"
    arguments = ", ".join(_value(argument) for argument in call.args[:_ARGUMENTS])
    more = ", …" if len(call.args) > _ARGUMENTS else ""
    if call.opcode in ("NEWOBJ", "NEWOBJ_EX"):
        return f"creates a {callee} object from ({arguments}{more})"
    return f"calls {callee}({arguments}{more})"


def _name(ref: Ref) -> str:
    name = printable(ref.name)
    if ref.kind in ("global", "attribute", "extension"):
        return name or "a name that is computed while loading"
    if ref.kind == "result":
        return f"what {name or 'an earlier call'} returned"
    if ref.kind == "carrier":
        return f"{name} (through a carrier)"
    if ref.kind == "computed":
        return f"a name that is computed while loading{f' ({name})' if name else ''}"
    if ref.kind == "persistent":
        return "an object that the loader provides"
    return name or "something unknown"


def _value(described: Descriptor, depth: int = 2) -> str:
    if described.literal:
        text = printable(described.literal, _LITERAL)
        return f"'{text}'" if described.type == "str" else f"<bytes {text}>" if described.type == "bytes" else text
    if described.ref is not None:
        return _name(described.ref)
    kind = described.type
    if kind in ("str", "bytes"):
        looks = f", looks like {described.looks}" if described.looks else ""
        return f"<{kind}, {described.length:,} long{looks}>"
    if kind in _BRACKETS:
        opened, closed = _BRACKETS[kind]
        if depth == 0 or not described.items:
            return f"{opened}{'…' if described.length else ''}{closed}"
        items = ", ".join(_value(item, depth - 1) for item in described.items[:_ARGUMENTS])
        more = ", …" if described.length > _ARGUMENTS else ""
        return f"{opened}{items}{more}{closed}"
    return {"none": "None", "unknown": "?"}.get(kind, f"<{kind}>")


def _verdict(report: FileReport, told: set[int]) -> Iterator[str]:
    score = f", score {report.score:.3f}" if report.score is not None else ""
    yield f"Verdict: {report.verdict}{score}"
    for index, finding in enumerate(report.findings[:_FINDINGS]):
        yield f"  [{finding.severity}] {printable(finding.title)}: {printable(finding.why, 600)}"
        if index not in told and finding.stream:
            yield f"      at {printable(finding.stream)}, byte {finding.offset:,}"
    if len(report.findings) > _FINDINGS:
        yield f"  and {len(report.findings) - _FINDINGS:,} more findings; safepickle scan --format json has all"
    for oddity in report.oddities[:_FINDINGS]:
        detail = f": {printable(oddity.detail)}" if oddity.detail else ""
        yield f"  odd: {printable(oddity.kind)}{detail} (byte {oddity.offset:,})"
    if not report.complete:
        yield "  not everything in it was understood, so that it cannot be called benign"
