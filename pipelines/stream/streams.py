"""Streams of files in periods: by the clock of disclosure, and with drift of three kinds made on purpose."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from .pool import NEVER, Pool, Rows, by_family

PERIODS = ("2023", "2025", "2025-08", "2026")
"""Where the periods of the clock begin; what was disclosed before is learned from."""
OLD_LIBRARIES = ("none", "python", "numpy", "assembled", "scikit-learn", "joblib", "__main__")
OLD_FAMILIES = ("generated-os", "generated-posix", "generated-subprocess", "generated-builtins", "generated-socket",
                "generated-io", "generated-runpy", "direct-reduce")  # fmt: skip
BENIGN_A_PERIOD, MALICIOUS_A_PERIOD, DRIFT_PERIODS = 160, 40, 6
LEARNED_BENIGN, LEARNED_MALICIOUS, KEPT_BENIGN, KEPT_MALICIOUS = 600, 180, 200, 50


@dataclass(frozen=True, eq=False)
class Stream:
    """Files to learn from at first, periods of files in the order they come, and old files that are kept aside.

    `kept` tells what is forgotten and which verdicts on old benign files change.
    """

    name: str
    learned: Rows
    periods: tuple[Rows, ...]
    kept: Rows


@functools.lru_cache(maxsize=1)
def clock(pool: Pool, seed: int) -> Stream:
    """Malicious files come when a callable of theirs was first listed; benign ones are dealt at random by group."""
    chance = np.random.default_rng(seed)
    bad = np.setdiff1d(np.flatnonzero(pool.malicious & (pool.disclosed != NEVER)), pool.core)
    place = np.searchsorted(np.array(PERIODS), pool.disclosed[bad], side="right")
    good = _by_group(pool, np.flatnonzero(~pool.malicious), chance)
    old = chance.permutation(bad[place == 0])
    learned, kept, left = _start(good, old)
    cuts = np.array_split(left, len(PERIODS))
    periods = [
        chance.permutation(np.concatenate([cuts[number][:BENIGN_A_PERIOD], _some(bad[place == number + 1], chance)]))
        for number in range(len(PERIODS))
    ]
    return Stream("clock", learned, tuple(periods), kept)


@functools.lru_cache(maxsize=1)
def drift(pool: Pool, seed: int) -> Stream:
    """Old libraries and families are learned; each period brings new ones, which then stay."""
    chance = np.random.default_rng(1000 + seed)
    good = _by_group(pool, np.flatnonzero(~pool.malicious), chance)
    bad = np.setdiff1d(np.flatnonzero(pool.malicious), pool.core)
    familiar = np.isin(pool.family[good], OLD_LIBRARIES)
    old_bad = chance.permutation(bad[np.isin(pool.family[bad], OLD_FAMILIES)])
    learned, kept, usual = _start(good[familiar], old_bad)
    known_bad = old_bad[LEARNED_MALICIOUS + KEPT_MALICIOUS :]
    libraries = _dealt(by_family(pool, good[~familiar]), chance)
    families = _dealt(by_family(pool, bad[~np.isin(pool.family[bad], OLD_FAMILIES)]), chance)
    periods: list[Rows] = []
    new_good, new_bad = np.zeros(0, np.intp), known_bad
    for number in range(DRIFT_PERIODS):
        new_good = np.concatenate([new_good, *libraries[number]])
        new_bad = np.concatenate([new_bad, *families[number]])
        fresh, new_good = _taken(new_good, BENIGN_A_PERIOD // 2, chance)
        stock, usual = _taken(usual, BENIGN_A_PERIOD - len(fresh), chance)
        attacks, new_bad = _taken(new_bad, MALICIOUS_A_PERIOD, chance)
        periods.append(chance.permutation(np.concatenate([fresh, stock, attacks])))
    return Stream("drift", learned, tuple(periods), kept)


STREAMS = {"clock": clock, "drift": drift}


def _start(good: Rows, bad: Rows) -> tuple[Rows, Rows, Rows]:
    """What is learned from, what is kept aside, and the benign files left."""
    learned = np.concatenate([good[:LEARNED_BENIGN], bad[:LEARNED_MALICIOUS]])
    ends = LEARNED_BENIGN + KEPT_BENIGN, LEARNED_MALICIOUS + KEPT_MALICIOUS
    kept = np.concatenate([good[LEARNED_BENIGN : ends[0]], bad[LEARNED_MALICIOUS : ends[1]]])
    return learned, kept, good[ends[0] :]


def _by_group(pool: Pool, rows: Rows, chance: np.random.Generator) -> Rows:
    """Files of a group one after the other, the groups in random order: a group rarely straddles two parts."""
    groups = np.array([pool.groups[row] for row in rows])
    names = chance.permutation(np.unique(groups))
    place = {name: number for number, name in enumerate(names)}
    return rows[np.argsort([place[group] for group in groups], kind="stable")]


def _some(rows: Rows, chance: np.random.Generator) -> Rows:
    return chance.permutation(rows)[:MALICIOUS_A_PERIOD]


def _dealt(families: dict[str, Rows], chance: np.random.Generator) -> list[list[Rows]]:
    """The families dealt to the periods in which they first come."""
    names = chance.permutation(sorted(families))
    return [[families[name] for name in part] for part in np.array_split(names, DRIFT_PERIODS)]


def _taken(rows: Rows, number: int, chance: np.random.Generator) -> tuple[Rows, Rows]:
    mixed = chance.permutation(rows)
    return mixed[:number], mixed[number:]
