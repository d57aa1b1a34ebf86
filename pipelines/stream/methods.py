"""Ways to go through a stream: not learning, retraining on everything, online only, and the way of this project."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from time import process_time
from typing import Any

import numpy as np
from numpy.typing import NDArray
from river import forest, linear_model, optim, preprocessing

from detectors.active_learning import Candidate, rank
from detectors.online import LabelEvent, OnlineLearner, ScanEvent
from detectors.settling import raised as raise_threshold
from safepickle.bytecode.trace import FileTrace
from safepickle.features import SCHEMA

from .measures import Flags, Floats, Period, measure
from .model import Model
from .pool import Pool, Rows
from .seen import COLUMNS
from .streams import Stream

STEPS = 4
"""Times in a period at which people are asked."""
TOLERANCE = 0.02
"""Recall on files kept aside that a challenger may lose: one file of fifty."""
CHURN = 0.001
"""Share of the old benign files that may flip, as `gate.churn` in params.yaml: of so few, none."""


@dataclass(frozen=True, eq=False)
class Setting:
    """What a run is given: labels a period, periods until a label comes, and the files that must not flip."""

    budget: int
    delay: int
    seed: int
    canaries: tuple[list[FileTrace], Flags]


@dataclass
class Outcome:
    """What came of a run; all plain numbers."""

    periods: list[Period] = field(default_factory=list)
    kept_recall: list[float] = field(default_factory=list)
    churn: list[float] = field(default_factory=list)
    canary_flips: int = 0
    labels: int = 0
    promoted: int = 0
    held: int = 0
    seconds: float = 0.0


Method = Callable[[Pool, Stream, Setting], Outcome]
NONE: Rows = np.zeros(0, dtype=np.intp)


def truth(pool: Pool, rows: Rows) -> Rows:
    """1 for malicious files."""
    return pool.malicious[rows].astype(np.intp)


@functools.lru_cache(maxsize=2)
def first_model(pool: Pool, stream: Stream, seed: int) -> Model:
    """What every way starts from; trained once, its time counts for each."""
    return Model(pool, stream.learned, truth(pool, stream.learned), NONE, NONE, seed)


def static(pool: Pool, stream: Stream, setting: Setting) -> Outcome:
    """Never learn."""
    model = first_model(pool, stream, setting.seed)
    started, outcome = process_time() - model.seconds, Outcome()
    for rows in stream.periods:
        scores = model.score(rows)
        outcome.periods.append(measure(scores, scores >= model.suspicious, pool.malicious[rows]))
        _after(pool, stream, outcome, model, model)
    outcome.seconds = process_time() - started
    return outcome


def retrain_all(pool: Pool, stream: Stream, setting: Setting) -> Outcome:
    """Label files drawn at random, retrain after each period on all labels, ask no gate."""
    champion = first = first_model(pool, stream, setting.seed)
    started, outcome, chance = process_time() - first.seconds, Outcome(), np.random.default_rng(setting.seed)
    taught: list[Rows] = []
    for number, rows in enumerate(stream.periods):
        scores = champion.score(rows)
        outcome.periods.append(measure(scores, scores >= champion.suspicious, pool.malicious[rows]))
        taught.append(chance.permutation(rows)[: setting.budget])
        known = np.concatenate([NONE, *taught[: max(0, number + 1 - setting.delay)]])
        before = champion
        if len(known):
            champion = _trained(pool, stream, known, truth(pool, known), setting.seed)
            outcome.promoted += 1
        outcome.labels += len(taught[-1])
        _after(pool, stream, outcome, before, champion)
    outcome.canary_flips = flips(first, champion, setting.canaries)
    outcome.seconds = process_time() - started
    return outcome


def ours(pool: Pool, stream: Stream, setting: Setting) -> Outcome:
    """Ask about what tells most, raise what labels teach at once, retrain after each period, promote by the gate."""
    champion = first = first_model(pool, stream, setting.seed)
    started, outcome = process_time() - first.seconds, Outcome()
    learner = OnlineLearner()
    for row in stream.learned[~pool.malicious[stream.learned]]:
        learner.learn(event(pool, champion, int(row), 0.0))
    asked: list[Rows] = []
    for number, rows in enumerate(stream.periods):
        scores, flagged, told = _through(pool, champion, learner, rows, setting)
        outcome.periods.append(measure(scores, flagged, pool.malicious[rows]))
        asked.append(told)
        outcome.labels += len(told)
        late = asked[number - setting.delay] if setting.delay and number >= setting.delay else NONE
        teach(pool, champion, learner, late)
        known = np.concatenate([NONE, *asked[: max(0, number + 1 - setting.delay)]])
        before = champion
        if len(known):
            challenger = _trained(pool, stream, known, truth(pool, known), setting.seed)
            settle(pool, stream, champion, challenger, setting.canaries)
            if gate(pool, stream, first, champion, challenger, setting):
                champion, outcome.promoted = challenger, outcome.promoted + 1
            else:
                outcome.held += 1
        _after(pool, stream, outcome, before, champion, learner)
    outcome.canary_flips = flips(first, champion, setting.canaries)
    outcome.seconds = process_time() - started
    return outcome


def online_logistic(pool: Pool, stream: Stream, setting: Setting) -> Outcome:
    """River's logistic regression alone, on the features of the first model."""
    made = preprocessing.StandardScaler() | linear_model.LogisticRegression(optim.SGD(0.05))
    return _online(pool, stream, setting, made)


