"""Reminders of carts that were left, and gift cards."""

from __future__ import annotations

import contextlib
from datetime import timedelta

import pytest
from tests.unit.examples.shop import Shop

from cgk_jobs.examples.commerce.vendors import VendorUnavailable

QUEUE = "recovery-process-queue"


def leave_cart(shop: Shop, checkout_id: str = "c1") -> None:
    shop.execute(
        "INSERT INTO checkouts (checkout_id, email, total_cents, currency, touched_at) VALUES (?, 'a@x', 100, 'GBP', ?)",
        checkout_id,
        shop.now,
    )


def mails(shop: Shop) -> list[str]:
    return [mail.detail for mail in shop.done("mail")]


async def test_a_cart_is_left_after_an_hour_and_reminded_of_three_times(shop: Shop) -> None:
    leave_cart(shop)
    assert await shop.run("recovery-check-abandoned") == 0
    shop.clock.advance(timedelta(hours=1, seconds=1))
    assert [await shop.run("recovery-check-abandoned") for _ in range(2)] == [1, 0]
    sent: list[int] = []
    for _ in range(6):
        sent += [await shop.run(QUEUE) for _ in range(2)]
        shop.clock.advance(timedelta(days=1))
    assert mails(shop) == ["cart-reminder-1 c1", "cart-reminder-2 c1", "cart-reminder-3 c1"]
    assert sent == [1, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0]  # at once, after a day, after three


@pytest.mark.parametrize("state", ["completed", "expired"])
async def test_a_cart_that_was_bought_or_closed_is_not_reminded_of(shop: Shop, state: str) -> None:
    leave_cart(shop)
    await shop.run("schedule-recovery-emails", checkout_id="c1")
    await shop.run(QUEUE)
    shop.execute("UPDATE checkouts SET state = ?", state)
    shop.clock.advance(timedelta(days=1))
    assert await shop.run(QUEUE) == 0
    assert await shop.run("recovery-process-email", email_id="e9", checkout_id="c1", sequence_number=3) is False
    assert mails(shop) == ["cart-reminder-1 c1"]
    assert shop.value("SELECT count(*) FROM mails WHERE state = 'cancelled'") == 1


async def test_a_planned_reminder_is_sent_once_and_plans_the_next(shop: Shop) -> None:
    leave_cart(shop)
    for email_id, expected in (("e1", True), ("e2", False)):
        sent = await shop.run("recovery-process-email", email_id=email_id, checkout_id="c1", sequence_number=1)
        assert sent is expected
    assert shop.rows("SELECT mail_id, state FROM mails") == [("recovery:c1:1", "sent"), ("recovery:c1:2", "pending")]
    assert await shop.run("recovery-process-email", email_id="e4", checkout_id="c1", sequence_number=4) is False


async def test_a_reminder_that_failed_is_sent_by_the_next_run(shop: Shop) -> None:
    leave_cart(shop)
    await shop.run("schedule-recovery-emails", checkout_id="c1")
    shop.vendors.down = {"mail"}
    with pytest.raises(VendorUnavailable):
        await shop.run(QUEUE)
    shop.vendors.down = set()
    assert await shop.run("recovery-process-queue-on-request", limit=5) == 1
    assert mails(shop) == ["cart-reminder-1 c1"]


async def test_a_reminder_outlives_an_outage_of_hours(shop: Shop) -> None:
    leave_cart(shop)
    await shop.run("schedule-recovery-emails", checkout_id="c1")
    shop.vendors.down = {"mail"}
    for _ in range(5 * 12):  # five hours of ticks, each with an attempt or none
        with contextlib.suppress(VendorUnavailable):
            await shop.run(QUEUE)
        shop.clock.advance(timedelta(minutes=5))
    shop.vendors.down = set()
    shop.clock.advance(timedelta(hours=1))
    assert await shop.run(QUEUE) == 1
    assert len(shop.vendors.calls_seen) < 10


async def test_old_carts_are_closed_with_their_reminders(shop: Shop) -> None:
    leave_cart(shop)
    await shop.run("schedule-recovery-emails", checkout_id="c1")
    shop.clock.advance(timedelta(days=29))
    assert await shop.run("recovery-expire-old") == 0
    assert await shop.run("recovery-expire-old-on-request", days_old=28) == 1
    assert shop.rows("SELECT state FROM mails") == [("cancelled",)]
    assert await shop.run("schedule-recovery-emails", checkout_id="c1") is False


async def reward(shop: Shop, order_id: str = "o1") -> bool:
    result: bool = await shop.run(
        "gift-card-process-order", order_id=order_id, customer_id="ann", order_amount_cents=10_000, currency="GBP"
    )
    return result


async def test_a_reward_is_granted_and_credited_once(shop: Shop) -> None:
    await shop.run("commerce-handle-customer-created", customer_id="ann", email="ann@example.com")
    assert [await reward(shop) for _ in range(2)] == [True, False]
    (credit,) = shop.done("credit")
    assert (credit.target, credit.amount_cents) == ("ann@example.com", 500)
    assert shop.rows("SELECT balance_cents, expires_on, state FROM gift_cards") == [(500, "2027-03-04", "credited")]


async def test_a_reward_without_an_address_is_not_granted(shop: Shop) -> None:
    assert await reward(shop) is False
    assert not shop.rows("SELECT * FROM gift_cards")


async def test_a_credit_that_failed_is_tried_again_and_given_once(shop: Shop) -> None:
    await shop.run("commerce-handle-customer-created", customer_id="ann", email="ann@example.com")
    shop.vendors.down, shop.vendors.loses_answers = {"payments"}, True
    with pytest.raises(VendorUnavailable):
        await reward(shop)
    assert shop.value("SELECT state FROM gift_cards") == "failed"
    shop.vendors.down = set()
    assert [await shop.run("gift-card-retry-failed-credits") for _ in range(2)] == [1, 0]
    assert shop.vendors.charges == 1


async def test_cards_are_mailed_and_their_holders_warned_once(shop: Shop) -> None:
    shop.plant()
    for _ in range(2):
        assert await shop.run("gift-card-emails", card_id="card-1")
    assert await shop.run("giftcard-expiry-notify") == 0
    shop.clock.advance(timedelta(days=30))
    assert [await shop.run("giftcard-expiry-notify") for _ in range(2)] == [1, 0]
    assert sorted(mails(shop)) == ["gift-card card-1", "gift-card-expiry card-1"]
    assert await shop.run("gift-card-emails", card_id="unknown") is False
