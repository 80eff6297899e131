"""Billing: each period is charged once, whatever is retried, repeated or missed."""

from __future__ import annotations

import datetime as dt
from datetime import timedelta
from typing import Any

import pytest
from tests.unit.examples.shop import Shop

from cgk_jobs.examples.commerce.vendors import VendorUnavailable

DAILY = "subscription-daily-billing"


@pytest.fixture(autouse=True)
def subscribed(shop: Shop) -> None:
    subscribe(shop, "s1", "ann", "2026-03-04")
    subscribe(shop, "s2", "bob", "2026-03-05")


def subscribe(shop: Shop, subscription_id: str, customer: str, due_on: str, interval: int = 30) -> None:
    shop.execute(
        "INSERT INTO subscriptions (subscription_id, customer_id, amount_cents, currency, interval_days, next_billing_on)"
        " VALUES (?, ?, 1500, 'GBP', ?, ?)",
        subscription_id,
        customer,
        interval,
        due_on,
    )


def charges(shop: Shop) -> list[str]:
    return [charge.key for charge in shop.done("charge")]


def state(shop: Shop, subscription_id: str = "s1") -> Any:
    return shop.rows("SELECT state, next_billing_on FROM subscriptions WHERE subscription_id = ?", subscription_id)[0]


async def test_what_is_due_is_charged_once_under_a_key_of_its_period(shop: Shop) -> None:
    assert [(await shop.tick_of(DAILY))["charged"] for _ in range(3)] == [1, 0, 0]
    await shop.run("subscription-process-billing", subscription_id="s1")
    await shop.run("subscription-batch-billing", subscription_ids=["s1", "s2"])
    assert charges(shop) == ["billing:s1:2026-03-04:2026-04-03"]
    assert state(shop) == ("active", "2026-04-03")
    assert shop.rows("SELECT subscription_id, period_start_on, period_end_on, amount_cents FROM billings") == [
        ("s1", "2026-03-04", "2026-04-03", 1500)
    ]


async def test_a_lost_answer_does_not_charge_twice(shop: Shop) -> None:
    shop.vendors.down, shop.vendors.loses_answers = {"payments"}, True
    with pytest.raises(VendorUnavailable):
        await shop.tick_of(DAILY)
    assert (len(charges(shop)), state(shop)) == (1, ("active", "2026-03-04"))
    shop.vendors.down = set()
    assert (await shop.tick_of(DAILY))["charged"] == 1
    assert (shop.vendors.charges, shop.vendors.calls) == (1, 2)
    assert state(shop) == ("active", "2026-04-03")


@pytest.mark.parametrize("change", ["interval_days = 7", "amount_cents = 9", "customer_id = 'eve'"])
async def test_a_period_stays_as_it_was_first_asked_for(shop: Shop, change: str) -> None:
    shop.vendors.down, shop.vendors.loses_answers = {"payments"}, True
    with pytest.raises(VendorUnavailable):
        await shop.tick_of(DAILY)
    shop.execute(f"UPDATE subscriptions SET {change}")
    shop.vendors.down = set()
    assert (await shop.tick_of(DAILY))["charged"] == 1
    assert shop.vendors.charges == 1
    assert shop.rows("SELECT period_end_on, amount_cents FROM billings") == [("2026-04-03", 1500)]
    assert not shop.rows("SELECT * FROM open_periods")


async def test_a_declined_period_is_charged_as_the_subscription_says_by_then(shop: Shop) -> None:
    shop.vendors.declining.add("ann")
    await shop.tick_of(DAILY)
    shop.vendors.declining.clear()
    shop.execute("UPDATE subscriptions SET amount_cents = 900")
    await shop.tick_of("subscription-retry-failed-billing")
    assert [charge.amount_cents for charge in shop.done("charge")] == [900]


