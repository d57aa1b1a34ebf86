"""The operations of the API, by subject."""

from __future__ import annotations

from ..endpoint import Operation
from . import keys, labels, models, remote, scans, status

OPERATIONS: tuple[Operation, ...] = (
    *scans.OPERATIONS,
    *remote.OPERATIONS,
    *labels.OPERATIONS,
    *models.OPERATIONS,
    *keys.OPERATIONS,
    *status.OPERATIONS,
)
"""All of them; the busiest first, as they are tried in order."""
