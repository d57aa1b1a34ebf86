"""Objects of the standard library and plain containers, small and large, in every protocol."""

from __future__ import annotations

import argparse
import array
import collections
import datetime
import decimal
import enum
import fractions
import functools
import ipaddress
import itertools
import operator
import pathlib
import random
import re
import types
import uuid
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

from ..assemble import words
from ..assemble.conversion import dumps
from .saved import Saved


def text(rng: Random) -> str:
    """A short ordinary string: a word, a path, a URL, a dotted name, a command line as a configuration has them."""
    word, other = rng.choice(words.PLAIN), rng.choice(words.PLAIN)
    return rng.choice(
        [word, f"{word}_{other}", f"{word} {other}", f"/home/user/data/{word}.csv", f"https://example.com/{word}",
         f"{word}.{other}.conv1.weight", f"python train.py --{word} {rng.randrange(99)}",
         f"{word}@{other}", word.upper(),
         f"C:\\data\\{word}", "", f"The {word} of {other}.", f"s3://bucket/{word}"]
    )  # fmt: skip


def config(rng: Random, depth: int = 2) -> dict[str, Any]:
    """A nested configuration."""
    found: dict[str, Any] = {}
    for _ in range(rng.randrange(1, 7)):
        key = rng.choice(words.PLAIN) + rng.choice(["", "_size", "_path", "_rate", "_dim"])
        draw = rng.randrange(7)
        if draw == 0 and depth:
            found[key] = config(rng, depth - 1)
        else:
            found[key] = [rng.randrange(10**6), rng.random(), text(rng), rng.random() < 0.5, None,
                          [rng.randrange(99) for _ in range(rng.randrange(5))],
                          (text(rng), rng.random())][draw]  # fmt: skip
    return found


def table(rng: Random, rows: int) -> list[dict[str, Any]]:
    """Records as scraped or logged data have them."""
    columns = rng.sample(words.PLAIN, 4)
    return [
        {columns[0]: row, columns[1]: rng.random(), columns[2]: text(rng), columns[3]: rng.random() < 0.5}
        for row in range(rows)
    ]


def moment(rng: Random) -> datetime.datetime:
    """A time between 2015 and 2025, with a zone now and then."""
    zone = rng.choice([None, datetime.UTC, datetime.timezone(datetime.timedelta(hours=rng.randrange(-9, 9)))])
    return datetime.datetime(2015, 1, 1, tzinfo=zone) + datetime.timedelta(seconds=rng.randrange(10 * 365 * 86400))


def _numbers(rng: Random, most: int = 30) -> list[int]:
    return [rng.randrange(1000) for _ in range(rng.randrange(1, most))]


def _counter(rng: Random) -> Any:
    return collections.Counter(rng.choice(words.PLAIN) for _ in range(rng.randrange(1, 60)))


def _defaultdict(rng: Random) -> Any:
    found: Any = collections.defaultdict(rng.choice([list, int, dict, float]))
    found.update({text(rng): rng.choice([[], {}, 1, 2.0]) for _ in range(rng.randrange(0, 6))})
    return found


def _partial(rng: Random) -> Any:
    functions: list[Callable[..., Any]] = [int, round, sorted, operator.add, max]
    return functools.partial(rng.choice(functions), rng.randrange(2, 36))


def _generator_state(rng: Random) -> Any:
    return random.Random(rng.randrange(99))


