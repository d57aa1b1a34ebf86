"""What loading a file would do, stream by stream: as data, and as the pseudo-Python that people read."""

from __future__ import annotations

from time import monotonic

from ..decompile import decompile
from ..decompile.interpreter import SECONDS
from ..decompile.rendering import Line, render
from ..findings import place_text
from .colours import paint
from .printable import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from ..bytecode.trace import Trace
    from ..decompile.reading import Readings
    from ..findings import Finding
    from ..scan import FileReport

    Plain = dict[str, Any]

LINES = 100
"""Lines of one stream, unless more are asked for."""
_STREAMS = 40
_FINDINGS = 20
_MARKS = 2
_GRAVE = ("critical", "high", "medium")


def explain(report: FileReport, readings: Readings, lines: int = LINES, seconds: float = _STREAMS * SECONDS) -> Plain:
    """What loading the file would do, as plain data for JSON.

    Parameters
    ----------
    report
        Of a scan of the file.
    readings
        The bytes of its streams.
    lines
        The most lines of a stream; those with findings come before others.
    seconds
        Wall time for all streams; those that are left then get no lines.
    """
    from ..batch import file_object

    telling = {finding.stream for finding in report.findings}
    chosen: list[Trace] = []
    traces = report.trace.walk()
    for grave in (True, False):
        chosen += [trace for trace in traces if (place_text(trace.place) in telling) is grave][: _STREAMS - len(chosen)]
    shown = {id(trace) for trace in chosen}
    deadline = monotonic() + seconds

    def story(trace: Trace) -> Plain:
        inner = [story(child) for child in trace.children]
        told = _stream(trace, readings, report.findings, lines, deadline) if id(trace) in shown else {}
        return {**_heading(trace), **told, "streams": inner}

    return {
        **file_object(report),
        "streams": [story(trace) for trace in report.trace.streams],
        "streams_left_out": len(traces) - len(chosen),
    }


def _heading(trace: Trace) -> Plain:
    return {
        "place": place_text(trace.place),
        "member": next((member for _step, member in reversed(trace.place) if member), ""),
        "offset": trace.offset,
        "length": trace.length,
        "protocol": trace.protocol[1] if trace.protocol[0] < 0 else trace.protocol[0],
        "state": trace.coverage.state,
        "reason": trace.coverage.reason,
    }


def _stream(trace: Trace, readings: Readings, findings: tuple[Finding, ...], limit: int, deadline: float) -> Plain:
    reading = readings.of(trace)
    left = deadline - monotonic()
    if reading is None or left <= 0:
        return {}
    place = place_text(trace.place)
    here = [finding for finding in findings if finding.stream == place and finding.offset >= trace.offset]
    marks: dict[int, list[Finding]] = {}
    for finding in here:
        marks.setdefault(finding.offset - trace.offset, []).append(finding)
    named = {finding.callee: finding for finding in findings if finding.rule.startswith("call-")}
    done = decompile(reading, frozenset(marks), seconds=min(left, SECONDS))
    lines = render(done, reading, frozenset(marks))
    told = [(line, _marks_of(line, marks, named)) for line in lines]
    kept = _fitting(told, limit)
    return {
        "lines": [_plain_line(line, trace.offset, found) for line, found in kept],
        "lines_left_out": len(told) - len(kept),
    }


def _marks_of(line: Line, marks: dict[int, list[Finding]], named: dict[str, Finding]) -> list[Finding]:
    found = [finding for finding in marks.get(line.offset, []) if line.opcode]
    if found or line.opcode not in ("REDUCE", "OBJ", "INST"):
        return found
    known = named.get(line.callee) if line.callee else None
    return [known] if known is not None else []


def _fitting(told: list[tuple[Line, list[Finding]]], limit: int) -> list[tuple[Line, list[Finding]]]:
    """At most `limit` lines, those with findings before others, in their order."""
    if len(told) <= limit:
        return told
    first = sorted(range(len(told)), key=lambda index: not told[index][1])[:limit]
    return [told[index] for index in sorted(first)]


def _plain_line(line: Line, base: int, found: list[Finding]) -> Plain:
    return {
        "offset": base + line.offset,
        "opcode": line.opcode,
        "text": line.text,
        "count": line.count,
        "last": base + max(line.last, line.offset),
        "findings": [
            {"rule": one.rule, "severity": one.severity, "title": one.title, "effect": one.effect, "callee": one.callee}
            for one in found
        ],
    }


