"""The example on the real engine: the stream's books, a payout that crashes or is undone, mails that sleep and wait."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.unit.examples.rig import Rig

from cgk_jobs import Send, tenant_context
from cgk_jobs.clock import to_micros
from cgk_jobs.events.catalogue.brand_context import BrandContextProcessDocument
from cgk_jobs.events.catalogue.commerce import CustomerCreated, OrderCreated, OrderFulfilled
from cgk_jobs.events.catalogue.google_feed import GoogleFeedProductUpdate, GoogleFeedSync
from cgk_jobs.events.catalogue.payouts import PayoutRequested
from cgk_jobs.events.catalogue.reviews import ReviewEmailQueued
from cgk_jobs.examples.commerce import paying, seed
from cgk_jobs.examples.commerce.stream import expected_totals, read_orders, to_event
from cgk_jobs.examples.commerce.vendors import Answer, VendorDoubles, VendorUnavailable

WISH = PayoutRequested(
    tenant_id="acme",
    payout_id="p1",
    creator_id=seed.BY_STRIPE,
    amount_cents=20_000,
    currency="GBP",
    payout_type="domestic",
)
TRANSFER = 2
"""The step of a payout that moves the money."""
FEW = ("netherlands", "usa", "lebanon", "japan")


def owed(rig: Rig) -> int:
    with tenant_context("acme"), rig.app.shops.current() as db:
        return paying.balance(db, seed.BY_STRIPE, "GBP")


async def buy(rig: Rig, customer: str, *orders: str) -> None:
    await rig.jobs.send(CustomerCreated(tenant_id="acme", customer_id=customer, email=f"{customer}@example.com"))
    await rig.jobs.send_many(
        [
            OrderCreated(tenant_id="acme", order_id=order, customer_id=customer, total_amount_cents=100, currency="GBP")
            for order in orders
        ]
    )
    await rig.finish()


def queued(order: str) -> ReviewEmailQueued:
    return ReviewEmailQueued(
        tenant_id="acme",
        review_email_id=f"mail-{order}",
        order_id=order,
        customer_id="ann",
        template_id="review-request",
    )


async def test_the_books_equal_the_stream_though_every_third_event_is_sent_twice(rig: Rig) -> None:
    events = [to_event(order) for order in read_orders(FEW)]
    await rig.jobs.send_many([Send(event, key=f"{event.event_name}:{event.order_id}") for event in events])
    repeated = await rig.jobs.send_many(
        [Send(event, key=f"{event.event_name}:{event.order_id}") for event in events[::3]]
    )
    assert {sent.status for sent in repeated} == {"duplicate"}
    await rig.jobs.send_many(events[::5])  # and by a sender that knows no keys
    await rig.finish()
    for tenant, totals in expected_totals(FEW).items():
        with tenant_context(tenant):
            assert rig.app.shops.revenue_pence(tenant) == totals.revenue_pence
            assert rig.app.shops.order_count(tenant) == totals.orders


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_a_payout_whose_run_crashes_at_the_transfer_is_paid_once(rig: Rig, moment: str) -> None:
    seed.plant(rig.app, "acme")
    rig.harness.crash_at_step(rig.task("process-domestic-payout"), TRANSFER, moment=moment)  # type: ignore[arg-type]
    await rig.jobs.send(WISH)
    await rig.harness.drain(with_scheduled=True)
    assert rig.vendors.charges == 1
    assert [mail.detail for mail in rig.vendors.done("acme", "mail")] == ["payout-initiated p1"]
    assert owed(rig) == seed.OPENING_BALANCE_CENTS - WISH.amount_cents


async def test_a_payout_that_is_refused_is_undone(rig: Rig) -> None:
    seed.plant(rig.app, "acme")
    rig.vendors.closed.add(seed.BY_STRIPE)
    await rig.jobs.send(WISH)
    await rig.harness.drain(with_scheduled=True)
    (run,) = await rig.runs_of("process-domestic-payout")
    assert (run.state, [step.name for step in run.steps]) == ("failed", ["reserve", "undo:reserve"])
    assert "closed" in (run.error or "")
    assert rig.rows("SELECT state FROM payouts") == [("failed",)]
    assert rig.rows("SELECT amount_cents FROM creator_entries WHERE entry_id = 'payout:p1'") == [(-20_000,)]
    assert owed(rig) == seed.OPENING_BALANCE_CENTS
    assert rig.vendors.charges == 0
    assert [mail.detail for mail in rig.vendors.done("acme", "mail")] == ["payout-failed p1"]
    # The vendor was told to let nothing through under this key any more, whoever still tries.
    rig.vendors.closed.clear()
    with tenant_context("acme"):
        await rig.jobs.runs.retry(run.id)
    await rig.harness.drain(with_scheduled=True)
    assert (rig.vendors.charges, owed(rig)) == (0, seed.OPENING_BALANCE_CENTS)


class Silent(VendorDoubles):
    """Transfers money and never says so."""

    async def transfer(self, *args: Any, **kwargs: Any) -> Answer:
        await super().transfer(*args, **kwargs)
        raise VendorUnavailable("payments: the answer was lost")


async def test_a_payout_whose_money_left_is_not_given_back(tmp_path: Path) -> None:
    rig = Rig(tmp_path, Silent())
    try:
        seed.plant(rig.app, "acme")
        await rig.jobs.send(WISH)
        await rig.harness.drain(with_scheduled=True)
        (run,) = await rig.runs_of("process-domestic-payout")
        assert (run.state, run.attempt) == ("failed", rig.task("process-domestic-payout").retry.max_attempts)
        assert rig.vendors.charges == 1
        assert rig.rows("SELECT state, transfer_id FROM payouts") == [("sent", "payments-acme-payout:p1")]
        assert owed(rig) == seed.OPENING_BALANCE_CENTS - WISH.amount_cents
        assert rig.vendors.done("acme", "mail") == []
    finally:
        rig.close()


async def test_a_review_mail_waits_for_the_shipment_of_its_order(rig: Rig) -> None:
    await buy(rig, "ann", "o1", "o2")
    await rig.jobs.send_many([queued("o1"), queued("o2")])
    await rig.finish()
    assert {run.state for run in await rig.runs_of("commerce-handle-review-email-queued")} == {"waiting"}
    await rig.jobs.send(OrderFulfilled(tenant_id="acme", order_id="o1", fulfillment_id="f1"))
    await rig.finish()
    assert {mail.key for mail in rig.vendors.done("acme", "mail")} == {"mail-o1"}
    # Nobody reports the other shipment: a week later the parcel will be there.
    rig.harness.clock.advance(timedelta(days=7))
    await rig.finish()
    first, second = (await rig.runs_of("commerce-handle-review-email-queued"))[:2]
    assert (first.result, second.result) == (True, True)
    assert {"mail-o1", "mail-o2"} <= {mail.key for mail in rig.vendors.done("acme", "mail")}


async def test_the_latest_orders_are_credited_anew_every_night_day_by_day(rig: Rig) -> None:
    await buy(rig, "ann", "o1")
    with tenant_context("acme"), rig.app.shops.current() as db:
        db.execute(
            "INSERT INTO touchpoints (touchpoint_id, customer_id, channel, touched_at) VALUES ('t', 'ann', 'search', ?)",
            (rig.app.now() - 3_600_000_000,),
        )
    await rig.jobs.schedules.trigger("attribution-recalculate-recent", tenant_id="acme")
    await rig.harness.drain(raise_failures=True)
    (night,) = await rig.runs_of("attribution-recalculate-recent")
    children = await rig.runs_of("attribution-recalculate-recent-on-request")
    assert (night.state, [child.parent_id for child in children]) == ("completed", [night.id] * 3)
    assert (night.result, sorted(child.result for child in children)) == (1, [0, 0, 1])


async def test_the_months_close_books_what_was_paid_first(rig: Rig) -> None:
    seed.plant(rig.app, "acme")
    rig.harness.clock.set(datetime(2026, 2, 1, 12, tzinfo=UTC))
    with tenant_context("acme"), rig.app.shops.current() as db:
        db.execute(
            "INSERT INTO payouts (payout_id, creator_id, amount_cents, currency, state, requested_at, completed_at)"
            " VALUES ('p1', ?, 700, 'GBP', 'completed', 0, ?)",
            (seed.BY_STRIPE, to_micros(datetime(2026, 1, 31, tzinfo=UTC))),
        )
    await rig.jobs.declare()
    await rig.jobs.schedules.trigger("monthly-pl-snapshot", tenant_id="acme")
    await rig.harness.drain(raise_failures=True)
    assert rig.rows("SELECT reference, amount_cents FROM expenses") == [("payout:p1", 700)]
    assert rig.rows("SELECT expenses_cents FROM profit_months") == [(700,)]


async def test_counts_of_one_variant_are_entered_in_order_though_the_first_fails(rig: Rig) -> None:
    task = rig.task("commerce-inventory-update")
    failing = {"v1"}

    async def fail_once(ctx: Any, call_next: Any) -> Any:
        if ctx.event.variant_id in failing:
            failing.clear()
            raise ConnectionError
        return await call_next()

    task.middleware = (fail_once,)
    assert task.payload is not None
    for variant, quantity in (("v1", 5), ("v1", 4), ("v2", 9)):
        await task.send(task.payload(tenant_id="acme", variant_id=variant, location_id="l", quantity=quantity))
    await rig.harness.drain()
    assert rig.rows("SELECT variant_id, quantity FROM stock") == [("v2", 9)]
    await rig.harness.drain(with_scheduled=True, raise_failures=True)
    assert rig.rows("SELECT variant_id, quantity FROM stock ORDER BY variant_id") == [("v1", 4), ("v2", 9)]


async def test_bursts_become_one_run(rig: Rig) -> None:
    for action in ("update", "update", "delete"):
        await rig.jobs.send(GoogleFeedProductUpdate(tenant_id="acme", product_id="p", action=action))
    rebuilds = [await rig.jobs.send(GoogleFeedSync(tenant_id="acme")) for _ in range(2)]
    for kind in ("text", "pdf"):
        await rig.jobs.send(BrandContextProcessDocument(tenant_id="acme", document_id="d", document_type=kind))
    await rig.harness.drain(with_scheduled=True, raise_failures=True)
    (update,) = await rig.runs_of("google-feed-product-update")
    assert (update.state, update.events, update.payload["action"]) == ("completed", 3, "delete")
    assert [rebuild.status for rebuild in rebuilds] == ["accepted", "duplicate"]
    assert [run.state for run in await rig.runs_of("process-brand-document")] == ["cancelled", "completed"]


async def test_a_review_sequence_is_cancelled_by_its_tag_in_the_middle(rig: Rig) -> None:
    for customer, order in (("ann", "o1"), ("bob", "o2")):
        await rig.jobs.send(CustomerCreated(tenant_id="acme", customer_id=customer, email=f"{customer}@example.com"))
        await rig.jobs.send(
            OrderCreated(tenant_id="acme", order_id=order, customer_id=customer, total_amount_cents=100, currency="GBP")
        )
        await rig.finish()
        await rig.jobs.send(
            OrderFulfilled(tenant_id="acme", order_id=order, fulfillment_id=f"f-{order}"), tags=(f"order:{order}",)
        )
    await rig.finish()
    rig.harness.clock.advance(timedelta(days=5))
    await rig.finish()
    with tenant_context("acme"):
        assert await rig.jobs.runs.cancel(tag="order:o1") == 1
    rig.harness.clock.advance(timedelta(days=7))
    await rig.finish()
    assert sorted(mail.detail for mail in rig.vendors.done("acme", "mail")) == [
        "review-reminder o2",
        "review-request o1",
        "review-request o2",
    ]
