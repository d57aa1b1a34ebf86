"""Keeps one worker on the registry's champion."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import time

import sqlalchemy as sa

from . import metrics
from .database.clock import now
from .database.engine import EVENTS_LOCK, Database, DatabaseUnavailable, alone
from .database.tables import Event
from .model_source import Champions, ModelInfo, ModelRefused
from .scan_pool import ScanPool

logger = logging.getLogger("safepickle.serving")

RETRY_REFUSED = 10.0


@dataclasses.dataclass(frozen=True, slots=True)
class Refusal:
    """A champion that was not taken over; `number` is None when the registry itself cannot be read."""

    number: int | None
    reason: str


class ModelFollower:
    """Loads the champion at the start and exchanges it when the registry's alias moves.

    A champion that is refused leaves the present model serving; it is tried again every ten seconds and
    whenever the registry changes. At the start, when there is no present model, the champions before it
    are tried. Only a store without any champion falls back to the model inside the package.

    Parameters
    ----------
    champions
        Where models come from.
    pool
        Which is to have them.
    database
        Takes the ``model`` events.
    interval
        Seconds between two looks.
    """

    def __init__(self, champions: Champions, pool: ScanPool, database: Database, interval: float) -> None:
        self._champions = champions
        self._pool = pool
        self._database = database
        self._interval = interval
        self._serving: tuple[int | None] | None = None
        self._stamp: tuple[int, ...] = ()
        self._retry_at = 0.0
        self._unrecorded: list[dict[str, object]] = []
        self.refused: Refusal | None = None
        self._counted = ""

    async def start(self) -> None:
        """Load a model; without any the pool stays empty and :meth:`run` goes on trying."""
        await asyncio.to_thread(self._champions.sweep)
        await self._look()
        if self._serving is None and self.refused is not None and self.refused.number is not None:
            await self._take_over_earlier()
        await self._record()

    async def run(self) -> None:
        """Follow the alias until cancelled."""
        while True:
            await asyncio.sleep(self._interval)
            try:
                retry = self.refused is not None and time.monotonic() >= self._retry_at
                if retry or self._champions.stamp() != self._stamp:
                    await self._look()
                await self._record()
            except Exception:
                logger.exception("following the champion failed; trying again")

    async def _look(self) -> None:
        self._stamp = self._champions.stamp()
        try:
            number = await asyncio.to_thread(self._champions.champion)
        except ModelRefused as error:
            self._refuse(None, str(error))
            return
        if self._serving == (number,):
            self.refused = None
            return
        await self._take_over(number)

    async def _take_over_earlier(self) -> None:
        try:
            earlier = await asyncio.to_thread(self._champions.earlier)
        except ModelRefused as error:
            self._refuse(None, str(error))
            return
        for number in earlier:
            if await self._take_over(number):
                return

    async def _take_over(self, number: int | None) -> bool:
        try:
            source = await asyncio.to_thread(self._champions.fetch, number)
            info = await self._pool.exchange(source)
        except ModelRefused as error:
            self._refuse(number, str(error))
            return False
        # At the start an earlier champion may stand in for a refused one; the refusal then stays on show.
        if self._serving is not None or self.refused is None or self.refused.number == number:
            self.refused = None
        self._serving = (number,)
        if self._counted:
            metrics.SERVED_MODELS.labels(self._counted).set(0)
        self._counted = info.version
        metrics.SERVED_MODELS.labels(info.version).set(1)
        self._unrecorded.append(_taken(info))
        metrics.MODEL_EXCHANGES.labels("taken").inc()
        logger.info("serving model %s (%s), bundle %s", info.version, info.origin, info.hash[:12])
        return True

    def _refuse(self, number: int | None, reason: str) -> None:
        refusal = Refusal(number, reason)
        self._retry_at = time.monotonic() + RETRY_REFUSED
        if refusal == self.refused:
            return
        self.refused = refusal
        self._unrecorded.append(
            {"action": "refused", "version": None if number is None else str(number), "reason": reason}
        )
        metrics.MODEL_EXCHANGES.labels("refused").inc()
        logger.error("champion %s refused: %s", "of the registry" if number is None else number, reason)

    async def _record(self) -> None:
        while self._unrecorded:
            try:
                await asyncio.to_thread(record_model_event, self._database, self._unrecorded[0])
            except DatabaseUnavailable:
                return
            del self._unrecorded[0]


def record_model_event(database: Database, payload: dict[str, object]) -> None:
    """Append a ``model`` event unless the last one says the same: every worker takes a model over, the log
    needs it once."""
    with database.write() as connection:
        alone(connection, EVENTS_LOCK)
        last = connection.execute(
            sa.select(Event.payload).where(Event.kind == "model").order_by(Event.id.desc()).limit(1)
        ).scalar()
        if last != payload:
            connection.execute(sa.insert(Event).values(at=now(), kind="model", payload=payload))


def _taken(info: ModelInfo) -> dict[str, object]:
    return {"action": "taken", "version": info.version, "origin": info.origin, "hash": info.hash, "schema": info.schema}
