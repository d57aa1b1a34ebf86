"""Labels given and taken back in the console."""

from __future__ import annotations

from starlette.responses import Response

from ..database.records import NewLabel
from ..labels import LABELS, RETRACTED
from ..problems import Problem
from ..routes.labels import MAX_REASON, store_label
from .login import safe_path
from .visits import ROOT, Visit, redirect


def give_label(visit: Visit) -> Response:
    """``POST /console/files/{sha256}/label``: ``label``, ``reason``, ``evidence``, and ``next``, where to go then."""
    label, reason = visit.form.get("label", ""), visit.form.get("reason", "").strip()
    evidence = visit.form.get("evidence", "").strip()
    if label not in LABELS:
        raise Problem(422, "invalid-label", f"choose a label: {', '.join(LABELS)}")
    if not 0 < len(reason) <= MAX_REASON or len(evidence) > MAX_REASON:
        raise Problem(422, "invalid-label", f"give a reason, of at most {MAX_REASON} characters")
    store_label(
        visit.runtime,
        visit.principal,
        NewLabel(label, reason, sha256=visit.request.path_params["key"], evidence=evidence),
    )
    return _onward(visit, "labelled")


def take_back(visit: Visit) -> Response:
    """``POST /console/files/{sha256}/undo``: take back one's own label or, for an admin, the one ``label_id`` names."""
    text = visit.form.get("label_id", "")
    number = int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else None
    reason = visit.form.get("reason", "").strip()[:MAX_REASON] or "taken back in the console"
    store_label(
        visit.runtime,
        visit.principal,
        NewLabel(RETRACTED, reason, sha256=visit.request.path_params["key"], retracts=number),
    )
    return _onward(visit, "undone")


def _onward(visit: Visit, notice: str) -> Response:
    onward = visit.form.get("next", "")
    return redirect(safe_path(onward) if onward else f"{ROOT}/files/{visit.request.path_params['key']}#label", notice)
