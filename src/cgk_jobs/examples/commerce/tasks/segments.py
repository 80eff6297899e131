"""Customer segments."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING

from cgk_jobs import TaskGroup, Tick
from cgk_jobs.examples.commerce.policies import DEFAULT
from cgk_jobs.examples.commerce.segments import score_customers
from cgk_jobs.examples.commerce.simulation import simulated

if TYPE_CHECKING:
    from cgk_jobs.examples.commerce.application import Commerce

__all__ = ["tasks"]

SIMULATED = ("segments", "simulated")


def tasks(app: Commerce) -> TaskGroup:
    """The tasks of this category."""
    group = TaskGroup()

    @group.cron("0 3 * * *", tenants="each", id="calculate-rfm", retry=DEFAULT, tags=("segments",))
    async def calculate_rfm(tick: Tick) -> int:
        """Score customers by recency, frequency and monetary value; says how many were scored."""
        with app.shops.current() as db:
            return score_customers(db, tick.scheduled_at.astimezone(UTC).date())

    simulated(
        group.cron("0 */6 * * *", tenants="each", id="sync-shopify-segments", retry=DEFAULT, tags=SIMULATED),
        "Refresh the copy of the shop's customer segments",
    )
    simulated(
        group.cron("*/30 * * * *", tenants="each", id="sync-klaviyo-lists", retry=DEFAULT, tags=SIMULATED),
        "Exchange changes of list membership with Klaviyo",
    )
    return group
