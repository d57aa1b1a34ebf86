"""Errors a caller can meet. Each says what happened, to which file, and what to do."""

from __future__ import annotations


class SafePickleError(Exception):
    """Base of all errors raised by this package."""


class UnreadableFile(SafePickleError):
    """The file cannot be opened or read (missing, no permission, not a regular file)."""


class BundleError(SafePickleError):
    """A model bundle is missing, tampered with, or written for another schema."""


class TableError(SafePickleError):
    """The capability table is missing or damaged."""
