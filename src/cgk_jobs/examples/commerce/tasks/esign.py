"""Documents to sign: reminders, expiry, bulk sends and callbacks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cgk_jobs import Context, Rate, Retry, TaskGroup, Tick
from cgk_jobs.events.catalogue.esign import EsignBulkSendStarted, EsignDocumentChanged
from cgk_jobs.examples.commerce import bulk_sends, outbox, signing
from cgk_jobs.examples.commerce.chosen_times import CHOSEN_TIMES
from cgk_jobs.examples.commerce.policies import ONCE, STANDARD
from cgk_jobs.examples.commerce.webhooks_out import SIGN_CALLBACKS

if TYPE_CHECKING:
    from cgk_jobs.examples.commerce.application import Commerce

__all__ = ["tasks"]

TAGS = ("esign",)
BULK_PIECE = 10
"""Documents of a bulk send that leave in a minute."""
MOST_REMINDERS = 100


def tasks(app: Commerce) -> TaskGroup:
    """The tasks of this category."""
    group = TaskGroup()
    _signers(group, app)
    _bulk(group, app)
    _callbacks(group, app)
    return group


def _signers(group: TaskGroup, app: Commerce) -> None:
    @group.cron("0 9,15 * * *", tenants="each", id="esign-reminders", retry=STANDARD, tags=TAGS)
    async def reminders(tick: Tick) -> int:
        """Remind signers of open documents; says how many mails left. What the vendor refused leaves next time."""
        with app.shops.current() as db:
            signing.remind(db, app.now())
            outbox.release_failed(db, signing.KIND, app.now())
        return await outbox.send_due_mails(app, signing.KIND, MOST_REMINDERS)

    @group.cron("0 8 * * 1", tenants="each", id="esign-expiry-check", retry=STANDARD, tags=TAGS)
    async def expiry_check(tick: Tick, ctx: Context) -> int:
        """Tell the team which documents expire within the week."""
        with app.shops.current() as db:
            expiring = signing.expiring(db, app.now())
        if expiring:
            key = f"sign-expiring:{tick.scheduled_at.date()}"
            await app.chat.post(ctx.tenant_id, key, "#contracts", "\n".join(title for _, title in expiring))
        return len(expiring)

    @group.cron("0 * * * *", tenants="each", id="esign-expired-check", retry=ONCE, tags=TAGS)
    async def expired_check(tick: Tick) -> int:
        """Close documents whose time is over, and withdraw their reminders."""
        with app.shops.current() as db:
            return len(signing.expire(db, app.now()))


def _bulk(group: TaskGroup, app: Commerce) -> None:
    @group.task(
        on=EsignBulkSendStarted,
        id="esign-bulk-send-process",
        retry=Retry(max_attempts=3),
        rate=Rate(10, seconds=60, per="tenant"),
        tags=TAGS,
    )
    async def bulk_send(event: EsignBulkSendStarted, ctx: Context) -> int:
        """Send a document to a list of signers, ten a minute; says how many were reached."""
        return await bulk_sends.send_in_pieces(app, ctx, "esign", event.bulk_send_id, BULK_PIECE)

    @group.cron("* * * * *", tenants="each", id="esign-bulk-send-scheduled", retry=ONCE, tags=TAGS)
    async def bulk_send_scheduled(tick: Tick, ctx: Context) -> int:
        """Start the bulk sends whose time has come.

        The event's key makes it one start; the run that follows takes the send out of the schedule.
        """
        due = bulk_sends.due(app, "esign")
        for bulk_send_id in due:
            await ctx.send(
                EsignBulkSendStarted(tenant_id=ctx.tenant_id, bulk_send_id=bulk_send_id),
                key=f"bulk-send:{bulk_send_id}",
            )
        return len(due)


def _callbacks(group: TaskGroup, app: Commerce) -> None:
    @group.task(on=EsignDocumentChanged, id="esign-webhook-send", retry=ONCE, tags=TAGS)
    async def webhook_send(event: EsignDocumentChanged, ctx: Context) -> dict[str, int]:
        """Tell subscribers what happened to a document. Who does not answer is told again by the retry task."""
        body = event.model_dump(mode="json", exclude={"tenant_id"}, exclude_none=True)
        with app.shops.current() as db:
            # The run names the message: the same event in another run is another message.
            SIGN_CALLBACKS.fan_out(db, f"document.{event.change}", ctx.run_id, body, app.now())
        return await SIGN_CALLBACKS.deliver_due(app)

    @group.cron(CHOSEN_TIMES["esign-webhook-retry"], tenants="each", id="esign-webhook-retry", retry=ONCE, tags=TAGS)
    async def webhook_retry(tick: Tick) -> dict[str, int]:
        """Deliver again what is due, five times at most."""
        return await SIGN_CALLBACKS.deliver_due(app)
