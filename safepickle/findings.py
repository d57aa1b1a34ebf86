"""Evidence: what a file would do, call by call, in words."""

from __future__ import annotations

from .bytecode.trace import Call, Coverage, Descriptor, FileTrace, Oddity, Place, Trace
from .capabilities.sinks import EFFECTS, sink_kind
from .features.calls import is_function, is_stdlib
from .features.prevalence import Prevalence, called, calls_result
from .record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

SEVERITIES = ("info", "low", "medium", "high", "critical")
_KIND_SEVERITY = {
    "exec": "critical", "process": "critical", "native": "critical", "import": "high", "deserialize": "high",
    "network": "high", "file": "high",
}  # fmt: skip
_SUSPECT_LOOKS = {
    "shell": "a shell command", "code": "Python code", "url": "a URL", "path": "a path", "host": "a host name",
    "bytecode": "compiled code", "pickle": "a pickle",
}  # fmt: skip
_LIMIT = 500
"""Findings of one severity that are reported."""


class Finding(Record):
    """One piece of evidence.

    Parameters
    ----------
    rule
        Stable id: ``call-process``, ``passes-exec``, ``unknown-function`` ...
    severity
        One of :data:`SEVERITIES`.
    title
        What it is, in one line.
    why
        Why it matters, and what to do.
    stream
        Steps from the file to the stream: ``zip:archive/data.pkl``; empty for the file itself.
    offset
        Byte offset in that stream.
    callee
        Name of what is called or imported; empty where nothing is.
    effect
        What it would do, in words; empty where that is unknown.
    """

    rule: str
    severity: str
    title: str
    why: str
    stream: str = ""
    offset: int = 0
    callee: str = ""
    effect: str = ""


def find(file: FileTrace, prevalence: Prevalence) -> tuple[Finding, ...]:
    """Evidence in a file, worst first, without duplicates.

    Parameters
    ----------
    file
        What loading would do.
    prevalence
        How usual names are among benign files: a root sink that benign files use too weighs less.
    """
    found: dict[str, dict[tuple[str, str, str], Finding]] = {severity: {} for severity in reversed(SEVERITIES)}
    for finding in _all(file, prevalence):
        alike = found[finding.severity]
        if len(alike) < _LIMIT:
            alike.setdefault((finding.rule, finding.callee, finding.title), finding)
    return tuple([finding for alike in found.values() for finding in alike.values()])


def place_text(place: Place) -> str:
    """Steps to a stream as one line: ``zip:archive/data.pkl > literal:120``."""
    return " > ".join(f"{step}:{member}" if member else step for step, member in place)


def _all(file: FileTrace, prevalence: Prevalence) -> Iterator[Finding]:
    for trace in file.walk():
        called = {call.callee.name for call in trace.calls}
        for call in trace.calls:
            yield from _of_call(trace, call, prevalence)
        for entry in trace.imports:
            kind = sink_kind(entry.name)
            if kind and entry.name not in called and prevalence.novelty(entry.name) == 1.0:
                yield Finding(
                    f"import-{kind}", "medium", f"imports {entry.name}",
                    f"Ordinary models do not name it: it {EFFECTS[kind]} once it is called.",
                    place_text(trace.place), trace.offset + entry.offset, entry.name, EFFECTS[kind],
                )  # fmt: skip
        for oddity in trace.oddities:
            yield _of_oddity(oddity, trace.place, trace.offset)
        if trace.coverage.state != "complete":
            yield _of_coverage(trace.coverage, trace)
    for oddity in file.oddities:
        yield _of_oddity(oddity, (), 0)


def _of_call(trace: Trace, call: Call, prevalence: Prevalence) -> Iterator[Finding]:
    where = (place_text(trace.place), trace.offset + call.offset, call.callee.name)
    name = call.callee.name
    kind = sink_kind(name) if call.callee.kind != "result" else ""
    usual = prevalence.groups_with(called(call))
    if kind:
        yield Finding(
            f"call-{kind}", _severity(kind, usual), f"calls {name}({_arguments(call)})",
            f"Loading the file {EFFECTS[kind]}." + _usual(usual), *where, EFFECTS[kind],
        )  # fmt: skip
    if call.callee.kind in ("computed", "unknown") and call.opcode not in (
        "BUILD",
        "setitem",
        "append",
        "extend",
        "add",
    ):
        yield Finding(
            "computed-callee", "high", f"calls something that is only known at load time ({name or 'unnamed'})",
            "The name of the callee is computed by the file itself.", *where, "unknown",
        )  # fmt: skip
    if calls_result(call) and usual == 0:
        yield Finding(
            "result-callee", "medium", f"calls what {name or 'an earlier call'} returned ({_arguments(call)})",
            "No benign training file calls a result of it; what runs depends on that result.", *where, "unknown",
        )  # fmt: skip
    if call.callee.kind == "extension":
        yield Finding(
            "extension-callee", "medium", f"uses the extension registry ({name})",
            "What it names depends on the program that loads the file.", *where, "unknown",
        )  # fmt: skip
    if call.opcode == "BUILD" and call.callee.kind in ("global", "attribute"):
        yield Finding(
            "build-on-global", "high", f"plants attributes on {name}",
            "BUILD on a class, function or module changes the program that loads it.", *where, "changes the program",
        )  # fmt: skip
    yield from _passed(call, prevalence, where)
    if not kind and usual == 0 and call.opcode not in ("persistent_load", "BUILD"):
        yield from _unknown(call, where)


