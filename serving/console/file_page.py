"""The page about one file: verdict, evidence, code, parts, labels, history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from starlette.responses import Response

from safepickle.bytecode.trace import FileTrace

from ..database.tables import ApiKey, Label, Scan, ScanNovelty, ScanStory
from ..database.writer import standing_labels
from ..labels import LABELS, RETRACTED
from ..problems import Problem
from ..scan_process import read_trace
from . import charts, contents
from .code_view import finding_links, stream_views
from .neighbours import nearest
from .story import unpack
from .visits import ROOT, Visit, redirect
from .wording import advice, consequence, headline, standing_words

COMPARED = 400
"""The latest scans by the same model that the scores of detectors are compared with."""
FINDINGS = 60
HISTORY = 30


def show_file(visit: Visit) -> Response:
    """``GET /console/files/{sha256}``: the latest scan of a content, or the one that ``?scan=`` names."""
    key = visit.request.path_params["key"].lower()
    with visit.runtime.database.read() as connection:
        if len(key) == 32:
            return _redirect_to_scan(connection, key)
        scan = _load_scan(connection, key, visit.query("scan"))
        policy = visit.runtime.label_policy
        trace = _trace(scan.trace)
        known = standing_labels(connection, {key}, policy).get(key)
        story = unpack(_stored_story(connection, scan))
        views = [] if story is None else stream_views(story, scan.findings)
        values: dict[str, Any] = {
            "history": _history(connection, key),
            "labels": _labels(connection, key),
            "neighbours": [] if trace is None else nearest(connection, trace, key, policy),
            "detectors": _detectors(connection, scan),
        }
    info = visit.runtime.pool.info
    word, sentence = standing_words(known)
    parts, parts_left_out = (None, 0) if trace is None else contents.tree(trace)
    named, names_left_out = ([], 0) if trace is None else contents.names(trace)
    findings = scan.findings[:FINDINGS]
    return visit.page(
        "file.html",
        scan=scan,
        headline=headline(scan.verdict),
        consequence=consequence(scan.findings, scan.verdict),
        advice=advice(scan.verdict),
        thresholds={} if info is None else info.thresholds,
        score_bar=_score_bar(scan, {} if info is None else info.thresholds),
        findings=list(zip(findings, finding_links(views, findings), strict=True)),
        findings_left_out=len(scan.findings) - len(findings),
        views=views,
        shortened=story is not None and story["shortened"],
        has_story=story is not None,
        keeps_stories=visit.runtime.settings.stories,
        tree=parts,
        parts_left_out=parts_left_out,
        names=named,
        names_left_out=names_left_out,
        standing=known,
        standing_word=word,
        standing_sentence=sentence,
        clearances=policy.clearances,
        choices=LABELS,
        chosen=visit.query("label") if visit.query("label") in LABELS else "",
        **values,
    )


def _redirect_to_scan(connection: Connection, scan_id: str) -> Response:
    sha256 = connection.execute(sa.select(Scan.sha256).where(Scan.id == scan_id)).scalar()
    if sha256 is None:
        raise _unknown()
    return redirect(f"{ROOT}/files/{sha256}?scan={scan_id}")


def _load_scan(connection: Connection, sha256: str, scan_id: str) -> Any:
    query = (
        sa.select(Scan.__table__, ScanNovelty.novelty, ApiKey.name.label("asked_by"))
        .select_from(Scan)
        .outerjoin(ScanNovelty, ScanNovelty.scan_id == Scan.id)
        .outerjoin(ApiKey, ApiKey.id == Scan.api_key_id)
        .where(Scan.sha256 == sha256)
    )
    if scan_id:
        query = query.where(Scan.id == scan_id)
    row = connection.execute(query.order_by(Scan.at.desc(), Scan.id.desc()).limit(1)).first()
    if row is None:
        raise _unknown()
    return row


def _unknown() -> Problem:
    return Problem(404, "unknown-scan", "no file with this hash, and no scan with this id, is stored here")


def _trace(stored: bytes | None) -> FileTrace | None:
    if stored is None:
        return None
    try:
        return read_trace(stored)
    except ValueError:
        return None


def _stored_story(connection: Connection, scan: Any) -> bytes | None:
    """The story of this scan, else the latest one of the same content: it is made of the bytes alone."""
    query = (
        sa.select(ScanStory.story)
        .join(Scan, Scan.id == ScanStory.scan_id)
        .where(Scan.sha256 == scan.sha256)
        .order_by((Scan.id == scan.id).desc(), Scan.at.desc())
        .limit(1)
    )
    story: bytes | None = connection.execute(query).scalar()
    return story


def _history(connection: Connection, sha256: str) -> Sequence[Any]:
    return connection.execute(
        sa.select(
            Scan.id, Scan.at, Scan.name, Scan.verdict, Scan.score, Scan.model_version, ApiKey.name.label("asked_by")
        )
        .outerjoin(ApiKey, ApiKey.id == Scan.api_key_id)
        .where(Scan.sha256 == sha256)
        .order_by(Scan.at.desc(), Scan.id.desc())
        .limit(HISTORY)
    ).all()


def _labels(connection: Connection, sha256: str) -> list[dict[str, Any]]:
    """All labels, the latest first; `open` are those that can be taken back."""
    rows = connection.execute(sa.select(Label.__table__).where(Label.sha256 == sha256).order_by(Label.id.desc())).all()
    taken = {row.retracts for row in rows if row.retracts is not None}
    return [{**row._mapping, "open": row.label != RETRACTED and row.id not in taken} for row in rows]


def _detectors(connection: Connection, scan: Any) -> list[dict[str, Any]]:
    """Each detector's score, and the share of the latest scans that it finds more harmless than this one."""
    others = connection.execute(
        sa.select(Scan.detectors)
        .where(Scan.model_version == scan.model_version, Scan.id != scan.id)
        .order_by(Scan.id.desc())
        .limit(COMPARED)
    ).scalars()
    compared: dict[str, list[float]] = {}
    for detectors in others:
        for name, value in detectors.items():
            compared.setdefault(name, []).append(value)
    rows = [_detector(name, value, compared.get(name, [])) for name, value in scan.detectors.items()]
    return sorted(rows, key=lambda row: -row["share"])


def _detector(name: str, value: float, others: Sequence[float]) -> dict[str, Any]:
    below = sum(other < value for other in others) + 0.5 * sum(other == value for other in others)
    share = below / len(others) if others else 0.0
    title = f"{name}: higher than {100 * share:.0f} % of {len(others):,} recent scans"
    tone = "malicious" if share >= 0.95 else "accent"
    return {"name": name, "value": value, "share": share, "others": len(others), "bar": charts.bar(title, share, tone)}


def _score_bar(scan: Any, thresholds: Mapping[str, float]) -> Any:
    if scan.score is None:
        return ""
    ticks = [(value, f"{name} from {value:.3f}") for name, value in thresholds.items()]
    return charts.bar(f"score {scan.score:.3f}", scan.score, scan.verdict, ticks)
