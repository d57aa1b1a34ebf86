"""What a worker need not ask the database twice."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Memory(Generic[K, V]):
    """Answers that never change, by what was asked; all are forgotten when there are `most` of them."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._known: dict[K, V] = {}
        self._lock = threading.Lock()

    def of(self, key: K, ask: Callable[[], V]) -> V:
        """What `ask` said the first time."""
        try:
            return self._known[key]
        except KeyError:
            value = ask()
        with self._lock:
            if len(self._known) >= self._most:
                self._known.clear()
            self._known[key] = value
        return value
