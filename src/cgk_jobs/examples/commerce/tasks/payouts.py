"""Creators' money: payouts, the expense ledger, statements. Those about commissions are in ``commissions.py``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cgk_jobs import Context, TaskGroup, Tick
from cgk_jobs.clock import from_micros, to_micros
from cgk_jobs.events.catalogue.payouts import (
    ExpenseSync,
    PaymentAvailable,
    PayoutApproved,
    PayoutCompleted,
    PayoutFailed,
    PayoutInitiated,
    PayoutRequested,
)
from cgk_jobs.events.catalogue.treasury import TreasuryTopupSucceeded
from cgk_jobs.examples.commerce import earnings, paying, payout_approvals, treasury
from cgk_jobs.examples.commerce.days import closed_days, month_before, span
from cgk_jobs.examples.commerce.policies import DEFAULT, MONEY, STANDARD, VENDOR_BATCH
from cgk_jobs.examples.commerce.tasks.commissions import declare_commissions
from cgk_jobs.examples.commerce.vendor_failures import for_each

if TYPE_CHECKING:
    from cgk_jobs.examples.commerce.application import Commerce
    from cgk_jobs.examples.commerce.paying import Provider

__all__ = ["tasks"]

TAGS = ("payouts",)


def tasks(app: Commerce) -> TaskGroup:
    """The tasks of this category."""
    group = TaskGroup()
    _paying(group, app)
    _progress(group, app)
    _notices(group, app)
    _statements(group, app)
    declare_commissions(group, app)
    return group


def _paying(group: TaskGroup, app: Commerce) -> None:
    async def pay(event: PayoutRequested, ctx: Context, by: tuple[Provider, ...]) -> str:
        with app.shops.current() as db:
            paying.request(db, event.payout_id, event.creator_id, event.amount_cents, event.currency, app.now())
        answer = await paying.execute(app, ctx, event.payout_id, by)
        return await payout_approvals.ask(app, ctx, event.payout_id) if answer == "requested" else answer

    # A request starts both; the creator's provider decides which of them pays.

    @group.task(on=PayoutRequested, id="process-domestic-payout", retry=VENDOR_BATCH, tags=TAGS)
    async def process_domestic_payout(event: PayoutRequested, ctx: Context) -> str:
        """Pay by Stripe, or hand to a person whoever has neither Stripe nor Wise."""
        return await pay(event, ctx, ("stripe", "manual"))

    @group.task(on=PayoutRequested, id="process-international-payout", retry=VENDOR_BATCH, tags=TAGS)
    async def process_international_payout(event: PayoutRequested, ctx: Context) -> str:
        """Pay by Wise, converted into the creator's currency."""
        return await pay(event, ctx, ("wise",))

    @group.task(on=PayoutApproved, id="process-payout", retry=DEFAULT, tags=TAGS)
    async def process_payout(event: PayoutApproved, ctx: Context) -> str:
        """Choose the provider of an approved payout and pay."""
        with app.shops.current() as db:
            paying.approve(db, event.request_id)
        return await paying.execute(app, ctx, event.request_id, ("stripe", "wise", "manual"))

    @group.task(on=TreasuryTopupSucceeded, id="on-topup-succeeded", retry=STANDARD, tags=TAGS)
    async def on_topup_succeeded(event: TreasuryTopupSucceeded, ctx: Context) -> int:
        """Add the refill to the balance, and take up the approved payouts that could not be paid; says how many."""
        with app.shops.current() as db:
            treasury.enter_topup(db, event.topup_id, event.amount_cents, event.currency)
            waiting = db.execute("SELECT payout_id FROM payouts WHERE state = 'approved' ORDER BY payout_id").fetchall()
        for (payout_id,) in waiting:
            await ctx.send(
                PayoutApproved(tenant_id=event.tenant_id, request_id=payout_id),
                key=f"payout-resumed:{payout_id}:{event.topup_id}",
            )
        return len(waiting)


def _progress(group: TaskGroup, app: Commerce) -> None:
    async def check(tick: Tick, ctx: Context, provider: Provider) -> int:
        """Announce how the transfers under way ended; says how many did."""
        with app.shops.current() as db:
            sent = db.execute(
                "SELECT payout_id, transfer_id FROM payouts WHERE state = 'sent' AND provider = ? ORDER BY payout_id",
                (provider,),
            ).fetchall()
        ended = 0
        for payout_id, transfer_id in sent:
            state = await app.payments.transfer_state(ctx.tenant_id, paying.key_of(payout_id))
            if state == "pending":
                continue
            ended += 1
            # What is not settled by the next tick is announced again; the books take it once.
            key = f"payout-{state}:{payout_id}:{tick.scheduled_at.isoformat()}"
            if state == "paid":
                await ctx.send(
                    PayoutCompleted(
                        tenant_id=ctx.tenant_id,
                        payout_id=payout_id,
                        completed_at=tick.scheduled_at,
                        transaction_id=transfer_id,
                    ),
                    key=key,
                )
            else:
                reason = f"{provider} returned the transfer"
                await ctx.send(
                    PayoutFailed(tenant_id=ctx.tenant_id, payout_id=payout_id, reason=reason, retryable=False), key=key
                )
        return ended

    @group.cron("0 * * * *", tenants="each", id="check-pending-international-payouts", retry=MONEY, tags=TAGS)
    async def check_international(tick: Tick, ctx: Context) -> int:
        """Ask Wise about the transfers under way."""
        return await check(tick, ctx, "wise")

    @group.cron("30 * * * *", tenants="each", id="check-pending-domestic-payouts", retry=MONEY, tags=TAGS)
    async def check_domestic(tick: Tick, ctx: Context) -> int:
        """Ask Stripe about the transfers under way."""
        return await check(tick, ctx, "stripe")


