"""Benign files that are not tidy: truncated dumps, several dumps in one file, bytes after STOP."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle
from random import Random

from ..assemble import place
from ..assemble.conversion import dumps
from . import controls, plain, project
from .plain import config, table
from .saved import Saved


def produce(rng: Random, count: int, pool: str) -> Iterator[Saved]:
    """Yield damaged files, made from plain objects, project classes and tiny controls."""
    sources = [plain.produce(rng, count, pool), project.produce(rng, count, pool), controls.produce(rng, count, pool)]
    kinds = ("truncated", "several", "padded", "text-after", "no-stop", "history")
    for index, source in zip(range(count), cycle(sources), strict=False):
        kind = kinds[index % len(kinds)]
        data = next(source).data
        if kind == "truncated":
            data = data[: rng.randrange(max(2, len(data) // 3), max(3, len(data)))]
        elif kind == "several":
            for _ in range(rng.randrange(1, 4)):
                data += place.padding(rng) + dumps(config(rng), rng.choice((2, 4)))
        elif kind == "padded":
            data += b"\0" * rng.randrange(1, 200)
        elif kind == "text-after":
            data += rng.choice((b"\n", b"\r\n", b"# saved by train.py\n", b"EOF", rng.randbytes(9)))
        elif kind == "no-stop":
            data = data.removesuffix(b".")
        else:
            data = b"".join(dumps(row, 4) for row in table(rng, rng.randrange(2, 60)))
        yield Saved(kind, "python", data)
