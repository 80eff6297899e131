"""Mails, texts and messages about creators."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from cgk_jobs import Context, Rate, TaskGroup, Tick
from cgk_jobs.clock import to_micros
from cgk_jobs.events.catalogue.creators import (
    CreatorApprovalReminders,
    CreatorBulkSendStarted,
    CreatorReminder,
    CreatorSetupCompleted,
    CreatorSlackNotification,
    CreatorWelcomeCallReminders,
)
from cgk_jobs.examples.commerce import applications, bulk_sends, creator_mails, outbox
from cgk_jobs.examples.commerce.creator_payloads import CreatorMail, OneCreator, PaymentMail, ProjectMail
from cgk_jobs.examples.commerce.policies import DEFAULT, STANDARD, VENDOR_BATCH

if TYPE_CHECKING:
    from cgk_jobs.examples.commerce.application import Commerce

__all__ = ["tasks"]

TAGS = ("creator-communications",)
BULK_PIECE = 100
"""Mails of a bulk send that leave in a minute."""


def tasks(app: Commerce) -> TaskGroup:
    """The tasks of this category."""
    group = TaskGroup()
    _queue(group, app)
    _planning(group, app)
    _reminders(group, app)
    _announcements(group, app)
    return group


def _queue(group: TaskGroup, app: Commerce) -> None:
    @group.cron("*/5 * * * *", tenants="each", id="process-creator-email-queue", retry=STANDARD, tags=TAGS)
    async def process_queue(tick: Tick) -> int:
        """Send up to twenty mails that are due."""
        return await outbox.send_due_mails(app, creator_mails.KIND, creator_mails.BATCH_SIZE)

    @group.cron("30 * * * *", tenants="each", id="retry-failed-creator-emails", retry=STANDARD, tags=TAGS)
    async def retry_failed(tick: Tick) -> int:
        """Make mails that failed due again, until each was tried five times."""
        with app.shops.current() as db:
            return outbox.release_failed(db, creator_mails.KIND, app.now())

    @group.task(id="cancel-creator-pending-emails", retry=STANDARD, tags=TAGS)
    async def cancel_pending(creator: OneCreator) -> int:
        """Withdraw a creator's mails that have not left. The rows stay, as a record of what was planned."""
        with app.shops.current() as db:
            return outbox.cancel_mails(db, creator_mails.KIND, creator.creator_id)


def _planning(group: TaskGroup, app: Commerce) -> None:
    def moment(wish: datetime | None) -> int:
        return app.now() if wish is None else to_micros(wish)

    @group.task(id="schedule-creator-welcome-sequence", retry=STANDARD, tags=TAGS)
    async def schedule_welcome(creator: OneCreator) -> int:
        """Plan the four parts of the welcome series; those planned before keep their day."""
        with app.shops.current() as db:
            return creator_mails.plan_welcome(db, creator.creator_id, app.now())

    @group.task(id="queue-creator-email", retry=STANDARD, tags=TAGS)
    async def queue_mail(mail: CreatorMail) -> bool:
        """Plan one mail to a creator."""
        with app.shops.current() as db:
            return creator_mails.queue_for_creator(
                db, f"message:{mail.message_id}", mail.creator_id, mail.template, moment(mail.send_at)
            )

    @group.task(id="queue-project-email", retry=STANDARD, tags=TAGS)
    async def queue_project_mail(mail: ProjectMail) -> bool:
        """Plan a mail about a project."""
        with app.shops.current() as db:
            return creator_mails.queue_for_project(db, mail.project_id, mail.template, moment(mail.send_at))

    @group.task(id="queue-payment-email", retry=STANDARD, tags=TAGS)
    async def queue_payment_mail(mail: PaymentMail) -> bool:
        """Plan a mail about money."""
        with app.shops.current() as db:
            return creator_mails.queue_for_payout(db, mail.payout_id, mail.template, app.now())

    @group.task(on=CreatorSetupCompleted, id="on-creator-setup-complete", retry=STANDARD, tags=TAGS)
    async def on_setup_complete(event: CreatorSetupCompleted) -> int:
        """Note that the account is ready and withdraw what nags about it; says how many mails that were."""
        with app.shops.current() as db:
            db.execute("UPDATE creators SET set_up = 1 WHERE creator_id = ?", (event.creator_id,))
            return creator_mails.stop_setup_reminders(db, event.creator_id)


