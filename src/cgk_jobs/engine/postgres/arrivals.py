"""Awaited events that were sent in transactions of the application's own: their waits are answered once they have committed.

The application's login may neither see who waits nor write into journals, and its transaction may take hours; so its sends
leave events as they are, and whoever makes their runs ready tells those that wait first.
"""

from __future__ import annotations

from collections.abc import Sequence

from cgk_jobs.engine.postgres.configuration import Configuration
from cgk_jobs.engine.postgres.database import Database, Work
from cgk_jobs.engine.postgres.placing import Placing
from cgk_jobs.engine.postgres.readying import make_ready
from cgk_jobs.engine.postgres.waits import Fact, WaitBook
from cgk_jobs.engine.records import RunKey

__all__ = ["Arrivals"]

_AT_ONCE = 500


class Arrivals:
    """The events of one ledger that have arrived."""

    def __init__(self, database: Database, configuration: Configuration, placing: Placing, waits: WaitBook) -> None:
        self._database = database
        self._configuration = configuration
        self._placing = placing
        self._waits = waits

    async def tell(self, now: int) -> int:
        """Tell of events that have come by now, and make their runs ready; returns how many runs became ready."""
        made_ready = await self._database.retried(lambda work: self._tell(work, now))
        await self._database.run("forget_arrivals", _AT_ONCE)
        return made_ready

    async def _tell(self, work: Work, now: int) -> int:
        facts = [Fact(*row) for row in await work.rows("find_arrivals", now, _AT_ONCE)]
        if not facts:
            return 0
        runs = [RunKey(fact.tenant_id, fact.run_seq) for fact in facts if fact.run_seq is not None]
        events = [(fact.tenant_id, fact.event, fact.payload) for fact in facts]
        await self._waits.share(work, events)
        # Only now: what is awaited may have become more while these were waited for.
        await self._configuration.refresh(work)
        expected = await self._waits.lock(work, events, runs)
        ready = [
            waiting
            for key in runs
            if key in expected.sleepers
            for state, waiting in [expected.sleepers[key]]
            if state == "scheduled"
        ]
        new = {(run.tenant_id, run.seq) for run in ready} | await self._unrouted(work, facts)
        fresh = [fact for fact in facts if (fact.tenant_id, fact.run_seq or fact.seq) in new]
        made_ready = await self._waits.answer(work, expected, fresh)
        await make_ready(work, self._placing, self._configuration, ready)
        return made_ready + len(ready)

    async def _unrouted(self, work: Work, facts: Sequence[Fact]) -> set[tuple[str, int]]:
        keys = sorted((fact.tenant_id, fact.seq) for fact in facts if fact.run_seq is None)
        if not keys:
            return set()
        return {(row["tenant_id"], row["seq"]) for row in await work.rows("arrived_unrouted", *zip(*keys, strict=True))}
