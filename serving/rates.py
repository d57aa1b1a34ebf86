"""How often one key may ask, and one address with keys that do not work."""

from __future__ import annotations

import time

MAX_KEYS = 10_000


class Rates:
    """A bucket of tokens for each key (or address): `burst` fit in, `rate` a second flow in, a request takes one.

    Parameters
    ----------
    rate
        Tokens a second; 0 for no limit.
    burst
        Tokens of a full bucket.
    """

    def __init__(self, rate: float, burst: int) -> None:
        self._rate = rate
        self._burst = float(burst)
        self._buckets: dict[int | str | None, tuple[float, float]] = {}

    def wait(self, key: int | str | None) -> float:
        """Seconds until there is a token of `key`; 0 when there is one. None is taken."""
        if not self._rate or key not in self._buckets:
            return 0.0
        tokens, before = self._buckets[key]
        return max(0.0, (1.0 - tokens) / self._rate - (time.monotonic() - before))

    def take(self, key: int | str | None) -> float:
        """Take a token of `key`; 0 when there was one, otherwise the seconds until there is."""
        if not self._rate:
            return 0.0
        moment = time.monotonic()
        tokens, before = self._buckets.get(key, (self._burst, moment))
        tokens = min(self._burst, tokens + (moment - before) * self._rate)
        if len(self._buckets) >= MAX_KEYS and key not in self._buckets:
            self._buckets.clear()
        if tokens < 1.0:
            self._buckets[key] = (tokens, moment)
            return (1.0 - tokens) / self._rate
        self._buckets[key] = (tokens - 1.0, moment)
        return 0.0
