"""One writer at a time, over processes and threads."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from .errors import RegistryError

_POLL_SECONDS = 0.005


@contextlib.contextmanager
def exclusive(path: Path, patience: float = 60.0) -> Iterator[None]:
    """Hold the lock file ``path`` for the length of a ``with`` block.

    The lock is the kernel's (``flock``), so it ends with the process that held it, however that one died.

    Parameters
    ----------
    path
        The lock file; created when missing, never removed.
    patience
        Seconds to wait for another holder.

    Raises
    ------
    RegistryError
        When another process still holds the lock after ``patience`` seconds.
    OSError
        When the lock file cannot be opened for writing.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    try:
        deadline = time.monotonic() + patience
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise RegistryError(
                        f"{path} has been held by another process for {patience:g} s; end that process and try again"
                    ) from None
                time.sleep(_POLL_SECONDS)
        yield
    finally:
        # A forked child may share this handle: unlock by name instead of relying on the last close.
        fcntl.flock(handle, fcntl.LOCK_UN)
        os.close(handle)