def online_forest(pool: Pool, stream: Stream, setting: Setting) -> Outcome:
    """River's adaptive random forest alone, on the features of the first model."""
    return _online(pool, stream, setting, forest.ARFClassifier(n_models=5, seed=setting.seed))


METHODS: dict[str, Method] = {
    "static": static,
    "retrain-all": retrain_all,
    "online logistic": online_logistic,
    "online forest": online_forest,
    "ours": ours,
}


def _online(pool: Pool, stream: Stream, setting: Setting, learner: Any) -> Outcome:
    features = first_model(pool, stream, setting.seed)
    started, outcome, chance = process_time() - features.seconds, Outcome(), np.random.default_rng(setting.seed)

    def point(row: int) -> dict[int, float]:
        return dict(enumerate(np.log1p(np.abs(np.array(features.features(row))[COLUMNS])).tolist()))

    def score(rows: Rows) -> Floats:
        return np.array([learner.predict_proba_one(point(int(row))).get(True, 0.0) for row in rows])

    known = chance.permutation(stream.learned)
    cut = len(known) * 2 // 3
    for row in known[:cut]:
        learner.learn_one(point(int(row)), bool(pool.malicious[row]))
    held = score(known[cut:])
    threshold = float(np.quantile(held[~pool.malicious[known[cut:]]], 0.99, method="higher")) + 1e-9
    for row in known[cut:]:
        learner.learn_one(point(int(row)), bool(pool.malicious[row]))
    waiting: list[Rows] = []
    good, bad = kept(pool, stream)
    cleared = score(good) < threshold
    outcome.kept_recall.append(float((score(bad) >= threshold).mean()))
    for rows in stream.periods:
        told = set(map(int, chance.permutation(rows)[: setting.budget]))
        scores = np.zeros(len(rows))
        for place, row in enumerate(map(int, rows)):
            scores[place] = score(np.array([row]))[0]
            if row in told and not setting.delay:
                learner.learn_one(point(row), bool(pool.malicious[row]))
        outcome.periods.append(measure(scores, scores >= threshold, pool.malicious[rows]))
        waiting.append(np.array(sorted(told), dtype=np.intp))
        if setting.delay and len(waiting) > setting.delay:
            for row in map(int, waiting[-1 - setting.delay]):
                learner.learn_one(point(row), bool(pool.malicious[row]))
        outcome.labels += len(told)
        now = score(good) < threshold
        outcome.churn.append(float((cleared & ~now).sum() / max(1, cleared.sum())))
        cleared = now
        outcome.kept_recall.append(float((score(bad) >= threshold).mean()))
    outcome.seconds = process_time() - started
    return outcome


def event(pool: Pool, model: Model, row: int, score: float) -> ScanEvent:
    """A scan of one file by `model`, as the log has it."""
    return ScanEvent(
        scan=str(row),
        verdict=verdict(model, score),
        schema=str(SCHEMA.version),
        row=model.features(row),
        score=score,
        sha256=pool.sha256[row],
        container=str(pool.container[row]),
        library=pool.libraries[row],
        names=model.names(row),
    )


def verdict(model: Model, score: float) -> str:
    """What `model` says of a file with this score."""
    if score >= model.suspicious:
        return "malicious" if score >= model.malicious else "suspicious"
    return "benign"


def teach(pool: Pool, model: Model, learner: OnlineLearner, rows: Rows, labels: NDArray[np.intp] | None = None) -> None:
    """Give the learner labels, the true ones unless others are given."""
    given = truth(pool, rows) if labels is None else labels
    for row, label in zip(map(int, rows), given, strict=True):
        said = "malicious" if label else "benign"
        learner.label(LabelEvent(pool.sha256[row], said, "analyst", event(pool, model, row, 0.0)))


def raised(pool: Pool, model: Model, learner: OnlineLearner, rows: Rows, scores: Floats) -> tuple[Floats, Flags]:
    """Scores and flags with what the learner advises: it can only raise, to suspicious."""
    advice, out = learner.advice, scores.copy()
    for place, row in enumerate(map(int, rows)):
        if scores[place] < model.suspicious and advice.raises(names := model.names(row)):
            out[place] = model.suspicious + (1.0 - model.suspicious) * advice.score(names)
    return out, out >= model.suspicious


