"""Carts that were left: found, reminded of, closed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cgk_jobs import Event, TaskGroup, Tick
from cgk_jobs.events.catalogue.recovery import (
    RecoveryCheckAbandoned,
    RecoveryEmailScheduled,
    RecoveryExpireOld,
    RecoveryProcessQueue,
)
from cgk_jobs.examples.commerce import carts
from cgk_jobs.examples.commerce.policies import DEFAULT
from cgk_jobs.examples.commerce.vendor_failures import for_each

if TYPE_CHECKING:
    from cgk_jobs.examples.commerce.application import Commerce

__all__ = ["tasks"]

TAGS = ("recovery",)


class LeftCart(Event):
    """A cart to remind its owner of."""

    checkout_id: str


def tasks(app: Commerce) -> TaskGroup:
    """The tasks of this category."""
    group = TaskGroup()
    _reminders(group, app)
    _carts(group, app)
    return group


def _reminders(group: TaskGroup, app: Commerce) -> None:
    async def send_due(most: int) -> int:
        with app.shops.current() as db:
            due = carts.due_reminders(db, app.now(), most)
        return await for_each(due, lambda reminder: carts.remind(app, *reminder))

    @group.task(on=RecoveryEmailScheduled, id="recovery-process-email", retry=DEFAULT, tags=TAGS)
    async def process_email(event: RecoveryEmailScheduled) -> bool:
        """Send one reminder if the cart is still open, and plan the next."""
        return await carts.remind(app, event.checkout_id, event.sequence_number)

    @group.cron("*/5 * * * *", tenants="each", id="recovery-process-queue", retry=DEFAULT, tags=TAGS)
    async def process_queue(tick: Tick) -> int:
        """Send the reminders that are due and plan the next of each; says how many left."""
        return await send_due(carts.BATCH_SIZE)

    @group.task(on=RecoveryProcessQueue, id="recovery-process-queue-on-request", retry=DEFAULT, tags=TAGS)
    async def process_queue_on_request(event: RecoveryProcessQueue) -> int:
        """Send up to ``limit`` reminders that are due."""
        return await send_due(carts.BATCH_SIZE if event.limit is None else event.limit)

    @group.task(id="schedule-recovery-emails", retry=DEFAULT, tags=TAGS)
    async def schedule_emails(cart: LeftCart) -> bool:
        """Begin the reminders of a cart: plan the first, which plans the next when it leaves."""
        with app.shops.current() as db:
            return carts.plan(db, cart.checkout_id, 1, app.now())


def _carts(group: TaskGroup, app: Commerce) -> None:
    @group.cron("*/5 * * * *", tenants="each", id="recovery-check-abandoned", retry=DEFAULT, tags=TAGS)
    async def check_abandoned(tick: Tick) -> int:
        """Mark the carts left for an hour and plan their first reminder; says how many."""
        with app.shops.current() as db:
            return carts.abandon_idle(db, app.now())

    @group.task(on=RecoveryCheckAbandoned, id="recovery-check-abandoned-on-request", retry=DEFAULT, tags=TAGS)
    async def check_abandoned_on_request(event: RecoveryCheckAbandoned) -> int:
        """As the schedule does, now."""
        with app.shops.current() as db:
            return carts.abandon_idle(db, app.now())

    @group.cron("0 2 * * *", tenants="each", id="recovery-expire-old", retry=DEFAULT, tags=TAGS)
    async def expire_old(tick: Tick) -> int:
        """Close the carts untouched for thirty days; says how many."""
        with app.shops.current() as db:
            return carts.expire(db, app.now(), carts.EXPIRE_DAYS)

    @group.task(on=RecoveryExpireOld, id="recovery-expire-old-on-request", retry=DEFAULT, tags=TAGS)
    async def expire_old_on_request(event: RecoveryExpireOld) -> int:
        """Close the carts untouched for ``days_old`` days."""
        with app.shops.current() as db:
            return carts.expire(db, app.now(), carts.EXPIRE_DAYS if event.days_old is None else event.days_old)
