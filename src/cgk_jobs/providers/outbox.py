"""Handing out wake-ups in a process that sends and runs no worker, or works only when it is called.

With a hosted provider such a process hands out what it sends by itself: there may be no other one. Whether it can or not, the
send is durable, and the relay of any other process hands it out within seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter

from cgk_jobs.clock import Clock, monotonic
from cgk_jobs.errors import JobsError
from cgk_jobs.providers.bound import BoundProvider, Running
from cgk_jobs.providers.hosting import CLAIMING, LOOK_EVERY
from cgk_jobs.providers.moving import Move
from cgk_jobs.providers.provider import JobProvider
from cgk_jobs.providers.relay import Relay
from cgk_jobs.tasks.registry import TaskRegistry

__all__ = ["Outbox"]

_logger = logging.getLogger("cgk_jobs.providers")

WITHIN = 5.0
"""Seconds a send waits for the provider at most."""


class Outbox:
    """What was sent by this process and has no wake-up yet."""

    def __init__(self, provider: BoundProvider, tasks: TaskRegistry, clock: Clock) -> None:
        self._provider = provider
        self._tasks = tasks
        self._clock = clock
        self.needed = provider.name not in CLAIMING
        self._own: Relay | None = None
        self._looked_at = -LOOK_EVERY
        self._closing: set[asyncio.Task[None]] = set()

    async def hand_out(self, running: Running | None) -> None:
        """Hand out wake-ups, unless the provider can't be reached; raises nothing. ``running``: the work of this process."""
        if running is not None and not running.on_call:
            return  # its relay does it
        try:
            async with asyncio.timeout(WITHIN):
                if running is not None:
                    # Before the send is answered: the process may be put to sleep with the answer to its caller.
                    await running.flush()
                    return
                if monotonic() - self._looked_at >= LOOK_EVERY:
                    await self._follow()
                if self._own is not None:
                    await self._own.flush()
        except (JobsError, OSError, TimeoutError) as error:
            _logger.warning("wake-ups are left for another process: %s", error)

    async def _follow(self) -> None:
        active = await self._provider.store.active_provider(self._provider.name)
        own = self._own
        if own is not None and own.provider.name != active.name:
            self._own = None
            await own.provider.close()
        if self._own is None and active.name not in CLAIMING:
            self._own = self._relay(self._provider.hosted(active.name))
        self._looked_at = monotonic()

    async def rest(self) -> None:
        """Let go of the provider's connections: from now on the relay of this process's workers does it."""
        own, self._own = self._own, None
        self._looked_at = -LOOK_EVERY
        if own is not None:
            await own.provider.close()

    def close(self) -> None:
        """Let go of the provider's connections, on the running loop if there is one; what is used again opens again."""
        if self._own is not None:
            with contextlib.suppress(RuntimeError):  # no loop runs any more, and its connections have ended with it
                task = asyncio.get_running_loop().create_task(self.rest())
                self._closing.add(task)
                task.add_done_callback(self._closing.discard)

    def mover(self) -> Move:
        """What a move to another provider works on."""
        return Move(self._provider.store, self._provider.name, self._provider.hosted, self._relay)

    def _relay(self, provider: JobProvider) -> Relay:
        return Relay(self._provider.store, provider, self._tasks, self._provider.names, self._clock, _leave)


def _leave(late: Counter[str]) -> None:
    """Nothing is claimed here: they have got another wake-up."""
