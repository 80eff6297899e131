"""Tax forms of payees."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cgk_jobs import TaskGroup, Tick
from cgk_jobs.examples.commerce import creator_mails
from cgk_jobs.examples.commerce.days import day_span
from cgk_jobs.examples.commerce.policies import STANDARD

if TYPE_CHECKING:
    from cgk_jobs.examples.commerce.application import Commerce

__all__ = ["tasks"]

REPORTABLE_CENTS = 60_000
"""US dollars in cents that were paid to somebody in a year before the tax office wants a form."""


def tasks(app: Commerce) -> TaskGroup:
    """The tasks of this category."""
    group = TaskGroup()

    @group.cron("0 9 * * 1", tenants="each", id="w9-compliance-reminders", retry=STANDARD, tags=("compliance",))
    async def w9_reminders(tick: Tick) -> int:
        """Ask US payees who were paid 600 dollars or more this year for their tax form, each once a week."""
        today = tick.scheduled_at.date()
        new_year, _ = day_span(today.replace(month=1, day=1))
        with app.shops.current() as db:
            return creator_mails.remind_of_tax_forms(
                db, app.now(), week=today.isoformat(), since=new_year, threshold_cents=REPORTABLE_CENTS
            )

    return group