def _reminders(group: TaskGroup, app: Commerce) -> None:
    @group.cron("0 9 * * *", tenants="each", id="check-approval-reminders", retry=VENDOR_BATCH, tags=TAGS)
    async def approval_reminders(tick: Tick) -> int:
        """Remind accepted creators who never logged in."""
        with app.shops.current() as db:
            return creator_mails.remind_never_logged_in(db, app.now())

    @group.task(on=CreatorApprovalReminders, id="check-approval-reminders-on-request", retry=VENDOR_BATCH, tags=TAGS)
    async def approval_reminders_on_request(event: CreatorApprovalReminders) -> int:
        """As by its schedule."""
        with app.shops.current() as db:
            return creator_mails.remind_never_logged_in(db, app.now())

    @group.cron("0 10 * * *", tenants="each", id="creator-product-delivery-reminders", retry=VENDOR_BATCH, tags=TAGS)
    async def delivery_reminders(tick: Tick) -> int:
        """Nudge creators whose product arrived five days ago."""
        with app.shops.current() as db:
            return creator_mails.remind_after_delivery(db, app.now())

    @group.cron("0 9 * * *", tenants="each", id="creator-deadline-reminders", retry=VENDOR_BATCH, tags=TAGS)
    async def deadline_reminders(tick: Tick) -> int:
        """Warn three days and one day before a deadline."""
        with app.shops.current() as db:
            return creator_mails.remind_of_deadlines(db, app.now(), tick.scheduled_at.astimezone(UTC).date())

    @group.cron("0 14 * * *", tenants="each", id="creator-no-response-reminders", retry=VENDOR_BATCH, tags=TAGS)
    async def no_response_reminders(tick: Tick) -> int:
        """Chase creators who have not answered for two days."""
        with app.shops.current() as db:
            return creator_mails.remind_silent(db, app.now())

    @group.cron(
        "15 * * * *", tenants="each", id="creator-abandoned-application-reminders", retry=VENDOR_BATCH, tags=TAGS
    )
    async def abandoned_applications(tick: Tick) -> dict[str, int]:
        """Win unfinished applications back: a text where there is consent and it is day, later a mail."""
        texts, mails = await applications.win_back(app)
        return {"texts": texts, "mails": mails}

    @group.task(on=CreatorReminder, id="send-creator-reminder", retry=STANDARD, tags=TAGS)
    async def send_reminder(event: CreatorReminder, ctx: Context) -> bool:
        """Send the reminder that a person of the team chose, at once; false if it did not leave."""
        mail_id = f"by-hand:{ctx.run_id}"
        with app.shops.current() as db:
            creator_mails.queue_for_creator(db, mail_id, event.creator_id, f"reminder-{event.reminder_type}", app.now())
        return await outbox.send_mail(app, mail_id)

    @group.cron("0 10 * * *", tenants="each", id="check-creator-welcome-call-reminders", retry=DEFAULT, tags=TAGS)
    async def welcome_call_reminders(tick: Tick) -> int:
        """Invite creators whose account is ready to book their introductory call."""
        with app.shops.current() as db:
            return creator_mails.remind_of_welcome_call(db, app.now())

    @group.task(
        on=CreatorWelcomeCallReminders,
        id="check-creator-welcome-call-reminders-on-request",
        retry=DEFAULT,
        tags=TAGS,
    )
    async def welcome_call_reminders_on_request(event: CreatorWelcomeCallReminders) -> int:
        """As by its schedule."""
        with app.shops.current() as db:
            return creator_mails.remind_of_welcome_call(db, app.now())


def _announcements(group: TaskGroup, app: Commerce) -> None:
    @group.task(on=CreatorSlackNotification, id="send-creator-slack-notification", retry=DEFAULT, tags=TAGS)
    async def slack_notification(event: CreatorSlackNotification, ctx: Context) -> None:
        """Tell the team about a creator's milestone; each event once, whatever its run goes through."""
        what = event.notification_type.replace("_", " ")
        await app.chat.post(ctx.tenant_id, ctx.idempotency_key("post"), "#creators", f"{event.creator_name}: {what}")

    @group.task(
        on=CreatorBulkSendStarted,
        id="process-creator-bulk-send",
        retry=DEFAULT,
        rate=Rate(100, seconds=60, per="tenant"),
        tags=TAGS,
    )
    async def bulk_send(event: CreatorBulkSendStarted, ctx: Context) -> int:
        """Mail a list of recipients, a hundred a minute; says how many were reached.

        The rate holds the starts of several bulk sends, the pauses between the pieces hold the mails of one.
        """
        return await bulk_sends.send_in_pieces(app, ctx, "creator", event.bulk_send_id, BULK_PIECE)
