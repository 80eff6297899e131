"""Webhooks to subscribers, and those of the shop."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cgk_jobs import Context, Event, Retry, TaskGroup, Tick
from cgk_jobs.events.catalogue.webhooks import WebhookCleanup, WebhookHealthCheck, WebhookRetry
from cgk_jobs.examples.commerce import webhooks_in
from cgk_jobs.examples.commerce.alerting import hourly, raise_alert
from cgk_jobs.examples.commerce.policies import AFTER_30_SECONDS, AFTER_A_MINUTE, ONCE
from cgk_jobs.examples.commerce.simulation import simulated
from cgk_jobs.examples.commerce.webhooks_out import OUTBOUND

if TYPE_CHECKING:
    from cgk_jobs.examples.commerce.application import Commerce

__all__ = ["tasks"]

TAGS = ("webhooks",)
SIMULATED = ("webhooks", "simulated")
KEEP_DAYS = 30
DEEP = 1_000
"""Overdue deliveries from which on a queue is too deep."""
OLD_SECONDS = 3_600.0
"""How long the oldest delivery may be overdue."""
SUBSCRIPTIONS = Retry(max_attempts=2, initial=30)


class OneDelivery(Event):
    """A webhook to deliver now."""

    delivery_id: str


def tasks(app: Commerce) -> TaskGroup:
    """The tasks of this category."""
    group = TaskGroup()
    _outbound(group, app)
    _inbound(group, app)
    return group


def _outbound(group: TaskGroup, app: Commerce) -> None:
    @group.cron("*/5 * * * *", tenants="each", id="webhook-process-queue", retry=AFTER_30_SECONDS, tags=TAGS)
    async def process_queue(tick: Tick) -> dict[str, int]:
        """Deliver up to a hundred webhooks that are due; says how many ended how."""
        return await OUTBOUND.deliver_due(app)

    @group.task(id="webhook-process-single", retry=ONCE, tags=TAGS)
    async def process_single(delivery: OneDelivery) -> str:
        """Deliver one webhook now and say what came of it."""
        return await OUTBOUND.deliver(app, delivery.delivery_id)

    @group.cron("0 3 * * *", tenants="each", id="webhook-queue-cleanup", retry=AFTER_A_MINUTE, tags=TAGS)
    async def queue_cleanup(tick: Tick) -> int:
        """Delete what was delivered more than thirty days ago."""
        with app.shops.current() as db:
            return OUTBOUND.forget_delivered(db, app.now(), KEEP_DAYS)

    @group.task(on=WebhookCleanup, id="webhook-queue-cleanup-on-request", retry=AFTER_A_MINUTE, tags=TAGS)
    async def queue_cleanup_on_request(event: WebhookCleanup) -> int:
        """Delete what was delivered more than ``older_than_days`` days ago."""
        days = KEEP_DAYS if event.older_than_days is None else event.older_than_days
        with app.shops.current() as db:
            return OUTBOUND.forget_delivered(db, app.now(), days)

    @group.cron("*/15 * * * *", tenants="each", id="webhook-queue-health-check", retry=ONCE, tags=TAGS)
    async def queue_health(tick: Tick) -> bool:
        """Raise an alert, once an hour, while the queue is too deep or its oldest delivery too old."""
        with app.shops.current() as db:
            depth, seconds = OUTBOUND.backlog(db, app.now())
        if depth < DEEP and seconds < OLD_SECONDS:
            return True
        message = f"{depth} webhooks are overdue, the oldest for {seconds / 60:.0f} minutes"
        await raise_alert(app, hourly("queue", "webhooks", app.now()), "error", "Webhooks are late", message)
        return False


def _inbound(group: TaskGroup, app: Commerce) -> None:
    @group.cron("*/5 * * * *", tenants="each", id="webhooks-retry-failed", retry=ONCE, tags=TAGS)
    async def retry_failed(tick: Tick, ctx: Context) -> int:
        """Hand on up to fifty events of the shop that wait or failed; three tries each within a day."""
        return await webhooks_in.hand_on_waiting(app, ctx)

    @group.task(on=WebhookRetry, id="webhooks-retry-failed-on-request", retry=ONCE, tags=TAGS)
    async def retry_failed_on_request(event: WebhookRetry, ctx: Context) -> int:
        """Hand on one event of the shop, whatever was tried before."""
        return await webhooks_in.hand_on_waiting(app, ctx, event.webhook_event_id)

    @group.cron("0 4 * * *", tenants="each", id="webhooks-cleanup-old-events", retry=ONCE, tags=TAGS)
    async def cleanup_old_events(tick: Tick) -> int:
        """Delete events of the shop received more than thirty days ago."""
        with app.shops.current() as db:
            return webhooks_in.forget_old(db, app.now(), KEEP_DAYS)

    simulated(
        group.cron("0 * * * *", tenants="each", id="webhooks-health-check", retry=SUBSCRIPTIONS, tags=SIMULATED),
        "Register missing webhook subscriptions with the shop",
    )
    simulated(
        group.task(on=WebhookHealthCheck, id="webhooks-health-check-on-request", retry=SUBSCRIPTIONS, tags=SIMULATED),
        "Register missing webhook subscriptions with the shop",
    )
