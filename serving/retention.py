"""Keeping scanned files for a while, where the operator wants that.

Files lie in a folder for each day of their scan, by hash: what is older than it may be goes a folder at a time, and no
name of a client ever becomes part of a path.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterator
from typing import Any

from .bodies import Spool
from .database.clock import new_id, now

CHUNK = 1 << 20


class NotKept(LookupError):
    """The file was not kept, or not for so long."""


class Retention:
    """Files by day and hash, in a folder or at any other address that fsspec knows.

    Parameters
    ----------
    address
        A folder, or an address such as ``s3://bucket/files``.
    days
        For which a file is kept.

    Raises
    ------
    ValueError
        When fsspec or the driver of the address is missing.
    """

    def __init__(self, address: str, days: float) -> None:
        try:
            from fsspec.core import url_to_fs

            found: tuple[Any, str] = url_to_fs(address)
        except (ImportError, ValueError) as error:
            raise ValueError(f"SAFEPICKLE_RETENTION: {address} cannot be used ({error})") from error
        self._files, self._root = found
        self._days = days
        self._local = "file" in self._files.protocol
        if self._local:
            os.makedirs(self._root, mode=0o700, exist_ok=True)

    def keep(self, spool: Spool, sha256: str, at: datetime.datetime) -> None:
        """Store the bytes of a received file, unless that day has them. Raises OSError."""
        path = self._path(sha256, at)
        if self._files.exists(path):
            return
        self._files.makedirs(path.rpartition("/")[0], exist_ok=True)
        part = f"{path}.{new_id()}.part" if self._local else path
        with self._files.open(part, "wb") as file:
            for chunk in spool.chunks(CHUNK):
                file.write(chunk)
        if self._local:
            os.chmod(part, 0o600)
            os.replace(part, path)

    def read(self, sha256: str, at: datetime.datetime) -> Iterator[bytes]:
        """The bytes of a file that was scanned at that moment. Raises NotKept at once."""
        try:
            file = self._files.open(self._path(sha256, at), "rb")
        except FileNotFoundError:
            raise NotKept(sha256) from None
        return _chunks(file)

    def expire(self) -> list[str]:
        """Remove the days that are over; return them. What else lies in the folder stays."""
        oldest = (now() - datetime.timedelta(days=self._days)).date().isoformat()
        gone = []
        for path in self._files.ls(self._root, detail=False):
            day = str(path).rstrip("/").rpartition("/")[2]
            if _is_day(day) and day < oldest:
                self._files.rm(path, recursive=True)
                gone.append(day)
        return sorted(gone)

    def _path(self, sha256: str, at: datetime.datetime) -> str:
        return f"{self._root}/{at.astimezone(datetime.UTC).date().isoformat()}/{sha256}"


def _chunks(file: Any) -> Iterator[bytes]:
    with file:
        while chunk := file.read(CHUNK):
            yield chunk


def _is_day(name: str) -> bool:
    try:
        return datetime.date.fromisoformat(name).isoformat() == name
    except ValueError:
        return False
