"""A cumulative sum over a stream of zeros and ones that notices when ones become more frequent.

Each value adds the logarithm of how much likelier it is at a raised rate than at the usual one; the sum never falls
below zero, and an alarm is given when it is high. The usual rate is counted from the values before the present rise, so
that what is new does not count as usual while it is being judged. No single value counts for more than a bound: a few
rare ones in a row are no change of rate.

References
----------
Page, E. S. (1954). Continuous inspection schemes. Biometrika 41.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

RAISED = 0.25
"""How far above the usual rate the raised one lies."""
THRESHOLD = 7.0
"""Sum that is an alarm; it is about the logarithm of how many usual values pass between false ones."""
HIGHEST = 0.7
"""Usual rate up to which there is room for another."""
FIRST = 100
"""Values from which on the usual rate counts as known."""
MEMORY = 2000
"""Usual values that count; beyond it, older ones fade."""


class Surge:
    """One stream of zeros and ones.

    Parameters
    ----------
    most
        That one value adds to the sum.
    """

    def __init__(self, most: float = 1.0) -> None:
        self.most = most
        self.restart()

    def restart(self) -> None:
        """Forget everything."""
        self.sum = 0.0
        # Values before the present rise and in it, and the ones among both.
        self.usual, self.ones = 0.0, 0.0
        self.rise, self.risen = 0, 0

    def update(self, value: float) -> bool:
        """Take the next value; whether ones have become more frequent, after which it starts anew."""
        rate = (self.ones + 0.5) / (self.usual + 1.0)
        if self.usual >= FIRST and rate <= HIGHEST:
            raised = rate + RAISED
            ratio = raised / rate if value else (1.0 - raised) / (1.0 - rate)
            self.sum = max(0.0, self.sum + min(math.log(ratio), self.most))
        self.rise += 1
        self.risen += bool(value)
        if self.sum >= THRESHOLD:
            self.restart()
            return True
        if not self.sum:
            self._settle()
        return False

    def _settle(self) -> None:
        """What rose has fallen again: it was usual."""
        self.usual, self.ones = self.usual + self.rise, self.ones + self.risen
        self.rise = self.risen = 0
        if self.usual > MEMORY:
            self.ones *= MEMORY / self.usual
            self.usual = float(MEMORY)

    def to_state(self) -> list[float]:
        """The whole state as JSON values."""
        return [self.most, self.sum, self.usual, self.ones, self.rise, self.risen]

    @classmethod
    def from_state(cls, state: Sequence[float]) -> Surge:
        """Read :meth:`to_state`'s values."""
        surge = cls(float(state[0]))
        surge.sum, surge.usual, surge.ones = map(float, state[1:4])
        surge.rise, surge.risen = int(state[4]), int(state[5])
        return surge
