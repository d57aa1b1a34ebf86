"""Zips as stable-baselines3 writes them: JSON with base64 cloudpickles, torch files, a version text."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from random import Random

import torch

from ..assemble.wrap import zipped
from . import closures
from .plain import config
from .saved import Saved
from .torch_models import network


def produce(rng: Random, count: int, pool: str) -> Iterator[Saved]:
    """Yield agents."""
    for _ in range(count):
        schedules = {}
        for name in ("lr_schedule", "clip_range"):
            pickled = closures.by_cloudpickle(closures.function(rng), 5)
            schedules[name] = {":type:": "<class 'function'>", ":serialized:": base64.b64encode(pickled).decode()}
        data = {
            **schedules,
            "n_envs": rng.randrange(1, 9),
            "seed": rng.randrange(99),
            "policy_kwargs": {"net_arch": [64]},
        }
        policy, variables = io.BytesIO(), io.BytesIO()
        torch.save(network(rng).state_dict(), policy)
        torch.save({"log_ent_coef": None, **config(rng, 0)}, variables)
        yield Saved(
            "agent",
            "stable-baselines3",
            zipped({
                "data": json.dumps(data, indent=4).encode(),
                "policy.pth": policy.getvalue(),
                "pytorch_variables.pth": variables.getvalue(),
                "_stable_baselines3_version": b"2.3.2",
                "system_info.txt": b"- OS: Linux\n- Python: 3.11\n",
            }),
        )  # fmt: skip
