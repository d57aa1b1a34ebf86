"""Saves objects of one library as people do. Runs by the interpreter of an environment, without this project.

``python save_objects.py LIBRARY OUT --seed N --count N`` imports the library, makes instances of its public classes,
fits those that can be fitted, and saves each alone or among others to a file of OUT, with one line of JSON for it on
standard output. Python 3.7 or newer, nothing but the standard library and what the environment has.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import datetime
import decimal
import enum
import fractions
import functools
import gzip
import importlib
import inspect
import io
import json
import operator
import os
import pathlib
import pickle
import pkgutil
import random
import re
import signal
import sys
import time
import types
import uuid
import warnings
from collections.abc import Callable, Iterator
from typing import Any

MODULES, SECONDS_TO_IMPORT, SECONDS_TO_MAKE = 600, 150, 3
LARGEST = 2000000
SKIPPED = re.compile(
    r"(^|[._])(tests?|testing|conftest|setup|__main__|cli|main|vendor\w*|bench\w*|examples?|scripts?|compat)([._]|$)"
)
GUESSES = (
    ("^(labels?|name|key|word)|name$|prefix|title|text|string|token", ("first", "price", "age")),
    ("columns|cols|features|names|keys|fields", (["a", "b"], ["a"])),
    ("rate|alpha|beta|gamma|eps|ratio|prob|^p$|scale|sigma|tol|weight|threshold|factor|loc|mean|std", (0.5, 0.1)),
    ("size|dim|num|^n|count|length|channels|hidden|units|max|min|degree|order|k$|depth|steps", (2, 3, 4)),
    ("func|fn$|callable|metric|activation", (len, abs, sum)),
    ("dict|mapping|config|kwargs|params|options", ({"a": 1, "b": 0.5},)),
    ("list|items|seq|elements|args", ([1, 2, 3],)),
)
"""Values for required parameters, by what these are called."""


class TooSlow(Exception):
    """Something took longer than it may."""


@contextlib.contextmanager
def within(seconds: int) -> Iterator[None]:
    """Raise TooSlow in a block that takes longer."""

    def stop(*_: Any) -> None:
        raise TooSlow

    signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)


def public_classes(library: str) -> dict[str, type]:
    """Classes that a library defines, by their names."""
    started = time.monotonic()
    found: dict[str, type] = {}
    root = importlib.import_module(library)
    names = [library]
    if hasattr(root, "__path__"):
        walk = pkgutil.walk_packages(root.__path__, library + ".", onerror=lambda _: None)
        with contextlib.suppress(BaseException):
            names += [one.name for one in walk if not SKIPPED.search(one.name)][:MODULES]
    for name in names:
        if time.monotonic() - started > SECONDS_TO_IMPORT:
            break
        try:
            with within(30):
                module = importlib.import_module(name)
                members = [getattr(module, key) for key in dir(module) if not key.startswith("_")]
        except BaseException:
            continue
        for member in members:
            own = isinstance(member, type) and str(member.__module__).split(".")[0] == library
            if own and not issubclass(member, BaseException) and not inspect.isabstract(member):
                found.setdefault(member.__module__ + "." + member.__qualname__, member)
    return found


class Data:
    """What instances are made of and fitted on: small, and different from seed to seed."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.numpy = importlib.import_module("numpy")
        state = self.numpy.random.RandomState(rng.randrange(1 << 30))
        self.rows = state.rand(24, 4)
        self.classes = state.randint(0, 2, 24)
        self.numbers = state.rand(24)
        self.words = ["a small red fox", "two blue birds", "the old dog sleeps", "rain falls on the hill"] * 6

    def frame(self) -> Any:
        """The rows as a data frame."""
        return importlib.import_module("pandas").DataFrame(self.rows, columns=list("abcd"))

    def argument(self, name: str) -> Any:
        """A value for a required parameter, guessed by what it is called; LookupError if there is no guess."""
        for pattern, choices in GUESSES:
            if re.search(pattern, name.lower()):
                return self.rng.choice(choices)
        if re.search("estimator|regressor|classifier|model|learner", name.lower()):
            return self.estimator()
        if name.lower() in ("x", "data", "values", "array", "a", "arr", "input", "samples", "points"):
            return self.rows.copy()
        if name.lower() in ("y", "target", "targets"):
            return self.classes.copy()
        raise LookupError(name)

    def estimator(self) -> Any:
        """An estimator of scikit-learn."""
        linear = importlib.import_module("sklearn.linear_model")
        return self.rng.choice([linear.LogisticRegression, linear.Ridge])()


