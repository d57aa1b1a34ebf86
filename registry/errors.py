"""The one error of the registry."""

from __future__ import annotations

from safepickle.errors import SafePickleError


class RegistryError(SafePickleError):
    """A registry operation was refused: says what, on which file of which store, and what to do."""
