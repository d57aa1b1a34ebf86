"""Roles that an API key can carry."""

from __future__ import annotations

ROLES = ("scanner", "analyst", "admin")
"""From the least to the most allowed; each may do what the ones before it may."""
