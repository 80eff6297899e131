"""Subscriptions: charging them, announcing renewals, counting them."""

from __future__ import annotations

import datetime as dt
from datetime import UTC, timedelta
from typing import TYPE_CHECKING

from cgk_jobs import Event, Limit, TaskGroup, Tick
from cgk_jobs.events.catalogue.subscriptions import SubscriptionBilling
from cgk_jobs.examples.commerce import billing
from cgk_jobs.examples.commerce.days import closed_days
from cgk_jobs.examples.commerce.policies import BILLING, SHORT
from cgk_jobs.examples.commerce.simulation import simulated
from cgk_jobs.examples.commerce.vendor_failures import for_each

if TYPE_CHECKING:
    from cgk_jobs.examples.commerce.application import Commerce

__all__ = ["tasks"]

TAGS = ("subscriptions",)
ONE_AT_A_TIME = Limit(1, per="tenant", shared="billing")
"""Of all billing tasks together: two that meet would both find a period due."""
AN_HOUR = 3600
REMIND_DAYS = 3


class OneSubscription(Event):
    """A subscription to charge."""

    subscription_id: str


class SubscriptionIds(Event):
    """Subscriptions to charge."""

    subscription_ids: list[str]


class BillingDay(Event):
    """A day whose billing was missed."""

    day: dt.date


def tasks(app: Commerce) -> TaskGroup:
    """The tasks of this category."""
    group = TaskGroup()
    _scheduled_billing(group, app)
    _billing_on_demand(group, app)
    _renewals(group, app)
    return group


def _scheduled_billing(group: TaskGroup, app: Commerce) -> None:
    @group.cron(
        "0 6 * * *",
        tenants="each",
        id="subscription-daily-billing",
        retry=BILLING,
        timeout=AN_HOUR,
        concurrency=ONE_AT_A_TIME,
        tags=TAGS,
    )
    async def daily_billing(tick: Tick) -> dict[str, int]:
        """Charge every subscription that is due."""
        day = tick.scheduled_at.astimezone(UTC).date()
        with app.shops.current() as db:
            due = billing.due_by(db, day)
        return vars(await billing.bill(app, due, day))

    @group.task(
        on=SubscriptionBilling,
        id="subscription-daily-billing-on-request",
        retry=BILLING,
        timeout=AN_HOUR,
        concurrency=ONE_AT_A_TIME,
        tags=TAGS,
    )
    async def daily_billing_on_request(event: SubscriptionBilling) -> dict[str, int]:
        """Charge one subscription, or every one that is due at a date; today if none is given."""
        day = app.today() if event.billing_date is None else event.billing_date.astimezone(UTC).date()
        with app.shops.current() as db:
            due = billing.due_by(db, day) if event.subscription_id is None else [event.subscription_id]
        return vars(await billing.bill(app, due, day))

    @group.cron(
        "0 */4 * * *",
        tenants="each",
        id="subscription-retry-failed-billing",
        retry=SHORT,
        concurrency=ONE_AT_A_TIME,
        tags=TAGS,
    )
    async def retry_failed_billing(tick: Tick) -> dict[str, int]:
        """Charge the declined ones again: the customer may have given another card by now."""
        day = tick.scheduled_at.astimezone(UTC).date()
        with app.shops.current() as db:
            due = billing.past_due(db, day)
        return vars(await billing.bill(app, due, day))


def _billing_on_demand(group: TaskGroup, app: Commerce) -> None:
    @group.task(id="subscription-process-billing", retry=BILLING, concurrency=ONE_AT_A_TIME, tags=TAGS)
    async def process_billing(wanted: OneSubscription) -> dict[str, int]:
        """Charge one subscription, if it is due."""
        return vars(await billing.bill(app, [wanted.subscription_id], app.today()))

    @group.task(id="subscription-batch-billing", retry=BILLING, concurrency=ONE_AT_A_TIME, tags=TAGS)
    async def batch_billing(wanted: SubscriptionIds) -> dict[str, int]:
        """Charge those of a list that are due."""
        return vars(await billing.bill(app, wanted.subscription_ids, app.today()))

    @group.task(id="subscription-catchup-billing", retry=BILLING, concurrency=ONE_AT_A_TIME, tags=TAGS)
    async def catchup_billing(missed: BillingDay) -> dict[str, int]:
        """Charge what was due by a day and was missed."""
        with app.shops.current() as db:
            due = billing.due_by(db, missed.day)
        return vars(await billing.bill(app, due, missed.day))


def _renewals(group: TaskGroup, app: Commerce) -> None:
    @group.cron("0 8 * * *", tenants="each", id="subscription-analytics-snapshot", retry=SHORT, tags=TAGS)
    async def analytics_snapshot(tick: Tick) -> None:
        """Write down recurring revenue and churn of the day."""
        with app.shops.current() as db:
            billing.count_day(db, tick.scheduled_at.astimezone(UTC).date())

    @group.cron("0 10 * * *", tenants="each", id="subscription-upcoming-reminder", retry=SHORT, tags=TAGS)
    async def upcoming_reminder(tick: Tick) -> int:
        """Announce renewals three days ahead, those of missed ticks too; says how many."""

        async def announce(renewal: tuple[str, str, str]) -> int:
            subscription_id, email, renews_on = renewal
            key = f"renewal:{subscription_id}:{renews_on}"
            await app.mailer.mail(tick.tenant_id, key, email, "renewal-announcement", renews_on)
            return 1

        # A tick stands for the day after the one that closed.
        days = [day + timedelta(days=1 + REMIND_DAYS) for day in closed_days(tick)]
        with app.shops.current() as db:
            renewing = [renewal for day in days for renewal in billing.renewing_on(db, day)]
        return await for_each(renewing, announce)

    simulated(
        group.cron(
            "0 7 * * *",
            tenants="each",
            id="subscription-shadow-validation",
            retry=SHORT,
            tags=("subscriptions", "simulated"),
        ),
        "Compare the billing results with those of the legacy system",
    )