async def test_a_run_that_comes_late_with_an_old_period_does_not_set_the_subscription_back(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    subscribe(shop, "weekly", "cleo", "2026-02-18", interval=7)
    charge = shop.vendors.charge

    async def overtaken(*arguments: Any) -> Any:
        monkeypatch.setattr(shop.vendors, "charge", charge)
        await shop.run("subscription-process-billing", subscription_id="weekly")
        return await charge(*arguments)

    monkeypatch.setattr(shop.vendors, "charge", overtaken)
    await shop.run("subscription-process-billing", subscription_id="weekly")
    assert state(shop, "weekly") == ("active", "2026-03-11")
    assert (shop.vendors.charges, shop.vendors.calls) == (3, 4)


async def test_one_unreachable_charge_does_not_hold_up_the_others(shop: Shop) -> None:
    shop.clock.advance(timedelta(days=1))
    shop.vendors.fails_at = {"ann"}
    with pytest.raises(VendorUnavailable):
        await shop.tick_of(DAILY)
    assert charges(shop) == ["billing:s2:2026-03-05:2026-04-04"]


async def test_missed_periods_are_all_charged(shop: Shop) -> None:
    subscribe(shop, "weekly", "cleo", "2026-02-18", interval=7)
    assert (await shop.tick_of(DAILY))["charged"] == 4
    assert [key for key in charges(shop) if "weekly" in key] == [
        "billing:weekly:2026-02-18:2026-02-25",
        "billing:weekly:2026-02-25:2026-03-04",
        "billing:weekly:2026-03-04:2026-03-11",
    ]


async def test_catching_up_charges_what_was_due_by_that_day(shop: Shop) -> None:
    assert (await shop.run("subscription-catchup-billing", day=dt.date(2026, 3, 3)))["charged"] == 0
    for charges, days in ((1, 0), (1, 1)):  # a day that is still to come is not charged in advance
        shop.clock.advance(timedelta(days=days))
        assert (await shop.run("subscription-catchup-billing", day=dt.date(2026, 3, 5)))["charged"] == charges


async def test_a_request_charges_one_subscription_or_all_that_are_due(shop: Shop) -> None:
    task_id = "subscription-daily-billing-on-request"
    assert (await shop.run(task_id, subscription_id="s2"))["charged"] == 0
    shop.clock.advance(timedelta(days=2))
    assert (await shop.run(task_id, billing_date=shop.clock.now() - timedelta(days=2)))["charged"] == 1
    assert (await shop.run(task_id))["charged"] == 1


async def test_a_declined_card_is_tried_again_for_a_fortnight(shop: Shop) -> None:
    shop.vendors.declining.add("ann")
    assert await shop.tick_of(DAILY) == {"charged": 0, "declined": 1}
    assert state(shop) == ("past_due", "2026-03-04")
    assert (await shop.tick_of(DAILY))["declined"] == 0
    assert (await shop.tick_of("subscription-retry-failed-billing"))["declined"] == 1
    shop.vendors.declining.clear()
    assert (await shop.tick_of("subscription-retry-failed-billing"))["charged"] == 1
    assert state(shop) == ("active", "2026-04-03")
    assert len(charges(shop)) == 1


async def test_after_a_fortnight_a_declined_card_is_left_to_a_person(shop: Shop) -> None:
    shop.vendors.declining.add("ann")
    await shop.tick_of(DAILY)
    shop.vendors.declining.clear()
    shop.clock.advance(timedelta(days=15))
    assert (await shop.tick_of("subscription-retry-failed-billing"))["charged"] == 0


async def test_a_cancelled_subscription_is_not_charged(shop: Shop) -> None:
    shop.execute("UPDATE subscriptions SET state = 'cancelled'")
    await shop.tick_of(DAILY)
    await shop.run("subscription-process-billing", subscription_id="s1")
    assert not charges(shop)


async def test_renewals_are_announced_three_days_ahead_once(shop: Shop) -> None:
    await shop.run("commerce-handle-customer-created", customer_id="ann", email="ann@example.com")
    shop.execute("UPDATE subscriptions SET next_billing_on = '2026-03-07' WHERE subscription_id = 's1'")
    assert [await shop.tick_of("subscription-upcoming-reminder") for _ in range(2)] == [1, 1]
    # After an outage the missed days are announced as well.
    await shop.tick_of("subscription-upcoming-reminder", shop.clock.now() + timedelta(days=1), timedelta(days=3))
    assert [(mail.target, mail.detail) for mail in shop.done("mail")] == [
        ("ann@example.com", "renewal-announcement 2026-03-07")
    ]


async def test_the_days_figures_are_overwritten_by_a_rerun(shop: Shop) -> None:
    await shop.tick_of("subscription-analytics-snapshot")
    shop.execute("UPDATE subscriptions SET state = 'cancelled' WHERE subscription_id = 's2'")
    await shop.tick_of("subscription-analytics-snapshot")
    assert shop.rows("SELECT * FROM subscription_days") == [("2026-03-04", 1, 0, 1, 1500)]
