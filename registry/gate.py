"""The promotion gate: whether a challenger may become champion, as a pure function of measured evidence."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, Literal, Self

from safepickle.record import Record

from .errors import RegistryError
from .intervals import wilson

Outcome = Literal["promote", "hold", "reject"]

CAUGHT, MISSED, FLAGGED, CLEARED = "CMfc"
"""A malicious file that was caught or missed, a benign one that was flagged or cleared."""
ENOUGH = 0.5
"""Share of the champion's files that a changed set must still have to be compared on."""

_BAD = CAUGHT + MISSED
_RECALL = "recall on "
_RAISED = "as far as old benign files need and recall allows"
_DIGITS = 12
_ROUNDING = 1e-12
_BOUNDS = ("recall_tolerance", "false_positive_tolerance", "churn", "bundle_bytes", "row_seconds")


class SetResult(Record):
    """What a model did on one frozen evaluation set.

    Parameters
    ----------
    true_positives, positives
        Malicious files caught, of all malicious files.
    false_positives, negatives
        Benign files flagged, of all benign files.
    digest
        Hash of the set's content.
    outcomes
        Each file as twelve hexadecimal digits of its hash and a letter, see :data:`CAUGHT`, in order, without
        anything between: of sets that differ, the files that both have are compared.
    """

    true_positives: int
    positives: int
    false_positives: int
    negatives: int
    digest: str = ""
    outcomes: str = ""

    @classmethod
    def of_files(cls, outcomes: Mapping[str, str], digest: str = "") -> Self:
        """Make a result of the letter of each file, by the first twelve digits of its hash."""
        letters = list(outcomes.values())
        return cls(
            letters.count(CAUGHT), letters.count(CAUGHT) + letters.count(MISSED),
            letters.count(FLAGGED), letters.count(FLAGGED) + letters.count(CLEARED),
            digest, "".join(key + outcomes[key] for key in sorted(outcomes)),
        )  # fmt: skip

    def files(self) -> dict[str, str]:
        """Letter of each file; empty when they were not kept."""
        step = _DIGITS + 1
        parts = (self.outcomes[start : start + step] for start in range(0, len(self.outcomes), step))
        return {part[:_DIGITS]: part[_DIGITS:] for part in parts}


def on_both(one: SetResult, other: SetResult) -> tuple[SetResult, SetResult]:
    """Two results on the files that both sets have, with the same label."""
    first, second = one.files(), other.files()
    common = [key for key in first if key in second and (first[key] in _BAD) == (second[key] in _BAD)]
    return (
        SetResult.of_files({key: first[key] for key in common}),
        SetResult.of_files({key: second[key] for key in common}),
    )


class Evidence(Record):
    """What was measured about one version, for the gate.

    Parameters
    ----------
    sets
        Results by name of the frozen evaluation set.
    canaries, canary_flips
        Canary files judged (known sinks, benign panel), and those whose verdict is not the one it must be.
    old_benign, old_benign_changed
        Benign files that the champion had judged before, and those whose verdict this version changes. Zero
        for a champion.
    bundle_bytes
        Size of the bundle, all files together.
    row_seconds
        Time to judge one row.
    schema
        Version of the feature schema.
    version
        Registered number; needed for a champion.
    panel, panel_changed
        Files of every library, a few each, that the champion clears, and those that this version flags.
    raised
        By how much its thresholds were raised for the sake of old benign files, and why; empty when they were not.
    """

    sets: Mapping[str, SetResult]
    canaries: int
    canary_flips: int
    old_benign: int
    old_benign_changed: int
    bundle_bytes: int
    row_seconds: float
    schema: str
    version: int | None = None
    panel: int = 0
    panel_changed: int = 0
    raised: str = ""


