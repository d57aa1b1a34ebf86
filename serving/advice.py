"""What the online learner advises, as those who scan see it."""

from __future__ import annotations

import asyncio
import json
import logging
import zlib
from collections.abc import Iterable

import sqlalchemy as sa

from detectors.advice import NO_ADVICE, Advice

from .database.engine import Database, DatabaseUnavailable
from .database.tables import Checkpoint
from .learner_job import ADVICE

logger = logging.getLogger("safepickle.serving")


class AdviceFollower:
    """Keeps one worker on the learner's latest advice.

    Parameters
    ----------
    database
        Where the learner leaves it.
    interval
        Seconds between two looks.
    """

    def __init__(self, database: Database, interval: float) -> None:
        self._database = database
        self._interval = interval
        self._seen = -1
        self._advice = NO_ADVICE

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            try:
                await asyncio.to_thread(self.look)
            except DatabaseUnavailable:
                pass  # what was advised before holds on
            except Exception:
                logger.exception("the online learner's advice cannot be read; the one before holds on")
            await asyncio.sleep(self._interval)

    def look(self) -> None:
        """Read the advice if there is a new one.

        Raises
        ------
        DatabaseUnavailable
            When the database fails.
        ValueError
            When what is stored is damaged.
        """
        query = sa.select(Checkpoint.event_id).where(Checkpoint.reader == ADVICE)
        with self._database.read() as connection:
            event = connection.execute(query).scalar()
            if event is None or event == self._seen:
                return
            state = connection.execute(sa.select(Checkpoint.state).where(Checkpoint.reader == ADVICE)).scalar_one()
        self._seen = event
        try:
            self._advice = Advice.from_state(json.loads(zlib.decompress(state)))
        except (KeyError, TypeError, zlib.error) as error:
            raise ValueError(f"damaged advice: {error!r}") from error

    def raises(self, names: Iterable[int]) -> bool:
        """Whether labels taught that a file with these names is suspicious."""
        return self._advice.raises(names)
