"""cloudpickle and dill: lambdas, closures, classes and sessions, whose pickles rebuild code objects."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator
from random import Random
from types import FunctionType
from typing import Any

import cloudpickle
import dill
import numpy as np
from cloudpickle import cloudpickle as cloudpickle_internals

from ..assemble import words
from .plain import config, text
from .saved import Saved


def _schedule(rng: Random) -> Any:
    """A constant or linear schedule, as stable-baselines3 keeps them in its zips."""
    start = rng.random()

    def constant(_progress: float) -> float:
        return start

    def linear(progress: float) -> float:
        return progress * start

    return rng.choice([constant, linear])


def _lambda(rng: Random) -> Any:
    number = rng.randrange(9)
    some: list[Callable[..., Any]] = [
        lambda x: x + number,
        lambda x, y=number: x * y,
        lambda *args: len(args),
        lambda row: row["value"],
    ]
    return rng.choice(some)


def _with_modules(rng: Random) -> Any:
    scale = rng.random()

    def transform(values: Any) -> Any:
        return np.log1p(values) * math.sqrt(scale)

    return transform


def _cleaner(rng: Random) -> Any:
    stops = tuple(rng.sample(words.PLAIN, 5))

    def clean(document: str) -> list[str]:
        return [token.strip(".,").lower() for token in document.split() if token not in stops]

    return clean


def _reader(rng: Random) -> Any:
    """A loading function that opens a file, as datasets' closures do."""
    path = f"/data/{rng.choice(words.PLAIN)}.txt"

    def read() -> str:
        with open(path, encoding="utf-8") as file:
            return file.read()

    return read


def _generator(rng: Random) -> Any:
    size = rng.randrange(1, 9)

    def batches(rows: list[Any]) -> Any:
        for start in range(0, len(rows), size):
            yield rows[start : start + size]

    return batches


FUNCTIONS: dict[str, Callable[[Random], Any]] = {
    "schedule": _schedule, "lambda": _lambda, "modules": _with_modules, "cleaner": _cleaner, "reader": _reader,
    "generator": _generator,
}  # fmt: skip


def _class(rng: Random, pool: str) -> Any:
    """A class made in ``__main__``, with a method."""
    scale = rng.random()

    def predict(self: Any, value: float) -> float:
        return value * scale

    return type(
        words.class_name(rng, pool), (), {"__module__": "__main__", "predict": as_in_a_notebook(predict), "rate": scale}
    )


def as_in_a_notebook(function: Any) -> Any:
    """The function as if it had been defined in a notebook: no path of this checkout in its code."""
    return FunctionType(
        function.__code__.replace(co_filename="/tmp/ipykernel_1/1.py"),
        {"__name__": "__main__", "np": np, "math": math},
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )


def function(rng: Random) -> Any:
    """One of the functions above."""
    made = as_in_a_notebook(rng.choice(list(FUNCTIONS.values()))(rng))
    made.__module__ = "__main__"
    made.__qualname__ = made.__name__
    return made


def by_cloudpickle(value: Any, protocol: int, tracked: Any = None) -> bytes:
    """``cloudpickle.dumps``; a class in `tracked` gets a fixed tracker id, which is drawn at random otherwise."""
    if tracked is not None:
        cloudpickle_internals._DYNAMIC_CLASS_TRACKER_BY_CLASS[tracked] = "0123456789abcdef0123456789abcdef"
    data: bytes = cloudpickle.dumps(value, protocol)
    return data


def _by_dill(value: Any, rng: Random) -> bytes:
    out = io.BytesIO()
    dill.dump(value, out, protocol=rng.choice((2, 4, 4)))
    return out.getvalue()


def produce(rng: Random, count: int, pool: str) -> Iterator[Saved]:
    """Yield cloudpickle and dill files."""
    kinds = ("function", "bundle", "class", "instance", "plain", "dill-function", "dill-bundle", "dill-plain")
    for index in range(count):
        kind = kinds[index % len(kinds)]
        protocol = rng.choice((4, 4, 5, 5, 2))
        library = "dill" if kind.startswith("dill") else "cloudpickle"
        if kind == "function":
            data = by_cloudpickle(function(rng), protocol)
        elif kind == "bundle":
            data = by_cloudpickle({"fn": function(rng), "other": function(rng), **config(rng, 1)}, protocol)
        elif kind == "class":
            cls = _class(rng, pool)
            data = by_cloudpickle(cls, protocol, cls)
        elif kind == "instance":
            cls = _class(rng, pool)
            instance = cls()
            instance.__dict__.update(config(rng, 1))
            data = by_cloudpickle(instance, protocol, cls)
        elif kind == "plain":
            data = by_cloudpickle([config(rng), text(rng)], protocol)
        elif kind == "dill-function":
            data = _by_dill(function(rng), rng)
        elif kind == "dill-bundle":
            data = _by_dill({"clean": function(rng), "types": [dict, int, np.float64], **config(rng, 1)}, rng)
        else:
            data = _by_dill(config(rng), rng)
        yield Saved(kind, library, data, data)
