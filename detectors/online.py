"""Learning from the stream of scans with River: novelty by half-space trees, drift by adaptive windows.

Everything here is a pure function of the events it is fed, and its state is plain JSON: a state that is
saved, loaded and fed the rest of the log equals one that saw the whole log, to the last bit.

References
----------
.. [1] Tan, Ting, Liu. Fast anomaly detection for streaming data. IJCAI 2011.
.. [2] Bifet, Gavalda. Learning from time-changing data with adaptive windowing. SDM 2007.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

from river.anomaly.hst import HalfSpaceTrees
from river.drift.adwin import ADWIN
from river.tree.padded import PaddedBranch, PaddedLeaf

STATE_FORMAT = 1
EXAMPLES = 5
MARGIN = 0.25


class AdaptiveScaler:
    """Bring each feature into [0, 1] by the range seen so far, on a logarithmic scale.

    The range seen so far becomes [0.25, 0.75]; a value below it is 0 and one above it is 1, so that the trees
    can tell what was never seen. The range starts as [0, 0], since most features are counts that are usually 0.
    The logarithm keeps one huge value from pressing all others together.

    Parameters
    ----------
    width
        Number of features.
    """

    def __init__(self, width: int) -> None:
        self.low = [0.0] * width
        self.high = [0.0] * width

    def learn(self, row: Sequence[float]) -> None:
        """Widen the ranges to hold `row`."""
        low, high = self.low, self.high
        for index, value in enumerate(row):
            squashed = math.copysign(math.log1p(abs(value)), value)
            if squashed > high[index]:
                high[index] = squashed
            elif squashed < low[index]:
                low[index] = squashed

    def scale(self, row: Sequence[float]) -> dict[int, float]:
        """`row` in [0, 1], keyed by the feature's index as River wants it."""
        scaled = {}
        for index, value in enumerate(row):
            low, high = self.low[index], self.high[index]
            place = math.copysign(math.log1p(abs(value)), value) - low
            if 0.0 <= place <= high - low:
                scaled[index] = MARGIN + (1.0 - 2.0 * MARGIN) * place / (high - low) if place else MARGIN
            else:
                scaled[index] = 0.0 if place < 0.0 else 1.0
        return scaled


