"""Acting on runs by hand: cancel, retry, replay."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from cgk_jobs.engine.postgres.configuration import Configuration
from cgk_jobs.engine.postgres.database import Database, Work
from cgk_jobs.engine.postgres.families import HOLD, Ended, Families
from cgk_jobs.engine.postgres.limits import LimitBook
from cgk_jobs.engine.postgres.locking import youngest_first
from cgk_jobs.engine.postgres.placing import Placing
from cgk_jobs.engine.postgres.quotas import revived
from cgk_jobs.engine.postgres.readying import Waiting, make_ready
from cgk_jobs.engine.postgres.reopening import start_again
from cgk_jobs.engine.records import RunKey

__all__ = ["Cancelled", "cancel", "copy_steps", "ended_of", "finish", "retry", "slots_of"]


@dataclass(frozen=True, slots=True)
class Cancelled:
    """``count`` runs were cancelled or asked to end. ``ended`` are those that ended at once; ``made_ready`` how many runs
    could start on the slots they gave up."""

    count: int
    ended: list[int]
    made_ready: int


async def cancel(database: Database, limits: LimitBook, families: Families, runs: Sequence[RunKey]) -> Cancelled:
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
        made_ready = await finish(work, limits, families, waiting, "cancelled", database.now)
        return Cancelled(len(rows), [key.seq for key in waiting], made_ready)

    return await database.retried(verb)


async def finish(
    work: Work, limits: LimitBook, families: Families, keys: Sequence[RunKey], state: str, now: int | None
) -> int:
    """End runs nobody runs, whose rows the caller holds; returns how many others became ready by that."""
    if not keys:
        return 0
    ordered = youngest_first(keys)
    ended = await work.rows("finish_runs", *zip(*ordered, strict=True), [state] * len(ordered), now)
    made_ready = await families.ended(work, [ended_of(row) for row in ended])
    made_ready += await limits.free(work, slots_of(ended))
    await limits.give_back(work, [(row["tenant_id"], row["payload_bytes"]) for row in ended])
    return made_ready


def ended_of(row: Any) -> Ended:
    """A row of ``finish_runs``."""
    return Ended(
        row["tenant_id"], row["seq"], row["nonce"], row["parent_seq"], row["parent_step"], row["state"], None, row["error"],
        (row["held_by"] or "").startswith(HOLD),
    )  # fmt: skip


def slots_of(rows: Iterable[Any]) -> dict[tuple[str, str], int]:
    """How many slots rows with ``tenant_id`` and ``slots`` hold, by tenant and key."""
    counts: dict[tuple[str, str], int] = {}
    for row in rows:
        for key in json.loads(row["slots"] or "[]"):
            mark = (row["tenant_id"], key)
            counts[mark] = counts.get(mark, 0) + 1
    return counts


async def retry(
    database: Database,
    placing: Placing,
    configuration: Configuration,
    families: Families,
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
        return run in await start_again(work, families, {run: Waiting(*run, queue, lane)}, revive)

    return await database.retried(verb)


async def copy_steps(work: Work, tenant_id: str, new: int, original: int, from_step: str) -> None:
    """Give the run ``new`` the journal of ``original`` before ``from_step``."""
    await work.run("copy_steps", tenant_id, new, original, from_step)