def _passed(call: Call, prevalence: Prevalence, where: tuple[str, int, str]) -> Iterator[Finding]:
    for argument in flattened(call.args):
        if argument.ref is None or argument.type != "global":
            continue
        kind = sink_kind(argument.ref.name)
        if kind:
            usual = prevalence.groups_with(argument.ref.name)
            yield Finding(
                f"passes-{kind}", _severity(kind, usual), f"hands {argument.ref.name} to {where[2] or 'a callee'}",
                f"A callee that is handed {argument.ref.name} can call it: it {EFFECTS[kind]}." + _usual(usual),
                *where, EFFECTS[kind],
            )  # fmt: skip


def _unknown(call: Call, where: tuple[str, int, str]) -> Iterator[Finding]:
    looks = [_SUSPECT_LOOKS[arg.looks] for arg in flattened(call.args) if arg.looks in _SUSPECT_LOOKS]
    name = call.callee.name
    if looks and call.callee.kind != "result":
        yield Finding(
            "unknown-with-argument", "high" if is_stdlib(name) or is_function(call) else "medium",
            f"calls {name}({_arguments(call)}) with {looks[0]}",
            "No benign training file calls it; read what it does before loading.", *where, "unknown",
        )  # fmt: skip
    elif is_stdlib(name) and is_function(call):
        yield Finding(
            "unusual-stdlib-call", "medium", f"calls {name}({_arguments(call)})",
            "No benign training file calls this function of the standard library.", *where, "unknown",
        )  # fmt: skip
    elif is_function(call):
        yield Finding(
            "unknown-function", "low", f"calls {name}({_arguments(call)})",
            "No benign training file calls it: code of a library or project that is not known here.", *where, "unknown",
        )  # fmt: skip


def _of_oddity(oddity: Oddity, place: Place, base: int) -> Finding:
    budget = oddity.kind.startswith("budget:")
    return Finding(
        f"odd-{oddity.kind.replace(':', '-')}", "medium" if budget else "info",
        f"{oddity.kind.replace('-', ' ').replace(':', ': ')}" + (f" ({oddity.detail})" if oddity.detail else ""),
        "A limit of the scan was reached; what lies behind it is unknown." if budget
        else "A well-formed file of its kind does not have this; it is no proof of anything.",
        place_text(place), base + oddity.offset,
    )  # fmt: skip


def _of_coverage(coverage: Coverage, trace: Trace) -> Finding:
    return Finding(
        "not-understood", "medium", f"stops being a pickle: {coverage.reason}",
        f"{coverage.understood} bytes were understood; a loader would fail here or read on in its own way.",
        place_text(trace.place), trace.offset + coverage.offset,
    )  # fmt: skip


def _severity(kind: str, usual: int) -> str:
    return _KIND_SEVERITY[kind] if usual == 0 else "low" if usual > 2 else "medium"


def _usual(usual: int) -> str:
    return f" {usual} groups of benign training files do so too." if usual else ""


def _arguments(call: Call) -> str:
    return ", ".join(_argument(argument) for argument in call.args[:4]) + (", ..." if len(call.args) > 4 else "")


def _argument(argument: Descriptor) -> str:
    if argument.type == "str" and argument.literal:
        text = argument.literal if len(argument.literal) <= 80 else argument.literal[:77] + "..."
        return ascii(text)
    if argument.type in ("str", "bytes"):
        return f"<{argument.type} of {argument.length}: {argument.looks}>"
    if argument.ref is not None and argument.ref.name:
        return argument.ref.name + ("(...)" if argument.type == "result" else "")
    if argument.literal:
        return argument.literal[:40]
    return {"none": "None"}.get(argument.type, f"<{argument.type}>")


def flattened(descriptors: tuple[Descriptor, ...]) -> Iterator[Descriptor]:
    """Descriptors and the items within them."""
    for descriptor in descriptors:
        yield descriptor
        yield from flattened(descriptor.items)
