"""Giving runs their place in the fair order, and letting go of those that were parked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from cgk_jobs.engine.postgres.configuration import Configuration
from cgk_jobs.engine.postgres.database import Work
from cgk_jobs.engine.postgres.placing import Placing, Steps

__all__ = ["Waiting", "make_ready", "release", "release_anew", "release_backlog"]


class Waiting(NamedTuple):
    """A run that is to become ready, and the queue and priority it does so in."""

    tenant_id: str
    seq: int
    queue: str
    lane: int = 0


async def make_ready(work: Work, placing: Placing, configuration: Configuration, runs: Sequence[Waiting]) -> None:
    """Give runs new places, in the order given, or park them if their tenant is paused.

    The caller holds their rows, in a state that may become ``queued``.
    """
    if not runs:
        return
    steps = Steps()
    rows: list[tuple[object, ...]] = []
    with placing.giving() as places:
        for run in runs:
            vstart, asked = places.place(run.queue, run.tenant_id, run.lane)
            cost = placing.cost(run.tenant_id)
            step = steps.next(run.tenant_id, run.queue, run.lane, cost)
            rows.append((*run, vstart, cost, step, asked, configuration.hold_of(run.tenant_id)))
        await work.run("make_ready", configuration.now, *zip(*rows, strict=True))


async def release(work: Work, placing: Placing, configuration: Configuration, hold: str, count: int) -> int:
    """Let up to ``count`` runs go that are parked for this reason; returns how many there were.

    Their places are kept, yet not before the queue's now: time spent parked is no credit against others.
    """
    found = await work.rows("held_runs", hold, count)
    if found:
        rows = sorted(
            (row["tenant_id"], row["seq"], placing.now(row["queue"]), configuration.hold_of(row["tenant_id"]))
            for row in found
        )
        await work.run("release_runs", *zip(*rows, strict=True))
    return len(found)


async def release_anew(work: Work, placing: Placing, configuration: Configuration, hold: str, count: int) -> int:
    """Give new places, in their old order, to up to ``count`` runs parked for this reason; returns how many there were.

    For a few of a tenant's runs, which the others have passed by: they go behind those.
    """
    found = await work.rows("held_runs", hold, count)
    runs = [Waiting(row["tenant_id"], row["seq"], row["queue"], row["lane"]) for row in found]
    await make_ready(work, placing, configuration, runs)
    return len(runs)


async def release_backlog(
    work: Work,
    placing: Placing,
    configuration: Configuration,
    hold: str,
    lane: int,
    count: int,
    reached: dict[str, float],
) -> int:
    """Let up to ``count`` runs of one priority go on that are all of a tenant's backlog; returns how many there were.

    They take turns with other tenants' runs from the queue's now on, in their old order, one turn apart. With the places they
    had they would all go at once; behind the tenant's clock, which has counted them already, they would go last of all.
    ``reached``: the last place given in each queue, kept by the caller from one part to the next; higher priorities come
    first.
    """
    found = await work.rows("held_backlog", hold, lane, count)
    rows: list[tuple[object, ...]] = []
    for tenant_id, seq, queue, vstart in found:
        place = max(vstart, reached.get(queue, placing.now(queue)) + placing.cost(tenant_id))
        reached[queue] = place
        rows.append((tenant_id, seq, place, configuration.hold_of(tenant_id)))
    if rows:
        await work.run("place_backlog", *zip(*sorted(rows), strict=True))
    return len(found)
