"""Orders in the books: counted once, whatever is repeated, and equal to the stream they came from."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

import pytest
from tests.unit.examples.shop import Shop, ShopContext

from cgk_jobs import DuplicateKey, tenant_context
from cgk_jobs.events.catalogue.commerce import OrderCreated
from cgk_jobs.examples.commerce import build, seed
from cgk_jobs.examples.commerce.stream import expected_totals, read_orders, to_event

FEW = ("france", "netherlands", "usa", "lebanon")


def test_the_stream_adds_up_to_the_figure_its_source_states() -> None:
    totals = expected_totals()
    assert sum(one.orders for one in totals.values()) == 25_900
    assert sum(one.revenue_pence for one in totals.values()) == 974_774_793
    assert len(totals) == 38


def test_the_stream_is_in_the_order_of_time_and_of_three_kinds() -> None:
    orders = list(read_orders())
    assert [order.placed_at for order in orders] == sorted(order.placed_at for order in orders)
    assert Counter(order.kind for order in orders) == {"created": 22_061, "cancelled": 3_836, "adjusted": 3}


async def test_the_books_equal_the_stream_however_often_and_in_whatever_order_the_runs_come() -> None:
    app, groups = build(None)
    tasks = [task for group in groups for task in group]
    orders = list(read_orders(FEW))
    runs = [(task, event) for event in map(to_event, orders) for task in tasks if task.on is type(event)]
    again = runs[::3]
    everything = runs + again
    Random(7).shuffle(everything)
    for tenant in FEW:
        seed.plant(app, tenant, [order.customer_id for order in orders if order.customer_id and order.tenant == tenant])
    for task, event in everything:
        with tenant_context(event.tenant_id):
            await task(event)
    expected = expected_totals(FEW)
    for tenant in FEW:
        with tenant_context(tenant):
            assert app.shops.revenue_pence(tenant) == expected[tenant].revenue_pence
            assert app.shops.order_count(tenant) == expected[tenant].orders
            with app.shops.current() as db:
                counted = db.execute("SELECT coalesce(sum(order_count), 0) FROM customers").fetchone()[0]
            bought = [order for order in orders if order.tenant == tenant and order.kind == "created"]
            assert counted == sum(order.customer_id is not None for order in bought)
    app.close()


@pytest.mark.parametrize("granted_first", [True, False])
async def test_a_cancelled_order_leaves_no_commission_whichever_comes_first(shop: Shop, granted_first: bool) -> None:
    shop.plant("ann")
    if granted_first:
        await shop.order("o1", 10_000)
    assert await shop.run("commission-reversal", order_id="o1", refund_amount_cents=10_000) is granted_first
    await shop.order("o1", 10_000)
    assert shop.revenue() == 0
    assert shop.value("SELECT count(*) FROM commissions WHERE state != 'reversed'") == 0


async def test_a_cancellation_without_an_amount_gives_back_what_the_order_stands_at(shop: Shop) -> None:
    await shop.order("o1", 10_000)
    await shop.run("commission-adjustment", order_id="o1", refund_id="r1", refund_amount_cents=2_500)
    assert shop.revenue() == 7_500
    await shop.run("commission-reversal", order_id="o1")
    assert shop.revenue() == 0


async def test_refunds_take_their_share_of_the_commission_once_each(shop: Shop) -> None:
    shop.plant("ann")
    await shop.order("o1", 10_000)
    assert shop.value("SELECT amount_cents FROM commissions") == 500
    await shop.run("payout-on-commission-matured", commission_id="o1", order_id="o1", creator_id="x", amount_cents=1)
    for _ in range(2):
        await shop.run("commission-adjustment", order_id="o1", refund_id="r1", refund_amount_cents=2_500)
    assert (shop.value("SELECT amount_cents FROM commissions"), shop.revenue()) == (375, 7_500)
    await shop.run("commission-adjustment", order_id="o1", refund_id="r2", refund_amount_cents=7_500)
    assert (shop.value("SELECT amount_cents FROM commissions"), shop.revenue()) == (0, 0)
    assert shop.value("SELECT sum(amount_cents) FROM creator_entries WHERE entry_id NOT LIKE 'opening:%'") == 0


async def test_an_order_reported_twice_is_announced_once(shop: Shop) -> None:
    for _ in range(2):
        await shop.run("commerce-sync-order", order_id="o1", total_amount_cents=100, currency="GBP")
    (announced,) = shop.ctx.sent_of(OrderCreated)
    assert (announced.order_id, announced.total_amount_cents, announced.currency) == ("o1", 100, "GBP")


async def test_an_order_reported_with_other_figures_does_not_fail_the_run(shop: Shop) -> None:
    class KnowingContext(ShopContext):
        async def send(self, event: Any, *, key: str) -> None:
            raise DuplicateKey(key)

    await shop.run("commerce-sync-order", KnowingContext(), order_id="o1", total_amount_cents=100)


async def test_consent_and_addresses_come_from_customer_events(shop: Shop) -> None:
    await shop.run("commerce-handle-customer-created", customer_id="ann", email="ann@example.com")
    await shop.run(
        "commerce-handle-customer-updated", customer_id="ann", changes={"phone": "+1", "sms_consent": True, "x": 1}
    )
    assert shop.rows("SELECT email, phone, sms_consent FROM customers") == [("ann@example.com", "+1", 1)]
    await shop.run("commerce-handle-customer-updated", customer_id="ann", changes={"sms_consent": False})
    assert shop.rows("SELECT email, phone, sms_consent FROM customers") == [("ann@example.com", "+1", 0)]


async def test_a_stock_count_overwrites_the_one_before(shop: Shop) -> None:
    for quantity in (5, 3):
        await shop.run("commerce-inventory-update", variant_id="v", location_id="l", quantity=quantity)
    assert shop.rows("SELECT quantity FROM stock") == [(3,)]
