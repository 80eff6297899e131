"""Mails that ask for a review, and what becomes of the reviews."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from cgk_jobs import Context, Event, Rate, TaskGroup, Tick, WaitTimeout
from cgk_jobs.clock import from_micros
from cgk_jobs.events.catalogue.commerce import OrderFulfilled
from cgk_jobs.events.catalogue.reviews import ReviewEmailQueued, ReviewEmailSent, ReviewModerated
from cgk_jobs.examples.commerce import review_mails
from cgk_jobs.examples.commerce.outbox import deliver_mail, due_mails, queue_mail, release_failed
from cgk_jobs.examples.commerce.payloads import WholeShop
from cgk_jobs.examples.commerce.people import customer_of_order
from cgk_jobs.examples.commerce.policies import AFTER_5_SECONDS, REVIEW_MAIL_RATES, SWIFT
from cgk_jobs.tasks.task import Task

if TYPE_CHECKING:
    from cgk_jobs.examples.commerce.application import Commerce

__all__ = ["QueuedMail", "tasks"]

TAGS = ("reviews",)
FOLLOW_UP_AFTER = timedelta(days=7)
PER_TENANT = Rate(10, seconds=1, per="tenant")


class QueuedMail(Event):
    """One mail of the review queue."""

    review_email_id: str


class ShippedOrder(Event):
    """An order whose customer was asked for a review."""

    order_id: str


def tasks(app: Commerce) -> TaskGroup:
    """The tasks of this category."""
    group = TaskGroup()
    send_queued = _sending(group, app)
    _queue(group, app, send_queued)
    _reviews(group, app)
    return group


def _sending(group: TaskGroup, app: Commerce) -> Task[QueuedMail]:
    @group.task(id="send-queued-review-email", retry=SWIFT, rate=REVIEW_MAIL_RATES, tags=TAGS)
    async def send_queued(queued: QueuedMail, ctx: Context) -> bool:
        """Send one queued mail, unless the review is there by now; says whether it left.

        Every review mail leaves through this task, so its rates are the pace at which the vendor is called.
        """
        with app.shops.current() as db:
            row = db.execute(
                "SELECT reference, state FROM mails WHERE mail_id = ?", (queued.review_email_id,)
            ).fetchone()
            if row is None or (row[1] != "sent" and review_mails.withdraw_if_settled(db, row[0])):
                return False
        left = await deliver_mail(app, queued.review_email_id) or row[1] == "sent"
        if left:
            # Announced also if an earlier attempt sent the mail and got no further.
            await ctx.send(
                ReviewEmailSent(tenant_id=ctx.tenant_id, review_email_id=queued.review_email_id),
                key=f"review-mail-sent:{queued.review_email_id}",
            )
        return left

    return send_queued


def _queue(group: TaskGroup, app: Commerce, send_queued: Task[QueuedMail]) -> None:
    async def hand_on(tenant_id: str, due: list[tuple[str, int]]) -> int:
        # The attempts in the key: a mail that waits for its turn is not handed on twice, one that failed is.
        for mail_id, attempts in due:
            await send_queued.send(
                QueuedMail(tenant_id=tenant_id, review_email_id=mail_id), key=f"review-mail:{mail_id}:{attempts}"
            )
        return len(due)

    @group.cron(
        "*/5 * * * *",
        tenants="each",
        id="review-email-queue-processor",
        retry=AFTER_5_SECONDS,
        rate=PER_TENANT,
        tags=TAGS,
    )
    async def process_queue(tick: Tick) -> int:
        """Hand on up to fifty mails that are due, each to a run of its own that keeps the vendor's pace."""
        with app.shops.current() as db:
            due = due_mails(db, review_mails.QUEUED, app.now(), review_mails.BATCH_SIZE)
        return await hand_on(tick.tenant_id, due)

    @group.cron(
        "*/15 * * * *",
        tenants="each",
        id="review-email-retry-failed",
        retry=AFTER_5_SECONDS,
        rate=PER_TENANT,
        tags=TAGS,
    )
    async def retry_failed(tick: Tick) -> int:
        """Send failed mails again, each five times at most."""
        with app.shops.current() as db:
            if not release_failed(db, review_mails.QUEUED, app.now()):
                return 0
            due = due_mails(db, review_mails.QUEUED, app.now(), review_mails.BATCH_SIZE)
        return await hand_on(tick.tenant_id, due)

    @group.cron(
        "0 12 * * *", tenants="each", id="review-email-awaiting-delivery-fallback", retry=AFTER_5_SECONDS, tags=TAGS
    )
    async def awaiting_delivery_fallback(tick: Tick) -> int:
        """Release the mails that waited a week for a shipment nobody reported."""
        with app.shops.current() as db:
            return review_mails.release_stuck(db, app.now())

    @group.task(on=ReviewEmailQueued, id="commerce-handle-review-email-queued", retry=SWIFT, tags=TAGS)
    async def handle_queued(event: ReviewEmailQueued, ctx: Context) -> bool:
        """Enter the mail in the queue, wait for its order's shipment, and hand it on if it is due; says whether it was.

        The run sleeps until the shipment is reported, a week at most: then the customer will have the parcel.
        """
        state = await ctx.step("enqueue", review_mails.enqueue, app, event)
        if state == "awaiting":
            try:
                await ctx.wait_for(OrderFulfilled, "order_id", timeout=timedelta(days=review_mails.STUCK_DAYS))
            except WaitTimeout:
                ctx.log.info("nobody reported the shipment of order %s", event.order_id)
            state = await ctx.step("release", review_mails.release, app, event.review_email_id)
        return state == "due" and await hand_on(event.tenant_id, [(event.review_email_id, 0)]) == 1

    @group.task(id="commerce-schedule-follow-up", retry=SWIFT, tags=TAGS)
    async def schedule_follow_up(order: ShippedOrder) -> bool:
        """Plan the second request a week from now; false if it was planned before or there is nobody to write to."""
        with app.shops.current() as db:
            customer = customer_of_order(db, order.order_id)
            return customer is not None and queue_mail(
                db,
                review_mails.mail_id_of(order.order_id, 2),
                review_mails.QUEUED,
                customer[1],
                "review-reminder",
                order.order_id,
                app.now() + round(FOLLOW_UP_AFTER.total_seconds() * 1e6),
            )


