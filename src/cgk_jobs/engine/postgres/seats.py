"""Workers' seats: registration, proof of life, and what becomes of a dead worker's runs.

A worker lives as long as its lease in ``cgk_jobs.workers``, by the database's clock. The lease is renewed by a process beside
the worker's (``heartbeat.py``), so that a handler that holds the interpreter does not lose it, and by :meth:`Seats.beat`.
Under a clock that only a test moves, ``beat`` alone does it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cgk_jobs.engine.postgres.database import Database, Work
from cgk_jobs.engine.postgres.doorbell import Listener
from cgk_jobs.engine.postgres.endings import Endings
from cgk_jobs.engine.postgres.heart import Heart
from cgk_jobs.engine.postgres.limits import LimitBook, slots_of
from cgk_jobs.engine.postgres.partitions import Days
from cgk_jobs.engine.records import RunKey

__all__ = ["PostgresSeat", "Rescued", "Seats"]

_logger = logging.getLogger("cgk_jobs.engine")

_LEASE = 15.0
"""Seconds a lease is renewed for where the seat was not taken in this process."""
_CRASHED = "the worker process ended during the attempt"


@dataclass(frozen=True, slots=True)
class Rescued:
    """Runs taken back from a worker: how many, those that ended since somebody had asked to cancel them, and how many others
    could start on the slots they gave up."""

    count: int = 0
    ended: tuple[int, ...] = ()
    made_ready: int = 0


class Seats:
    """The workers of one process. ``told`` hears what was taken back, after each commit."""

    def __init__(
        self, database: Database, limits: LimitBook, endings: Endings, days: Days, told: Callable[[Rescued], None]
    ) -> None:
        self._database = database
        self._limits = limits
        self._endings = endings
        self._days = days
        self._told = told
        self._leases: dict[int, float] = {}
        self._heart = Heart(database.address)
        self.count = 1
        """Workers of all processes, as of the last heartbeat."""

    async def take(self, queues: Sequence[str], concurrency: int, lease: float) -> PostgresSeat:
        """Register a worker of this process. ``lease``: seconds it is waited for once it is stopped or unreachable."""
        database = self._database
        await self._days.make()
        number: int = await database.value(
            "add_worker", os.getpid(), socket.gethostname(), ",".join(queues), concurrency, round(lease * 1e6), database.now
        )  # fmt: skip
        self._leases[number] = lease
        self.count = await database.value("count_workers")
        if database.now is None:
            await self._heart.add(number, lease)
        return PostgresSeat(self, number)

    async def leave(self, worker: int) -> None:
        """Forget a worker of this process that stopped in order; its runs are put back and spend no attempt."""
        await self._give_up(worker, spend_attempt=False)
        self._leases.pop(worker, None)
        await self._heart.remove(worker)

    async def beat(self, worker: int) -> bool:
        """Note that a worker is alive. False: it was given up, and its runs went to others."""
        lease = self._leases.get(worker, _LEASE)
        alive = await self._database.reserved.run("beat_worker", worker, round(lease * 1e6), self._database.now) == 1
        self.count = max(await self._database.reserved.value("count_workers"), 1)
        if alive and self._database.now is None:
            await self._heart.look_after()
        elif not alive:
            await self._heart.remove(worker)
        return alive

    async def rescue(self) -> int:
        """Take back the runs of workers whose lease is over; returns how many runs."""
        total = 0
        for row in await self._database.rows("dead_workers", self._database.now):
            total += await self._give_up(row["id"], spend_attempt=True)
        return total

    async def cancels_asked(self, worker: int) -> list[int]:
        """The runs of ``worker`` somebody asked to cancel."""
        return [row["seq"] for row in await self._database.rows("cancels_asked", worker)]

    def listener(self, ring: Callable[[], None]) -> Listener:
        """What wakes a worker of this process."""
        return Listener(self._database, ring, lambda: self.count)

    async def _give_up(self, worker: int, *, spend_attempt: bool) -> int:
        async def verb(work: Work) -> Rescued | None:
            if not spend_attempt:
                held = await work.row("take_worker", worker) is not None
            elif await work.row("take_dead_worker", worker, self._database.now) is not None:
                held = True
            else:
                # Another process is about it, or a beat came in between; or only its runs are left.
                held = await work.row("find_worker", worker) is None
            return await self._take_back(work, worker, spend_attempt=spend_attempt) if held else None

        rescued = await self._database.retried(verb)
        if rescued is None:
            return 0
        if spend_attempt and rescued.count:
            _logger.warning("worker %d is dead: %d runs are taken back", worker, rescued.count)
        self._told(rescued)
        return rescued.count

    async def _take_back(self, work: Work, worker: int, *, spend_attempt: bool) -> Rescued:
        now = self._database.now
        # An exchange or a step of the worker that is under way is waited for.
        rows = await work.rows("busy_runs", worker)
        if rows:
            error = _CRASHED if spend_attempt else None
            keys = [(row["tenant_id"], row["seq"]) for row in rows]
            await work.run("take_back_runs", *zip(*keys, strict=True), int(spend_attempt), error, now)
            if spend_attempt:
                attempts = [
                    (*key, row["claim"], row["attempt"], "crashed", error) for key, row in zip(keys, rows, strict=True)
                ]
                await work.run("insert_attempts", now, *zip(*attempts, strict=True))
        ended = [RunKey(row["tenant_id"], row["seq"]) for row in rows if row["cancel_asked"]]
        made_ready = await self._endings.finish(work, ended, "cancelled", now)
        made_ready += await self._limits.free(work, slots_of(rows))
        await work.run("remove_worker", worker)
        return Rescued(len(rows), tuple(key.seq for key in ended), made_ready)


class PostgresSeat:
    """A worker's place at the ledger."""

    def __init__(self, seats: Seats, number: int) -> None:
        self.id = number
        self._seats = seats
        self._listener: Listener | None = None
        self._starting: asyncio.Task[None] | None = None

    def listen(self, ring: Callable[[], None]) -> None:
        """Call ``ring`` on the running loop whenever another process has work for this worker."""
        self._listener = self._seats.listener(ring)
        self._starting = asyncio.get_running_loop().create_task(self._listener.start(), name="cgk-jobs-listen")

    async def leave(self) -> None:
        """Give the seat up. Runs still held are put back without spending an attempt."""
        try:
            await self._seats.leave(self.id)
        finally:
            if self._listener is not None and self._starting is not None:
                await asyncio.wait([self._starting])
                await self._listener.close()