MAKERS: dict[str, Callable[[Random], Any]] = {
    "dict": config,
    "list": lambda rng: [text(rng) for _ in range(rng.randrange(0, 12))],
    "scalar": lambda rng: rng.choice([None, True, rng.randrange(10**9), rng.random(), text(rng), 10**30, b"raw bytes"]),
    "records": lambda rng: table(rng, rng.randrange(1, 30)),
    "large-records": lambda rng: table(rng, rng.randrange(100, 1500)),
    "large-numbers": lambda rng: [[rng.random() for _ in range(20)] for _ in range(rng.randrange(20, 400))],
    "set": lambda rng: rng.choice([set, frozenset])(_numbers(rng)),
    "datetime": moment,
    "dates": lambda rng: {"from": moment(rng).date(), "to": moment(rng), "step": datetime.timedelta(rng.randrange(9))},
    "uuid": lambda rng: uuid.UUID(int=rng.getrandbits(128)),
    "path": lambda rng: pathlib.PurePosixPath("data", rng.choice(words.PLAIN), f"{rng.choice(words.PLAIN)}.csv"),
    "posix-path": lambda rng: {"root": pathlib.PosixPath("/", "home", rng.choice(words.PLAIN)), "n": rng.randrange(9)},
    "namespace": lambda rng: argparse.Namespace(**config(rng, 1)),
    "simple-namespace": lambda rng: types.SimpleNamespace(**config(rng, 0)),
    "ordered-dict": lambda rng: collections.OrderedDict((text(rng), rng.random()) for _ in range(rng.randrange(0, 9))),
    "counter": _counter,
    "defaultdict": _defaultdict,
    "deque": lambda rng: collections.deque(_numbers(rng), maxlen=rng.choice([None, 50])),
    "decimal": lambda rng: decimal.Decimal(f"{rng.randrange(999)}.{rng.randrange(99)}"),
    "fraction": lambda rng: fractions.Fraction(rng.randrange(99), rng.randrange(1, 99)),
    "enum": lambda rng: rng.choice([re.RegexFlag.IGNORECASE, enum.Enum, uuid.SafeUUID.unknown]),
    "regex": lambda rng: re.compile(rng.choice([r"\w+", r"\b\d{3}\b", r"[a-z]+@", f"{rng.choice(words.PLAIN)}.*"])),
    "partial": _partial,
    "partial-print": lambda rng: {"callback": functools.partial(print, text(rng)), "fn": getattr, "log": print},
    "operator": lambda rng: rng.choice(
        [operator.itemgetter(rng.randrange(5)), operator.attrgetter(rng.choice(words.PLAIN)),
         operator.methodcaller("strip"), operator.itemgetter("name", "age")]),
    "builtin": lambda rng: rng.choice([len, int, str, print, {"dtype": float, "reader": open}, [dict], type(None)]),
    "slice": lambda rng: [slice(0, rng.randrange(99)), slice(None), range(rng.randrange(99)), complex(1, rng.random())],
    "iterator": lambda rng: rng.choice([iter(_numbers(rng)), itertools.count(rng.randrange(9)), map(str, _numbers(rng)),
                                        zip(_numbers(rng), "abc", strict=False), reversed(_numbers(rng))]),
    "bytearray": lambda rng: [bytearray(rng.randbytes(rng.randrange(40))), rng.randbytes(rng.randrange(300))],
    "array": lambda rng: array.array(rng.choice("idf"), _numbers(rng)),
    "address": lambda rng: ipaddress.ip_address(rng.getrandbits(32)),
    "generator-state": _generator_state,
    "bound-method": lambda rng: rng.choice([text(rng).upper, [1, 2].append, "".join, {}.get, datetime.datetime.now]),
    "exception": lambda rng: rng.choice([ValueError, KeyError, RuntimeError, OSError])(text(rng)),
    "chain-map": lambda rng: collections.ChainMap(config(rng, 0), config(rng, 0)),
    "nested-bytes": lambda rng: {"cached": dumps(config(rng), rng.randrange(6)), "key": text(rng)},
}  # fmt: skip
"""Each makes an object whose pickle does not depend on the hash seed or on addresses."""


def produce(rng: Random, count: int, pool: str) -> Iterator[Saved]:
    """Yield files; each kind of object about equally often, several protocols, both picklers."""
    kinds = list(MAKERS)
    for index in range(count):
        kind = kinds[index % len(kinds)]
        protocol = rng.choice((0, 1, 2, 2, 3, 4, 4, 4, 5))
        try:
            data = dumps(MAKERS[kind](rng), protocol, python=rng.random() < 0.1, optimize=rng.random() < 0.1)
        except TypeError:  # a few objects have no pickle in the oldest protocols
            data = dumps(MAKERS[kind](rng), 4)
        yield Saved(kind, "python", data, data)
