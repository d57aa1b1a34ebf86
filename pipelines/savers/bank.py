"""Hosts: benign pickles of ours that code can be spliced into."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from random import Random

from ..assemble.conversion import dumps
from ..assemble.hosts import Host
from . import plain, producer
from .saved import group_of

COUNTS = {"plain": 66, "project": 28, "controls": 20, "vocabulary": 12, "python2": 10, "numpy_arrays": 20,
          "pandas_frames": 12, "scikit_learn": 46, "torch_models": 15, "closures": 16, "boosting": 5}  # fmt: skip
SEED = 3
LARGEST = 25_000
"""Opcodes of the largest host."""


@lru_cache(maxsize=2)
def hosts(pool: str) -> tuple[Host, ...]:
    """Some 220 hosts of 2 to :data:`LARGEST` opcodes; the same ones every time."""
    found = []
    for name, count in COUNTS.items():
        for index, saved in enumerate(producer(name)(Random(f"{SEED}:hosts:{pool}:{name}"), count, pool)):
            if saved.stream is not None:
                host = Host(saved.variant, saved.library, group_of(name, pool, index), pool, saved.stream, saved.pack)
                if len(host.operations) <= LARGEST:
                    found.append(host)
    return (*found, *_large(pool))


def _large(pool: str) -> Iterator[Host]:
    """Hosts of 5,000 to 30,000 opcodes, of which the producers make few."""
    rng = Random(f"{SEED}:large:{pool}")
    for index, rows in enumerate((500, 800, 1000, 1300, 1600, 1500)):
        data = dumps({"rows": plain.table(rng, rows), **plain.config(rng)}, (2, 4, 4, 5, 3, 0)[index])
        yield Host("large-records", "python", group_of("plain", pool, index), pool, data)