# --- for people ----------------------------------------------------------------------------------


def explained_text(story: Plain, colour: bool = False) -> Iterator[str]:
    """The lines that people read of what :func:`explain` returns."""
    path = printable(story["path"], 4096)
    yield paint(f"# {path}: {printable(story['container'])}, {story['size']:,} bytes", "comment", colour)
    if not story["streams"]:
        whole = "" if story["complete"] else ", but not all of it was understood"
        yield paint(f"# no pickle stream was found in it{whole}", "comment", colour)
    name = path.rsplit("/", 1)[-1]
    for stream in story["streams"]:
        yield from _stream_text(stream, name, "", colour)
    if story["streams_left_out"]:
        yield paint(f"# {story['streams_left_out']:,} more streams, all without a finding", "comment", colour)
    yield ""
    yield from _verdict(story, colour)


def _stream_text(stream: Plain, file: str, indent: str, colour: bool) -> Iterator[str]:
    place = printable(stream["place"], 4096)
    begin, behind = stream["offset"], stream["offset"] + stream["length"]
    where = f"{place} in {file}" if place else file
    if "lines" in stream:
        yield ""
        heading = f"{indent}# {where}, protocol {stream['protocol']}, bytes {begin:,} to {behind:,}"
        yield paint(heading, "comment", colour)
    for line in stream.get("lines", ()):
        yield from _line_text(line, indent, colour)
    if stream.get("lines_left_out"):
        yield paint(f"{indent}# {stream['lines_left_out']:,} more lines; --lines shows more", "comment", colour)
    if stream["state"] != "complete" and "lines" in stream:
        reason = printable(stream["reason"]) or stream["state"]
        yield paint(f"{indent}# not understood from byte {behind:,} on: {reason}", "comment", colour)
    for child in stream["streams"]:
        yield from _stream_text(child, file, indent + "    ", colour)


def _line_text(line: Plain, indent: str, colour: bool) -> Iterator[str]:
    more = f", {line['count'] - 1:,} more like this" if line["count"] > 1 else ""
    findings = line["findings"]
    worst = findings[0]["severity"] if findings else ""
    comment = f"# @{line['offset']}{more}"
    text = printable(line["text"], 1000)
    yield (
        f"{indent}{paint(text, worst, colour) if worst in _GRAVE else text}  {paint(comment, 'comment', colour)}"
        + "".join(_mark(finding, line["text"], colour) for finding in findings[:_MARKS])
    )


def _mark(finding: Plain, text: str, colour: bool) -> str:
    resolved = finding["callee"] and finding["callee"] not in text
    does = finding["rule"].startswith(("call-", "reach-")) and finding["effect"]
    short = does or finding["title"].partition(": ")[0]
    told = printable(finding["title"] if resolved else short)
    return "  " + paint(f"\u2190 {told} [{finding['severity']}]", finding["severity"], colour)


def _verdict(story: Plain, colour: bool) -> Iterator[str]:
    score = f", score {story['score']:.3f}" if story["score"] is not None else ""
    yield f"Verdict: {paint(story['verdict'], story['verdict'], colour)}{score}"
    advised: set[str] = set()
    for finding in story["findings"][:_FINDINGS]:
        times = f" ({finding['count']:,} times)" if finding["count"] > 1 else ""
        severity = paint(f"[{finding['severity']}]", finding["severity"], colour)
        yield f"  {severity} {printable(finding['title'])}{times}"
        yield f"      {printable(finding['why'], 600)}"
        if finding["steps"]:
            yield f"      reached by {', '.join(printable(step) for step in finding['steps'])}"
        if finding["witness"]:
            yield f"      reaches {' -> '.join(printable(step) for step in finding['witness'])}"
        where = f"{printable(finding['stream'])}, " if finding["stream"] else ""
        yield f"      at {where}byte {finding['offset']:,}; rule {finding['rule']}"
        if finding["severity"] in _GRAVE and finding["advice"] not in advised:
            advised.add(finding["advice"])
            yield f"      {finding['advice']}"
    if len(story["findings"]) > _FINDINGS:
        yield f"  and {len(story['findings']) - _FINDINGS:,} more findings; --json has all"
    if not story["complete"]:
        yield "  not everything in it was understood, so that it cannot be called benign"
