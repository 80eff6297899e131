"""Acting on runs by hand: cancel, retry, replay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cgk_jobs.engine.flow import ORDER_HOLD, excludes_others
from cgk_jobs.engine.postgres.configuration import Configuration
from cgk_jobs.engine.postgres.database import Database, Work
from cgk_jobs.engine.postgres.endings import Endings
from cgk_jobs.engine.postgres.lines import flow_lock, lock_keys
from cgk_jobs.engine.postgres.locking import youngest_first
from cgk_jobs.engine.postgres.placing import Placing
from cgk_jobs.engine.postgres.quotas import revived
from cgk_jobs.engine.postgres.readying import Waiting, make_ready
from cgk_jobs.engine.postgres.reopening import Revivable, start_again
from cgk_jobs.engine.records import RunKey
from cgk_jobs.errors import DuplicateKey
from cgk_jobs.wire.ids import to_id

__all__ = ["Cancelled", "cancel", "cancel_in", "copy_steps", "retry"]


@dataclass(frozen=True, slots=True)
class Cancelled:
    """``count`` runs were cancelled or asked to end. ``ended`` are those that ended at once; ``made_ready`` how many runs
    could start on the slots they gave up."""

    count: int
    ended: list[int]
    made_ready: int


async def cancel(database: Database, endings: Endings, runs: Sequence[RunKey], *, tree: bool) -> Cancelled:
    """Cancel runs that wait, and ask the workers of those that run to. ``tree``: with every run they called."""
    if not runs:
        return Cancelled(0, [], 0)
    return await database.retried(lambda work: cancel_in(work, endings, runs, database.now, tree=tree))


async def cancel_in(
    work: Work,
    endings: Endings,
    runs: Sequence[RunKey],
    now: int | None,
    *,
    tree: bool = True,
    reason: str | None = None,
) -> Cancelled:
    """``cancel`` in the caller's transaction. ``reason`` is kept as the error of those that waited."""
    cancelled = Cancelled(0, [], 0)
    done: set[RunKey] = set()
    wanted = set(runs)
    if tree:
        wanted |= await _below(work, runs)
    while wanted:
        more = await _cancel(work, endings, youngest_first(wanted), now, reason)
        cancelled = Cancelled(
            cancelled.count + more.count, cancelled.ended + more.ended, cancelled.made_ready + more.made_ready
        )
        done |= wanted
        # Until its row was held, a run could call others; from now on it calls nobody. Those are locked out of order
        # (locking.py), which is as rare as this.
        if not tree:
            break
        wanted = await _below(work, runs) - done
    return cancelled


async def _below(work: Work, runs: Sequence[RunKey]) -> set[RunKey]:
    """The unfinished runs these have called, those they have called, and so on."""
    rows = await work.rows("unfinished_below", *zip(*youngest_first(runs), strict=True))
    return {RunKey(row["tenant_id"], row["seq"]) for row in rows}


async def _cancel(
    work: Work, endings: Endings, keys: Sequence[RunKey], now: int | None, reason: str | None
) -> Cancelled:
    lines = await work.rows("lines_of_runs", *zip(*keys, strict=True))
    await endings.lines.lock(work, [(row["tenant_id"], row["order_key"]) for row in lines])
    # Locked in one order (locking.py), before any is written: who claims one of them now is waited for, and no two cancels wait
    # in a circle.
    rows = await work.rows("lock_runs", *zip(*keys, strict=True))
    running = [RunKey(row["tenant_id"], row["seq"]) for row in rows if row["state"] == "running"]
    waiting = [RunKey(row["tenant_id"], row["seq"]) for row in rows if row["state"] != "running"]
    if running:
        await work.run("ask_cancel", *zip(*running, strict=True))
    made_ready = await endings.finish(work, waiting, "cancelled", now, reason)
    return Cancelled(len(rows), [key.seq for key in waiting], made_ready)


async def retry(
    database: Database,
    endings: Endings,
    placing: Placing,
    configuration: Configuration,
    run: RunKey,
    queue: str,
    lane: int,
) -> bool:
    """Start a run that ended badly again from attempt 1, its journal kept. False if it did not end badly.

    Raises ``DuplicateKey`` if its key allows one run at a time and there is one.
    """

    async def revive(work: Work, runs: Sequence[Revivable]) -> set[RunKey]:
        # As many as a thousand children have no key at all, and come back together.
        plain = [(one.waiting, None) for one in runs if one.flow_key is None and one.order_key is None]
        revived_runs = await bring_back(work, plain)
        for one in runs:
            if one.flow_key is not None or one.order_key is not None:
                revived_runs |= await bring_back(work, [(one.waiting, await hold_of(work, one))])
        await revived(work, configuration, revived_runs)
        return revived_runs

    async def bring_back(work: Work, runs: Sequence[tuple[Waiting, str | None]]) -> set[RunKey]:
        if not runs:
            return set()
        columns = zip(*[(*waiting[:2], hold) for waiting, hold in runs], strict=True)
        found = {RunKey(row["tenant_id"], row["seq"]) for row in await work.rows("revive_runs", *columns)}
        ready = sorted(waiting for waiting, hold in runs if hold is None and RunKey(*waiting[:2]) in found)
        await make_ready(work, placing, configuration, ready)
        return found

    async def hold_of(work: Work, one: Revivable) -> str | None:
        key, flow_key, order_key = RunKey(*one.waiting[:2]), one.flow_key, one.order_key
        if flow_key is not None:
            await lock_keys(work, [flow_lock(key.tenant_id, flow_key)])
        if excludes_others(flow_key):
            other = await work.row("find_unfinished", key.tenant_id, flow_key)
            if other is not None:
                raise DuplicateKey(
                    f"run {to_id(*other)} of the same key has not ended: wait for it, or cancel it first"
                )
        await endings.lines.lock(work, [(key.tenant_id, order_key)])
        behind = order_key is not None and await endings.lines.is_held(work, key.tenant_id, order_key)
        return ORDER_HOLD if behind else None

    async def verb(work: Work) -> bool:
        return run in await start_again(work, endings.families, {run: Waiting(*run, queue, lane)}, revive)

    return await database.retried(verb)


async def copy_steps(work: Work, tenant_id: str, new: int, original: int, from_step: str) -> None:
    """Give the run ``new`` the journal of ``original`` before ``from_step``."""
    await work.run("copy_steps", tenant_id, new, original, from_step)
