"""Waking workers in other processes by NOTIFY. Only a hint: workers look by themselves, and find everything, without it.

NOTIFY takes one lock of the whole cluster until its transaction ends, so it is never part of a user's transaction, nor sent
more than 20 times a second by a process. It carries nothing: any login may listen on any channel.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import threading
from collections.abc import Callable

from cgk_jobs.clock import monotonic
from cgk_jobs.engine.postgres.database import Database
from cgk_jobs.engine.postgres.refusals import DRIVER_ERRORS
from cgk_jobs.engine.postgres.server import Connection
from cgk_jobs.errors import JobsError

__all__ = ["CHANNEL", "Bell", "Listener"]

CHANNEL = "cgk_jobs"
QUIET = 0.05
"""Seconds between two rings of a process."""
_LOOK_EVERY = 0.02
"""Seconds between two looks of a worker that can't listen, while there is work."""
_LOOK_FOR = 0.2
"""Seconds after the last sign of work for which it looks so often."""
_FOLLOW_EVERY = 0.003
"""Seconds between two looks of a worker that has heard a ring, times the number of workers: together they look as often as one
would. What is sent within ``QUIET`` of a ring is not rung for until that is over."""
_FOLLOW_FOR = 0.1
"""Seconds after the last sign of work for which it goes on looking."""
_RECONNECT_FIRST = 0.1
_RECONNECT_MOST = 5.0
_PROVE_EVERY = 30.0
"""Seconds after which a silent line is tried: a connection whose other end vanished says nothing."""

_logger = logging.getLogger(__name__)


class Bell:
    """Rings the workers of all processes: at once, and for what comes within ``QUIET`` once more after it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._wanted = False
        self._ringing: asyncio.Task[None] | None = None

    def ring(self) -> None:
        """Ring, soon. Needs a running loop; waits for nothing and never fails."""
        self._database.stir()
        with self._lock:
            self._wanted = True
            ringing = self._ringing
            if ringing is None or ringing.done() or ringing.get_loop().is_closed():
                self._ringing = asyncio.get_running_loop().create_task(self._ring(), name="cgk-jobs-bell")

    async def _ring(self) -> None:
        while True:
            with self._lock:
                if not self._wanted:
                    self._ringing = None
                    return
                self._wanted = False
            try:
                await self._database.run("ring_bell")
            except (JobsError, *DRIVER_ERRORS) as error:
                _logger.debug("workers were not rung: %s", error)
            await asyncio.sleep(QUIET)


class Listener:
    """Calls ``ring`` on the running loop whenever any process rings, on a connection of its own.

    After a ring it goes on calling ``ring`` every few milliseconds while there are signs of work (``Database.stir``).
    Through a pooler nobody can LISTEN: ``ring`` is then called every 20 ms while there are signs of work
    (``Database.stir``), and the rest is left to the worker's own looking.
    """

    def __init__(self, database: Database, ring: Callable[[], None], workers: Callable[[], int] = lambda: 1) -> None:
        self._database = database
        self._ring = ring
        self._workers = workers
        self._following: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin. On return it listens, if the database could be reached; if not, it is tried again and again."""
        begun = asyncio.Event()
        self._task = asyncio.get_running_loop().create_task(self._stay(begun), name="cgk-jobs-listener")
        await begun.wait()

    async def close(self) -> None:
        """End, and close the connection."""
        task, self._task = self._task, None
        if self._following is not None:
            self._following.cancel()
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def _stay(self, begun: asyncio.Event) -> None:
        wait = _RECONNECT_FIRST
        try:
            while True:
                try:
                    connection = await self._database.server.connect()
                except (JobsError, *DRIVER_ERRORS) as error:
                    _logger.debug("can't listen for work, workers look for it meanwhile: %s", error)
                else:
                    wait = _RECONNECT_FIRST
                    if self._database.server.pooled:
                        await connection.close()
                        begun.set()
                        await self._look_often()
                    await self._listen(connection, begun)
                begun.set()
                await asyncio.sleep(random.uniform(wait / 2, wait))  # noqa: S311 - not all processes at once
                wait = min(wait * 2, _RECONNECT_MOST)
        finally:
            begun.set()

    async def _listen(self, connection: Connection, begun: asyncio.Event) -> None:
        lost = asyncio.Event()
        connection.add_termination_listener(lambda _: lost.set())
        try:
            await connection.add_listener(CHANNEL, self._heard)
            begun.set()
            # What was rung while nobody listened here.
            self._ring()
            while not lost.is_set():
                try:
                    async with asyncio.timeout(_PROVE_EVERY):
                        await lost.wait()
                except TimeoutError:
                    await connection.execute("SELECT")
        except DRIVER_ERRORS as error:
            _logger.debug("stopped listening for work: %s", error)
        finally:
            with contextlib.suppress(*DRIVER_ERRORS):
                connection.terminate()

    def _heard(self, *_: object) -> None:
        self._database.stir()
        self._ring()
        if self._following is None:
            self._follow()

    def _follow(self) -> None:
        # Work comes in bursts: after a ring the next send is looked for, not waited for.
        if monotonic() - self._database.stirred_at < _FOLLOW_FOR:
            wait = min(_FOLLOW_EVERY * self._workers(), _FOLLOW_FOR)
            self._following = asyncio.get_running_loop().call_later(wait, self._look)
        else:
            self._following = None

    def _look(self) -> None:
        self._ring()
        self._follow()

    async def _look_often(self) -> None:
        while True:
            busy = monotonic() - self._database.stirred_at < _LOOK_FOR
            if busy:
                self._ring()
            await asyncio.sleep(_LOOK_EVERY if busy else QUIET)
