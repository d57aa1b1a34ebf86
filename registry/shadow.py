"""Whether a challenger that judged live scans in shadow may be promoted, as a pure function of what it said."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from safepickle.record import Record

from .errors import RegistryError
from .gate import Check, Decision, Outcome
from .intervals import wilson


class ShadowEvidence(Record):
    """What a challenger said beside the champion.

    Parameters
    ----------
    scans
        Live scans that both judged.
    cleared
        Contents among them that the champion cleared.
    flagged_more, flagged_less
        Contents that only the challenger flags, or only the champion, where no label says that the challenger is right.
    slowest
        Seconds of its slowest judgement.
    """

    scans: int
    cleared: int
    flagged_more: int
    flagged_less: int
    slowest: float


FIGURES = ("scans", "cleared", "flagged_more", "flagged_less", "slowest")
"""Names of the evidence in a report."""


class ShadowPolicy(Record):
    """The figures of ``retrain.shadow`` in params.yaml.

    Parameters
    ----------
    scans
        Live scans to judge before anything is decided; 0 asks for no shadow.
    flagged_more
        Largest share of the files that the champion cleared which may be flagged.
    flagged_less
        Most files that the champion flagged which may be cleared.
    seconds
        Longest judgement.
    """

    scans: int
    flagged_more: float
    flagged_less: int
    seconds: float

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> Self:
        """Make a policy. Raises RegistryError when a figure is missing, unknown or not one of at least 0."""
        fields = ("scans", "flagged_more", "flagged_less", "seconds")
        if set(params) != set(fields) or not all(
            isinstance(value, int | float) and not isinstance(value, bool) and value >= 0 for value in params.values()
        ):
            raise RegistryError(f"retrain.shadow in params.yaml needs {', '.join(fields)}, numbers of at least 0")
        return cls(**{name: params[name] for name in fields})


def decide_shadow(evidence: ShadowEvidence, policy: ShadowPolicy) -> Decision:
    """Say whether the challenger may be promoted.

    ``hold``: it has not judged enough, or it changes more than it may, which a person should look at. ``reject``: the
    whole 95 % interval of what it flags more lies beyond the bound, or it is too slow.
    """
    rate = evidence.flagged_more / evidence.cleared if evidence.cleared else 0.0
    low, _high = wilson(evidence.flagged_more, evidence.cleared)
    beyond: Outcome = "reject" if evidence.cleared and low > policy.flagged_more else "hold"
    checks = (
        Check("live scans judged", evidence.scans >= policy.scans, f">= {policy.scans}", str(evidence.scans)),
        Check(
            "cleared files that it flags",
            rate <= policy.flagged_more,
            f"<= {policy.flagged_more:.2%}",
            f"{evidence.flagged_more} of {evidence.cleared}",
            beyond,
        ),
        Check(
            "flagged files that it clears",
            evidence.flagged_less <= policy.flagged_less,
            f"<= {policy.flagged_less}",
            str(evidence.flagged_less),
        ),
        Check(
            "slowest judgement",
            evidence.slowest <= policy.seconds,
            f"<= {policy.seconds:g} s",
            f"{evidence.slowest:.3f} s",
            "reject",
        ),
    )
    failed = [check for check in checks if not check.passed]
    outcomes = {check.otherwise for check in failed}
    outcome: Outcome = "reject" if "reject" in outcomes else "hold" if failed else "promote"
    reasons = tuple(f"{check.name}: {check.measured}, wanted {check.goal}" for check in failed)
    return Decision(outcome, reasons or (f"all {len(checks)} checks passed",), checks)
