"""Pages that list: what waits for a label, all scans, all labels."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

import sqlalchemy as sa
from markupsafe import Markup
from sqlalchemy.engine import Connection
from starlette.responses import Response

from ..database.candidates import Shown, load_candidates
from ..database.listing import Span, list_audit
from ..database.tables import Label, Scan
from ..database.writer import standing_labels
from ..labels import LABELS, RETRACTED
from ..queue import REASONS, Ranked, rank
from . import charts
from .visits import ROOT, Visit, redirect
from .wording import VERDICTS, standing_words

PAGE = 25
_HASH = 64
_ID = 32


@dataclasses.dataclass(frozen=True, slots=True)
class QueueRow:
    """A file that waits for a label: what the queue says of it, and the columns of its scan."""

    ranked: Ranked
    scan: Any

    @property
    def bar(self) -> Markup:
        """How much a label teaches."""
        return charts.bar(f"priority {self.ranked.priority:.2f}", self.ranked.priority)

    @property
    def title(self) -> str:
        """The gravest finding."""
        findings = self.scan.findings
        return str(findings[0]["title"]) if findings else ""

    @property
    def severity(self) -> str:
        """Of the gravest finding."""
        findings = self.scan.findings
        return str(findings[0]["severity"]) if findings else ""


def show_queue(visit: Visit) -> Response:
    """``GET /console/``: files that wait for a label, those first from which one teaches most."""
    info = visit.runtime.pool.info
    thresholds = {} if info is None else info.thresholds
    wanted = {name: visit.query(name) for name in ("verdict", "reason", "q")}
    with visit.runtime.database.read() as connection:
        candidates, shown = load_candidates(connection, policy=visit.runtime.label_policy)
        everything = rank(candidates, thresholds, len(candidates))
        found = [one for one in everything if _matches(one, shown[one.candidate.scan_id], wanted)]
        pages = max(1, -(-len(found) // PAGE))
        number = min(visit.number("page", 1, 10_000), pages)
        rows = _queue_rows(connection, found[(number - 1) * PAGE : number * PAGE])
    counts = dict.fromkeys(VERDICTS, 0)
    for one in everything:
        counts[shown[one.candidate.scan_id].verdict] += 1
    return visit.page(
        "queue.html",
        rows=rows,
        found=len(found),
        waiting=len(everything),
        counts=counts,
        wanted=wanted,
        reasons=REASONS,
        labels=LABELS,
        thresholds=thresholds,
        first=(number - 1) * PAGE + 1,
        number=number,
        pages=pages,
        link=lambda page: f"{ROOT}/?{_query({**wanted, 'page': str(page)})}",
        here=f"{ROOT}/?{_query({**wanted, 'page': str(number)})}",
    )


def show_scans(visit: Visit) -> Response:
    """``GET /console/scans``: all scans, the latest first."""
    wanted = {name: visit.query(name) for name in ("verdict", "q")}
    before = visit.query("before")
    asked = wanted["q"].strip()
    if len(asked) in (_HASH, _ID) and set(asked.lower()) <= set("0123456789abcdef"):
        return redirect(f"{ROOT}/files/{asked.lower()}")
    query = sa.select(Scan.id, Scan.at, Scan.sha256, Scan.name, Scan.size, Scan.container, Scan.verdict, Scan.score,
                      Scan.model_version)  # fmt: skip
    if wanted["verdict"] in VERDICTS:
        query = query.where(Scan.verdict == wanted["verdict"])
    if asked:
        query = query.where(Scan.name == asked)
    if len(before) == _ID:
        query = query.where(Scan.id < before)
    with visit.runtime.database.read() as connection:
        rows = connection.execute(query.order_by(Scan.id.desc()).limit(PAGE + 1)).all()
        known = standing_labels(connection, {row.sha256 for row in rows}, visit.runtime.label_policy)
    more = f"{ROOT}/scans?{_query({**wanted, 'before': rows[PAGE - 1].id})}" if len(rows) > PAGE else ""
    first = f"{ROOT}/scans?{_query(wanted)}" if before else ""
    listed = [(row, standing_words(known.get(row.sha256))[0]) for row in rows[:PAGE]]
    return visit.page("scans.html", rows=listed, wanted=wanted, more=more, first=first, verdicts=VERDICTS)


def _queue_rows(connection: Connection, found: Sequence[Ranked]) -> list[QueueRow]:
    scans = connection.execute(
        sa.select(Scan.id, Scan.at, Scan.sha256, Scan.name, Scan.size, Scan.container, Scan.verdict, Scan.score,
                  Scan.findings).where(Scan.id.in_([one.candidate.scan_id for one in found]))
    )  # fmt: skip
    by_id = {scan.id: scan for scan in scans}
    return [QueueRow(one, by_id[one.candidate.scan_id]) for one in found]


def _matches(one: Ranked, shown: Shown, wanted: dict[str, str]) -> bool:
    text = wanted["q"].strip().lower()
    return (
        (wanted["verdict"] not in VERDICTS or shown.verdict == wanted["verdict"])
        and (wanted["reason"] not in REASONS or one.reason == wanted["reason"])
        and (not text or text in shown.name.lower() or one.candidate.sha256.startswith(text))
    )


def _query(values: dict[str, str]) -> str:
    return urlencode({name: value for name, value in values.items() if value})


def show_labels(visit: Visit) -> Response:
    """``GET /console/labels``: everything that people said, the latest first."""
    wanted = {name: visit.query(name) for name in ("label", "author")}
    before = visit.number("before", 0, (1 << 62))
    query = sa.select(Label.__table__, Scan.name, Scan.verdict).join(Scan, Scan.id == Label.scan_id)
    if wanted["label"] in (*LABELS, RETRACTED):
        query = query.where(Label.label == wanted["label"])
    if wanted["author"].strip():
        query = query.where(Label.author == wanted["author"].strip())
    if before:
        query = query.where(Label.id < before)
    with visit.runtime.database.read() as connection:
        rows = connection.execute(query.order_by(Label.id.desc()).limit(PAGE + 1)).all()
    more = f"{ROOT}/labels?{_query({**wanted, 'before': str(rows[PAGE - 1].id)})}" if len(rows) > PAGE else ""
    first = f"{ROOT}/labels?{_query(wanted)}" if before else ""
    return visit.page(
        "labels.html", rows=rows[:PAGE], wanted=wanted, more=more, first=first, choices=(*LABELS, RETRACTED)
    )


def show_audit(visit: Visit) -> Response:
    """``GET /console/audit``: who changed how the service decides, or who may use it, the latest first."""
    visit.need("admin")
    before = visit.number("before", 0, 1 << 62)
    with visit.runtime.database.read() as connection:
        page = list_audit(connection, {}, Span(), before or None, PAGE)
    more = f"{ROOT}/audit?{_query({'before': str(page.next)})}" if page.next is not None else ""
    return visit.page("audit.html", entries=page.items, more=more, first=f"{ROOT}/audit" if before else "")
