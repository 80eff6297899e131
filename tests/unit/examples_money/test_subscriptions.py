"""Subscriptions: no period is charged twice, declined cards are tried again, renewals are announced."""

import sqlite3
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest
from tests.unit.examples_services.bench import Bench

from cgk_jobs.examples.commerce.vendors import VendorUnavailable

TODAY = date(2026, 3, 4)
DAILY = "subscription-daily-billing"
RETRY = "subscription-retry-failed-billing"


def subscribe(bench: Bench, subscription_id: str, days: int = 0, state: str = "active", **more: Any) -> None:
    """A subscription of a customer of the same number, whose next period begins ``days`` days from today."""
    customer_id = subscription_id.replace("s", "c")
    bench.execute("INSERT INTO customers (customer_id, email) VALUES (?, ?)", customer_id, f"{customer_id}@example.com")
    bench.execute(
        "INSERT INTO subscriptions (subscription_id, customer_id, amount_cents, currency, interval_days,"
        " next_billing_on, state) VALUES (?, ?, ?, 'GBP', ?, ?, ?)",
        subscription_id,
        customer_id,
        more.get("amount_cents", 1200),
        more.get("interval_days", 30),
        (TODAY + timedelta(days=days)).isoformat(),
        state,
    )


def state_of(bench: Bench, subscription_id: str) -> tuple[str, str]:
    ((state, next_on),) = bench.rows(
        "SELECT state, next_billing_on FROM subscriptions WHERE subscription_id = ?", subscription_id
    )
    return state, next_on


def charged(bench: Bench) -> list[tuple[str, int]]:
    """Who really paid what, in the order of the keys."""
    return [(done.target, done.amount_cents) for done in bench.vendors.done("acme", "charge")]


async def test_the_daily_billing_charges_what_is_due_and_a_second_run_charges_nothing(bench: Bench) -> None:
    subscribe(bench, "s1", days=-1)
    subscribe(bench, "s2", days=0, amount_cents=500)
    subscribe(bench, "s3", days=1)
    subscribe(bench, "s4", days=0, state="cancelled")
    assert await bench.run(DAILY) == {"charged": 2, "declined": 0}
    assert charged(bench) == [("c1", 1200), ("c2", 500)]
    assert state_of(bench, "s1") == ("active", "2026-04-02")
    assert await bench.run(DAILY) == {"charged": 0, "declined": 0}
    assert bench.vendors.calls == 2
    assert bench.rows("SELECT subscription_id, period_start_on, period_end_on, amount_cents FROM billings") == [
        ("s1", "2026-03-03", "2026-04-02", 1200),
        ("s2", "2026-03-04", "2026-04-03", 500),
    ]


@pytest.mark.parametrize(
    ("task_id", "fields"),
    [
        (DAILY, {}),
        (RETRY, {}),
        (f"{DAILY}-on-request", {"subscription_id": "s1"}),
        (f"{DAILY}-on-request", {}),
        ("subscription-process-billing", {"subscription_id": "s1"}),
        ("subscription-batch-billing", {"subscription_ids": ["s1"]}),
        ("subscription-catchup-billing", {"day": TODAY}),
    ],
)
async def test_a_charge_whose_answer_was_lost_is_not_made_again(
    bench: Bench, task_id: str, fields: dict[str, Any]
) -> None:
    subscribe(bench, "s1", state="past_due" if task_id == RETRY else "active")
    bench.vendors.down, bench.vendors.loses_answers = {"payments"}, True
    with pytest.raises(VendorUnavailable):
        await bench.run(task_id, **fields)
    assert bench.rows("SELECT * FROM billings") == []
    bench.vendors.down = set()
    assert await bench.run(task_id, **fields) == {"charged": 1, "declined": 0}
    assert (bench.vendors.charges, bench.vendors.calls) == (1, 2)
    assert state_of(bench, "s1") == ("active", "2026-04-03")
    assert bench.value("SELECT count(*) FROM billings") == 1


async def test_whom_the_vendor_does_not_answer_for_does_not_keep_the_others_waiting(bench: Bench) -> None:
    subscribe(bench, "s1")
    subscribe(bench, "s2")
    bench.vendors.fails_at = {"c1"}
    with pytest.raises(VendorUnavailable):
        await bench.run(DAILY)
    assert charged(bench) == [("c2", 1200)]
    assert state_of(bench, "s1") == ("active", "2026-03-04")


async def test_every_missed_period_is_charged_under_a_key_of_its_own(bench: Bench) -> None:
    subscribe(bench, "s1", days=-14, interval_days=7)
    assert await bench.run("subscription-catchup-billing", day=TODAY - timedelta(days=1)) == {
        "charged": 2,
        "declined": 0,
    }
    assert await bench.run("subscription-process-billing", subscription_id="s1") == {"charged": 1, "declined": 0}
    assert [done.key for done in bench.vendors.done("acme", "charge")] == [
        "billing:s1:2026-02-18:2026-02-25",
        "billing:s1:2026-02-25:2026-03-04",
        "billing:s1:2026-03-04:2026-03-11",
    ]