class GatePolicy(Record):
    """The gate's figures, all of them stated in ``params.yaml`` under ``gate``.

    Parameters
    ----------
    recall_tolerance, false_positive_tolerance
        How far recall may fall, and the false-positive rate rise, below the champion's on any set (fractions).
    churn
        Largest fraction of old benign files whose verdict may change.
    bundle_bytes
        Largest bundle.
    row_seconds
        Longest time to judge one row.
    schemas
        Feature schemas that the installed scanner knows.
    bars
        For named sets, absolute bars, champion or not: ``{"public": {"recall": 0.95, "false_positive_rate": 0.01}}``.
    """

    recall_tolerance: float
    false_positive_tolerance: float
    churn: float
    bundle_bytes: int
    row_seconds: float
    schemas: tuple[str, ...]
    bars: Mapping[str, Mapping[str, float]]

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> Self:
        """Make a policy of the mapping ``gate`` in ``params.yaml``.

        Raises
        ------
        RegistryError
            When a figure is missing, unknown, or not one: a policy is stated in full or not at all.
        """
        fields = (*_BOUNDS, "schemas", "bars")
        if wrong := sorted(set(fields) ^ set(params)):
            raise RegistryError(
                f"gate in params.yaml: {', '.join(wrong)} missing or unknown; it needs {', '.join(fields)}"
            )
        for name in _BOUNDS:
            if not _is_bound(params[name]):
                raise RegistryError(f"gate.{name} in params.yaml is {params[name]!r}; give a number of at least 0")
        if isinstance(params["schemas"], str) or not isinstance(params["schemas"], list | tuple):
            raise RegistryError("gate.schemas in params.yaml must be a list of feature-schema versions")
        bars = params["bars"]
        if not isinstance(bars, Mapping) or not all(isinstance(bar, Mapping) for bar in bars.values()):
            raise RegistryError("gate.bars in params.yaml must map set names to their bars ({} for none)")
        for name, bar in bars.items():
            if unknown := sorted(set(bar) - {"recall", "false_positive_rate"}):
                raise RegistryError(
                    f"gate.bars.{name} in params.yaml knows recall and false_positive_rate, not {unknown[0]}"
                )
            if not all(_is_bound(value) for value in bar.values()):
                raise RegistryError(f"gate.bars.{name} in params.yaml holds something that is no number of at least 0")
        figures = {name: params[name] for name in _BOUNDS}
        return cls(**figures, schemas=tuple(str(schema) for schema in params["schemas"]), bars=bars)


class Check(Record):
    """One thing the gate looked at; ``otherwise`` is what a failure means for the decision."""

    name: str
    passed: bool
    goal: str
    measured: str
    otherwise: Outcome = "hold"


class Decision(Record):
    """What the gate said, why, and against which champion (None: there was none)."""

    outcome: Outcome
    reasons: tuple[str, ...]
    checks: tuple[Check, ...]
    against: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the decision as JSON values."""
        return {
            "outcome": self.outcome,
            "against": self.against,
            "reasons": list(self.reasons),
            "checks": [dict(check.__dict__) for check in self.checks],
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Read what :meth:`to_json` wrote. Raises KeyError or TypeError when it is something else."""
        if value["outcome"] not in ("promote", "hold", "reject"):
            raise TypeError(f"outcome {value['outcome']!r}")
        checks = tuple(Check(**check) for check in value["checks"])
        return cls(value["outcome"], tuple(value["reasons"]), checks, value["against"])


def decide(challenger: Evidence, champion: Evidence | None, policy: GatePolicy) -> Decision:
    """Say whether a challenger may take the champion's place.

    ``reject``: it is certainly worse or cannot be used (a canary flipped, a bound exceeded, a rate whose whole
    95 % Wilson interval lies beyond the tolerance). ``hold``: it may be worse, or something was not measured;
    a person should look. ``promote``: every check passed.

    Raises
    ------
    ValueError
        When the champion's evidence does not name its version, or counts are impossible.
    """
    if champion is not None and champion.version is None:
        raise ValueError("the champion's evidence must name its registered version")
    checks = (
        *(() if challenger.sets else (Check("evaluation sets", False, "at least one", "none"),)),
        *(() if champion is None else (check for _, check in _set_checks(challenger.sets, champion.sets, policy))),
        *(check for _, check in _bar_checks(challenger.sets, policy)),
        _canary_check(challenger),
        *((Check("thresholds raised", True, _RAISED, challenger.raised),) if challenger.raised else ()),
        *(() if champion is None else (_churn_check(challenger, policy), _panel_check(challenger, policy))),
        Check(
            "bundle size",
            challenger.bundle_bytes <= policy.bundle_bytes,
            f"<= {policy.bundle_bytes} bytes",
            f"{challenger.bundle_bytes} bytes",
            "reject",
        ),
        Check(
            "latency of one row",
            challenger.row_seconds <= policy.row_seconds,
            f"<= {policy.row_seconds * 1e3:g} ms",
            f"{challenger.row_seconds * 1e3:.3g} ms",
            "reject",
        ),
        Check(
            "feature schema",
            challenger.schema in policy.schemas,
            f"one of {', '.join(policy.schemas) or 'none'}",
            challenger.schema,
            "reject",
        ),
    )
    failed = [check for check in checks if not check.passed]
    outcomes = {check.otherwise for check in failed}
    outcome: Outcome = "reject" if "reject" in outcomes else "hold" if failed else "promote"
    reasons = tuple(f"{check.name}: {check.measured}, wanted {check.goal}" for check in failed)
    return Decision(
        outcome,
        reasons or (f"all {len(checks)} checks passed",),
        checks,
        None if champion is None else champion.version,
    )


