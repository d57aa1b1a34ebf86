"""Whose labels look unlike those of the others: what to look at before they are learned from.

An audit accuses nobody: people are asked about what the model finds hard, so they contradict it, each about as often
as the others. Who contradicts it far more often, clears what its floor calls malicious, or labels copies of one file
over and over, stands out. So does who never contradicts it but picks what it is nearly wrong about: wrong labels that
creep up on a threshold agree with the model, and it is the scores that give them away.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Sequence
from statistics import median

from scipy.stats import binom, mannwhitneyu

SIGNIFICANCE = 0.01
PICKED = 0.001
"""Significance from which on the scores of somebody's files are other than those of the others' files."""
LEAST = 5
COPIES = 0.5
GUARDED = 2


@dataclasses.dataclass(frozen=True, slots=True)
class AuditedLabel:
    """One label with what was known of the file when it was given.

    Parameters
    ----------
    person, label
        Who said what.
    flagged, guarded
        Whether the model flagged the file, and whether its floor alone made it malicious.
    shape
        Near copies have the same.
    score
        The model's, None without one.
    """

    person: str
    label: str
    flagged: bool
    guarded: bool
    shape: str
    score: float | None = None

    @property
    def contradicts(self) -> bool:
        """Whether it says other than the model."""
        return self.label in ("malicious", "benign") and (self.label == "malicious") != self.flagged


@dataclasses.dataclass(frozen=True, slots=True)
class Source:
    """One person's labels: how many, how many contradict the model, clear a guarded file, are near copies of one file;
    and `suspicions`, why they stand out."""

    person: str
    labels: int
    contradictions: int
    cleared: int
    guarded: int
    copies: int
    suspicions: tuple[str, ...]


def audit(labels: Iterable[AuditedLabel]) -> list[Source]:
    """Every person's labels compared with those of the others, the most suspicious first."""
    by_person: dict[str, list[AuditedLabel]] = {}
    for label in labels:
        by_person.setdefault(label.person.casefold(), []).append(label)
    found = []
    for person, own in by_person.items():
        others = [label for name, given in by_person.items() if name != person for label in given]
        found.append(_source(person, own, others))
    return sorted(found, key=lambda source: (-len(source.suspicions), -source.contradictions, source.person))


def suspected(labels: Iterable[AuditedLabel]) -> frozenset[str]:
    """Names, in lower case, of those whose labels are better looked at before they are learned from."""
    return frozenset(source.person for source in audit(labels) if source.suspicions)


def _source(person: str, own: Sequence[AuditedLabel], others: Sequence[AuditedLabel]) -> Source:
    contradictions = sum(label.contradicts for label in own)
    cleared = [label for label in own if label.label == "benign" and label.flagged]
    guarded = sum(label.guarded for label in cleared)
    copies = Counter(label.shape for label in own).most_common(1)[0][1] if own else 0
    suspicions = []
    rest = sum(label.guarded and label.label == "benign" and label.flagged for label in others)
    # Even a floor is wrong now and then: who clears what it calls malicious as rarely as the others do is no suspect.
    if guarded >= GUARDED and binom.sf(guarded - 1, len(own), (rest + 1) / (len(others) + 2)) < SIGNIFICANCE:
        suspicions.append(f"calls {guarded} files benign that the floor calls malicious")
    if len(own) >= LEAST and others:
        for what, count, rest in (
            ("contradicts the model", contradictions, sum(label.contradicts for label in others)),
            ("clears flagged files", len(cleared), sum(x.label == "benign" and x.flagged for x in others)),
        ):
            usual = (rest + 1) / (len(others) + 2)
            if binom.sf(count - 1, len(own), usual) < SIGNIFICANCE:
                suspicions.append(f"{what} in {count} of {len(own)} labels, others in {rest} of {len(others)}")
    suspicions += [_picked(own, others, label) for label in ("benign", "malicious")]
    if len(own) >= LEAST and others and copies >= COPIES * len(own) and contradictions >= COPIES * len(own):
        suspicions.append(f"{copies} of {len(own)} labels are for near copies of one file")
    return Source(person, len(own), contradictions, len(cleared), guarded, copies, tuple(filter(None, suspicions)))


def _picked(own: Sequence[AuditedLabel], others: Sequence[AuditedLabel], label: str) -> str:
    """What is said of one whose files of this label score nearer to the other label than those of the others."""
    mine, theirs = (
        [given.score for given in labels if given.label == label and given.score is not None]
        for labels in (own, others)
    )
    if min(len(mine), len(theirs)) < LEAST:
        return ""
    side = "greater" if label == "benign" else "less"
    if mannwhitneyu(mine, theirs, alternative=side).pvalue >= PICKED:
        return ""
    word = "higher" if label == "benign" else "lower"
    return f"calls {label} what scores {word} (median {median(mine):.3g}) than what others do ({median(theirs):.3g})"
