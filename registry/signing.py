"""Optional HMAC-SHA256 signatures: with a key configured, only what a holder of the key wrote is accepted."""

from __future__ import annotations

import hashlib
import hmac
import os

from .errors import RegistryError

KEY_VARIABLE = "SAFEPICKLE_REGISTRY_KEY"
_SHORTEST_KEY = 16


def key_from_environment() -> bytes | None:
    """Return the signing key, or None when the variable is unset.

    Raises
    ------
    RegistryError
        When the variable is set but too short to be a key: an empty secret must not switch the check off.
    """
    text = os.environ.get(KEY_VARIABLE)
    if text is None:
        return None
    key = os.fsencode(text)
    if len(key) < _SHORTEST_KEY:
        raise RegistryError(
            f"{KEY_VARIABLE} is set but has {len(key)} bytes; give at least {_SHORTEST_KEY}, or unset it"
        )
    return key


def sign(key: bytes, kind: str, data: bytes) -> str:
    """Return the signature of ``data`` in hex; ``kind`` keeps a signature from serving for another kind of file."""
    return hmac.new(key, kind.encode() + b"\0" + data, hashlib.sha256).hexdigest()


def is_signed(key: bytes, kind: str, data: bytes, signature: str) -> bool:
    """Tell whether ``signature`` is that of ``data``, in constant time."""
    return hmac.compare_digest(sign(key, kind, data).encode(), signature.encode())
