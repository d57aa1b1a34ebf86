"""Learning from the stream of scans and labels: novelty, drift, and suspicion.

Everything here is a pure function of the events it is fed, and its state is plain JSON: a state that is
saved, loaded and fed the rest of the log equals one that saw the whole log, to the last bit.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from .advice import Advice
from .drift import Alarm, DriftDetector
from .novelty import Novelty, Recent
from .suspicion import Example, Suspicion

STATE_FORMAT = 3
EXAMPLES = 5
KNOWN_SCORES = 100
CREDIBLE = 0.05
"""A benign verdict is credible unless its score is among this share of the highest of such verdicts."""
USUAL = 0.99
"""Share of the files whose novelty is usual; what lies above it is novel and not learned as usual."""
REOPENED = 250
"""Files learned whatever their novelty after an alarm of that stream: what is new has come to stay."""
ABSENT = 200
"""Scans that a container or library which turns up later is known to have been absent from, at the most."""
KINDS = {"container": 12, "library": 24}
"""Containers and libraries that have a rate of their own under watch; a new one takes the place of that seen longest
ago."""


@dataclasses.dataclass(frozen=True, slots=True)
class ScanEvent:
    """What the learner needs of one scan.

    Parameters
    ----------
    scan, verdict
        Its id and what the champion said.
    schema, row
        Features in the order of the schema with this version.
    score
        The champion's, None without one.
    sha256, container, library
        Of the file; empty where not known.
    names
        See :func:`detectors.advice.names_of`.
    """

    scan: str
    verdict: str
    schema: str
    row: Sequence[float]
    score: float | None = None
    sha256: str = ""
    container: str = ""
    library: str = ""
    names: Sequence[int] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class LabelEvent:
    """What stands for a file now: `label` is ``malicious``, ``benign`` or None; `scan` is one of that file."""

    sha256: str
    label: str | None
    person: str
    scan: ScanEvent


@dataclasses.dataclass(frozen=True, slots=True)
class Lesson:
    """What one scan taught.

    Parameters
    ----------
    novelty
        None while the model warms up.
    novel
        Whether that is more than what is usual.
    credibility
        Share of benign verdicts with a higher score; None for other verdicts and while too few are known.
    alarms
        That it raised.
    examples
        The last scans before the alarms, by stream, the newest last.
    """

    novelty: float | None
    novel: bool = False
    credibility: float | None = None
    alarms: tuple[Alarm, ...] = ()
    examples: tuple[tuple[str, ...], ...] = ()


Value = Callable[[ScanEvent, float | None, float | None], float | None]

STREAMS: dict[str, Value] = {
    "novelty": lambda event, novelty, credibility: novelty,
    "flagged": lambda event, novelty, credibility: float(event.verdict in ("malicious", "suspicious")),
    "incomplete": lambda event, novelty, credibility: float(event.verdict == "incomplete"),
    "credibility": lambda event, novelty, credibility: credibility,
}
"""Streams under watch: name -> value of a scan from it, its novelty and credibility; None where it has none."""


COUNTED = ("flagged", "incomplete")
"""Those that are zeros and ones."""


class OnlineLearner:
    """Novelty, drift and suspicion over a stream of scans and labels.

    Trees are bound to one feature schema. The first scan with another schema starts them, and the drift
    detector of their score, afresh. They take only files for usual ones that the champion credibly called benign.

    Examples
    --------
    >>> learner = OnlineLearner()
    >>> for number in range(300):
    ...     lesson = learner.learn(ScanEvent(str(number), "benign", "1", [1.0, float(number % 3)]))
    >>> strange = learner.learn(ScanEvent("x", "benign", "1", [9.0, 50.0]))
    >>> lesson.novelty < strange.novelty
    True
    >>> OnlineLearner.from_state(learner.to_state()).to_state() == learner.to_state()
    True
    """

    def __init__(self) -> None:
        self.schema = ""
        self.novelty: Novelty | None = None
        self.usual = Recent(1000)
        self.benign = Recent(1000)
        self.reopened = 0
        self.scans = 0
        self.suspicion = Suspicion()
        self.detectors = {name: _detector(name) for name in STREAMS}
        self.recent: dict[str, list[str]] = {}

    @property
    def advice(self) -> Advice:
        """What labels have taught."""
        return self.suspicion.advice

    def learn(self, event: ScanEvent) -> Lesson:
        """Take the next scan.

        Raises
        ------
        ValueError
            When the row cannot be used; the state is as before.
        """
        novelty = self.novelty
        if novelty is None or event.schema != self.schema:
            novelty = Novelty(len(event.row))
        score = novelty.score(event.row)
        if novelty is not self.novelty:
            self.novelty, self.schema = novelty, event.schema
            self.detectors["novelty"], self.usual = _detector("novelty"), Recent(self.usual.size)
        credibility = self._credibility(event)
        rare = len(self.usual.values) >= KNOWN_SCORES and score is not None
        novel = rare and score is not None and self.usual.share_below(score) >= USUAL
        if score is not None:
            self.usual.add(score)
        if event.verdict == "benign" and (credibility is None or credibility >= CREDIBLE):
            self._learn_usual(novelty, event, novel)
        alarms = self._watch(event, score, credibility)
        if any(alarm.stream == "novelty" for alarm in alarms):
            self.reopened = REOPENED
        shown = tuple(tuple(self.recent.get(alarm.stream, ())) for alarm in alarms)
        return Lesson(score, novel, credibility, tuple(alarms), shown)

    def label(self, event: LabelEvent) -> Advice:
        """Take the next label; return what is advised from now on."""
        if event.label is None:
            return self.suspicion.teach(event.sha256, None)
        return self.suspicion.teach(event.sha256, Example(event.label, event.person, frozenset(event.scan.names)))

    def _credibility(self, event: ScanEvent) -> float | None:
        if event.verdict != "benign" or event.score is None:
            return None
        known = len(self.benign.values) >= KNOWN_SCORES
        above = 1.0 - self.benign.share_below(event.score) if known else None
        self.benign.add(event.score)
        return above

    def _learn_usual(self, novelty: Novelty, event: ScanEvent, novel: bool) -> None:
        if not novel or self.reopened:
            novelty.learn(event.row)
            self.reopened = max(0, self.reopened - 1)
        if not novel and event.sha256 and event.sha256 not in self.suspicion.examples:
            self.suspicion.anchor(frozenset(event.names))

    def _watch(self, event: ScanEvent, novelty: float | None, credibility: float | None) -> list[Alarm]:
        self.scans += 1
        values = {name: value_of(event, novelty, credibility) for name, value_of in STREAMS.items()}
        for kind, most in KINDS.items():
            own = f"{kind}:{getattr(event, kind)}"
            if getattr(event, kind):
                self._seen(kind, own, most)
            known = [name for name in self.detectors if name.startswith(kind + ":")]
            values.update({name: float(name == own) for name in known})
        alarms = []
        for name, value in values.items():
            if value is None:
                continue
            if value:
                self.recent[name] = [*self.recent.get(name, ()), event.scan][-EXAMPLES:]
            alarm = self.detectors[name].update(value)
            if alarm is not None:
                alarms.append(alarm)
        return alarms

    def _seen(self, kind: str, own: str, most: int) -> None:
        """Watch the rate of a container or library; those under watch are in the order in which they were last seen."""
        detector = self.detectors.pop(own, None)
        known = [name for name in self.detectors if name.startswith(kind + ":")]
        if detector is None:
            detector = _detector(own)
            detector.assume([0.0] * min(self.scans, ABSENT))
            for name in known[: max(0, len(known) + 1 - most)]:
                del self.detectors[name]
                self.recent.pop(name, None)
        self.detectors[own] = detector

    def to_state(self) -> dict[str, Any]:
        """The whole state as JSON values; equal histories give equal states."""
        return {
            "format": STATE_FORMAT,
            "schema": self.schema,
            "novelty": None if self.novelty is None else self.novelty.to_state(),
            "usual": self.usual.to_state(),
            "benign": self.benign.to_state(),
            "reopened": self.reopened,
            "scans": self.scans,
            "suspicion": self.suspicion.to_state(),
            "drift": [[name, detector.to_state()] for name, detector in self.detectors.items()],
            "recent": {name: list(scans) for name, scans in sorted(self.recent.items())},
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> OnlineLearner:
        """Read :meth:`to_state`'s values.

        Raises
        ------
        ValueError
            When the state has another format or is damaged; replay the log instead.
        """
        if state.get("format") != STATE_FORMAT:
            raise ValueError(f"learner state of format {state.get('format')!r}, this version reads {STATE_FORMAT}")
        try:
            learner = cls()
            learner.schema = state["schema"]
            learner.novelty = None if state["novelty"] is None else Novelty.from_state(state["novelty"])
            learner.usual = Recent.from_state(learner.usual.size, state["usual"])
            learner.benign = Recent.from_state(learner.benign.size, state["benign"])
            learner.reopened = int(state["reopened"])
            learner.scans = int(state["scans"])
            learner.suspicion = Suspicion.from_state(state["suspicion"])
            learner.detectors = {name: DriftDetector.from_state(name, own) for name, own in state["drift"]}
            if not learner.detectors.keys() >= STREAMS.keys():
                raise KeyError("a stream without its detector")
            learner.recent = {name: list(scans) for name, scans in state["recent"].items()}
        except (AttributeError, KeyError, TypeError, StopIteration, ValueError) as error:
            raise ValueError(f"damaged learner state: {error!r}") from error
        return learner


def _detector(stream: str) -> DriftDetector:
    if ":" in stream:
        # Many streams are watched at once: each may cry wolf less often.
        return DriftDetector(stream, delta=0.0001, threshold=None, capacity=1024, surge=1.0)
    return DriftDetector(stream, surge=2.0 if stream in COUNTED else None)
