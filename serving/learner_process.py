"""The learner's process as a worker sees it: started when nobody learns, ended with the worker."""

from __future__ import annotations

import asyncio
import os
import select
import subprocess
import time

from . import children
from .database import leases
from .database.engine import Database, DatabaseUnavailable
from .learner_job import JOB, new_holder
from .settings import Settings

LOOK = 1.0
START = 120.0
"""Seconds that the process may take to begin."""
SECRETS = ("SAFEPICKLE_ADMIN_KEY", "SAFEPICKLE_KEY_PEPPER", "SAFEPICKLE_REGISTRY_KEY")


class LearnerProcess:
    """Starts the learner whenever nobody holds its lease, and holds the lease for it until it has begun.

    What the learner imports takes longer than a lease on a busy machine: without that each worker in turn would start
    one that comes too late, and nobody would ever learn.

    Parameters
    ----------
    settings
        Of the service.
    database
        With the lease.
    """

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings = settings
        self._database = database
        self._process: subprocess.Popen[bytes] | None = None
        self._holder = ""
        self._begun = -1
        self._until = 0.0

    async def run(self) -> None:
        """See to it until cancelled; then end the process."""
        try:
            while True:
                if self._process is None or self._process.poll() is not None:
                    await self._try_start()
                elif self._begun >= 0:
                    await self._hold()
                await asyncio.sleep(min(LOOK, self._settings.lease_seconds / 3))
        finally:
            self._forget()
            if self._process is not None and self._process.poll() is None:
                self._process.terminate()
                try:
                    self._process.wait(2)
                except subprocess.TimeoutExpired:
                    self._process.kill()
                    self._process.wait()

    async def _try_start(self) -> None:
        self._forget()
        self._holder = new_holder()
        if not await asyncio.to_thread(self._take_lease):
            return
        environment = {name: value for name, value in os.environ.items() if name not in SECRETS}
        self._begun, theirs = os.pipe()
        self._until = time.monotonic() + START
        try:
            arguments = [os.getpid(), self._holder, theirs]
            self._process = children.start("serving.learner", "main", arguments, environment, [theirs])
        finally:
            os.close(theirs)

    async def _hold(self) -> None:
        """Hold the lease for the process, unless it has begun, which it tells by closing its end, or takes forever."""
        if select.select([self._begun], [], [], 0)[0] or time.monotonic() > self._until:
            self._forget()
        else:
            await asyncio.to_thread(self._take_lease)

    def _forget(self) -> None:
        if self._begun >= 0:
            os.close(self._begun)
            self._begun = -1

    def _take_lease(self) -> bool:
        """Take or prolong the lease for the process; whether that worked."""
        try:
            with self._database.write() as connection:
                return leases.acquire(connection, JOB, self._holder, self._settings.lease_seconds)
        except DatabaseUnavailable:
            return False