def _through(
    pool: Pool, champion: Model, learner: OnlineLearner, rows: Rows, setting: Setting
) -> tuple[Floats, Flags, Rows]:
    """Scan a period's files in order and ask about some: scores, flags, and the files asked about."""
    scores, flagged = np.zeros(len(rows)), np.zeros(len(rows), dtype=bool)
    candidates: dict[int, Candidate] = {}
    told: list[int] = []
    quota = _shared(setting.budget)
    own = champion.score(rows)
    for part in np.array_split(np.arange(len(rows)), STEPS):
        for place in part:
            row, score = int(rows[place]), float(own[place])
            both = raised(pool, champion, learner, rows[place : place + 1], own[place : place + 1])
            scores[place], flagged[place] = both[0][0], both[1][0]
            lesson = learner.learn(event(pool, champion, row, score))
            candidates[row] = Candidate(
                str(row), pool.sha256[row], float(scores[place]), True, {"model": score}, lesson.novelty,
                " ".join(map(str, champion.names(row))) or None,
            )  # fmt: skip
        thresholds = {"suspicious": champion.suspicious, "malicious": champion.malicious}
        picked = [int(found.candidate.scan_id) for found in rank([*candidates.values()], thresholds, next(quota))]
        for row in picked:
            del candidates[row]
        told += picked
        if not setting.delay:
            teach(pool, champion, learner, np.array(picked, dtype=np.intp))
    return scores, flagged, np.array(told, dtype=np.intp)


def _shared(budget: int) -> Iterator[int]:
    for step in range(STEPS):
        yield budget * (step + 1) // STEPS - budget * step // STEPS


def _trained(pool: Pool, stream: Stream, known: Rows, said: Rows, seed: int) -> Model:
    return Model(pool, stream.learned, truth(pool, stream.learned), known, said, seed)


def kept(pool: Pool, stream: Stream) -> tuple[Rows, Rows]:
    """Benign and malicious files kept aside."""
    return stream.kept[~pool.malicious[stream.kept]], stream.kept[pool.malicious[stream.kept]]


def settle(
    pool: Pool, stream: Stream, champion: Model, challenger: Model, canaries: tuple[list[FileTrace], Flags]
) -> None:
    """Raise the challenger's thresholds above old benign files that the champion clears, as `pipelines.settle` does.

    Never above a hostile canary that the champion catches: rather it is held, as it is by the gate for lost recall.
    """
    traces, hostile = canaries
    caught = hostile & (champion.score_traces(traces) >= champion.suspicious)
    lowest = float(challenger.score_traces(traces)[caught].min(initial=1.0))
    good = kept(pool, stream)[0]
    cleared = challenger.score(good)[champion.score(good) < champion.suspicious]
    challenger.suspicious = raise_threshold(challenger.suspicious, cleared, lambda level: level <= lowest)
    challenger.malicious = max(challenger.malicious, challenger.suspicious)


def gate(pool: Pool, stream: Stream, first: Model, champion: Model, challenger: Model, setting: Setting) -> bool:
    """No canary flips, hardly an old benign file does, recall on old malicious files holds."""
    recall = [_recall(pool, stream, model) for model in (champion, challenger)]
    changed = _churn(pool, stream, champion, challenger)
    return (
        flips(first, challenger, setting.canaries) == 0
        and recall[1] >= recall[0] - TOLERANCE - 1e-9
        and changed <= CHURN
    )


def flips(first: Model, model: Model, canaries: tuple[list[FileTrace], Flags]) -> int:
    """Canaries that the first model judged rightly and `model` does not."""
    traces, hostile = canaries
    right = (first.score_traces(traces) >= first.suspicious) == hostile
    return int((right & ((model.score_traces(traces) >= model.suspicious) != hostile)).sum())


def _recall(pool: Pool, stream: Stream, model: Model) -> float:
    return float((model.score(kept(pool, stream)[1]) >= model.suspicious).mean())


def _churn(pool: Pool, stream: Stream, before: Model, after: Model) -> float:
    """Share of the old benign files that were cleared and now are flagged."""
    good = kept(pool, stream)[0]
    cleared = before.score(good) < before.suspicious
    return float((after.score(good) >= after.suspicious)[cleared].mean()) if cleared.any() else 0.0


def _after(
    pool: Pool, stream: Stream, outcome: Outcome, before: Model, after: Model, learner: OnlineLearner | None = None
) -> None:
    """Note what happened to old files."""
    good, bad = kept(pool, stream)
    if not outcome.kept_recall:
        outcome.kept_recall.append(_recall(pool, stream, before))
    scores = after.score(bad)
    flagged = scores >= after.suspicious
    changed = _churn(pool, stream, before, after)
    if learner is not None:
        flagged = raised(pool, after, learner, bad, scores)[1]
        cleared = before.score(good) < before.suspicious
        now = raised(pool, after, learner, good, after.score(good))[1]
        changed = float(now[cleared].mean()) if cleared.any() else 0.0
    outcome.kept_recall.append(float(flagged.mean()))
    outcome.churn.append(changed)