def _reviews(group: TaskGroup, app: Commerce) -> None:
    @group.task(on=ReviewEmailSent, id="commerce-handle-review-email-sent", retry=SWIFT, tags=TAGS)
    async def handle_sent(event: ReviewEmailSent) -> None:
        """Count the day of the mail anew."""
        with app.shops.current() as db:
            row = db.execute("SELECT sent_at FROM mails WHERE mail_id = ?", (event.review_email_id,)).fetchone()
            if row is not None and row[0] is not None:
                review_mails.count_day(db, from_micros(row[0]).date())

    @group.task(on=ReviewModerated, id="commerce-handle-review-moderated", retry=SWIFT, tags=TAGS)
    async def handle_moderated(event: ReviewModerated, ctx: Context) -> bool:
        """Tell the reviewer what was decided; never where it was spam."""
        if event.action == "spam":
            return False
        key = f"review-moderated:{event.review_id}:{event.action}"
        template = "review-approved" if event.action == "approve" else "review-rejected"
        await app.mailer.mail(ctx.tenant_id, key, event.reviewer_email, template, event.review_id)
        return True

    @group.task(id="commerce-review-email-stats", retry=AFTER_5_SECONDS, tags=TAGS)
    async def review_email_stats(request: WholeShop) -> dict[str, int]:
        """How many mails were sent, failed and were withdrawn, and how many led to a review."""
        with app.shops.current() as db:
            return review_mails.rates(db)
