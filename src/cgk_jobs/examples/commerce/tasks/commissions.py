"""Commissions: granted with orders, taken back with them, matured after the return window. Part of the payouts category."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cgk_jobs import Context, Event, TaskGroup, Tick
from cgk_jobs.clock import to_micros
from cgk_jobs.events.catalogue.commerce import OrderCancelled, OrderRefunded
from cgk_jobs.events.catalogue.payouts import CommissionMatured, PaymentAvailable
from cgk_jobs.examples.commerce import earnings, orders
from cgk_jobs.examples.commerce.days import DAY, HOUR
from cgk_jobs.examples.commerce.policies import DEFAULT, FROM_5_SECONDS, MONEY, STANDARD

if TYPE_CHECKING:
    from cgk_jobs.examples.commerce.application import Commerce

__all__ = ["declare_commissions"]

TAGS = ("payouts",)
RETROACTIVE_DAYS = 90
MISSED_HOURS = 3
"""How far the hourly look for missed commissions goes back: two ticks may fail."""


class NewReferral(Event):
    """A creator whose code now covers orders of the past as well."""

    creator_id: str


def declare_commissions(group: TaskGroup, app: Commerce) -> None:
    """Add these tasks to the group."""
    _granting(group, app)
    _maturing(group, app)


def _granting(group: TaskGroup, app: Commerce) -> None:
    @group.cron("0 * * * *", tenants="each", id="sync-order-commissions", retry=FROM_5_SECONDS, tags=TAGS)
    async def sync_order_commissions(tick: Tick) -> int:
        """Grant the commissions of the last hours that were missed."""
        with app.shops.current() as db:
            return orders.grant_missing(db, to_micros(tick.scheduled_at) - MISSED_HOURS * HOUR)

    @group.task(id="apply-retroactive-commissions", retry=FROM_5_SECONDS, tags=TAGS)
    async def apply_retroactive_commissions(referral: NewReferral) -> int:
        """Grant a creator commissions on the orders of the past ninety days."""
        with app.shops.current() as db:
            return orders.grant_missing(db, app.now() - RETROACTIVE_DAYS * DAY, referral.creator_id)

    @group.task(on=OrderCancelled, id="commission-reversal", retry=DEFAULT, tags=TAGS)
    async def commission_reversal(event: OrderCancelled) -> bool:
        """Book what the customer gets back and take the commission back; says whether there was one.

        Without an amount it is what the order stands at. Both in one transaction: a commission that is granted later finds the cancellation in the books.
        """
        with app.shops.current() as db:
            refund = event.refund_amount_cents
            if refund is None:
                refund = orders.booked_cents(db, event.order_id)
            orders.book(db, event.order_id, "cancelled", -refund, event.currency, app.now())
            return orders.reverse_commission(db, event.order_id, app.now())

    @group.task(on=OrderRefunded, id="commission-adjustment", retry=DEFAULT, tags=TAGS)
    async def commission_adjustment(event: OrderRefunded) -> int:
        """Book a refund and take its share of the commission back; says how many cents that was."""
        refund = event.refund_amount_cents
        with app.shops.current() as db:
            if not orders.book(
                db, event.order_id, "refunded", -refund, event.currency, app.now(), reference=event.refund_id
            ):
                return 0
            return orders.adjust_commission(db, event.order_id, event.refund_id, refund, app.now())


def _maturing(group: TaskGroup, app: Commerce) -> None:
    @group.cron("0 6 * * *", tenants="each", id="mature-commissions", retry=STANDARD, tags=TAGS)
    async def mature_commissions(tick: Tick, ctx: Context) -> int:
        """Announce the commissions whose return window is over; who hears of it credits them. Says how many."""
        with app.shops.current() as db:
            matured = earnings.matured_by(db, to_micros(tick.scheduled_at))
        for order_id, creator_id, amount_cents, currency in matured:
            await ctx.send(
                CommissionMatured(
                    tenant_id=ctx.tenant_id,
                    commission_id=order_id,
                    order_id=order_id,
                    creator_id=creator_id,
                    amount_cents=amount_cents,
                    currency=currency,
                ),
                # With the amount: a refund may have changed it since the last announcement.
                key=f"commission:{order_id}:{amount_cents}",
            )
        return len(matured)

    @group.task(on=CommissionMatured, id="payout-on-commission-matured", retry=STANDARD, tags=TAGS)
    async def on_commission_matured(event: CommissionMatured) -> int:
        """Credit the commission to the creator, once, as it stands in the books; says how many cents."""
        with app.shops.current() as db:
            return earnings.mature(db, event.order_id, app.now())

    @group.cron("0 8 * * *", tenants="each", id="check-payments-becoming-available", retry=MONEY, tags=TAGS)
    async def check_payments(tick: Tick, ctx: Context) -> int:
        """Announce to creators what became theirs since the last tick; says to how many."""
        end = to_micros(tick.scheduled_at)
        start = end - DAY if tick.previous_at is None else to_micros(tick.previous_at)
        with app.shops.current() as db:
            earned = earnings.earned_in(db, start, end)
        for creator_id, currency, amount_cents in earned:
            await ctx.send(
                PaymentAvailable(
                    tenant_id=ctx.tenant_id, creator_id=creator_id, amount_cents=amount_cents, currency=currency
                ),
                key=f"earnings:{creator_id}:{currency}:{tick.scheduled_at.isoformat()}",
            )
        return len(earned)
