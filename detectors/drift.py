"""Drift of one stream of numbers: an adaptive window and a cumulative sum, whichever sees it first.

The window (ADWIN) finds any change of the mean; the cumulative sum (Page-Hinkley) is quick about
large ones. Both are River's. Streams of zeros and ones have a sum of their own (:mod:`.surge`), which is quicker
still about what comes more often. All come back from JSON to the last bit.

References
----------
.. [1] Bifet, Gavalda. Learning from time-changing data with adaptive windowing. SDM 2007.
.. [2] Page. Continuous inspection schemes. Biometrika 41, 1954.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

from river.drift import PageHinkley
from river.drift.adwin import ADWIN

from .surge import Surge

CLOCK = 4
MINIMUM = 30
SLACK = 0.1
"""Changes of the mean that Page-Hinkley lets pass; with the threshold it keeps streams of coin flips quiet."""


@dataclasses.dataclass(frozen=True, slots=True)
class Alarm:
    """A stream's mean has changed: from `before` (over `past` values) to `after` (over `recent` values).

    `kind` is the test that saw it, ``adwin``, ``page-hinkley`` or ``surge``.
    """

    stream: str
    before: float
    after: float
    past: int
    recent: int
    kind: str = "adwin"


class DriftDetector:
    """Tests over one stream of numbers in [0, 1]; after an alarm all start anew.

    River's ADWIN lives in compiled code and has no portable state, so the values of its window are kept and
    fed to a new one when a state is loaded. Their number is bounded: at `capacity` the older half is given up.

    Parameters
    ----------
    stream
        Name of the stream, for the alarm.
    delta
        Significance of ADWIN's test.
    threshold
        Of Page-Hinkley's cumulative sum, in units of the stream; None leaves that test out.
    capacity
        Values remembered at the most.
    surge
        What one value may add to the sum of :class:`~.surge.Surge`; None, for a stream of other numbers, leaves it out.
    """

    def __init__(
        self,
        stream: str,
        delta: float = 0.002,
        threshold: float | None = 16.0,
        capacity: int = 2048,
        surge: float | None = None,
    ) -> None:
        self.stream = stream
        self.delta = delta
        self.threshold = threshold
        self.capacity = capacity
        self.values: list[float] = []
        self._surge = None if surge is None else Surge(surge)
        self._restart([])

    def update(self, value: float) -> Alarm | None:
        """Take the next value; the alarm, if the mean has changed, after which the tests start anew."""
        self.values.append(value)
        self._window.update(value)
        if self._window.drift_detected:
            alarm = self._alarm("adwin")
            self._restart([])
            return alarm
        if self._sum is not None:
            self._sum.update(value)
            if self._sum.drift_detected:
                alarm = self._alarm("page-hinkley")
                self._restart([])
                return alarm
        if self._surge is not None and self._surge.update(value):
            alarm = self._alarm("surge")
            self._restart([])
            return alarm
        if len(self.values) >= self.capacity:
            self._rewind(self.values[-(self.capacity // 2) :])
        return None

    def assume(self, values: list[float]) -> None:
        """Begin as if `values` had been seen, without an alarm."""
        self._rewind(list(values))
        if self._surge is not None:
            for value in values:
                self._surge.update(value)

    def _restart(self, values: list[float]) -> None:
        self._sum = None if self.threshold is None else _page_hinkley(self.threshold)
        if self._surge is not None:
            self._surge.restart()
        self._rewind(values)

    def _rewind(self, values: list[float]) -> None:
        self.values = values
        self._window = ADWIN(delta=self.delta, clock=CLOCK)
        for value in values:
            self._window.update(value)

    def _alarm(self, kind: str) -> Alarm:
        recent = _since_change(self.values)
        past, after = self.values[: len(self.values) - recent], self.values[len(self.values) - recent :]
        return Alarm(self.stream, _mean(past), _mean(after), len(past), len(after), kind)

    def to_state(self) -> dict[str, Any]:
        """The whole state as JSON values; streams of zeros and ones are kept as text."""
        flags = set(self.values) <= {0.0, 1.0}
        values = "".join("01"[int(value)] for value in self.values) if flags else list(self.values)
        state = {"delta": self.delta, "threshold": self.threshold, "capacity": self.capacity, "values": values}
        if self._surge is not None:
            state["surge"] = self._surge.to_state()
        return state if self._sum is None else {**state, "sum": _sum_state(self._sum)}

    @classmethod
    def from_state(cls, stream: str, state: dict[str, Any]) -> DriftDetector:
        """Read :meth:`to_state`'s values."""
        detector = cls(stream, state["delta"], state["threshold"], state["capacity"])
        detector._rewind([float(value) for value in state["values"]])
        if "surge" in state:
            detector._surge = Surge.from_state(state["surge"])
        if detector._sum is not None:
            _restore_sum(detector._sum, state["sum"])
        return detector


def _page_hinkley(threshold: float) -> PageHinkley:
    return PageHinkley(min_instances=MINIMUM, delta=SLACK, threshold=threshold, alpha=0.999)


def _sum_state(test: PageHinkley) -> list[float | None]:
    least = test._min_increase
    return [
        test._x_mean.n, test._x_mean._mean, test._sum_increase, test._sum_decrease,
        None if math.isinf(least) else least, test._max_decrease,
    ]  # fmt: skip


def _restore_sum(test: PageHinkley, state: Sequence[Any]) -> None:
    test._x_mean.n, test._x_mean._mean, test._sum_increase, test._sum_decrease = state[:4]
    test._min_increase = math.inf if state[4] is None else state[4]
    test._max_decrease = state[5]


def _since_change(values: Sequence[float]) -> int:
    """How many of the last values lie after the split with the largest weighted difference of means."""
    total, count = math.fsum(values), len(values)
    best, place, left = -1.0, count // 2, 0.0
    for index in range(1, count):
        left += values[index - 1]
        gap = left / index - (total - left) / (count - index)
        weight = gap * gap * index * (count - index)
        if weight > best:
            best, place = weight, index
    return count - place


def _mean(values: Sequence[float]) -> float:
    # fsum: the same evidence whatever the order of additions was.
    return math.fsum(values) / len(values) if values else 0.0
