"""Rows of calls, several to a file."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .base import Floats, Labels, Rows


@dataclass(frozen=True)
class Bags:
    """Calls of `files` files.

    Parameters
    ----------
    rows
        float32[m, d], a row a call.
    owner
        int64[m]: the file of each, 0 to `files` - 1.
    files
        Number of files; some may have no call.
    named
        bool[m]: rows of what is only imported.
    """

    rows: Rows
    owner: Labels
    files: int
    named: NDArray[np.bool_]

    def __getitem__(self, kept: NDArray[np.bool_]) -> Bags:
        """The files where bool[files] `kept` holds, counted anew."""
        calls = kept[self.owner]
        return Bags(self.rows[calls], (np.cumsum(kept) - 1)[self.owner[calls]], int(kept.sum()), self.named[calls])

    def highest(self, scores: Floats) -> Floats:
        """The highest of float64[m] scores for each file, 0 for one without calls: float64[files]."""
        found = np.zeros(self.files)
        np.maximum.at(found, self.owner, scores)
        return found
