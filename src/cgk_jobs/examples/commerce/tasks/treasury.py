"""The treasury: refills, draws that a person approves, and warnings before the money is gone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cgk_jobs import Context, Retry, TaskGroup, Tick
from cgk_jobs.events.catalogue.treasury import (
    TreasuryApproval,
    TreasuryEmailReceived,
    TreasuryLowBalance,
    TreasuryTopupSucceeded,
)
from cgk_jobs.examples.commerce import treasury
from cgk_jobs.examples.commerce.policies import AFTER_10_SECONDS, AFTER_A_MINUTE, DEFAULT, FROM_5_SECONDS

if TYPE_CHECKING:
    from cgk_jobs.examples.commerce.application import Commerce

__all__ = ["tasks"]

TAGS = ("treasury",)
POLLING = Retry(max_attempts=3, initial=30)


def tasks(app: Commerce) -> TaskGroup:
    """The tasks of this category."""
    group = TaskGroup()
    _draws(group, app)
    _balance(group, app)
    return group


def _draws(group: TaskGroup, app: Commerce) -> None:
    @group.task(on=TreasuryApproval, id="treasury-send-approval-email", retry=FROM_5_SECONDS, tags=TAGS)
    async def send_approval_email(event: TreasuryApproval, ctx: Context) -> bool:
        """Ask the treasurer to approve a draw request; false if it is decided or there is nobody to ask."""
        with app.shops.current() as db:
            waits = db.execute(
                "SELECT 1 FROM draw_requests WHERE request_id = ? AND state = 'requested'", (event.request_id,)
            ).fetchone()
            recipient = treasury.treasurer(db)
        if waits is None or not recipient:
            return False
        key = f"draw-approval:{event.request_id}"
        await app.mailer.mail(ctx.tenant_id, key, recipient, "draw-approval", event.request_id)
        return True

    @group.task(on=TreasuryEmailReceived, id="treasury-process-inbound-email", retry=DEFAULT, tags=TAGS)
    async def process_inbound_email(event: TreasuryEmailReceived, ctx: Context) -> str:
        """Take the treasurer's mailed decision; what anybody else writes is ignored."""
        answer = treasury.read_answer(event.subject or "", event.body)
        with app.shops.current() as db:
            expected = treasury.treasurer(db)
            if not expected or event.sender.strip().casefold() != expected.casefold():
                ctx.log.warning("a mail about draws came from somebody else than the treasurer")
                return "ignored"
            if answer is None:
                return "not understood"
            state, request_id = answer
            return treasury.decide(db, request_id, state)

    @group.cron("0 */4 * * *", tenants="each", id="treasury-auto-send-approved", retry=AFTER_10_SECONDS, tags=TAGS)
    async def auto_send_approved(tick: Tick) -> int:
        """Transfer the money of approved draw requests."""
        return await treasury.send_approved(app)


def _balance(group: TaskGroup, app: Commerce) -> None:
    @group.cron("*/15 * * * *", tenants="each", id="treasury-sync-topup-statuses", retry=POLLING, tags=TAGS)
    async def sync_topup_statuses(tick: Tick, ctx: Context) -> int:
        """Ask how the refills under way ended and announce those that arrived; says how many ended."""
        with app.shops.current() as db:
            pending = treasury.pending_topups(db)
        ended = 0
        for topup_id, amount_cents, currency in pending:
            state = await app.payments.transfer_state(ctx.tenant_id, f"topup:{topup_id}")
            ended += state != "pending"
            if state == "paid":
                await ctx.send(
                    TreasuryTopupSucceeded(
                        tenant_id=ctx.tenant_id, topup_id=topup_id, amount_cents=amount_cents, currency=currency
                    ),
                    key=f"topup:{topup_id}",
                )
            elif state == "failed":
                with app.shops.current() as db:
                    db.execute("UPDATE topups SET state = 'failed' WHERE topup_id = ?", (topup_id,))
        return ended

    @group.cron(
        "0 9,17 * * *",
        timezone="America/New_York",
        tenants="each",
        id="treasury-low-balance-alert",
        retry=AFTER_A_MINUTE,
        tags=TAGS,
    )
    async def low_balance_alert(tick: Tick, ctx: Context) -> int:
        """Announce every account that is below its threshold and warn the treasurer; says how many there are."""
        with app.shops.current() as db:
            low = db.execute(
                "SELECT account, balance_cents, threshold_cents, currency FROM accounts"
                " WHERE balance_cents < threshold_cents ORDER BY account"
            ).fetchall()
            recipient = treasury.treasurer(db) if low else ""
        for account, balance_cents, threshold_cents, currency in low:
            key = f"low-balance:{account}:{tick.scheduled_at.isoformat()}"
            await ctx.send(
                TreasuryLowBalance(
                    tenant_id=ctx.tenant_id,
                    balance_cents=balance_cents,
                    threshold_cents=threshold_cents,
                    currency=currency,
                ),
                # With the balance: it may have changed before another attempt.
                key=f"{key}:{balance_cents}",
            )
            if recipient:
                await app.mailer.mail(ctx.tenant_id, key, recipient, "low-balance", account)
        return len(low)
