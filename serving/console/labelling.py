"""Labels given and taken back in the console."""

from __future__ import annotations

from starlette.responses import Response

from .. import metrics
from ..database.records import NewLabel, NothingToRetract, QuotaReached, UnknownScan, add_label
from ..labels import LABELS, RETRACTED
from ..problems import Problem
from ..routes.labels import MAX_REASON
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
    _store(visit, NewLabel(label, reason, sha256=visit.request.path_params["key"], evidence=evidence))
    metrics.LABELS.labels(label).inc()
    return _onward(visit, "labelled")


def take_back(visit: Visit) -> Response:
    """``POST /console/files/{sha256}/undo``: take back one's own label or, for an admin, the one ``label_id`` names."""
    text = visit.form.get("label_id", "")
    number = int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else None
    reason = visit.form.get("reason", "").strip()[:MAX_REASON] or "taken back in the console"
    _store(visit, NewLabel(RETRACTED, reason, sha256=visit.request.path_params["key"], retracts=number))
    metrics.LABELS.labels(RETRACTED).inc()
    return _onward(visit, "undone")


def _store(visit: Visit, new: NewLabel) -> None:
    who, quota = visit.principal, visit.runtime.settings.label_quota
    assert who.key_id is not None
    try:
        with visit.runtime.database.write() as connection:
            add_label(connection, new, who.key_id, who.name, who.role, quota)
    except UnknownScan:
        raise Problem(404, "unknown-scan", "no scan of this file is stored here") from None
    except NothingToRetract as error:
        raise Problem(409, "nothing-to-retract", str(error)) from None
    except QuotaReached as error:
        raise Problem(429, "label-quota", f"this key may give {error}; wait or ask an admin", retry_after=60) from None


def _onward(visit: Visit, notice: str) -> Response:
    onward = visit.form.get("next", "")
    return redirect(safe_path(onward) if onward else f"{ROOT}/files/{visit.request.path_params['key']}#label", notice)
