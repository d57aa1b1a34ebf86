"""The registry's versions: their cards, two of them compared, promotion and rollback."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from registry import Registry, RegistryError, Version
from registry.ledger import Ledger

from ..database.audit import record
from ..problems import Problem
from .measures import Rate
from .visits import ROOT, Visit, redirect

MAX_REASON = 2_000
_GATE = {
    "promote": "cleared",
    "hold": "held",
    "reject": "rejected",
    "none": "never asked",
    "stale": "asked about another champion",
}


def show_models(visit: Visit) -> Response:
    """``GET /console/models``: all versions; with ``?a=`` and ``?b=`` two of them side by side."""
    ledger, versions = _read(visit.runtime.registry)
    numbers = {version.number: version for version in versions}
    compared = [numbers.get(_number(visit.query(name))) for name in ("a", "b")]
    first, second = compared
    return visit.page(
        "models.html",
        versions=[_summary(version, ledger) for version in reversed(versions)],
        champion=ledger.champion,
        challenger=ledger.challenger,
        can_roll_back=len(ledger.champions) > 1,
        earlier=ledger.champions[-2] if len(ledger.champions) > 1 else None,
        history=list(reversed(ledger.history))[:30],
        serving=visit.runtime.pool.info,
        refused=visit.runtime.follower.refused,
        comparison=_comparison(first, second) if first is not None and second is not None else None,
        a=first,
        b=second,
        is_admin=visit.principal.may("admin"),
    )


def show_model(visit: Visit) -> Response:
    """``GET /console/models/{number}``: card, lineage, what the gate said."""
    ledger, versions = _read(visit.runtime.registry)
    number = _number(visit.request.path_params["number"])
    version = next((one for one in versions if one.number == number), None)
    if version is None:
        raise Problem(404, "unknown-version", "the registry has no such version")
    try:
        card = version.card
    except OSError as error:
        card = f"The card cannot be read: {error.strerror}."
    return visit.page(
        "model.html",
        version=version,
        summary=_summary(version, ledger),
        decision=ledger.decisions.get(version.number),
        card=card,
        champion=ledger.champion,
        is_admin=visit.principal.may("admin"),
    )


def promote(visit: Visit) -> Response:
    """``POST /console/models/promote``: ``number``, ``reason``; ``force`` where the gate did not clear it."""
    visit.need("admin")
    reason = _reason(visit)
    force = visit.form.get("force", "") == "yes"
    number = _number(visit.form.get("number", ""))
    _audit(visit, "model.promote", number, {"reason": reason, "force": force})
    try:
        visit.runtime.registry.promote(number, reason, _who(visit), force=force)
    except RegistryError as error:
        _audit(visit, "model.promote-refused", number, {"why": str(error)})
        raise Problem(409, "refused", str(error)) from None
    return redirect(f"{ROOT}/models", "promoted")


def roll_back(visit: Visit) -> Response:
    """``POST /console/models/rollback``: ``reason``."""
    visit.need("admin")
    reason = _reason(visit)
    champion = _read(visit.runtime.registry)[0].champion or 0
    _audit(visit, "model.rollback", champion, {"reason": reason})
    try:
        visit.runtime.registry.rollback(reason, _who(visit))
    except RegistryError as error:
        _audit(visit, "model.rollback-refused", champion, {"why": str(error)})
        raise Problem(409, "refused", str(error)) from None
    return redirect(f"{ROOT}/models", "rolled-back")


def _who(visit: Visit) -> str:
    return f"{visit.principal.name} (key {visit.principal.key_id})"


def _audit(visit: Visit, action: str, number: int, detail: dict[str, Any]) -> None:
    """What cannot be audited is not done: this comes first, and raises DatabaseUnavailable."""
    with visit.runtime.database.write() as connection:
        record(connection, action, f"model {number}", {**detail, "where": "console"}, visit.principal.actor)


def _read(registry: Registry) -> tuple[Ledger, tuple[Version, ...]]:
    try:
        return registry.aliases(), registry.versions()
    except RegistryError as error:
        raise Problem(503, "registry-unreadable", str(error)) from None


def _reason(visit: Visit) -> str:
    reason = visit.form.get("reason", "").strip()
    if not 0 < len(reason) <= MAX_REASON:
        raise Problem(422, "no-reason", f"give a reason, of at most {MAX_REASON} characters")
    return reason


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else 0


def _summary(version: Version, ledger: Ledger) -> dict[str, Any]:
    gate = ledger.gate_for(version.number)
    rates = _rates(version)
    public = rates.get("public", {})
    return {
        "number": version.number,
        "created": str(version.manifest["created"])[:16].replace("T", " "),
        "bundle": version.bundle_hash,
        "dataset": version.dataset_hash,
        "commit": str(version.manifest["git_commit"]),
        "champion": version.number == ledger.champion,
        "challenger": version.number == ledger.challenger,
        "gate": gate,
        "gate_words": _GATE[gate],
        "recall": public.get("recall"),
        "false_positives": public.get("false positives"),
    }


def _rates(version: Version) -> dict[str, dict[str, Rate]]:
    """Recall and false-positive rate by frozen evaluation set, as far as the evaluation wrote them for the gate."""
    sets = version.metrics.get("gate", {})
    rates: dict[str, dict[str, Rate]] = {}
    for name, figures in sorted(sets.items()) if isinstance(sets, dict) else ():
        try:
            rates[str(name)] = {
                "recall": Rate(int(figures["true_positives"]), int(figures["positives"])),
                "false positives": Rate(int(figures["false_positives"]), int(figures["negatives"])),
            }
        except (KeyError, TypeError, ValueError):
            continue
    return rates


def _comparison(first: Version, second: Version) -> list[dict[str, Any]]:
    """A row for each set and rate that either has; `apart` if their intervals do not meet."""
    one, other = _rates(first), _rates(second)
    rows = []
    for name in sorted({*one, *other}):
        for measure, better in (("recall", 1), ("false positives", -1)):
            left = one.get(name, {}).get(measure, Rate(0, 0))
            right = other.get(name, {}).get(measure, Rate(0, 0))
            if left.trials or right.trials:
                rows.append(
                    {"set": name, "measure": measure, "a": left, "b": right, "change": _change(left, right, better)}
                )
    return rows


def _change(left: Rate, right: Rate, better: int) -> str:
    """How `right` compares: ``better``, ``worse``, or ``better?``, ``worse?`` while the intervals overlap."""
    if left.value is None or right.value is None or left.value == right.value:
        return ""
    assert left.interval is not None
    assert right.interval is not None
    word = "better" if (right.value - left.value) * better > 0 else "worse"
    apart = left.interval[1] < right.interval[0] or right.interval[1] < left.interval[0]
    return word if apart else f"{word}?"