class Novelty:
    """How unlike the recent files a file is, in [0, 1], by River's half-space trees.

    Parameters
    ----------
    width
        Number of features of a row.
    trees, height, window
        Of :class:`river.anomaly.HalfSpaceTrees`: `window` rows fill the trees before the first score is
        given and again before each renewal.
    seed
        Of the random splits.
    """

    def __init__(self, width: int, trees: int = 25, height: int = 6, window: int = 250, seed: int = 20260701) -> None:
        self.width = width
        self.scaler = AdaptiveScaler(width)
        self.forest = HalfSpaceTrees(n_trees=trees, height=height, window_size=window, seed=seed)
        self.seen = 0

    def update(self, row: Sequence[float]) -> float | None:
        """Score `row` against the past, then learn it; None while the first window fills.

        Raises
        ------
        ValueError
            When the row has another width or a value that is not finite.
        """
        if len(row) != self.width or not all(map(math.isfinite, row)):
            raise ValueError(f"a row of {self.width} finite numbers is needed, got {len(row)} numbers")
        warm = self.seen >= self.forest.window_size
        score = float(self.forest.score_one(self.scaler.scale(row))) if warm else None
        self.scaler.learn(row)
        self.forest.learn_one(self.scaler.scale(row))
        self.seen += 1
        return score

    def to_state(self) -> dict[str, Any]:
        """The whole state as JSON values."""
        forest = self.forest
        return {
            "width": self.width,
            "seen": self.seen,
            "low": self.scaler.low,
            "high": self.scaler.high,
            "trees": forest.n_trees,
            "height": forest.height,
            "window": forest.window_size,
            "seed": forest.seed,
            "counter": forest.counter,
            "first": forest._first_window,
            "nodes": [_tree_state(nodes) for nodes in forest._tree_nodes],
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Novelty:
        """Read :meth:`to_state`'s values; a missing one raises KeyError."""
        novelty = cls(state["width"], state["trees"], state["height"], state["window"], state["seed"])
        novelty.seen = state["seen"]
        novelty.scaler.low = list(state["low"])
        novelty.scaler.high = list(state["high"])
        forest = novelty.forest
        forest.counter = state["counter"]
        forest._first_window = state["first"]
        forest.trees = [_tree_from_state(nodes, forest.height) for nodes in state["nodes"]]
        forest._tree_nodes = [list(tree.iter_dfs()) for tree in forest.trees]
        return novelty


def _tree_state(nodes: Sequence[Any]) -> dict[str, list[Any]]:
    """Nodes of one tree in depth-first order as four flat lists; `feature` and `split` of the branches only."""
    branches = [node for node in nodes if isinstance(node, PaddedBranch)]
    return {
        "feature": [node.feature for node in branches],
        "split": [node.threshold for node in branches],
        "old": [node.r_mass for node in nodes],
        "new": [node.l_mass for node in nodes],
    }


def _tree_from_state(state: dict[str, list[Any]], height: int) -> Any:
    splits = iter(zip(state["feature"], state["split"], strict=True))
    masses = iter(zip(state["old"], state["new"], strict=True))

    def build(levels: int) -> Any:
        old, new = next(masses)
        if levels == 0:
            return PaddedLeaf(l_mass=new, r_mass=old)
        feature, split = next(splits)
        left = build(levels - 1)
        right = build(levels - 1)
        return PaddedBranch(left=left, right=right, feature=feature, threshold=split, l_mass=new, r_mass=old)

    return build(height)


@dataclasses.dataclass(frozen=True, slots=True)
class Alarm:
    """A stream's mean has changed: from `before` (over `past` values) to `after` (over `recent` values)."""

    stream: str
    before: float
    after: float
    past: int
    recent: int


class DriftDetector:
    """ADWIN over one stream of numbers in [0, 1].

    River's ADWIN lives in compiled code and has no portable state, so the values of its window are kept and
    fed to a new one when a state is loaded. Their number is bounded: at `capacity` the older half is given up.

    Parameters
    ----------
    stream
        Name of the stream, for the alarm.
    delta
        Significance of ADWIN's test.
    capacity
        Values remembered at the most.
    """

    def __init__(self, stream: str, delta: float = 0.002, capacity: int = 4096) -> None:
        self.stream = stream
        self.delta = delta
        self.capacity = capacity
        self.values: list[float] = []
        self._window = ADWIN(delta=delta)

    def update(self, value: float) -> Alarm | None:
        """Take the next value; the alarm, if the mean has changed, after which the window starts anew."""
        self.values.append(value)
        self._window.update(value)
        if self._window.drift_detected:
            recent = int(self._window.width)
            alarm = _alarm(self.stream, self.values, recent)
            self._restart([])
            return alarm
        if len(self.values) >= self.capacity:
            self._restart(self.values[-(self.capacity // 2) :])
        return None

    def _restart(self, values: list[float]) -> None:
        self.values = values
        self._window = ADWIN(delta=self.delta)
        for value in values:
            self._window.update(value)

    def to_state(self) -> dict[str, Any]:
        """The whole state as JSON values."""
        return {"delta": self.delta, "capacity": self.capacity, "values": list(self.values)}

    @classmethod
    def from_state(cls, stream: str, state: dict[str, Any]) -> DriftDetector:
        """Read :meth:`to_state`'s values."""
        detector = cls(stream, state["delta"], state["capacity"])
        detector._restart(list(state["values"]))
        return detector


def _alarm(stream: str, values: Sequence[float], recent: int) -> Alarm:
    # fsum: the same evidence whatever the order of additions was.
    past = values[: len(values) - recent]
    after = values[len(values) - recent :]
    return Alarm(
        stream=stream,
        before=math.fsum(past) / len(past) if past else 0.0,
        after=math.fsum(after) / len(after) if after else 0.0,
        past=len(past),
        recent=len(after),
    )


@dataclasses.dataclass(frozen=True, slots=True)
class ScanEvent:
    """What the learner needs of one scan: `row` in the order of the feature schema named `schema`."""

    scan: str
    verdict: str
    schema: str
    row: Sequence[float]


@dataclasses.dataclass(frozen=True, slots=True)
class Lesson:
    """What one scan taught: its novelty (None while the model warms up) and the alarms it raised.

    `examples` are the last scans before the alarms, the newest last; empty without alarms.
    """

    novelty: float | None
    alarms: tuple[Alarm, ...] = ()
    examples: tuple[str, ...] = ()


STREAMS: dict[str, Callable[[str, float | None], float | None]] = {
    "novelty": lambda verdict, novelty: novelty,
    "flagged": lambda verdict, novelty: float(verdict in ("malicious", "suspicious")),
    "incomplete": lambda verdict, novelty: float(verdict == "incomplete"),
}
"""Streams under watch: name -> value of a scan from its verdict and novelty, None where it has none."""


class OnlineLearner:
    """Novelty and drift over a stream of scans.

    Trees are bound to one feature schema. The first scan with another schema starts them, and the drift
    detector of their score, afresh.

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
        self.detectors = {name: DriftDetector(name) for name in STREAMS}
        self.recent: list[str] = []

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
        score = novelty.update(event.row)
        if novelty is not self.novelty:
            self.novelty, self.schema = novelty, event.schema
            self.detectors["novelty"] = DriftDetector("novelty")
        self.recent = [*self.recent, event.scan][-EXAMPLES:]
        alarms = []
        for name, value_of in STREAMS.items():
            value = value_of(event.verdict, score)
            alarm = None if value is None else self.detectors[name].update(value)
            if alarm is not None:
                alarms.append(alarm)
        return Lesson(score, tuple(alarms), tuple(self.recent) if alarms else ())

    def to_state(self) -> dict[str, Any]:
        """The whole state as JSON values; equal histories give equal states."""
        return {
            "format": STATE_FORMAT,
            "schema": self.schema,
            "novelty": None if self.novelty is None else self.novelty.to_state(),
            "drift": {name: detector.to_state() for name, detector in self.detectors.items()},
            "recent": list(self.recent),
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
            learner.detectors = {name: DriftDetector.from_state(name, state["drift"][name]) for name in STREAMS}
            learner.recent = list(state["recent"])
        except (KeyError, TypeError, StopIteration, ValueError) as error:
            raise ValueError(f"damaged learner state: {error!r}") from error
        return learner
