"""What wrong labels on purpose do: canaries flipped, recall lost, and whether the audit shows who gave them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from detectors.advice import Names
from detectors.label_audit import AuditedLabel, audit, suspected
from detectors.labelling import Said, standing
from detectors.online import OnlineLearner
from detectors.suspicion import Example

from .methods import Setting, event, first_model, flips, gate, kept, raised, settle, teach, truth
from .model import Model
from .pool import Pool, Rows
from .streams import Stream

RATES = (0.01, 0.05, 0.1, 0.2)
HONEST = ("ann", "ben", "cleo")
ATTACKER = "mallory"
LABELS = 200
TAUGHT_PERIODS = 3
MOMENT = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Given:
    """Labels in the order they were given: files, what was said (1 malicious), and by whom."""

    rows: Rows
    said: Rows
    persons: tuple[str, ...]


@dataclass(frozen=True)
class Result:
    """What one attack did.

    Parameters
    ----------
    canary_flips
        By the retrained model, whether the gate let it through or not.
    loss, loss_after_gate
        Recall on later files that the retrained model, and what serves after the gate, lost to the same without attack.
    promoted
        Whether the gate let it through.
    visible, accused
        Whether the audit names the attacker, and how many honest people it names.
    learned
        Wrong labels that the policy and the audit let stand.
    """

    canary_flips: int
    loss: float
    loss_after_gate: float
    false_positives: float
    promoted: bool
    visible: bool
    accused: int
    learned: int


def honest(pool: Pool, stream: Stream, seed: int) -> Given:
    """What three people say of files of the first periods, truly."""
    chance = np.random.default_rng(seed)
    rows = chance.permutation(np.concatenate(stream.periods[:TAUGHT_PERIODS]))[:LABELS]
    return Given(rows, truth(pool, rows), tuple(str(name) for name in chance.choice(HONEST, len(rows))))


def random(pool: Pool, model: Model, given: Given, rate: float, chance: np.random.Generator) -> Given:
    """Wrong labels for files drawn at random."""
    places = chance.permutation(len(given.rows))[: _count(given, rate)]
    return _changed(given, places)


def targeted(pool: Pool, model: Model, given: Given, rate: float, chance: np.random.Generator) -> Given:
    """Malicious files of one family after the other called benign, the largest first."""
    bad = np.flatnonzero(given.said == 1)
    names, counts = np.unique(pool.family[given.rows[bad]], return_counts=True)
    size = dict(zip(names, counts, strict=True))
    order = sorted(
        bad, key=lambda place: (-size[pool.family[given.rows[place]]], pool.family[given.rows[place]], place)
    )
    return _changed(given, np.array(order[: _count(given, rate)], dtype=np.intp))


def boiling_frog(pool: Pool, model: Model, given: Given, rate: float, chance: np.random.Generator) -> Given:
    """Malicious files called benign, those first that look most like benign ones."""
    bad = np.flatnonzero(given.said == 1)
    order = bad[np.argsort(model.score(given.rows[bad]), kind="stable")]
    return _changed(given, order[: _count(given, rate)])


def flooding(pool: Pool, model: Model, given: Given, rate: float, chance: np.random.Generator) -> Given:
    """Copies of one malicious file, all called benign, on top of what the others say."""
    bad = np.flatnonzero(given.said == 1)
    copied = given.rows[int(chance.choice(bad))]
    number = _count(given, rate)
    return Given(
        np.concatenate([given.rows, np.full(number, copied)]),
        np.concatenate([given.said, np.zeros(number, np.intp)]),
        given.persons + (ATTACKER,) * number,
    )


Attack = Callable[[Pool, Model, Given, float, np.random.Generator], Given]
ATTACKS: dict[str, Attack] = {
    "random": random, "targeted": targeted, "boiling frog": boiling_frog, "flooding": flooding,
}  # fmt: skip


def poisoned(pool: Pool, stream: Stream, setting: Setting) -> dict[str, Result]:
    """Every attack at every rate: ``attack rate`` -> result."""
    model = first_model(pool, stream, setting.seed)
    clean = honest(pool, stream, setting.seed)
    later = np.concatenate(stream.periods[TAUGHT_PERIODS:])
    reference, serving, learner, _ = _taught(pool, stream, setting, model, clean)
    best = [_recall(pool, tried, learner, later) for tried in (reference, serving)]
    found = {}
    for name, attack in ATTACKS.items():
        for rate in RATES:
            chance = np.random.default_rng([setting.seed, int(rate * 100)])
            given = attack(pool, model, clean, rate, chance)
            after, served, learner, stood = _taught(pool, stream, setting, model, given)
            recall = [_recall(pool, tried, learner, later) for tried in (after, served)]
            good = later[~pool.malicious[later]]
            sources = audit(_audited(pool, model, given))
            wrong = [
                person == ATTACKER and bool(said != pool.malicious[row])
                for row, said, person in zip(stood.rows, stood.said, stood.persons, strict=True)
            ]
            found[f"{name} {rate:g}"] = Result(
                canary_flips=flips(model, after, setting.canaries),
                loss=best[0] - recall[0],
                loss_after_gate=best[1] - recall[1],
                false_positives=float(raised(pool, served, learner, good, served.score(good))[1].mean()),
                promoted=served is after,
                visible=any(source.person == ATTACKER and source.suspicions for source in sources),
                accused=sum(bool(source.suspicions) for source in sources if source.person != ATTACKER),
                learned=sum(wrong),
            )
    return found


def _taught(
    pool: Pool, stream: Stream, setting: Setting, model: Model, given: Given
) -> tuple[Model, Model, OnlineLearner, Given]:
    """What is learned from labels: the retrained model, what the gate leaves serving, the learner, what stood."""
    stood = stands(pool, model, given)
    after = _retrained(pool, stream, setting, tuple(map(int, stood.rows)), tuple(map(int, stood.said)))
    learner = OnlineLearner()
    learner.suspicion.anchors = dict(_anchors(pool, stream, setting.seed))
    for row, label, person in zip(map(int, stood.rows), stood.said, stood.persons, strict=True):
        word = "malicious" if label else "benign"
        learner.suspicion.examples[pool.sha256[row]] = Example(word, person, frozenset(model.names(row)))
    teach(pool, model, learner, stood.rows[-1:], stood.said[-1:])
    passed = gate(pool, stream, model, model, after, setting)
    return after, after if passed else model, learner, stood


@functools.lru_cache(maxsize=20)
def _retrained(pool: Pool, stream: Stream, setting: Setting, rows: tuple[int, ...], said: tuple[int, ...]) -> Model:
    """Several attacks leave the same labels standing."""
    after = Model(
        pool,
        stream.learned,
        truth(pool, stream.learned),
        np.array(rows, np.intp),
        np.array(said, np.intp),
        setting.seed,
    )
    settle(pool, stream, first_model(pool, stream, setting.seed), after, setting.canaries)
    return after


@functools.lru_cache(maxsize=1)
def _anchors(pool: Pool, stream: Stream, seed: int) -> dict[str, Names]:
    """What is learned of the benign files kept aside before anybody gives a label."""
    learner, model = OnlineLearner(), first_model(pool, stream, seed)
    for row in kept(pool, stream)[0]:
        learner.learn(event(pool, model, int(row), 0.0))
    return learner.suspicion.anchors


def stands(pool: Pool, model: Model, given: Given) -> Given:
    """The labels that stand by the policy and the audit; copies count as files of their own."""
    scores, doubted = model.score(given.rows), suspected(_audited(pool, model, given))
    kept_rows, said, persons = [], [], []
    for number, (row, label, person) in enumerate(zip(given.rows, given.said, given.persons, strict=True)):
        word = "malicious" if label else "benign"
        guarded = bool(scores[number] >= model.malicious)
        one = Said(number, MOMENT, word, number, "analyst", person, guarded)
        holds = standing([one]).label
        if holds is not None and person not in doubted:
            kept_rows.append(int(row))
            said.append(int(holds == "malicious"))
            persons.append(person)
    return Given(np.array(kept_rows, np.intp), np.array(said, np.intp), tuple(persons))


def _audited(pool: Pool, model: Model, given: Given) -> list[AuditedLabel]:
    scores = model.score(given.rows)
    return [
        AuditedLabel(
            person,
            "malicious" if label else "benign",
            bool(score >= model.suspicious),
            bool(score >= model.malicious),
            " ".join(map(str, model.names(int(row)))) or str(row),
            float(score),
        )
        for row, label, person, score in zip(given.rows, given.said, given.persons, scores, strict=True)
    ]


def _recall(pool: Pool, model: Model, learner: OnlineLearner, rows: Rows) -> float:
    bad = rows[pool.malicious[rows]]
    return float(raised(pool, model, learner, bad, model.score(bad))[1].mean())


def _count(given: Given, rate: float) -> int:
    return max(1, round(rate * len(given.rows)))


def _changed(given: Given, places: Rows) -> Given:
    """The labels with those at `places` turned round, and given by the attacker."""
    said, persons = given.said.copy(), list(given.persons)
    said[places] = 1 - said[places]
    for place in places:
        persons[int(place)] = ATTACKER
    return Given(given.rows, said, tuple(persons))
