"""How soon drift is noticed, and how often it is noticed where there is none."""

from __future__ import annotations

import json

import numpy as np

from detectors.online import OnlineLearner

from .methods import event, first_model, kept
from .model import Model
from .pool import Pool, Rows
from .streams import OLD_FAMILIES, OLD_LIBRARIES, Stream

QUIET, BEFORE, AFTER = 1500, 500, 150
"""Benign files in which every alarm is false; of the same kind before each shift; files after it."""


def alarms(pool: Pool, stream: Stream, seed: int) -> dict[str, float]:
    """False alarms among :data:`QUIET` files, and files until the first alarm after each shift, -1 for none."""
    chance = np.random.default_rng(seed)
    model = first_model(pool, stream, seed)
    usual = np.concatenate([stream.learned[~pool.malicious[stream.learned]], kept(pool, stream)[0]])
    learner = OnlineLearner()
    quiet = chance.choice(usual, BEFORE + QUIET)
    scores = dict(zip(map(int, usual), model.score(usual).tolist(), strict=True))
    false, state = 0, ""
    for number, row in enumerate(map(int, quiet)):
        false += len(learner.learn(event(pool, model, row, scores[row])).alarms) if number >= BEFORE else 0
        if number < BEFORE:
            learner.learn(event(pool, model, row, scores[row]))
        if number == BEFORE:
            state = json.dumps(learner.to_state())
    return {
        "false_alarms": float(false),
        **{
            name: _delay(pool, model, OnlineLearner.from_state(json.loads(state)), usual, new, chance)
            for name, new in shifts(pool, model, chance).items()
        },
    }


def shifts(pool: Pool, model: Model, chance: np.random.Generator) -> dict[str, Rows]:
    """Files that come up: attacks, a library, a container."""
    bad = np.setdiff1d(np.flatnonzero(pool.malicious), pool.core)
    good = np.flatnonzero(~pool.malicious)
    attacks = bad[~np.isin(pool.family[bad], OLD_FAMILIES)]
    fresh = good[~np.isin(pool.family[good], OLD_LIBRARIES)]
    names, counts = np.unique(np.array(pool.libraries)[fresh], return_counts=True)
    library = str(chance.choice(names[counts >= 20]))
    kinds, counts = np.unique(pool.container[good], return_counts=True)
    container = str(chance.choice(kinds[(counts >= 20) & (kinds != "pickle")]))
    return {
        "attacks": attacks,
        "library": fresh[np.array(pool.libraries)[fresh] == library],
        "container": good[pool.container[good] == container],
    }


def _delay(
    pool: Pool, model: Model, learner: OnlineLearner, usual: Rows, new: Rows, chance: np.random.Generator
) -> float:
    """Files until the first alarm, when every second file is a new one."""
    for number in range(AFTER):
        row = int(chance.choice(new if number % 2 == 0 else usual))
        score = float(model.score(np.array([row]))[0])
        if learner.learn(event(pool, model, row, score)).alarms:
            return number + 1.0
    return -1.0
