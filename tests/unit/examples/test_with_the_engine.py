"""The example on the real engine: the stream's books, a payout that crashes, a mail sequence cancelled in the middle."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from cgk_jobs import Jobs, Send, tenant_context
from cgk_jobs.events.catalogue.commerce import CustomerCreated, OrderCreated, OrderFulfilled
from cgk_jobs.events.catalogue.payouts import PayoutRequested
from cgk_jobs.examples.commerce import Commerce, build, seed
from cgk_jobs.examples.commerce.stream import expected_totals, read_orders, to_event
from cgk_jobs.examples.commerce.vendors import VendorDoubles
from cgk_jobs.testing import JobsHarness

FEW = ("netherlands", "usa", "lebanon", "japan")


class Rig:
    """A harness with the example's tasks included."""

    def __init__(self, folder: Path, vendors: VendorDoubles) -> None:
        self.harness = JobsHarness(folder=folder)
        self.jobs: Jobs = self.harness.jobs
        self.vendors = vendors
        self.app: Commerce
        self.app, groups = build(None, clock=self.harness.clock, vendors=vendors)
        self.jobs.include(*groups)

    async def finish(self) -> None:
        """Run all that is due, and what a limit or rate holds back, second by second."""
        while (await self.harness.drain(raise_failures=True)).attempts:
            self.harness.clock.advance(1)

    def close(self) -> None:
        self.harness.close()
        self.app.shops.close()
        self.vendors.close()


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path, VendorDoubles())
    yield made
    made.close()


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
    task = next(task for task in rig.jobs.tasks if task.id == "process-domestic-payout")
    rig.harness.crash_at_step(task, moment=moment)  # type: ignore[arg-type]
    await rig.jobs.send(
        PayoutRequested(
            tenant_id="acme",
            payout_id="p1",
            creator_id=seed.BY_STRIPE,
            amount_cents=20_000,
            currency="GBP",
            payout_type="domestic",
        )
    )
    await rig.harness.drain(with_scheduled=True)
    assert rig.vendors.charges == 1
    assert [mail.detail for mail in rig.vendors.done("acme", "mail")] == ["payout-initiated p1"]


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
