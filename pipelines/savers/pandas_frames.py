"""pandas: frames, series and their index types, in pickles and through ``to_pickle``."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from random import Random
from typing import Any

import numpy as np
import pandas as pd

from ..assemble import words
from ..assemble.conversion import dumps
from .plain import config
from .saved import Saved


def frame(rng: Random) -> Any:
    """A frame with columns of several types."""
    rows = rng.choice((0, 1, 5, 30, 200))
    numbers = np.random.default_rng(rng.randrange(2**32))
    columns: dict[str, Any] = {}
    for name in rng.sample(words.PLAIN, rng.randrange(1, 7)):
        columns[name] = rng.choice([
            numbers.random(rows), numbers.integers(0, 9, rows), [rng.choice(words.PLAIN) for _ in range(rows)],
            pd.Categorical([rng.choice("abc") for _ in range(rows)]), pd.date_range("2021-01-01", periods=rows),
            pd.array([1] * rows, dtype="Int64"), numbers.random(rows) > 0.5,
        ])  # fmt: skip
    return pd.DataFrame(columns)


def _series(rng: Random) -> Any:
    return pd.Series(
        np.random.default_rng(rng.randrange(99)).random(rng.randrange(0, 50)), name=rng.choice(words.PLAIN)
    )


def _times(rng: Random) -> Any:
    start = pd.Timestamp(f"20{rng.randrange(10, 25)}-0{rng.randrange(1, 10)}-01", tz=rng.choice([None, "UTC"]))
    return pd.Series(range(5), index=pd.date_range(start, periods=5, freq=rng.choice(["D", "h", "min"])))


def _multi_index(rng: Random) -> Any:
    index = pd.MultiIndex.from_product([["a", "b"], range(rng.randrange(1, 9))], names=["k", "n"])
    return pd.DataFrame({"v": np.arange(len(index), dtype="f8")}, index=index)


def _values(rng: Random) -> Any:
    return [pd.Timestamp("2020-01-01"), pd.Timedelta(days=rng.randrange(9)), pd.NaT,
            pd.Interval(0, rng.randrange(1, 9)),
            pd.Period("2021-03", freq="M"), pd.NA]  # fmt: skip


def _mixed(rng: Random) -> Any:
    return {"train": frame(rng), "columns": list(frame(rng).columns), "config": config(rng, 0), "y": _series(rng)}


MAKERS = {
    "frame": frame,
    "series": _series,
    "times": _times,
    "multi-index": _multi_index,
    "values": _values,
    "mixed": _mixed,
}


def produce(rng: Random, count: int, pool: str) -> Iterator[Saved]:
    """Yield pickles of pandas objects, some of them compressed as ``to_pickle('x.pkl.gz')`` does."""
    kinds = list(MAKERS)
    for index in range(count):
        kind = kinds[index % len(kinds)]
        data = dumps(MAKERS[kind](rng), rng.choice((2, 4, 4, 5, 5)))
        if rng.random() < 0.1:
            yield Saved(kind, "pandas", gzip.compress(data, mtime=0))
        else:
            yield Saved(kind, "pandas", data, data)