def make(cls: Any, data: Data) -> Any:
    """An instance, by its default arguments or guessed ones."""
    if issubclass(cls, enum.Enum):
        return data.rng.choice(list(cls))
    try:
        parameters = list(inspect.signature(cls).parameters.values())
    except (TypeError, ValueError):
        parameters = []
    required = [
        one
        for one in parameters
        if one.default is one.empty and one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)
    ]
    named = {
        one.name: data.argument(one.name)
        for one in parameters
        if one.default is one.empty and one.kind == one.KEYWORD_ONLY
    }
    if len(required) > 5:
        raise LookupError("too many required parameters")
    return cls(*[data.argument(one.name) for one in required], **named)


def fit(instance: Any, data: Data) -> None:
    """Fit an instance that can be, on whatever it accepts."""
    method = getattr(instance, "fit", None)
    if not callable(method):
        return
    tries: list[Callable[[], Any]] = [
        lambda: method(data.rows, data.classes),
        lambda: method(data.rows, data.numbers),
        lambda: method(data.rows),
        lambda: method(data.frame(), data.classes),
        lambda: method(data.words),
        lambda: method(data.words, data.classes),
        lambda: method(data.numbers),
    ]
    for attempt in tries:
        try:
            with within(8), warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
                warnings.simplefilter("ignore")
                attempt()
            return
        except TooSlow:
            raise
        except Exception:
            continue


class Wrapper:
    """A class of the program itself: saved by name, or whole by those who save code."""

    def __init__(self, inner: Any, scale: float) -> None:
        self.inner, self.scale = inner, scale

        def clip(value: float) -> float:
            return min(value, scale)

        self.clip = clip

    def predict(self, rows: Any) -> Any:
        """What people wrap a model for."""
        return [self.clip(value) for value in self.inner.predict(rows)]


def tokenize(text: str) -> list[str]:
    """A function of the program itself."""
    return re.findall(r"[a-z]+", text.lower())


def ornament(data: Data) -> Any:
    """Something else that people save beside a model."""
    rng, numpy = data.rng, data.numpy
    makers: list[Callable[[], Any]] = [
        lambda: {"accuracy": rng.random(), "params": {"depth": 3, "names": ["a", "b"]}},
        lambda: numpy.float64(rng.random()),
        lambda: numpy.asarray(["a", "bb"], dtype=object),
        lambda: data.rows[:3],
        lambda: data.frame().head(3),
        lambda: numpy.random.RandomState(3),
        lambda: numpy.dtype("float32"),
        lambda: re.compile(r"\w+@\d+"),
        lambda: functools.partial(numpy.mean, axis=0),
        lambda: operator.itemgetter("a"),
        lambda: operator.attrgetter("real"),
        lambda: datetime.datetime(2021, 5, rng.randrange(1, 28), 12, 30),
        lambda: datetime.timedelta(days=2),
        lambda: decimal.Decimal("1.50"),
        lambda: fractions.Fraction(1, 3),
        lambda: pathlib.PurePosixPath("models/best.bin"),
        lambda: uuid.UUID(int=rng.randrange(1 << 90)),
        lambda: collections.OrderedDict(a=1, b=[2]),
        lambda: collections.defaultdict(list, a=[1]),
        lambda: collections.Counter("abracadabra"),
        lambda: collections.deque([1, 2], maxlen=4),
        lambda: types.SimpleNamespace(rate=0.1, name="run"),
        lambda: slice(1, None, 2),
        lambda: {1, 2, 3},
        lambda: complex(1, 2),
        lambda: [int, str, dict],
        lambda: numpy.log1p,
        lambda: bytearray(b"abc"),
        lambda: random.Random(4),
        lambda: tokenize,
        lambda: Wrapper(rng.random(), 0.5),
    ]
    return rng.choice(makers)()


def among(instance: Any, others: list[Any], data: Data) -> Any:
    """The instance alone, or where people put it."""
    shape = data.rng.random()
    if shape < 0.45:
        return instance if shape > 0.03 else Wrapper(instance, shape)
    beside = [data.rng.choice(others)] if others and data.rng.random() < 0.5 else []
    beside += [ornament(data) for _ in range(data.rng.randrange(0, 3))]
    if shape < 0.75:
        keys = data.rng.sample(
            ["model", "scaler", "encoder", "metadata", "features", "history", "best", "config"], 1 + len(beside)
        )
        return dict(zip(keys, [instance, *beside]))  # noqa: B905 -- Python 3.7 knows no strict
    return [instance, *beside] if shape < 0.9 else (instance, *beside)