def recall_failures(
    now: Mapping[str, SetResult], champion: Mapping[str, SetResult], policy: GatePolicy
) -> frozenset[str]:
    """Names of the sets on which recall is less than the gate asks for.

    Parameters
    ----------
    now, champion
        Results by name of the set.
    policy
        The gate's.
    """
    checks = (*_set_checks(now, champion, policy), *_bar_checks(now, policy))
    return frozenset(name for name, check in checks if not check.passed and check.name.startswith(_RECALL))


def _is_bound(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf


def _set_checks(
    now: Mapping[str, SetResult], champion: Mapping[str, SetResult], policy: GatePolicy
) -> Iterator[tuple[str, Check]]:
    """Checks of each set that the champion was measured on, with the set's name."""
    for name, before in sorted(champion.items()):
        after = now.get(name)
        if after is None:
            yield name, Check(f"set {name}", False, "measured, as it was for the champion", "not measured")
            continue
        same = (after.positives, after.negatives, after.digest) == (before.positives, before.negatives, before.digest)
        shown = name
        if not same:
            after, before, all_before = *on_both(after, before), before
            shared = before.positives + before.negatives
            if shared < ENOUGH * (all_before.positives + all_before.negatives) or not shared:
                wanted = f"half of the champion's set ({_contents(all_before)})"
                yield name, Check(f"set {name}", False, wanted, f"{shared} files of it")
                continue
            shown = f"{name} ({shared} files that both versions saw)"
        if before.positives:
            rate = before.true_positives / before.positives
            yield name, _recall_check(shown, after, rate, policy.recall_tolerance)
        if before.negatives:
            rate = before.false_positives / before.negatives
            yield name, _false_positive_check(shown, after, rate, policy.false_positive_tolerance)


def _bar_checks(now: Mapping[str, SetResult], policy: GatePolicy) -> Iterator[tuple[str, Check]]:
    for name, bars in sorted(policy.bars.items()):
        result = now.get(name, SetResult(0, 0, 0, 0))
        if "recall" in bars:
            yield name, _recall_check(name, result, bars["recall"])
        if "false_positive_rate" in bars:
            yield name, _false_positive_check(name, result, bars["false_positive_rate"])


def _recall_check(name: str, result: SetResult, wanted: float, tolerance: float | None = None) -> Check:
    low, high = wilson(result.true_positives, result.positives)
    bound = wanted - (tolerance or 0.0)
    rate = result.true_positives / result.positives if result.positives else -1.0
    return Check(
        f"{_RECALL}{name}" + (" (bar)" if tolerance is None else ""),
        rate >= bound - _ROUNDING,
        f">= {bound:.4f}" + ("" if tolerance is None else f" (champion {wanted:.4f} - {tolerance:g})"),
        _rate(rate, low, high),
        "reject" if high < bound else "hold",
    )


def _false_positive_check(name: str, result: SetResult, wanted: float, tolerance: float | None = None) -> Check:
    low, high = wilson(result.false_positives, result.negatives)
    bound = wanted + (tolerance or 0.0)
    rate = result.false_positives / result.negatives if result.negatives else -1.0
    return Check(
        f"false-positive rate on {name}" + (" (bar)" if tolerance is None else ""),
        0 <= rate <= bound + _ROUNDING,
        f"<= {bound:.4f}" + ("" if tolerance is None else f" (champion {wanted:.4f} + {tolerance:g})"),
        _rate(rate, low, high),
        "reject" if low > bound else "hold",
    )


def _canary_check(challenger: Evidence) -> Check:
    flips, total = challenger.canary_flips, challenger.canaries
    return Check(
        "canary flips",
        total > 0 and flips == 0,
        "0 of at least 1",
        f"{flips} of {total}",
        "reject" if flips else "hold",
    )


def _churn_check(challenger: Evidence, policy: GatePolicy) -> Check:
    changed, total = challenger.old_benign_changed, challenger.old_benign
    low, high = wilson(changed, total)
    rate = changed / total if total else -1.0
    return Check(
        "verdict churn on old benign files",
        0 <= rate <= policy.churn + _ROUNDING,
        f"<= {policy.churn:.2%}",
        f"{changed} of {total}: {_rate(rate, low, high)}",
    )


def _panel_check(challenger: Evidence, policy: GatePolicy) -> Check:
    most = int(policy.churn * challenger.panel)
    return Check(
        "benign panel of each library",
        challenger.panel_changed <= most,
        f"<= {most} flagged",
        f"{challenger.panel_changed} of {challenger.panel}",
    )


def _rate(rate: float, low: float, high: float) -> str:
    return "not measured" if rate < 0 else f"{rate:.4f} [{low:.4f}, {high:.4f}]"


def _contents(result: SetResult) -> str:
    return f"{result.positives} malicious, {result.negatives} benign, digest {result.digest[:12] or 'none'}"
