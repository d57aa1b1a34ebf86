"""Benign code spliced into benign hosts: the twins of what the assembler does with hostile code."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from ..assemble import hostile, place
from ..assemble.hosts import Write
from ..assemble.stream import Assembler
from . import bank, controls
from .saved import Saved

BROKEN = {"no_stop": place.no_stop, "broken_after": place.broken_after}


def produce(rng: Random, count: int, pool: str) -> Iterator[Saved]:
    """Yield hosts with harmless calls before, inside, after or in another stream; harmless calls in broken streams."""
    hosts = bank.hosts(pool)
    places = [*place.PLACES, "no_stop", "broken_after", "stuffed"]
    for index in range(count):
        host = hostile.draw_host(rng, hosts)
        where = places[index % len(places)]
        kind, write = controls.harmless(rng, pool)
        if where == "stuffed" or rng.random() < 0.3:
            kind, write = "several", _several(rng, pool, rng.choice((2, 3, 5, 8, 20, 64)))
        if where == "stuffed":
            yield Saved(f"{where}-{kind}", "assembled", place.bare(rng.choice(hostile.PROTOCOLS), write, rng))
            continue
        if where in BROKEN:
            yield Saved(f"{where}-{kind}", "assembled", BROKEN[where](rng.choice(hostile.PROTOCOLS), write, rng))
            continue
        data = place.PLACES[where](host, write, rng)
        yield Saved(f"{where}-{kind}", host.library, host.pack(data) if host.pack else data)


def _several(rng: Random, pool: str, count: int) -> Write:
    """Harmless values one after the other, of which the last stays."""
    written = [controls.harmless(rng, pool)[1] for _ in range(count)]

    def write(asm: Assembler) -> None:
        for other in written[:-1]:
            other(asm)
            asm.pop()
        written[-1](asm)

    return write