def savers(data: Data) -> list[tuple[str, float, Callable[[Any], bytes]]]:
    """How files are written: name, weight and function of a value to bytes."""
    rng = data.rng

    def with_joblib(value: Any, compress: Any) -> bytes:
        joblib, stream = importlib.import_module("joblib"), io.BytesIO()
        joblib.dump(value, stream, compress=compress)
        return stream.getvalue()

    def with_numpy(value: Any) -> bytes:
        array, stream = data.numpy.empty((), dtype=object), io.BytesIO()
        array[()] = value
        data.numpy.save(stream, array, allow_pickle=True)
        return stream.getvalue()

    def with_torch(value: Any) -> bytes:
        torch, stream = importlib.import_module("torch"), io.BytesIO()
        torch.save(value, stream)
        return stream.getvalue()

    def of_module(name: str) -> Any:
        return lambda value: importlib.import_module(name).dumps(value)

    found: list[tuple[str, float, Callable[[Any], bytes]]] = [
        (
            "pickle",
            6,
            lambda value: pickle.dumps(value, rng.choice([2, 3, 4, pickle.DEFAULT_PROTOCOL, pickle.HIGHEST_PROTOCOL])),
        ),
        ("pickle-old", 1, lambda value: pickle.dumps(value, rng.choice([0, 1]))),
        ("gzip", 1, lambda value: gzip.compress(pickle.dumps(value))),
    ]
    for name, weight, save in (
        ("joblib", 4, lambda value: with_joblib(value, 0)),
        ("joblib-compressed", 1, lambda value: with_joblib(value, rng.choice([3, ("gzip", 3), ("bz2", 3), ("xz", 3)]))),
        ("numpy", 0.5, with_numpy),
        ("torch", 4 if "torch" in sys.modules else 0, with_torch),
        ("cloudpickle", 1, of_module("cloudpickle")),
        ("dill", 1, of_module("dill")),
        ("ray.cloudpickle", 6, of_module("ray.cloudpickle")),
        ("pyspark.cloudpickle", 6, of_module("pyspark.cloudpickle")),
        ("joblib.externals.cloudpickle", 0.5, of_module("joblib.externals.cloudpickle")),
    ):
        with contextlib.suppress(Exception):
            if weight:
                importlib.import_module(name.split("-")[0])
                found.append((name, weight, save))
    return found


def saved_files(library: str, seed: str, count: int) -> Iterator[tuple[str, str, bytes]]:
    """Yield (class name, saver, bytes)."""
    rng = random.Random(f"{library}:{seed}")
    data, classes = Data(rng), public_classes(library)
    names = sorted(classes)
    rng.shuffle(names)
    made: list[Any] = []
    how = savers(data)
    found = 0
    for name in names:
        if found >= count:
            return
        try:
            with within(SECONDS_TO_MAKE), warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
                warnings.simplefilter("ignore")
                instance = make(classes[name], data)
            if rng.random() < 0.75:
                fit(instance, data)
            with within(SECONDS_TO_MAKE):
                saver, _, save = rng.choices(how, [weight for _, weight, _ in how])[0]
                content = save(among(instance, made[-5:], data))
        except BaseException:
            continue
        if library.encode() in content or saver in ("gzip", "joblib-compressed"):
            made.append(instance)
        if len(content) <= LARGEST:
            found += 1
            yield name, saver, content


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("library")
    parser.add_argument("out")
    parser.add_argument("--seed", default="0")
    parser.add_argument("--count", type=int, default=40)
    options = parser.parse_args()
    report, sys.stdout = os.fdopen(os.dup(1), "w"), sys.stderr
    for number, (name, saver, content) in enumerate(saved_files(options.library, options.seed, options.count)):
        path = os.path.join(options.out, f"{options.library}-{number:04d}")
        with open(path, "wb") as target:
            target.write(content)
        report.write(json.dumps({"file": path, "class": name, "saver": saver}) + "\n")
        report.flush()
    os._exit(0)  # libraries leave threads behind


if __name__ == "__main__":
    main()
