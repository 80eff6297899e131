"""Quotas on PostgreSQL: counted under the lock of the tenant's row, in the transaction that sends or settles.

Only for tenants that have quotas, which every process knows from its settings: a send names the version of those it knows,
so none is missed. Concurrent senders of such a tenant wait for each other, and for nobody else. Settlements written by a
process that has not heard of a new quota yet are not counted; what there is is counted anew soon after, and every hour.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial

from cgk_jobs.engine.postgres.configuration import Configuration
from cgk_jobs.engine.postgres.database import Database, Work
from cgk_jobs.engine.quotas import (
    RECOUNT_EVERY,
    RECOUNT_FIRST,
    Cost,
    Counter,
    Crossing,
    TenantQuotas,
    bytes_of,
    charge,
    returned,
)
from cgk_jobs.engine.records import RunKey, Settlement
from cgk_jobs.errors import QuotaExceeded, TenantClosed

__all__ = [
    "adjust_sends",
    "charge_sends",
    "charge_ticks",
    "give_back",
    "give_back_settled",
    "put_quotas",
    "recount",
    "revived",
]

_COUNTED = 9
"""Columns of a counter; behind them stands the time."""


async def charge_sends(
    work: Work, configuration: Configuration, costs: Mapping[str, Cost], *, recount_soon: bool = False
) -> list[Crossing]:
    """Count what sends cost their tenants. ``recount_soon``: it is not certain that they are stored.

    Raises ``QuotaExceeded``, ``TenantClosed``: roll back then.
    """
    counters: list[Counter] = []
    crossings: list[Crossing] = []
    for counter, now in await _lock(work, configuration, costs):
        quotas = configuration.quotas.get(counter.tenant_id)
        if quotas is not None:
            charged, crossed = charge(quotas, counter, costs[counter.tenant_id], now)
            if recount_soon:
                charged = charged._replace(recount_at=min(charged.recount_at, now + RECOUNT_FIRST))
            counters.append(charged)
            crossings += crossed
    await _write(work, counters)
    return crossings


async def adjust_sends(
    work: Work, configuration: Configuration, costs: Mapping[str, Cost], stored: Iterable[tuple[str, int]]
) -> None:
    """Count what sends have made, in place of what they were reckoned to cost: flow control makes less of them.

    ``stored``: tenant and number of each run that may be new, in the transaction that charged ``costs``.
    """
    made: dict[str, tuple[int, int]] = {}
    keys = sorted({(tenant_id, seq) for tenant_id, seq in stored if tenant_id in costs})
    if keys:
        rows = await work.rows("measure_runs", *zip(*keys, strict=True))
        made = {row["tenant_id"]: (row["runs"], row["payload_bytes"]) for row in rows}
    counters: list[Counter] = []
    for counter, _ in await _lock(work, configuration, costs):
        runs, payload_bytes = made.get(counter.tenant_id, (0, 0))
        cost = costs[counter.tenant_id]
        counters.append(returned(counter, cost.runs - runs, cost.payload_bytes - payload_bytes))
    await _write(work, counters)


async def charge_ticks(
    work: Work, configuration: Configuration, costs: Sequence[tuple[str, Cost]]
) -> tuple[list[bool], list[Crossing]]:
    """Whether each of these ticks (tenant and cost) is taken; one that is not is counted as refused."""
    found = {counter.tenant_id: (counter, now) for counter, now in await _lock(work, configuration, dict(costs))}
    taken: list[bool] = []
    crossings: list[Crossing] = []
    for tenant_id, cost in costs:
        quotas = configuration.quotas.get(tenant_id)
        if quotas is None or tenant_id not in found:
            taken.append(True)
            continue
        counter, now = found[tenant_id]
        try:
            counter, crossed = charge(quotas, counter, cost, now)
        except (QuotaExceeded, TenantClosed):
            counter = counter._replace(refused_ticks=counter.refused_ticks + 1)
            taken.append(False)
        else:
            crossings += crossed
            taken.append(True)
        found[tenant_id] = (counter, now)
    await _write(work, [counter for counter, _ in found.values()])
    return taken, crossings


async def give_back(work: Work, configuration: Configuration, ended: Iterable[tuple[str, int]]) -> None:
    """Runs ended: their tenants and the bytes of their payloads. The last thing a transaction locks."""
    if not configuration.quotas:
        return
    freed: dict[str, tuple[int, int]] = {}
    for tenant_id, payload_bytes in ended:
        if tenant_id in configuration.quotas:
            runs, total = freed.get(tenant_id, (0, 0))
            freed[tenant_id] = (runs + 1, total + payload_bytes)
    counters = await _lock(work, configuration, freed)
    await _write(work, [returned(counter, *freed[counter.tenant_id]) for counter, _ in counters])


async def give_back_settled(work: Work, configuration: Configuration, ended: Iterable[Settlement]) -> None:
    """Attempts ended their runs."""
    if configuration.quotas:
        await give_back(work, configuration, [(one.claim.tenant_id, bytes_of(one.claim.payload)) for one in ended])


async def revived(work: Work, configuration: Configuration, runs: Iterable[RunKey]) -> None:
    """Runs that had ended have not any more. They are counted, and never refused: an operator wishes it."""
    counted = sorted(run for run in runs if run.tenant_id in configuration.quotas)
    if not counted:
        return
    rows = await work.rows("measure_runs", *zip(*counted, strict=True))
    measured = {row["tenant_id"]: (row["runs"], row["payload_bytes"]) for row in rows}
    back: list[Counter] = []
    for counter, _ in await _lock(work, configuration, sorted(measured)):
        count, payload_bytes = measured[counter.tenant_id]
        back.append(counter._replace(runs=counter.runs + count, payload_bytes=counter.payload_bytes + payload_bytes))
    await _write(work, back)


async def put_quotas(database: Database, configuration: Configuration, quotas: TenantQuotas) -> None:
    """Write a tenant's quotas; what it has used already is counted. No send from then on acts on older ones."""

    async def verb(work: Work) -> None:
        await configuration.changed(work)
        if quotas.is_empty:
            await work.run("remove_quotas", quotas.tenant_id)
            await work.run("remove_quota_counter", quotas.tenant_id)
            return
        await work.run("put_quotas", *quotas)
        await work.run("begin_quota_counter", quotas.tenant_id)
        await _recount(work, configuration, quotas.tenant_id, RECOUNT_FIRST, warned=0)

    await database.retried(verb)
    await configuration.refresh(database)


