"""The learner's job, apart from :mod:`serving.learner`, which imports River."""

from __future__ import annotations

import os
import secrets
import socket

JOB = "online-learner"
"""Name of its lease and of its checkpoint."""
ADVICE = "online-advice"
"""Name of the checkpoint that holds what labels have taught, for those who scan."""


def new_holder() -> str:
    """A name for a holder of the lease that no other has."""
    return f"{socket.gethostname()[:40]}:{os.getpid()}:{secrets.token_hex(4)}"