def _notices(group: TaskGroup, app: Commerce) -> None:
    @group.task(on=PaymentAvailable, id="on-payment-available", retry=STANDARD, tags=TAGS)
    async def on_payment_available(event: PaymentAvailable, ctx: Context) -> bool:
        """Tell the creator that earnings can be withdrawn."""
        return await paying.tell(app, event.creator_id, "earnings-available", ctx.run_id)

    @group.task(on=PayoutInitiated, id="on-payout-initiated", retry=STANDARD, tags=TAGS)
    async def on_payout_initiated(event: PayoutInitiated) -> bool:
        """Tell the creator that the transfer has begun."""
        return await paying.tell(app, event.creator_id, "payout-initiated", event.payout_id)

    @group.task(on=PayoutCompleted, id="on-payout-complete", retry=STANDARD, tags=TAGS)
    async def on_payout_complete(event: PayoutCompleted) -> str:
        """Close the payout, book it as an expense and confirm it to the creator."""
        with app.shops.current() as db:
            found = paying.complete(db, event.payout_id, to_micros(event.completed_at))
        if found is None:
            return "unknown"
        creator_id, state = found
        if state == "completed":
            await paying.tell(app, creator_id, "payout-completed", event.payout_id)
        return state

    @group.task(on=PayoutFailed, id="on-payout-failed", retry=STANDARD, tags=TAGS)
    async def on_payout_failed(event: PayoutFailed, ctx: Context) -> bool:
        """Give the money back to the balance, log why, and explain it to the creator."""
        with app.shops.current() as db:
            creator_id = paying.undo(db, event.payout_id, app.now())
        if creator_id is None:
            return False
        ctx.log.warning("payout %s failed: %s", event.payout_id, event.reason)
        return await paying.tell(app, creator_id, "payout-failed", event.payout_id)


def _statements(group: TaskGroup, app: Commerce) -> None:
    @group.cron(
        "0 9 1 * *", timezone="America/New_York", tenants="each", id="monthly-payment-summary", retry=MONEY, tags=TAGS
    )
    async def monthly_payment_summary(tick: Tick) -> int:
        """Mail what they earned last month to the creators who earned something."""
        first, last = month_before(tick)
        with app.shops.current() as db:
            earned = earnings.earned_in(db, *span(first, last))
        return await for_each(
            earned,
            lambda one: paying.tell(
                app, one.creator_id, "monthly-earnings", f"{one.creator_id}:{first:%Y-%m}:{one.currency}"
            ),
        )

    @group.cron("0 6 * * *", tenants="each", id="daily-expense-sync", retry=MONEY, tags=TAGS)
    async def daily_expense_sync(tick: Tick) -> int:
        """Book the payouts completed since the last tick that are no expense yet."""
        days = closed_days(tick)
        with app.shops.current() as db:
            return paying.enter_expenses(db, span(days[0], days[-1])[0], to_micros(tick.scheduled_at))

    @group.task(on=ExpenseSync, id="daily-expense-sync-on-request", retry=MONEY, tags=TAGS)
    async def daily_expense_sync_on_request(event: ExpenseSync) -> int:
        """Book one payout, or those completed in a span, that are no expense yet."""
        start = 0 if event.start_date is None else to_micros(event.start_date)
        end = app.now() + 1 if event.end_date is None else to_micros(event.end_date)
        with app.shops.current() as db:
            return paying.enter_expenses(db, start, end, event.payout_id)

    @group.cron(
        "0 2 2 * *", timezone="America/New_York", tenants="each", id="monthly-pl-snapshot", retry=MONEY, tags=TAGS
    )
    async def monthly_profit_snapshot(tick: Tick, ctx: Context) -> None:
        """Book what was paid last month and is no expense yet, then freeze the month's revenue and expenses."""
        first, last = month_before(tick)
        start, end = map(from_micros, span(first, last))
        await ctx.call(
            daily_expense_sync_on_request, ExpenseSync(tenant_id=tick.tenant_id, start_date=start, end_date=end)
        )
        with app.shops.current() as db:
            earnings.freeze_month(db, first.isoformat(), *span(first, last))
