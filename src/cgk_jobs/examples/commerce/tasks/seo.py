"""The web site in search engines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cgk_jobs import TaskGroup, Tick
from cgk_jobs.examples.commerce.chosen_times import CHOSEN_TIMES
from cgk_jobs.examples.commerce.days import DAY
from cgk_jobs.examples.commerce.policies import DEFAULT
from cgk_jobs.examples.commerce.simulation import simulated

if TYPE_CHECKING:
    from cgk_jobs.examples.commerce.application import Commerce

__all__ = ["tasks"]

TAGS = ("seo",)
UNUSED_DAYS = 365


def tasks(app: Commerce) -> TaskGroup:
    """The tasks of this category."""
    group = TaskGroup()

    @group.cron(
        CHOSEN_TIMES["seo-redirects-cleanup"], tenants="each", id="seo-redirects-cleanup", retry=DEFAULT, tags=TAGS
    )
    async def redirects_cleanup(tick: Tick) -> int:
        """Remove redirects nobody used for a year; one never used counts from the day it was made."""
        with app.shops.current() as db:
            return db.execute(
                "DELETE FROM redirects WHERE coalesce(used_at, made_at) < ?", (app.now() - UNUSED_DAYS * DAY,)
            ).rowcount

    for id, cron, purpose in (
        ("seo-keywords-sync", "0 6 * * *", "Refresh keyword positions from Search Console"),
        ("seo-audit-run", CHOSEN_TIMES["seo-audit-run"], "Audit the whole site"),
        ("seo-content-gap-refresh", CHOSEN_TIMES["seo-content-gap-refresh"], "Recompute missing content topics"),
    ):
        simulated(group.cron(cron, tenants="each", id=id, retry=DEFAULT, tags=("seo", "simulated")), purpose)
    return group
