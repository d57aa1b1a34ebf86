"""Benign files, made by the real savers: one module a library, each with ``produce(rng, count, pool)``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from random import Random

from .portable import relocate
from .saved import Saved

Produce = Callable[[Random, int, str], Iterator[Saved]]

PRODUCERS = (
    "plain", "project", "controls", "vocabulary", "damaged", "python2", "numpy_arrays", "pandas_frames",
    "scikit_learn", "joblib_files", "torch_models", "closures", "boosting", "reinforcement", "spliced",
)  # fmt: skip
"""Modules of this package, in the order in which they are run."""


def producer(name: str) -> Produce:
    """The ``produce`` function of a producer; its libraries are imported only now.

    ``produce(rng, count, pool)`` yields `count` files. `pool` (``train`` or ``test``) chooses among made-up names,
    so that the two pools share no module that a project would have written itself.

    Raises
    ------
    ValueError
        For a name that is not in :data:`PRODUCERS`.
    """
    if name not in PRODUCERS:
        raise ValueError(f"no producer {name!r}; known are {', '.join(PRODUCERS)}")
    module = import_module(f".{name}", __name__)
    relocate(module)
    produce: Produce = module.produce
    return produce


__all__ = ["PRODUCERS", "Produce", "Saved", "producer"]
