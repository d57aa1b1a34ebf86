"""Benign code spliced into benign hosts: the twins of what the assembler does with hostile code."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from ..assemble import place
from . import bank, controls
from .saved import Saved


def produce(rng: Random, count: int, pool: str) -> Iterator[Saved]:
    """Yield hosts with a harmless call put before, inside, after or in another stream; some several times."""
    hosts = bank.hosts(pool)
    places = list(place.PLACES)
    for index in range(count):
        host = rng.choice(hosts)
        where = places[index % len(places)]
        kind, write = controls.harmless(rng, pool)
        data = place.PLACES[where](host, write, rng)
        yield Saved(f"{where}-{kind}", host.library, host.pack(data) if host.pack else data)
