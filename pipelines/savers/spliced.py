"""Benign code spliced into benign hosts: the twins of what the assembler does with hostile code."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from ..assemble import hostile, place
from . import bank, controls
from .saved import Saved

BROKEN = {"no_stop": place.no_stop, "broken_after": place.broken_after}


def produce(rng: Random, count: int, pool: str) -> Iterator[Saved]:
    """Yield hosts with a harmless call before, inside, after or in another stream; harmless calls in broken streams."""
    hosts = bank.hosts(pool)
    places = [*place.PLACES, "no_stop", "broken_after"]
    for index in range(count):
        host = rng.choice(hosts)
        where = places[index % len(places)]
        kind, write = controls.harmless(rng, pool)
        if where in BROKEN:
            yield Saved(f"{where}-{kind}", "assembled", BROKEN[where](rng.choice(hostile.PROTOCOLS), write, rng))
            continue
        data = place.PLACES[where](host, write, rng)
        yield Saved(f"{where}-{kind}", host.library, host.pack(data) if host.pack else data)
