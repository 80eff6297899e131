"""Opening the journals of runs that are retried by hand: what failed for good is done again, called runs are retried too."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from cgk_jobs.engine.postgres.database import Work
from cgk_jobs.engine.postgres.families import Ended, Families
from cgk_jobs.engine.postgres.locking import youngest_first
from cgk_jobs.engine.postgres.readying import Waiting
from cgk_jobs.engine.records import RunKey
from cgk_jobs.runtime.entries import group_of
from cgk_jobs.wire.ids import parse_id
from cgk_jobs.wire.json import loads

__all__ = ["Revivable", "start_again"]


class Revivable(NamedTuple):
    """A run that ended badly and may come back: where it would become ready, and the keys others may have too."""

    waiting: Waiting
    flow_key: str | None
    order_key: str | None


_Revive = Callable[[Work, Sequence[Revivable]], Awaitable[set[RunKey]]]


class _Failed(NamedTuple):
    """An entry that failed for good. ``child``: the run whose outcome it is."""

    run: RunKey
    name: str
    place: int
    child: RunKey | None


async def start_again(work: Work, families: Families, runs: Mapping[RunKey, Waiting], revive: _Revive) -> set[RunKey]:
    """Start runs that ended badly again, and those they called that they failed for; returns which of ``runs`` were.

    ``revive`` brings them back, once their journals are open. A called run that has been retried by itself since answers: if it
    has completed, at once, else at its end.
    """
    ended = await work.rows("lock_ended", *_columns(runs)) if runs else []
    if not ended:
        return set()
    undone = [RunKey(row["tenant_id"], row["seq"]) for row in ended if row["failing"] is not None]
    if undone:
        # Their steps were undone: none of them may answer any more.
        await work.run("delete_steps", *_columns(undone))
        await work.run("delete_waits", *_columns(undone))
    kept = [RunKey(row["tenant_id"], row["seq"]) for row in ended if row["failing"] is None]
    if kept:
        rows = await work.rows("lock_failed_entries", *_columns(kept))
        await _reopen(work, families, [_failed(row) for row in rows], revive)
    return await revive(
        work,
        [Revivable(runs[RunKey(row["tenant_id"], row["seq"])], row["flow_key"], row["order_key"]) for row in ended],
    )


async def _reopen(work: Work, families: Families, failed: Sequence[_Failed], revive: _Revive) -> None:
    children = {entry.child for entry in failed if entry.child is not None}
    again: set[RunKey] = set()
    completed: list[Ended] = []
    if children:
        rows = await work.rows("lock_ended", *_columns(children))
        waiting = {RunKey(row["tenant_id"], row["seq"]): Waiting(*tuple(row)[:4]) for row in rows}
        again = await start_again(work, families, waiting, revive)
        # Who is at work again tells the opened entry when it ends: it waits here for this transaction. Whoever has just
        # ended is found by the statement after.
        again |= (await families.lock(work, children - again)).keys()
        others = children - again
        if others:
            completed = [Ended(*row) for row in await work.rows("completed_runs", *_columns(others))]
    answering = again | {RunKey(run.tenant_id, run.seq) for run in completed}
    opened = [entry for entry in failed if entry.child is None or entry.child in answering]
    if not opened:
        return
    counts: dict[tuple[str, int, str], tuple[int, bool]] = {}
    firsts: dict[RunKey, int] = {}
    for entry in opened:
        run = entry.run
        counts[run.tenant_id, run.seq, entry.name] = (1, entry.child is not None)
        group = group_of(entry.name)
        if group is not None:
            count, _ = counts.get((run.tenant_id, run.seq, group), (0, True))
            counts[run.tenant_id, run.seq, group] = (count + 1, True)
        firsts[run] = min(entry.place, firsts.get(run, entry.place))
    entries = sorted((*name, *change) for name, change in counts.items())
    await work.run("reopen_entries", *zip(*entries, strict=True))
    await work.run("loosen_steps", *zip(*[(*run, place) for run, place in firsts.items()], strict=True))
    await families.ended(work, completed)


def _failed(row: Any) -> _Failed:
    child = parse_id(loads(row["result"] or "{}").get("run", ""))
    tenant_id = row["tenant_id"]
    return _Failed(
        RunKey(tenant_id, row["run_seq"]), row["name"], row["place"],
        None if child is None else RunKey(tenant_id, child[0]),
    )  # fmt: skip


def _columns(keys: Iterable[RunKey]) -> list[tuple[Any, ...]]:
    return list(zip(*youngest_first(keys), strict=True))
