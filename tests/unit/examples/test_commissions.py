"""Commissions: granted, missed and granted later, matured after thirty days, credited once, told to the creator."""

from __future__ import annotations

from datetime import timedelta

from tests.unit.examples.shop import Shop

from cgk_jobs.events.catalogue.payouts import CommissionMatured, PaymentAvailable
from cgk_jobs.examples.commerce.seed import BY_STRIPE


async def test_a_commission_is_the_creators_after_thirty_days_and_is_credited_once(shop: Shop) -> None:
    shop.plant("ann")
    await shop.order("o1", 10_000)
    shop.clock.advance(timedelta(days=30))
    assert await shop.tick_of("mature-commissions") == 0
    shop.clock.advance(timedelta(minutes=1))
    for _ in range(2):  # nothing is lost if the first announcement was
        assert await shop.tick_of("mature-commissions") == 1
    (matured,) = shop.ctx.sent_of(CommissionMatured)
    task = shop.tasks["payout-on-commission-matured"]
    assert [await shop.attempt(task, matured) for _ in range(2)] == [500, 0]
    assert await shop.tick_of("mature-commissions") == 0
    shop.clock.advance(timedelta(hours=2))
    await shop.tick_of("check-payments-becoming-available")
    (available,) = shop.ctx.sent_of(PaymentAvailable)
    assert (available.creator_id, available.amount_cents, available.currency) == (BY_STRIPE, 500, "GBP")
    assert await shop.run("on-payment-available", creator_id=BY_STRIPE, amount_cents=500, currency="GBP")
    assert [mail.target for mail in shop.done("mail")] == ["ada@creators.example"]


async def test_a_reversed_commission_does_not_mature(shop: Shop) -> None:
    shop.plant("ann")
    await shop.order("o1", 10_000)
    await shop.run("commission-reversal", order_id="o1")
    await shop.run(
        "payout-on-commission-matured", commission_id="o1", order_id="o1", creator_id=BY_STRIPE, amount_cents=500
    )
    assert not shop.rows("SELECT * FROM creator_entries WHERE entry_id LIKE 'commission:%'")


async def test_a_commission_reversed_after_it_matured_is_taken_from_the_balance_once(shop: Shop) -> None:
    shop.plant("ann")
    await shop.order("o1", 10_000)
    await shop.run(
        "payout-on-commission-matured", commission_id="o1", order_id="o1", creator_id=BY_STRIPE, amount_cents=500
    )
    for _ in range(2):
        await shop.run("commission-reversal", order_id="o1")
    entries = "SELECT entry_id, amount_cents FROM creator_entries WHERE entry_id NOT LIKE 'opening:%' ORDER BY entry_id"
    assert shop.rows(entries) == [
        ("commission:o1", 500),
        ("reversal:o1", -500),
    ]


async def test_missed_commissions_are_granted_hourly_and_to_new_creators_ninety_days_back(shop: Shop) -> None:
    await shop.order("old", 10_000)
    shop.clock.advance(timedelta(days=91))
    await shop.order("recent", 10_000)
    shop.clock.advance(timedelta(days=1))
    await shop.order("new", 10_000)
    await shop.order("cancelled", 10_000)
    await shop.run("commission-reversal", order_id="cancelled")
    shop.plant("ann")
    assert [await shop.tick_of("sync-order-commissions") for _ in range(2)] == [1, 0]
    assert [await shop.run("apply-retroactive-commissions", creator_id=BY_STRIPE) for _ in range(2)] == [1, 0]
    assert [row[0] for row in shop.rows("SELECT order_id FROM commissions ORDER BY 1")] == ["new", "recent"]


async def test_statements_go_to_those_who_earned_something_once(shop: Shop) -> None:
    shop.plant("ann")
    await shop.order("o1", 10_000)
    await shop.run(
        "payout-on-commission-matured", commission_id="o1", order_id="o1", creator_id=BY_STRIPE, amount_cents=500
    )
    for _ in range(2):
        assert await shop.tick_of("monthly-payment-summary", shop.clock.now() + timedelta(days=28)) == 1
        assert await shop.tick_of("creator-weekly-digest", shop.clock.now() + timedelta(days=5)) == 1
        assert await shop.run("creator-weekly-digest-on-request", creator_id="somebody-else") == 0
    assert [mail.detail.split()[0] for mail in shop.done("mail")] == ["monthly-earnings", "weekly-recap"]
