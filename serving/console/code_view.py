"""Pseudo-Python and opcodes of a file side by side, each line linked with the other view and with the findings."""

from __future__ import annotations

import dataclasses
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from safepickle.report.printable import printable

from .highlight import highlighted

Plain = dict[str, Any]
Finding = Mapping[str, Any]

_TEXT = 1_000


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """One line of a view; None stands for lines that are left out.

    `anchor` is its id in the page, `link` that of the line in the other view that belongs to it, `severity` of the
    gravest finding about it.
    """

    offset: int
    anchor: str
    link: str
    html: Markup | str
    note: str
    severity: str
    findings: tuple[str, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class StreamView:
    """One pickle stream."""

    place: str
    offset: int
    length: int
    protocol: int
    state: str
    reason: str
    depth: int
    lines: list[Row]
    lines_left_out: int
    code: list[Row | None]


def stream_views(story: Plain, findings: Sequence[Finding]) -> list[StreamView]:
    """The streams of a story (:mod:`serving.console.story`), those with lines or opcodes."""
    return [
        _view(index, stream, [one for one in findings if _is_about(one, stream)])
        for index, stream in enumerate(story["streams"])
        if stream["lines"] or stream["code"]
    ]


def finding_links(views: Sequence[StreamView], findings: Sequence[Finding]) -> list[str]:
    """For each finding the id of the line that it is about; empty where none is shown."""
    links = []
    for finding in findings:
        rows = [
            row
            for view in views
            if _is_in(finding, view.place, view.offset, view.length)
            for row in (*view.lines, *view.code)
            if row is not None and row.offset == finding["offset"]
        ]
        links.append(rows[0].anchor if rows else "")
    return links


def _view(index: int, stream: Plain, findings: Sequence[Finding]) -> StreamView:
    about: dict[int, list[Finding]] = {}
    for finding in findings:
        about.setdefault(finding["offset"], []).append(finding)
    line_offsets = sorted({line["offset"] for line in stream["lines"]})
    shown = {entry["offset"] for entry in stream["code"] if entry is not None}
    lines = []
    for number, line in enumerate(stream["lines"]):
        offset = line["offset"]
        link = f"s{index}-d{offset}" if offset in shown else ""
        more = f"{line['count'] - 1:,} more like this" if line["count"] > 1 else ""
        anchor = f"s{index}-p{offset}" if number == 0 or stream["lines"][number - 1]["offset"] != offset else ""
        lines.append(_row(offset, anchor, link, highlighted(line["text"]), more, about))
    code: list[Row | None] = []
    for entry in stream["code"]:
        if entry is None:
            code.append(None)
            continue
        offset = entry["offset"]
        # An opcode belongs to the line that it is part of: the first one that ends at or behind it.
        owner = _owner(line_offsets, offset)
        html = Markup('<b class="op">{:<16}</b> <span class="arg">{}</span>').format(entry["opcode"], entry["argument"])
        link = f"s{index}-p{owner}" if owner is not None else ""
        code.append(_row(offset, f"s{index}-d{offset}", link, html, entry["note"], about))
    if stream["code"] and (last := stream["code"][-1]) is not None and last["opcode"] not in ("STOP", "stop"):
        code.append(None)
    return StreamView(
        stream["place"], stream["offset"], stream["length"], stream["protocol"], stream["state"], stream["reason"],
        stream["depth"], lines, stream["lines_left_out"], code,
    )  # fmt: skip


def _owner(line_offsets: Sequence[int], offset: int) -> int | None:
    at = bisect_right(line_offsets, offset - 1)
    return line_offsets[at] if at < len(line_offsets) else None


def _row(
    offset: int, anchor: str, link: str, html: Markup | str, note: str, about: Mapping[int, Sequence[Finding]]
) -> Row:
    found = about.get(offset, ())
    titles = tuple(str(one["title"]).partition(": ")[0] for one in found[:2])
    return Row(offset, anchor, link, html, note, found[0]["severity"] if found else "", titles)


def _is_about(finding: Finding, stream: Plain) -> bool:
    return _is_in(finding, stream["place"], stream["offset"], stream["length"])


def _is_in(finding: Finding, place: str, offset: int, length: int) -> bool:
    inside = offset <= finding["offset"] <= offset + length
    return inside and printable(finding["stream"], _TEXT) == place
