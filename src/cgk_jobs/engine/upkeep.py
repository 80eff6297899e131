"""What has to be done once in a while: end runs that were not started in time, forget runs that finished long ago."""

from __future__ import annotations

import asyncio
import logging

from cgk_jobs.clock import Clock
from cgk_jobs.engine.store import Store
from cgk_jobs.errors import JobsError

__all__ = ["Upkeep"]

_logger = logging.getLogger("cgk_jobs.engine")

EVERY = 5.0
AT_ONCE = 1_000
"""Runs deleted in one transaction, so that nobody waits long for it."""


class Upkeep:
    """``retention``: seconds a finished run is kept. Harmless when several processes do it."""

    def __init__(self, store: Store, clock: Clock, *, retention: float) -> None:
        self._store = store
        self._clock = clock
        self._retention = retention
        self._loop: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin."""
        self._loop = asyncio.get_running_loop().create_task(self._run(), name="cgk-jobs-upkeep")

    async def stop(self) -> None:
        """End."""
        if self._loop is not None:
            self._loop.cancel()
            await asyncio.gather(self._loop, return_exceptions=True)

    async def once(self) -> int:
        """Expire and prune now; returns how many runs were deleted."""
        while await self._store.expire() == 500:
            continue
        deleted = 0
        while True:
            count = await self._store.prune(self._clock.micros() - round(self._retention * 1e6), AT_ONCE)
            deleted += count
            if count < AT_ONCE:
                return deleted
            await asyncio.sleep(0)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(EVERY)
            try:
                await self.once()
            except (JobsError, OSError) as error:
                _logger.error("upkeep failed: %s", error)
            except Exception:
                # Nobody foresaw it; what is left undone is done at a later look, or said again.
                _logger.exception("upkeep failed")
