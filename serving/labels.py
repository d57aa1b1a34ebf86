"""Which of the labels given to a file stands."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Iterable

from .roles import ROLES

LABELS = ("malicious", "benign", "unsure")


@dataclasses.dataclass(frozen=True, slots=True)
class Said:
    """One label: `order` counts up with time, `author` is the key that gave it."""

    order: int
    at: datetime.datetime
    label: str
    author: int
    role: str


@dataclasses.dataclass(frozen=True, slots=True)
class Standing:
    """What holds for a file: a label (``malicious`` or ``benign``), nothing, or a conflict."""

    label: str | None
    role: str = ""
    at: datetime.datetime | None = None
    conflict: bool = False

    def to_json_dict(self) -> dict[str, object]:
        """For the answer of the API."""
        return {
            "label": self.label,
            "role": self.role,
            "at": None if self.at is None else self.at.isoformat(),
            "conflict": self.conflict,
        }


def standing(labels: Iterable[Said]) -> Standing:
    """The label that stands after all of one file's `labels`.

    Each author's latest label counts, and of those only the ones of the highest role that gave any. If
    one of these is ``unsure`` the file has no label; if they contradict each other it is a conflict and
    has none either.
    """
    latest: dict[int, Said] = {}
    for said in sorted(labels, key=lambda said: said.order):
        latest[said.author] = said
    if not latest:
        return Standing(None)
    rank = max(ROLES.index(said.role) for said in latest.values())
    deciding = sorted((said for said in latest.values() if ROLES.index(said.role) == rank), key=lambda said: said.order)
    newest = deciding[-1]
    given = {said.label for said in deciding}
    if "unsure" in given:
        return Standing(None, newest.role, newest.at)
    if len(given) > 1:
        return Standing(None, newest.role, newest.at, conflict=True)
    return Standing(newest.label, newest.role, newest.at)
