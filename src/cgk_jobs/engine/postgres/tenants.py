"""Settings: tenants, pauses, and which tasks listen to what.

A change is written with a new version in one transaction: from its commit on no send or claim acts on the old settings
(``configuration.py``). What it means for runs that wait follows in transactions of a thousand each, however many wait:
until they are through, claims park a paused tenant's runs as they meet them.
"""

from __future__ import annotations

from collections.abc import Sequence

from cgk_jobs.engine.budgets import tenant_keys
from cgk_jobs.engine.holds import paused_tenant_hold, unknown_task_hold
from cgk_jobs.engine.postgres.configuration import Configuration
from cgk_jobs.engine.postgres.database import Database, Work
from cgk_jobs.engine.postgres.placing import Placing
from cgk_jobs.engine.postgres.readying import release_anew, release_backlog
from cgk_jobs.engine.records import Subscription, TenantRecord
from cgk_jobs.runtime.execute import newer_version_hold

__all__ = ["free_resumed", "pause", "put_tenant", "resume", "subscribe"]

_AT_ONCE = 1_000
"""Runs parked or let go in one transaction."""


async def put_tenant(database: Database, placing: Placing, configuration: Configuration, tenant: TenantRecord) -> int:
    """Write a tenant's settings; a pause parks its ready runs, its end frees them. Returns how many became ready."""

    async def verb(work: Work) -> TenantRecord | None:
        # First, so that changes of settings wait for each other here and nowhere else.
        await configuration.changed(work)
        row = await work.row("find_tenant", tenant.id)
        await work.run("put_tenant", *tenant)
        if row is not None and row["weight"] != tenant.weight:
            await work.run("move_clocks", tenant.id, row["weight"] / tenant.weight)
        return None if row is None else TenantRecord(*row)

    known = configuration.tenants.get(tenant.id)
    if tenant.weight != (1.0 if known is None else known.weight):
        # Places move away from the queues' now, or towards it: as this process knows it.
        await placing.publish(database)
    before = await database.retried(verb)
    await configuration.refresh(database)
    if before is not None and before.weight != tenant.weight:
        await _move_places(database, tenant.id, before.weight / tenant.weight)
    if tenant.paused:
        await _park(database, tenant.id)
        return 0
    holds: list[str] = []
    if before is not None and before.paused:
        holds.append(paused_tenant_hold(tenant.id))
    if before is not None and before[4:7] != tenant[4:7]:
        # Another concurrency or rate: who waited for the old one is measured by the new one at the next claim.
        holds += tenant_keys(tenant.id)
    return sum([await _free_backlog(database, placing, configuration, tenant.id, hold) for hold in holds])


async def _move_places(database: Database, tenant_id: str, ratio: float) -> None:
    # Those sent since have their places by the new share.
    newest = await database.value("newest_run", tenant_id)
    last: int | None = 0
    while last is not None and newest is not None:
        last = await database.value("move_places", tenant_id, last, newest, ratio, _AT_ONCE)


async def _park(database: Database, tenant_id: str) -> None:
    hold = paused_tenant_hold(tenant_id)
    last: int | None = 0
    while last is not None:
        last = await database.value("park_tenant", tenant_id, hold, last, _AT_ONCE)


async def _free_backlog(
    database: Database, placing: Placing, configuration: Configuration, tenant_id: str, hold: str
) -> int:
    total = 0
    reached: dict[str, float] = {}
    for lane in [row["lane"] for row in await database.rows("held_lanes", hold)]:
        more = True
        while more:

            async def part(
                work: Work, lane: int = lane, before: dict[str, float] = reached
            ) -> tuple[int, dict[str, float]]:
                after = dict(before)
                return await release_backlog(work, placing, configuration, hold, lane, _AT_ONCE, after), after

            count, reached = await database.retried(part)
            total += count
            more = count == _AT_ONCE
        for queue, place in reached.items():
            placing.reach(queue, tenant_id, lane, place)
    return total


async def free_resumed(database: Database, placing: Placing, configuration: Configuration) -> int:
    """Free runs parked for a pause that is over; returns how many.

    There are some when a send met the end of the pause, or the process that ended it died on the way.
    """
    rows = await database.rows("held_tenants", paused_tenant_hold(""))
    if not rows:
        return 0
    await configuration.refresh(database)
    total = 0
    for hold in [row["held_by"] for row in rows]:
        tenant_id = hold.removeprefix(paused_tenant_hold(""))
        if tenant_id not in configuration.paused_tenants:
            total += await _free_backlog(database, placing, configuration, tenant_id, hold)
    return total


async def pause(database: Database, configuration: Configuration, kind: str, name: str) -> None:
    """Pause a queue or a schedule."""

    async def verb(work: Work) -> None:
        await configuration.changed(work)
        await work.run("put_paused", kind, name, database.now)

    await database.retried(verb)
    await configuration.refresh(database)


async def resume(database: Database, configuration: Configuration, kind: str, name: str) -> None:
    """End a pause."""

    async def verb(work: Work) -> None:
        await configuration.changed(work)
        await work.run("remove_paused", kind, name)

    await database.retried(verb)
    await configuration.refresh(database)


async def subscribe(
    database: Database, placing: Placing, configuration: Configuration, subscriptions: Sequence[Subscription]
) -> int:
    """Make tasks known to every process that sends, and free the runs that waited for somebody to know them.

    Returns how many became ready.
    """
    wanted = {row.task: row for row in subscriptions}

    async def verb(work: Work) -> None:
        known = {row["task"]: Subscription(*row) for row in await work.rows("list_subscriptions")}
        news = sorted(row for task, row in wanted.items() if known.get(task) != row)
        if news:
            await configuration.changed(work)
            await work.run("put_subscriptions", *zip(*news, strict=True))

    await database.retried(verb)
    await configuration.refresh(database)
    holds = [hold(task) for task in wanted for hold in (unknown_task_hold, newer_version_hold)]
    rows = await database.rows("holds_in_use", holds)
    return sum([await _free(database, placing, configuration, row["held_by"]) for row in rows])


async def _free(database: Database, placing: Placing, configuration: Configuration, hold: str) -> int:
    total, more = 0, True
    while more:
        count = await database.retried(lambda work: release_anew(work, placing, configuration, hold, _AT_ONCE))
        total += count
        more = count == _AT_ONCE
    return total