async def test_a_declined_card_is_tried_again_until_it_pays(bench: Bench) -> None:
    subscribe(bench, "s1")
    subscribe(bench, "s2")
    bench.vendors.declining.add("c1")
    assert await bench.run(DAILY) == {"charged": 1, "declined": 1}
    assert state_of(bench, "s1") == ("past_due", "2026-03-04")
    assert await bench.run(DAILY) == {"charged": 0, "declined": 0}
    assert await bench.run(RETRY) == {"charged": 0, "declined": 1}
    bench.vendors.declining.clear()
    assert await bench.run(RETRY) == {"charged": 1, "declined": 0}
    assert state_of(bench, "s1") == ("active", "2026-04-03")
    assert charged(bench) == [("c1", 1200), ("c2", 1200)]


@pytest.mark.parametrize(("days", "charges"), [(-14, 1), (-15, 0)])
async def test_a_declined_card_is_given_up_after_a_fortnight(bench: Bench, days: int, charges: int) -> None:
    subscribe(bench, "s1", days=days, state="past_due")
    await bench.run(RETRY)
    assert bench.vendors.charges == charges


async def test_a_subscription_cancelled_while_its_card_is_declined_stays_cancelled(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    subscribe(bench, "s1")
    bench.vendors.declining.add("c1")
    charge = bench.vendors.charge

    async def cancelled_meanwhile(*arguments: Any) -> Any:
        bench.execute("UPDATE subscriptions SET state = 'cancelled'")
        return await charge(*arguments)

    monkeypatch.setattr(bench.vendors, "charge", cancelled_meanwhile)
    await bench.run(DAILY)
    assert state_of(bench, "s1") == ("cancelled", "2026-03-04")


async def test_a_list_charges_those_that_are_due_and_known(bench: Bench) -> None:
    subscribe(bench, "s1")
    subscribe(bench, "s2", days=5)
    subscribe(bench, "s3", state="cancelled")
    wanted = ["s1", "s1", "s2", "s3", "s9"]
    assert await bench.run("subscription-batch-billing", subscription_ids=wanted) == {"charged": 1, "declined": 0}
    assert charged(bench) == [("c1", 1200)]


async def test_a_requested_day_is_the_day_in_utc(bench: Bench) -> None:
    subscribe(bench, "s1", days=-1)
    subscribe(bench, "s2", days=0)
    after_midnight = datetime(2026, 3, 4, 0, 30, tzinfo=timezone(timedelta(hours=1)))  # the day before, 23:30 UTC
    await bench.run(f"{DAILY}-on-request", billing_date=after_midnight)
    assert charged(bench) == [("c1", 1200)]
    await bench.run(f"{DAILY}-on-request", billing_date=after_midnight.astimezone(UTC) + timedelta(minutes=30))
    assert charged(bench) == [("c1", 1200), ("c2", 1200)]


@pytest.mark.parametrize("subscription_id", [None, "s1"])
async def test_a_requested_day_that_is_still_to_come_charges_nothing_in_advance(
    bench: Bench, subscription_id: str | None
) -> None:
    subscribe(bench, "s1", days=1)
    wanted = {"subscription_id": subscription_id, "billing_date": datetime(2026, 6, 4, tzinfo=UTC)}
    assert await bench.run(f"{DAILY}-on-request", **wanted) == {"charged": 0, "declined": 0}
    assert state_of(bench, "s1") == ("active", "2026-03-05")
    assert bench.rows("SELECT * FROM open_periods") == []


@pytest.mark.parametrize("interval_days", [0, -30])
def test_a_period_cannot_be_empty(bench: Bench, interval_days: int) -> None:
    with pytest.raises(sqlite3.IntegrityError, match="interval_days > 0"):
        subscribe(bench, "s1", interval_days=interval_days)


async def test_the_snapshot_counts_the_day_and_a_rerun_overwrites_it(bench: Bench) -> None:
    subscribe(bench, "s1", amount_cents=700, interval_days=7)
    subscribe(bench, "s2", amount_cents=1000)
    subscribe(bench, "s3", state="past_due")
    await bench.run("subscription-analytics-snapshot")
    assert bench.rows("SELECT * FROM subscription_days") == [("2026-03-04", 2, 1, 0, 4000)]
    bench.execute("UPDATE subscriptions SET state = 'cancelled' WHERE subscription_id = 's1'")
    await bench.run("subscription-analytics-snapshot")
    assert bench.rows("SELECT * FROM subscription_days") == [("2026-03-04", 1, 1, 1, 1000)]


async def test_a_renewal_is_announced_three_days_ahead_and_once(bench: Bench) -> None:
    subscribe(bench, "s1", days=3)
    subscribe(bench, "s2", days=2)
    subscribe(bench, "s3", days=4)
    subscribe(bench, "s4", days=3, state="cancelled")
    for _ in range(2):
        assert await bench.run("subscription-upcoming-reminder") == 1
    (mail,) = bench.vendors.done("acme", "mail")
    assert (mail.target, mail.detail) == ("c1@example.com", "renewal-announcement 2026-03-07")


async def test_renewals_of_missed_ticks_are_announced_too(bench: Bench) -> None:
    for number in range(5):
        subscribe(bench, f"s{number}", days=number)
    task = bench.tasks["subscription-upcoming-reminder"]
    assert await bench.attempt(task, bench.tick(task.id, previous=timedelta(days=2))) == 2
    assert [done.target for done in bench.vendors.done("acme", "mail")] == ["c2@example.com", "c3@example.com"]
