"""Which of the labels that people gave to a file stands, by a policy."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Iterable

ROLES = ("scanner", "analyst", "admin")
"""From the least to the most allowed; each may do what the ones before it may."""
LABELS = ("malicious", "benign", "unsure")
"""What a person can say of a file."""
RETRACTED = "retracted"
"""Takes back what its author, or the author of the label it names, said of the file before."""


@dataclasses.dataclass(frozen=True, slots=True)
class Said:
    """One label.

    Parameters
    ----------
    order
        Counts up with time; the label's number.
    at, label, role
        When, what, in which role.
    author
        The key that gave it.
    person
        Name of that key: several keys of one name are one person.
    guarded
        Whether the model's floor called the file malicious when it was said.
    retracts
        Number of the label that a ``retracted`` one takes back.
    """

    order: int
    at: datetime.datetime
    label: str
    author: int
    role: str
    person: str = ""
    guarded: bool = False
    retracts: int | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class LabelPolicy:
    """What it takes for a label to stand.

    Parameters
    ----------
    clearances
        Persons who must call a file benign that the model's floor calls malicious.
    majority
        Persons (k) who settle a contradiction among equals (n), if they are more than half of them.
    """

    clearances: int = 2
    majority: int = 3


DEFAULT_POLICY = LabelPolicy()


@dataclasses.dataclass(frozen=True, slots=True)
class Standing:
    """What holds for a file: a label (``malicious`` or ``benign``), nothing, or a conflict.

    `pending` is a label that was given and waits for another person.
    """

    label: str | None
    role: str = ""
    at: datetime.datetime | None = None
    conflict: bool = False
    pending: str | None = None

    def to_json_dict(self) -> dict[str, object]:
        """For the answer of the API."""
        return {
            "label": self.label,
            "role": self.role,
            "at": None if self.at is None else self.at.isoformat(),
            "conflict": self.conflict,
            "pending": self.pending,
        }


def standing(labels: Iterable[Said], policy: LabelPolicy = DEFAULT_POLICY) -> Standing:
    """The label that stands after all of one file's `labels`.

    Each person's latest label that was not taken back counts, and of those only the ones of the highest role that
    gave any. When they agree, their label stands. When they do not, one that `policy.majority` of them gave, more
    than half of all, stands; otherwise the file has no label, and contradicting ones are a conflict. A benign label
    on a file that the floor calls malicious stands only when `policy.clearances` persons, of whatever role, gave it.
    """
    everything = sorted(labels, key=lambda said: said.order)
    latest = _latest(everything)
    if not latest:
        return Standing(None)
    rank = max(ROLES.index(said.role) for said in latest)
    deciding = [said for said in latest if ROLES.index(said.role) == rank]
    newest = deciding[-1]
    label = _agreed([said.label for said in deciding], policy.majority)
    given = {said.label for said in deciding}
    if label is None:
        conflict = {"malicious", "benign"} <= given
        return Standing(None, newest.role, newest.at, conflict=conflict)
    guarded = label == "benign" and any(said.guarded for said in everything)
    if guarded and sum(said.label == "benign" for said in latest) < policy.clearances:
        return Standing(None, newest.role, newest.at, pending="benign")
    return Standing(label, newest.role, newest.at)


def _latest(labels: Iterable[Said]) -> list[Said]:
    """Each person's last label that was not taken back, the oldest first."""
    latest: dict[str, Said] = {}
    persons: dict[int, str] = {}
    for said in labels:
        person = persons[said.order] = said.person.casefold() or str(said.author)
        if said.label == RETRACTED:
            latest.pop(person if said.retracts is None else persons.get(said.retracts, person), None)
        else:
            latest[person] = said
    return sorted(latest.values(), key=lambda said: said.order)


def _agreed(given: list[str], majority: int) -> str | None:
    if len(set(given)) == 1:
        return None if given[0] == "unsure" else given[0]
    for label in ("malicious", "benign"):
        count = given.count(label)
        if count >= majority and 2 * count > len(given):
            return label
    return None
