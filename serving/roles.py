"""Roles that an API key can carry."""

from __future__ import annotations

from detectors.labelling import ROLES

__all__ = ["ROLES"]
