"""Acting on runs by hand: cancel, retry, replay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cgk_jobs.engine.postgres.configuration import Configuration
from cgk_jobs.engine.postgres.database import Database, Work
from cgk_jobs.engine.postgres.endings import Endings
from cgk_jobs.engine.postgres.locking import youngest_first
from cgk_jobs.engine.postgres.placing import Placing
from cgk_jobs.engine.postgres.quotas import revived
from cgk_jobs.engine.postgres.readying import Waiting, make_ready
from cgk_jobs.engine.postgres.reopening import start_again
from cgk_jobs.engine.records import RunKey

__all__ = ["Cancelled", "cancel", "copy_steps", "retry"]


@dataclass(frozen=True, slots=True)
class Cancelled:
    """``count`` runs were cancelled or asked to end. ``ended`` are those that ended at once; ``made_ready`` how many runs
    could start on the slots they gave up."""

    count: int
    ended: list[int]
    made_ready: int


async def cancel(database: Database, endings: Endings, runs: Sequence[RunKey]) -> Cancelled:
    """Cancel runs that wait, and ask the workers of those that run to."""
    keys = youngest_first(runs)
    if not keys:
        return Cancelled(0, [], 0)

    async def verb(work: Work) -> Cancelled:
        # Locked in one order first: who claims one of them now is waited for, and no two cancels wait in a
        # circle.
        rows = await work.rows("lock_runs", *zip(*keys, strict=True))
        running = [RunKey(row["tenant_id"], row["seq"]) for row in rows if row["state"] == "running"]
        waiting = [RunKey(row["tenant_id"], row["seq"]) for row in rows if row["state"] != "running"]
        if running:
            await work.run("ask_cancel", *zip(*running, strict=True))
        made_ready = await endings.finish(work, waiting, "cancelled", database.now)
        return Cancelled(len(rows), [key.seq for key in waiting], made_ready)

    return await database.retried(verb)


async def retry(
    database: Database,
    endings: Endings,
    placing: Placing,
    configuration: Configuration,
    run: RunKey,
    queue: str,
    lane: int,
) -> bool:
    """Start a run that ended badly again from attempt 1, its journal kept. False if it did not end badly."""

    async def revive(work: Work, waiting: Waiting) -> bool:
        key = RunKey(waiting.tenant_id, waiting.seq)
        if not await work.run("revive_run", *key):
            return False
        await make_ready(work, placing, configuration, [waiting])
        await revived(work, configuration, *key)
        return True

    async def verb(work: Work) -> bool:
        return run in await start_again(work, endings.families, {run: Waiting(*run, queue, lane)}, revive)

    return await database.retried(verb)


async def copy_steps(work: Work, tenant_id: str, new: int, original: int, from_step: str) -> None:
    """Give the run ``new`` the journal of ``original`` before ``from_step``."""
    await work.run("copy_steps", tenant_id, new, original, from_step)
