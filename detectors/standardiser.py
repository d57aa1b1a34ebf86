"""Columns brought to one scale, for the detectors that measure distances."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from .base import Floats, Rows


@dataclass(frozen=True)
class Standardiser:
    """``clip((x - mean) / scale, -clip, clip)`` in float64.

    Clipping bounds what one column can do: a count of a million is as far out as one of a thousand.

    Parameters
    ----------
    mean, scale
        float64[d]; `scale` > 0.
    clip
        Largest magnitude, in standard deviations.
    """

    mean: Floats
    scale: Floats
    clip: float

    @classmethod
    def fit(cls, rows: Rows, weight: Floats, *, clip: float, floor: float) -> Self:
        """Take the weighted mean and standard deviation, the latter at least `floor`.

        The floor keeps a column that (almost) never varies from deciding alone.
        """
        values = rows.astype(np.float64)
        total = float(weight.sum())
        mean = (values * weight[:, None]).sum(axis=0) / total
        variance = (np.square(values - mean) * weight[:, None]).sum(axis=0) / total
        return cls(mean, np.maximum(np.sqrt(variance), floor), float(clip))

    def __call__(self, rows: Rows) -> Floats:
        """Standardise float32[n, d] to float64[n, d]."""
        return np.clip((rows.astype(np.float64) - self.mean) / self.scale, -self.clip, self.clip)

    def reference(self, rows: Rows) -> Floats:
        """Standardise and round to float32, as the bundle keeps reference rows; float64[n, d]."""
        return self(rows).astype(np.float32).astype(np.float64)

    def arrays(self) -> dict[str, Floats]:
        """The arrays of the export; `clip` goes to the meta."""
        return {"mean": self.mean, "scale": self.scale}
