"""The harness itself, on both engines."""

from __future__ import annotations

from datetime import timedelta

from cgk_jobs.engine.store import Store
from cgk_jobs.testing import JobsHarness, TestClock


async def test_a_worker_lives_through_a_day_that_the_clock_jumps(
    jobs_harness: JobsHarness, jobs_clock: TestClock
) -> None:
    store: Store = jobs_harness._store
    async with jobs_harness.working():
        (before,) = await store.reads.workers()
        jobs_clock.advance(timedelta(days=1))
        await store.rescue(15.0)
        assert [worker.id for worker in await store.reads.workers()] == [before.id]
