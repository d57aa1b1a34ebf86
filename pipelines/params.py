"""Reading params.yaml."""

from __future__ import annotations

from typing import Any

import yaml

from .paths import PARAMS


def load_params() -> dict[str, Any]:
    """All parameters.

    Raises
    ------
    SystemExit
        When params.yaml is missing or no mapping.
    """
    try:
        params = yaml.safe_load(PARAMS.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SystemExit(f"{PARAMS} is missing; run the stage in the root of the checkout") from None
    if not isinstance(params, dict):
        raise SystemExit(f"{PARAMS} does not hold a mapping")
    return params
