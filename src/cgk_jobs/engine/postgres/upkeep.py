"""What has to be done once in a while: end what was not started in time, forget what finished long ago.

Finished runs lie in a table for each day, which is dropped whole once all of it is old. Rows of other tables belong to some
of them: these runs are deleted one by one with what belongs to them, so that no run is ever there without its journal.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from cgk_jobs.clock import monotonic
from cgk_jobs.engine.postgres.configuration import Configuration
from cgk_jobs.engine.postgres.database import Database, Work
from cgk_jobs.engine.postgres.endings import Endings
from cgk_jobs.engine.postgres.idle_limits import IdleLimits
from cgk_jobs.engine.postgres.limits import LimitBook
from cgk_jobs.engine.postgres.partitions import DAY, Days
from cgk_jobs.engine.postgres.placing import Placing
from cgk_jobs.engine.postgres.quotas import recount
from cgk_jobs.engine.postgres.tenants import free_resumed
from cgk_jobs.engine.records import RunKey
from cgk_jobs.wire.ids import COUNTER_BITS

__all__ = ["Expired", "PostgresUpkeep"]

_EXPIRED_AT_ONCE = 500
"""Runs that are ended in one transaction; whoever is told of so many asks again."""
_FORGET_EVERY = 600.0
"""Seconds between two looks for old ticks and events nobody listened to, which no index finds by their time."""
_FORGOTTEN_AT_ONCE = 1_000
_ROUNDS = 20
"""Times so many are forgotten in one call."""


class Expired(NamedTuple):
    """Runs that ended, and how many others became ready."""

    ended: list[int]
    made_ready: int


class PostgresUpkeep:
    """The upkeep of one ledger by one process. Harmless when several processes do it."""

    def __init__(
        self,
        database: Database,
        configuration: Configuration,
        placing: Placing,
        limits: LimitBook,
        endings: Endings,
        days: Days,
    ) -> None:
        self._database = database
        self._configuration = configuration
        self._placing = placing
        self._limits = limits
        self._endings = endings
        self._days = days
        self._day = 0
        self._reached: tuple[str, int] = ("", 0)
        self._forget_at = 0.0
        self._idle_limits = IdleLimits(database)

    async def expire(self) -> Expired:
        """End runs that were not started in time, and free what was left parked for no reason."""
        await self._days.make()
        expired = await self._database.retried(self._expire)
        made_ready = await self._database.retried(self._limits.sweep)
        made_ready += await free_resumed(self._database, self._placing, self._configuration)
        await self._idle_limits.forget()
        await recount(self._database, self._configuration)
        return expired._replace(made_ready=expired.made_ready + made_ready)

    async def _expire(self, work: Work) -> Expired:
        now = self._database.now
        rows = await work.rows("expired_runs", now, _EXPIRED_AT_ONCE)
        keys = [RunKey(row["tenant_id"], row["seq"]) for row in rows]
        made_ready = await self._endings.finish(work, keys, "expired", now)
        return Expired([key.seq for key in keys], made_ready)

    # -- forgetting --------------------------------------------------------------------------------------------------

    async def prune(self, before: int, count: int) -> int:
        """Forget up to ``count`` runs that finished before a moment, and keys past their time; returns how many runs.

        A day's runs are forgotten when all of the day is over; those that found no day of theirs, one by one.
        """
        pruned = 0
        days = await self._days.known()
        for day in [day for day in days if day + DAY <= before]:
            pruned += await self._prune_day(day, count - pruned)
            if pruned >= count:
                return pruned
        # No day's table lies before this moment now, so that only what found no day of its own does.
        until = next((day for day in days if day <= before < day + DAY), before)
        pruned += await self._database.retried(lambda work: self._prune_others(work, until, count - pruned))
        await self._forget(before)
        return pruned

    async def _prune_day(self, day: int, count: int) -> int:
        if day != self._day:
            self._day, self._reached = day, ("", 0)
        rows = await self._database.rows("runs_of_day", day, day + DAY, *self._reached, count)
        keys = [(row["tenant_id"], row["seq"]) for row in rows]
        if keys:
            await self._database.retried(lambda work: self._delete_with_rows_elsewhere(work, day, keys))
            self._reached = keys[-1]
        if len(keys) < count:
            await self._days.drop(day + DAY)
        return len(keys)

    async def _delete_with_rows_elsewhere(self, work: Work, day: int, keys: Sequence[tuple[str, int]]) -> None:
        found = await work.rows("runs_with_rows_elsewhere", *zip(*keys, strict=True), day, day + DAY)
        await self._delete(work, [(row["tenant_id"], row["seq"]) for row in found])

    async def _prune_others(self, work: Work, until: int, count: int) -> int:
        rows = await work.rows("old_runs", until, count)
        await self._delete(work, [(row["tenant_id"], row["seq"]) for row in rows])
        return len(rows)

    async def _delete(self, work: Work, keys: Sequence[tuple[str, int]]) -> None:
        if keys:
            columns = list(zip(*keys, strict=True))
            for name in (
                "delete_steps",
                "delete_attempts",
                "delete_logs",
                "delete_tags",
                "delete_waits",
                "delete_finished",
            ):
                await work.run(name, *columns)

    async def _forget(self, before: int) -> None:
        await self._repeat("prune_keys", self._database.now)
        await self._repeat("prune_throttles", self._database.now)
        await self._database.run("prune_seen_calls", self._database.now)
        if self._database.now is None:
            if monotonic() < self._forget_at:
                return
            self._forget_at = monotonic() + _FORGET_EVERY
        await self._repeat("prune_ticks", before)
        await self._repeat("prune_marks", (before // 1000) << COUNTER_BITS)
        await self._repeat("prune_unrouted", (before // 1000) << COUNTER_BITS)

    async def _repeat(self, name: str, until: int | None) -> None:
        for _ in range(_ROUNDS):
            if await self._database.run(name, until, _FORGOTTEN_AT_ONCE) < _FORGOTTEN_AT_ONCE:
                return
