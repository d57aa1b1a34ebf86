"""Name of the learner's lease and checkpoint, apart from :mod:`serving.learner`, which imports River."""

from __future__ import annotations

JOB = "online-learner"
