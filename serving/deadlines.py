"""Time limits for what nearly always ends long before them."""

from __future__ import annotations

import asyncio
import weakref
from types import TracebackType

LOOK_SECONDS = 0.25
"""Between two looks at the limits: how late one may be noticed."""


class Within:
    """As ``asyncio.timeout``, but noticed up to :data:`LOOK_SECONDS` later: a timer for each limit of each request
    takes longer than much of what it limits.

    Use it as ``with Within(seconds):`` around what is awaited.

    Parameters
    ----------
    seconds
        How long the block may take.

    Raises
    ------
    TimeoutError
        From the block.
    """

    __slots__ = ("_cancelling", "_expired", "_seconds", "_task", "_watch", "at")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._expired = False

    def __enter__(self) -> Within:
        loop = asyncio.get_running_loop()
        task = asyncio.current_task(loop)
        assert task is not None
        self._task = task
        self._cancelling = task.cancelling()
        self.at = loop.time() + self._seconds
        watch = _WATCHES.get(loop)
        if watch is None:
            watch = _WATCHES[loop] = _Watch(loop)
        self._watch = watch
        watch.add(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._watch.remove(self)
        if self._expired and self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def expire(self) -> None:
        """End the block."""
        self._expired = True
        self._task.cancel()


class _Watch:
    """The limits of one event loop that have not ended."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        # A loop must not be kept by what it is the key of.
        self._loop = weakref.ref(loop)
        self._limits: set[Within] = set()
        self._looking = False

    def add(self, limit: Within) -> None:
        self._limits.add(limit)
        if not self._looking:
            self._look_later()

    def remove(self, limit: Within) -> None:
        self._limits.discard(limit)

    def _look_later(self) -> None:
        loop = self._loop()
        self._looking = loop is not None
        if loop is not None:
            loop.call_later(LOOK_SECONDS, self._look)

    def _look(self) -> None:
        loop = self._loop()
        self._looking = False
        if loop is None or not self._limits:
            return
        moment = loop.time()
        for limit in [limit for limit in self._limits if limit.at <= moment]:
            self._limits.discard(limit)
            limit.expire()
        self._look_later()


_WATCHES: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Watch] = weakref.WeakKeyDictionary()
