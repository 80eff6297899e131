"""Text messages to customers."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from cgk_jobs import Context, Event, Rate, Retry, TaskGroup, Tick
from cgk_jobs.events.catalogue.notifications import SmsSend
from cgk_jobs.examples.commerce import texting
from cgk_jobs.examples.commerce.policies import AFTER_A_MINUTE, DEFAULT
from cgk_jobs.examples.commerce.vendors import VendorUnavailable

if TYPE_CHECKING:
    from cgk_jobs.examples.commerce.application import Commerce

__all__ = ["tasks"]

TAGS = ("sms",)


class BulkText(Event):
    """One message for many recipients: telephone numbers in E.164 form like ``+14155550123``."""

    recipients: list[str]
    message: str


def tasks(app: Commerce) -> TaskGroup:
    """The tasks of this category."""
    group = TaskGroup()

    @group.task(on=SmsSend, id="send-sms", retry=Retry(max_attempts=5, initial=5), tags=TAGS)
    async def send_sms(event: SmsSend, ctx: Context) -> texting.Outcome:
        """Text one recipient who consents; at night the text waits in the queue until morning."""
        with app.shops.current() as db:
            (text_id,) = texting.queue_texts(db, ctx.run_id, [event.to], event.message, app.now(), event.template_id)
        return await texting.send_text(app, text_id)

    @group.task(
        id="send-bulk-sms",
        retry=Retry(max_attempts=2, initial=30),
        rate=Rate(10, seconds=1, per="tenant"),
        tags=TAGS,
    )
    async def send_bulk_sms(bulk: BulkText, ctx: Context) -> int:
        """Queue a text for each recipient, which asks for consent when its turn comes; says how many are queued."""
        with app.shops.current() as db:
            return len(texting.queue_texts(db, ctx.run_id, bulk.recipients, bulk.message, app.now()))

    @group.cron("0 * * * *", tenants="each", id="retry-dead-letter-sms", retry=AFTER_A_MINUTE, tags=TAGS)
    async def retry_dead_letters(tick: Tick) -> int:
        """Queue failed texts again after an hour of rest; says how many."""
        with app.shops.current() as db:
            return texting.requeue_failed(db, app.now())

    @group.cron(
        "* * * * *",
        tenants="each",
        id="process-sms-queue",
        retry=DEFAULT,
        rate=Rate(1, seconds=1, per="tenant"),
        tags=TAGS,
    )
    async def process_queue(tick: Tick) -> int:
        """Send up to ten due texts, one a second and no more than the day's limit; none at night. Says how many left.

        The day's limit counts texts, not runs, so the queue keeps it and not the scheduler.
        """
        with app.shops.current() as db:
            due = texting.due_texts(db, app.now(), texting.BATCH_SIZE)
        sent = 0
        for text_id in due:
            if sent and app.seconds_between_texts:
                await asyncio.sleep(app.seconds_between_texts)
            try:
                sent += await texting.send_text(app, text_id) == "sent"
            except VendorUnavailable:
                continue  # it is failed now, and rests an hour
        return sent

    return group
