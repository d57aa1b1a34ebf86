"""joblib: estimators and arrays, raw and with every compressor that needs no extra library."""

from __future__ import annotations

import io
from collections.abc import Iterator
from random import Random
from typing import Any

import joblib

from . import numpy_arrays, scikit_learn
from .plain import config
from .saved import Saved

COMPRESSIONS: tuple[Any, ...] = (0, 0, 0, 3, ("zlib", 1), ("gzip", 3), ("bz2", 3), ("xz", 1), ("lzma", 1))


def produce(rng: Random, count: int, pool: str) -> Iterator[Saved]:
    """Yield ``joblib.dump`` files."""
    first = rng.randrange(1000)
    for index in range(count):
        if index % 3 == 0:
            kind, content = "arrays", {"x": numpy_arrays.array(rng), "y": numpy_arrays.array(rng), **config(rng, 0)}
        else:
            kind, content = scikit_learn.model(rng, first + index)
        out = io.BytesIO()
        compression = COMPRESSIONS[(first + index) % len(COMPRESSIONS)]
        joblib.dump(content, out, compress=compression, protocol=rng.choice((None, None, 2, 4)))
        yield Saved(f"{kind}-{compression}", "joblib", out.getvalue())
