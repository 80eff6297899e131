"""Review mails: a sequence that sleeps and can be stopped, a queue that keeps the vendor's pace, each mail once."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from tests.unit.examples.shop import Shop, ShopContext
from tests.unit.examples_services.bench import Asleep

from cgk_jobs.events.catalogue.reviews import ReviewEmailQueued, ReviewEmailSent
from cgk_jobs.examples.commerce import review_mails
from cgk_jobs.examples.commerce.vendors import VendorUnavailable

SEQUENCE = "commerce-order-review-email"
SHIPPED = {"order_id": "o1", "fulfillment_id": "f1"}


@pytest.fixture(autouse=True)
async def bought(shop: Shop) -> None:
    await shop.run("commerce-handle-customer-created", customer_id="ann", email="ann@example.com")
    await shop.order("o1", 10_000)


async def wake(shop: Shop, ctx: ShopContext, **after: float) -> Any:
    """The sequence from its first line, ``after`` so long; then whatever it queued is sent."""
    shop.clock.advance(timedelta(**after))
    try:
        result = await shop.run(SEQUENCE, ctx, **SHIPPED)
    except Asleep:
        result = "asleep"
    while ctx.sent:
        event = ctx.sent.pop(0)
        if isinstance(event, ReviewEmailQueued):
            await shop.attempt(shop.tasks["commerce-handle-review-email-queued"], event, ctx)
        await shop.work_off()
    return result


def mails(shop: Shop) -> list[str]:
    return [mail.detail for mail in shop.done("mail")]


async def ship(shop: Shop) -> None:
    await shop.run("commerce-handle-order-fulfilled", **SHIPPED)


async def test_the_sequence_sends_two_mails_and_sleeps_in_between(shop: Shop) -> None:
    await ship(shop)
    ctx = ShopContext()
    assert await wake(shop, ctx) == "asleep"
    assert not mails(shop)
    assert await wake(shop, ctx, days=5) == "asleep"
    assert mails(shop) == ["review-request o1"]
    assert await wake(shop, ctx, days=7) == "both mails queued"
    assert mails(shop) == ["review-request o1", "review-reminder o1"]
    assert ctx.slept == [timedelta(days=5), timedelta(days=7)]


async def test_a_sequence_cancelled_in_the_middle_sends_nothing_more(shop: Shop) -> None:
    await ship(shop)
    ctx = ShopContext()
    await wake(shop, ctx)
    await wake(shop, ctx, days=5)
    with shop.app.shops.current() as db:
        assert review_mails.cancel(db, "o1") == 1
    assert await wake(shop, ctx, days=7) == "stopped before mail 2"
    assert mails(shop) == ["review-request o1"]
    assert shop.rows("SELECT state FROM mails ORDER BY mail_id") == [("sent",), ("cancelled",)]  # kept as a record


@pytest.mark.parametrize("settled", ["reviewed", "order cancelled"])
async def test_a_sequence_stops_by_itself(shop: Shop, settled: str) -> None:
    await ship(shop)
    ctx = ShopContext()
    await wake(shop, ctx)
    if settled == "reviewed":
        shop.execute("INSERT INTO reviews VALUES ('r1', 'o1', 5, 0)")
    else:
        await shop.run("commission-reversal", order_id="o1")
    assert await wake(shop, ctx, days=5) == "stopped before mail 1"
    assert not mails(shop)


async def test_nobody_is_asked_without_an_address(shop: Shop) -> None:
    await shop.order("guest", 100, None)
    assert await shop.run(SEQUENCE, order_id="guest", fulfillment_id="f2") == "no address"


async def test_a_review_that_comes_while_the_mail_waits_in_the_queue_withdraws_it(shop: Shop) -> None:
    await ship(shop)
    await shop.run(
        "commerce-handle-review-email-queued",
        review_email_id="m1",
        order_id="o1",
        customer_id="ann",
        template_id="review-request",
    )
    shop.execute("INSERT INTO reviews VALUES ('r1', 'o1', 5, 0)")
    assert await shop.work_off() == [False]
    assert shop.value("SELECT state FROM mails") == "cancelled"


async def queue(shop: Shop, number: int, **fields: Any) -> None:
    with suppress(Asleep):  # until the shipment is reported
        await shop.run(
            "commerce-handle-review-email-queued",
            ShopContext(),
            review_email_id=f"m{number:02}",
            order_id="o1",
            customer_id="ann",
            template_id="review-request",
            **fields,
        )


async def test_the_queue_hands_on_fifty_due_mails_and_each_once(shop: Shop) -> None:
    await ship(shop)
    for number in range(60):
        await queue(shop, number, scheduled_for=shop.clock.now() + timedelta(minutes=1))
    assert await shop.run("review-email-queue-processor") == 0
    shop.clock.advance(timedelta(minutes=5))
    assert [await shop.run("review-email-queue-processor") for _ in range(2)] == [50, 50]
    assert len(shop.sends.payloads) == 50  # those of the second tick wait for their turn already
    await shop.work_off()
    assert await shop.run("review-email-queue-processor") == 10
    await shop.work_off()
    assert len(mails(shop)) == 60
    assert len(shop.ctx.sent_of(ReviewEmailSent)) == 60


async def test_a_failed_mail_is_tried_five_times(shop: Shop) -> None:
    await ship(shop)
    shop.vendors.down = {"mail"}
    await queue(shop, 1)
    for _ in range(8):
        with pytest.raises((VendorUnavailable, AssertionError)):
            assert await shop.work_off()
        await shop.run("review-email-retry-failed")
    assert shop.rows("SELECT state, attempts FROM mails") == [("failed", 5)]
    assert not mails(shop)


async def test_a_mail_whose_answer_was_lost_leaves_once(shop: Shop) -> None:
    await ship(shop)
    shop.vendors.down, shop.vendors.loses_answers = {"mail"}, True
    await queue(shop, 1)
    with pytest.raises(VendorUnavailable):
        await shop.work_off()
    shop.vendors.down = set()
    await shop.run("review-email-retry-failed")
    assert await shop.work_off() == [True]
    assert mails(shop) == ["review-request o1"]


async def test_a_mail_that_left_is_announced_by_the_next_attempt_and_is_not_sent_again(shop: Shop) -> None:
    class UnheardContext(ShopContext):
        async def send(self, event: Any, *, key: str) -> None:
            raise ConnectionError

    await ship(shop)
    await queue(shop, 1)
    with pytest.raises(ConnectionError):
        await shop.run("send-queued-review-email", UnheardContext(), review_email_id="m01")
    assert await shop.run("send-queued-review-email", review_email_id="m01") is True
    assert len(shop.ctx.sent_of(ReviewEmailSent)) == len(mails(shop)) == 1


@pytest.mark.parametrize("state", ["sent", "cancelled"])
async def test_what_was_sent_or_withdrawn_is_not_queued_again(shop: Shop, state: str) -> None:
    await ship(shop)
    await queue(shop, 1)
    shop.execute("UPDATE mails SET state = ?", state)
    await queue(shop, 1)
    assert shop.value("SELECT state FROM mails") == state


async def test_a_queued_mail_waits_for_the_shipment_but_not_longer_than_a_week(shop: Shop) -> None:
    await queue(shop, 1)
    await queue(shop, 2)
    assert await shop.run("review-email-awaiting-delivery-fallback") == 0
    shop.clock.advance(timedelta(days=8))
    assert await shop.run("review-email-awaiting-delivery-fallback") == 2
    await queue(shop, 3)
    await ship(shop)
    assert shop.rows("SELECT count(*) FROM mails WHERE state = 'pending'") == [(3,)]


async def test_the_fallback_leaves_a_sleeping_sequence_alone(shop: Shop) -> None:
    await ship(shop)
    await wake(shop, ShopContext())
    shop.clock.advance(timedelta(days=60))
    assert await shop.run("review-email-awaiting-delivery-fallback") == 0


async def test_a_follow_up_is_planned_a_week_later_once(shop: Shop) -> None:
    await ship(shop)
    assert [await shop.run("commerce-schedule-follow-up", order_id="o1") for _ in range(2)] == [True, False]
    assert await shop.run("review-email-queue-processor") == 0
    shop.clock.advance(timedelta(days=7))
    assert await shop.run("review-email-queue-processor") == 1


async def test_statistics_count_what_left_and_what_came_of_it(shop: Shop) -> None:
    await ship(shop)
    await queue(shop, 1)
    await queue(shop, 2)
    await shop.work_off()
    shop.execute("INSERT INTO reviews VALUES ('r1', 'o1', 5, 0)")
    for event in shop.ctx.sent_of(ReviewEmailSent) * 2:
        await shop.attempt(shop.tasks["commerce-handle-review-email-sent"], event)
    assert shop.rows("SELECT * FROM review_mail_days") == [("2026-03-04", 2, 1)]
    assert await shop.run("commerce-review-email-stats") == {"sent": 2, "failed": 0, "cancelled": 0, "reviewed": 1}


@pytest.mark.parametrize(("action", "told"), [("approve", 1), ("reject", 1), ("spam", 0)])
async def test_a_reviewer_is_told_once_and_never_about_spam(shop: Shop, action: str, told: int) -> None:
    for _ in range(2):
        await shop.run(
            "commerce-handle-review-moderated",
            review_id="r1",
            action=action,
            reviewer_email="ann@example.com",
            reviewer_name=None,
            product_title=None,
        )
    assert len(mails(shop)) == told