async def recount(database: Database, configuration: Configuration) -> None:
    """Count anew what was not for long, so that a mistake of counting does not stay."""
    if not configuration.quotas:
        return
    for row in await database.rows("recounts_due", database.now):
        await database.retried(
            partial(_recount, configuration=configuration, tenant_id=row["tenant_id"], again=RECOUNT_EVERY)
        )


async def _recount(
    work: Work, configuration: Configuration, tenant_id: str, again: int, *, warned: int | None = None
) -> None:
    # Under the lock: sends and settlements that are under way are counted on either side of it, never on both.
    for counter, now in await _lock(work, configuration, [tenant_id]):
        row = await work.row("count_unfinished", tenant_id)
        if row is not None:
            counted = counter._replace(runs=row["runs"], payload_bytes=row["payload_bytes"], recount_at=now + again)
            await _write(work, [counted if warned is None else counted._replace(warned=warned)])


async def _lock(work: Work, configuration: Configuration, tenant_ids: Iterable[str]) -> list[tuple[Counter, int]]:
    wanted = sorted(set(tenant_ids))
    if not wanted:
        return []
    rows = await work.rows("lock_quota_counters", wanted, configuration.now)
    return [(Counter(*tuple(row)[:_COUNTED]), row["now"]) for row in rows]


async def _write(work: Work, counters: Sequence[Counter]) -> None:
    if counters:
        await work.run("write_quota_counters", *zip(*counters, strict=True))
