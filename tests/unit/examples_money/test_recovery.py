"""Carts that were left: reminded of three times at most, and never once they were bought."""

from datetime import timedelta

import pytest
from tests.unit.examples_services.bench import Bench

from cgk_jobs.examples.commerce.vendors import VendorUnavailable

CHECK = "recovery-check-abandoned"
QUEUE = "recovery-process-queue"
EXPIRE = "recovery-expire-old"


def cart(bench: Bench, checkout_id: str, *, untouched: timedelta, state: str = "open") -> None:
    """A cart nobody has touched for so long."""
    bench.execute(
        "INSERT INTO checkouts (checkout_id, email, total_cents, currency, touched_at, state)"
        " VALUES (?, ?, 4200, 'GBP', ?, ?)",
        checkout_id,
        f"{checkout_id}@example.com",
        bench.ago(untouched / timedelta(days=1)),
        state,
    )


def left_carts(bench: Bench, *checkout_ids: str) -> None:
    for checkout_id in checkout_ids:
        cart(bench, checkout_id, untouched=timedelta(hours=2))


def states(bench: Bench) -> dict[str, str]:
    return dict(bench.rows("SELECT checkout_id, state FROM checkouts"))


def mailed(bench: Bench) -> list[str]:
    """Templates and carts of the mails that really left."""
    return [done.detail for done in bench.vendors.done("acme", "mail")]


@pytest.mark.parametrize("task_id", [CHECK, f"{CHECK}-on-request"])
async def test_a_cart_counts_as_left_after_an_hour_and_is_found_once(bench: Bench, task_id: str) -> None:
    cart(bench, "left", untouched=timedelta(minutes=61))
    cart(bench, "fresh", untouched=timedelta(minutes=59))
    cart(bench, "bought", untouched=timedelta(hours=5), state="completed")
    assert await bench.run(task_id) == 1
    assert await bench.run(task_id) == 0
    assert states(bench) == {"left": "abandoned", "fresh": "open", "bought": "completed"}
    assert bench.rows("SELECT recipient, template, state FROM mails") == [
        ("left@example.com", "cart-reminder-1", "pending")
    ]


async def test_three_reminders_leave_at_once_after_a_day_and_after_three(bench: Bench) -> None:
    left_carts(bench, "k1")
    await bench.run(CHECK)
    left: list[int] = []
    for _ in range(7):
        left.append(await bench.run(QUEUE) + await bench.run(QUEUE))
        bench.clock.advance(timedelta(days=1))
    assert left == [1, 1, 0, 1, 0, 0, 0]
    assert mailed(bench) == ["cart-reminder-1 k1", "cart-reminder-2 k1", "cart-reminder-3 k1"]


async def test_a_cart_that_was_bought_ends_its_reminders_in_the_middle(bench: Bench) -> None:
    left_carts(bench, "k1", "k2")
    await bench.run(CHECK)
    await bench.run(QUEUE)
    bench.execute("UPDATE checkouts SET state = 'completed' WHERE checkout_id = 'k1'")
    bench.clock.advance(timedelta(days=1))
    assert await bench.run(QUEUE) == 1
    bench.clock.advance(timedelta(days=7))
    assert await bench.run(QUEUE) == 1
    assert [mail for mail in mailed(bench) if mail.endswith("k1")] == ["cart-reminder-1 k1"]
    assert bench.rows("SELECT template, state FROM mails WHERE reference = 'k1'") == [
        ("cart-reminder-1", "sent"),
        ("cart-reminder-2", "cancelled"),
    ]


async def test_a_reminder_whose_answer_was_lost_leaves_once_and_the_next_is_planned(bench: Bench) -> None:
    left_carts(bench, "k1")
    await bench.run(CHECK)
    bench.vendors.down, bench.vendors.loses_answers = {"mail"}, True
    with pytest.raises(VendorUnavailable):
        await bench.run(QUEUE)
    bench.vendors.down = set()
    await bench.run(QUEUE)
    assert mailed(bench) == ["cart-reminder-1 k1"]
    assert bench.rows("SELECT template, state FROM mails") == [
        ("cart-reminder-1", "sent"),
        ("cart-reminder-2", "pending"),
    ]


async def test_whom_the_vendor_does_not_answer_for_does_not_keep_the_others_waiting(bench: Bench) -> None:
    left_carts(bench, "k1", "k2", "k3")
    await bench.run(CHECK)
    bench.vendors.fails_at = {"k1@example.com"}
    with pytest.raises(VendorUnavailable):
        await bench.run(QUEUE)
    assert mailed(bench) == ["cart-reminder-1 k2", "cart-reminder-1 k3"]


async def test_a_request_sends_no_more_than_its_limit(bench: Bench) -> None:
    left_carts(bench, "k1", "k2", "k3")
    await bench.run(CHECK)
    assert await bench.run(f"{QUEUE}-on-request", limit=2) == 2
    assert await bench.run(f"{QUEUE}-on-request") == 1
    assert len(mailed(bench)) == 3


@pytest.mark.parametrize(
    ("state", "sent"), [("open", True), ("abandoned", True), ("completed", False), ("expired", False)]
)
async def test_one_reminder_is_sent_if_the_cart_is_still_open(bench: Bench, state: str, sent: bool) -> None:
    cart(bench, "k1", untouched=timedelta(hours=2), state=state)
    reminder = {"email_id": "recovery:k1:1", "checkout_id": "k1", "sequence_number": 1}
    assert await bench.run("recovery-process-email", **reminder) is sent
    assert await bench.run("recovery-process-email", **reminder) is False
    assert mailed(bench) == ["cart-reminder-1 k1"] * sent


async def test_the_reminders_of_a_cart_are_begun_once_and_not_of_a_closed_one(bench: Bench) -> None:
    left_carts(bench, "k1")
    cart(bench, "k2", untouched=timedelta(hours=2), state="completed")
    begin = "schedule-recovery-emails"
    assert [await bench.run(begin, checkout_id=checkout_id) for checkout_id in ("k1", "k1", "k2", "k9")] == [
        True,
        False,
        False,
        False,
    ]
    await bench.run(CHECK)
    await bench.run(QUEUE)
    assert mailed(bench) == ["cart-reminder-1 k1"]


@pytest.mark.parametrize(
    ("task_id", "fields", "closed"),
    [(EXPIRE, {}, 1), (f"{EXPIRE}-on-request", {}, 1), (f"{EXPIRE}-on-request", {"days_old": 10}, 2)],
)
async def test_old_carts_are_closed_and_their_reminders_withdrawn(
    bench: Bench, task_id: str, fields: dict[str, int], closed: int
) -> None:
    for checkout_id, days, state in (("k1", 31, "abandoned"), ("k2", 29, "open"), ("k3", 40, "completed")):
        cart(bench, checkout_id, untouched=timedelta(days=days), state=state)
        await bench.run("schedule-recovery-emails", checkout_id=checkout_id)
    assert await bench.run(task_id, **fields) == closed
    assert await bench.run(task_id, **fields) == 0
    assert bench.value("SELECT count(*) FROM mails WHERE state = 'cancelled'") == closed
    assert states(bench) == {"k1": "expired", "k2": "expired" if closed == 2 else "open", "k3": "completed"}
    assert await bench.run(QUEUE) == 2 - closed
    assert mailed(bench) == ["cart-reminder-1 k2"] * (2 - closed)
