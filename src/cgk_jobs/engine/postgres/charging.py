"""What events cost the quotas of their tenants, reckoned by who listens to them."""

from __future__ import annotations

from collections.abc import Sequence

from cgk_jobs.clock import monotonic
from cgk_jobs.engine.postgres.configuration import Configuration
from cgk_jobs.engine.postgres.database import Database, Work
from cgk_jobs.engine.postgres.quotas import charge_sends, charge_ticks
from cgk_jobs.engine.quotas import NOTHING, Cost, Crossing, cost_of
from cgk_jobs.engine.records import NewEvent, Subscription
from cgk_jobs.errors import InvalidTask

__all__ = ["ChargingApart", "admit_ticks", "costs_of", "targets_of"]

_FRESH_FOR = 2.0
"""Seconds after which a process that only sends in transactions of the application's asks for the settings again."""


def targets_of(configuration: Configuration, event: NewEvent) -> Sequence[Subscription]:
    """The tasks an event makes runs of. Raises ``InvalidTask`` for one nobody has declared."""
    if event.task is None:
        return configuration.listeners.get(event.name, ())
    target = configuration.tasks.get(event.task)
    if target is None:
        raise InvalidTask(f"no process has declared a task {event.task!r}: start the application that has it once")
    return (target,)


def costs_of(configuration: Configuration, events: Sequence[NewEvent]) -> dict[str, Cost]:
    """What the events add to what their tenants have used, of tenants that have quotas."""
    costs: dict[str, Cost] = {}
    for event in events:
        if event.tenant_id in configuration.quotas:
            cost = cost_of(event, len(targets_of(configuration, event)))
            costs[event.tenant_id] = costs.get(event.tenant_id, NOTHING).plus(cost)
    return costs


async def admit_ticks(
    work: Work, configuration: Configuration, events: Sequence[NewEvent]
) -> tuple[Sequence[NewEvent], dict[str, Cost], list[Crossing]]:
    """Of one tick's events those their tenants' quotas take, what was counted for them, the soft quotas they reach."""
    limited = [event for event in events if event.tenant_id in configuration.quotas]
    if not limited:
        return events, {}, []
    marks = [(event.tenant_id, event.task, event.tick_at) for event in limited]
    fired = {row["tenant_id"] for row in await work.rows("find_ticks", *zip(*marks, strict=True))}
    costs = costs_of(configuration, [event for event in limited if event.tenant_id not in fired])
    taken, crossings = await charge_ticks(work, configuration, list(costs.items()))
    paid = {tenant_id: cost for (tenant_id, cost), one in zip(costs.items(), taken, strict=True) if one}
    refused = costs.keys() - paid.keys()
    return [event for event in events if event.tenant_id not in refused], paid, crossings


class ChargingApart:
    """Counts sends that join a transaction of the application's, in a transaction of the engine's before them.

    In the application's own transaction the count would be locked until that ends, and everybody who sends for the tenant
    or settles a run of it would wait. So a send that is rolled back stays counted, until the next count of what there is.
    """

    def __init__(self, database: Database, configuration: Configuration) -> None:
        self._database = database
        self._configuration = configuration
        self._fresh_until = float("-inf")

    async def look(self) -> None:
        """Read the settings again, unless that was lately."""
        if monotonic() >= self._fresh_until:
            await self._configuration.refresh(self._database)
            self._fresh_until = monotonic() + _FRESH_FOR

    async def charge(self, events: Sequence[NewEvent]) -> list[Crossing]:
        """Count events, by settings just looked at. Raises ``QuotaExceeded`` and ``TenantClosed``."""
        costs = costs_of(self._configuration, events) if self._configuration.quotas else None
        if not costs:
            return []
        return await self._database.retried(
            lambda work: charge_sends(work, self._configuration, costs, recount_soon=True)
        )
