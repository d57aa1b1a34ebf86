"""The model registry: versions, aliases with their history, integrity, the promotion gate and rollback."""

from __future__ import annotations

from .errors import RegistryError
from .gate import Check, Decision, Evidence, GatePolicy, SetResult, decide
from .intervals import wilson
from .ledger import Change, Ledger
from .manifest import Version
from .store import Registry

__all__ = [
    "Change",
    "Check",
    "Decision",
    "Evidence",
    "GatePolicy",
    "Ledger",
    "Registry",
    "RegistryError",
    "SetResult",
    "Version",
    "decide",
    "wilson",
]
