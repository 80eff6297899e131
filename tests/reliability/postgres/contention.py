"""S16: finish, cancel, prune, retry and rescue at the same time, on the same rows."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from multiprocessing.process import BaseProcess

from tests.reliability.postgres.application import Contended, served
from tests.reliability.postgres.processes import ServerFleet, kill, until, until_within

from cgk_jobs import InvalidEvent, RunNotFound, platform

__all__ = ["Tally", "everything_at_once"]


class Tally:
    """What was done, and what the server counted."""

    def __init__(self) -> None:
        self.done: Counter[str] = Counter()
        self.deadlocks = 0
        self.transactions = 0


def everything_at_once(fleet: ServerFleet, *, runs: int, rounds: int, seconds: float = 0, limit: float = 60) -> Tally:
    """Each actor does its act ``rounds`` times, and goes on until ``seconds`` are over; two workers finish, and are killed
    now and then. Any error that reaches an actor and is not the answer to a run that has gone or ended fails."""
    tally = Tally()
    crew = [fleet.worker(concurrency=20, lease=0.5) for _ in range(2)]
    until(lambda: len(fleet.workers()) == 2, "the workers took their seats")
    asyncio.run(_act(fleet, tally, runs, rounds, seconds, crew))
    until_within(limit, lambda: fleet.unfinished() == 0, "every run ended")
    tally.deadlocks, tally.transactions = fleet.rows(
        "SELECT deadlocks, xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()"
    )[0]
    # None is seen by anybody, and hardly one is met inside: rows are locked in one order by all.
    assert tally.deadlocks <= tally.transactions // 1000
    assert "deadlock" not in fleet.complaints()
    assert fleet.intact()
    for table in ("steps", "attempts", "run_logs", "run_tags"):
        orphans = fleet.value(
            f"SELECT count(*) FROM cgk_jobs.{table} t WHERE NOT EXISTS (SELECT FROM cgk_jobs.finished_runs f "
            "WHERE f.tenant_id = t.tenant_id AND f.seq = t.run_seq)"
        )
        assert orphans == 0, table
    return tally


async def _act(
    fleet: ServerFleet, tally: Tally, runs: int, rounds: int, seconds: float, crew: list[BaseProcess]
) -> None:
    jobs = served(fleet.folder, fleet.database.worker_url)
    store = jobs.provider.store
    chance = random.Random(16)
    ids: list[str] = []
    over_at = time.monotonic() + seconds

    async def again(name: str, act: Callable[[], Awaitable[object]]) -> None:
        done = 0
        while done < rounds or time.monotonic() < over_at:
            try:
                await act()
            except (RunNotFound, InvalidEvent):
                # It was pruned, or has not ended badly (any more).
                tally.done[f"{name} refused"] += 1
            else:
                tally.done[name] += 1
            done += 1
            await asyncio.sleep(0)

    async def send() -> None:
        portion = [Contended(tenant_id="acme", number=number) for number in range(runs // 10)]
        ids.extend(sent.run_id for sent in await jobs.send_many(portion))
        del ids[:-runs]

    async def cancel_one() -> None:
        await jobs.runs.cancel(chance.choice(ids))

    async def cancel_all() -> None:
        await jobs.runs.cancel(task="contended", state=chance.choice(("queued", "running", "retrying")))

    async def retry() -> None:
        await jobs.runs.retry(chance.choice(ids))

    async def retry_failed() -> None:
        for run in await jobs.runs.list(task="contended", state=chance.choice(("failed", "cancelled")), limit=20):
            await jobs.runs.retry(run.id)

    async def prune() -> None:
        # Everything that has ended, however lately: rows others are about to look at or start again.
        await store.prune(jobs.clock.micros() + 1, runs // 4)

    async def rescue() -> None:
        await store.rescue(0.5)
        await store.expire()

    async def strike() -> None:
        await asyncio.to_thread(_replace_a_worker, fleet, crew)

    try:
        with platform(reason="look after runs"):
            await send()
            actors = [
                send,
                cancel_one,
                cancel_one,
                cancel_all,
                cancel_all,
                cancel_all,
                retry,
                retry,
                retry_failed,
                prune,
                prune,
                rescue,
                rescue,
            ]
            async with asyncio.TaskGroup() as group:
                for actor in actors:
                    group.create_task(again(actor.__name__, actor))
                for _ in range(2):
                    await strike()
    finally:
        await jobs.stop()
        jobs.close()


def _replace_a_worker(fleet: ServerFleet, crew: list[BaseProcess]) -> None:
    victim = crew.pop(0)
    kill(victim)
    crew.append(fleet.worker(concurrency=20, lease=0.5))
