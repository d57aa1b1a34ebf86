"""numpy: arrays and scalars in pickles, ``.npy`` and ``.npz`` files, object arrays among them."""

from __future__ import annotations

import io
from collections.abc import Iterator
from random import Random
from typing import Any

import numpy as np

from ..assemble import words
from ..assemble.conversion import dumps
from .plain import config, text
from .saved import Saved


def array(rng: Random) -> Any:
    """A small array of some type and shape."""
    numbers = np.random.default_rng(rng.randrange(2**32))
    shape = rng.choice([(), (1,), (4,), (3, 5), (2, 3, 4), (40, 8), (0,), (300,)])
    kind = rng.choice(["float64", "float32", "int64", "int8", "bool", "uint8", "complex64", "U", "datetime", "object"])
    if kind == "U":
        return np.array([rng.choice(words.PLAIN) for _ in range(rng.randrange(1, 9))])
    if kind == "datetime":
        return np.array(["2021-05-17", "2022-01-01"], dtype="datetime64[D]")
    if kind == "object":
        return np.array([text(rng), None, {"k": 1}, [1, 2], rng.random()][: rng.randrange(1, 6)], dtype=object)
    return numbers.standard_normal(shape).astype(kind) if kind != "bool" else numbers.random(shape) > 0.5


def _structured(rng: Random) -> Any:
    return np.array([(1, 2.0, b"x"), (3, 4.0, b"y")], dtype=[("id", "i4"), ("score", "f8"), ("tag", "S4")])


def _masked(rng: Random) -> Any:
    return np.ma.masked_array(np.arange(6.0), mask=np.array([False, True, False, False, True, False]))


def _scalars(rng: Random) -> Any:
    return {
        "acc": np.float64(rng.random()),
        "n": np.int64(rng.randrange(99)),
        "ok": np.bool_(True),
        "dtype": np.dtype("f4"),
    }


def _mixed(rng: Random) -> Any:
    return {**config(rng, 0), "weights": [array(rng) for _ in range(rng.randrange(1, 9))], "mean": np.float32(0.5)}


def _generator(rng: Random) -> Any:
    return np.random.RandomState(rng.randrange(99)) if rng.random() < 0.5 else np.random.default_rng(rng.randrange(99))


MAKERS = {"array": array, "structured": _structured, "masked": _masked, "scalars": _scalars, "mixed": _mixed,
          "generator": _generator}  # fmt: skip


def produce(rng: Random, count: int, pool: str) -> Iterator[Saved]:
    """Yield pickles, ``.npy`` and ``.npz`` files."""
    kinds = [*MAKERS, "npy", "npy-object", "npz", "npz-object"]
    for index in range(count):
        kind = kinds[index % len(kinds)]
        if kind in MAKERS:
            data = dumps(MAKERS[kind](rng), rng.choice((0, 2, 2, 3, 4, 4, 5)))
            yield Saved(kind, "numpy", data, data)
            continue
        out = io.BytesIO()
        objects = np.array([config(rng, 0), text(rng), None], dtype=object)
        plain = np.random.default_rng(rng.randrange(99)).random((rng.randrange(1, 9), 3))
        if kind == "npy":
            np.save(out, plain)
        elif kind == "npy-object":
            np.save(out, objects, allow_pickle=True)
        elif kind == "npz":
            rng.choice((np.savez, np.savez_compressed))(out, x=plain, y=np.arange(3))
        else:
            np.savez(out, x=plain, labels=objects)
        yield Saved(kind, "numpy", out.getvalue())
