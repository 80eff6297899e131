"""Days of finished runs. Only their owner may make and drop them: functions of the schema do it for the worker's login."""

from __future__ import annotations

import logging

from cgk_jobs.clock import monotonic
from cgk_jobs.engine.postgres.database import Database
from cgk_jobs.errors import ProviderUnavailable

__all__ = ["DAY", "Days"]

_logger = logging.getLogger("cgk_jobs.engine")

DAY = 86_400_000_000
"""Microseconds."""
_AHEAD = 3
"""Days made ahead."""
_LOOK_EVERY = 3600.0
"""Seconds between two looks whether days are missing."""
_LOOK_AGAIN = 60.0
"""Seconds after which a look that failed is repeated."""


class Days:
    """The days of one ledger, as one process looks after them. A day begins at midnight UTC and is named by that moment."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._look_at = 0.0

    async def make(self) -> None:
        """Make today and the days after it, if it is time to look. Called before a worker's first claim too: a day must be
        there before the first run ends in it, or it stays without a table of its own.
        """
        if self._database.now is not None or monotonic() < self._look_at:
            # Days are the database's: where a test moves the clock, runs end in the default partition.
            return
        self._look_at = monotonic() + _LOOK_EVERY
        try:
            await self._database.value("make_days", _AHEAD)
        except ProviderUnavailable as error:
            # Most likely somebody reads all of the history, and holds what has to be locked.
            self._look_at = monotonic() + _LOOK_AGAIN
            _logger.warning("no new days were made for finished runs, they go into the default partition: %s", error)

    async def known(self) -> list[int]:
        """The first microseconds of the days there are, oldest first."""
        return [row["day"] for row in await self._database.rows("list_days")]

    async def drop(self, past: int) -> None:
        """Drop the days that end by this moment."""
        await self._database.value("drop_days", past)
