"""The example uses every part of orchestration, on the real engine: asking a person, calls, batches, drops."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from tests.unit.examples.rig import Rig

from cgk_jobs import InvalidToken, RunCancelled, tenant_context
from cgk_jobs.clock import to_micros
from cgk_jobs.events.catalogue.commerce import OrderPaid
from cgk_jobs.events.catalogue.payouts import PayoutRequested
from cgk_jobs.examples.commerce import paying, seed
from cgk_jobs.examples.commerce.payout_approvals import ANSWER_WITHIN, PayoutDecided
from cgk_jobs.runs import Run

FLOW_CONTROL = ("unique", "debounce", "throttle", "batch", "ordered_by", "latest")


@pytest.fixture(autouse=True)
def outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings for the links, before there is an application."""
    monkeypatch.setenv("JOBS_SIGNING_KEY", "k" * 32)
    monkeypatch.setenv("JOBS_PUBLIC_URL", "https://shop.example")


async def asked(rig: Rig, payout_id: str = "p1") -> str:
    """Request a payout of a tenant whose payouts a person approves; the token of the link in the mail."""
    seed.plant(rig.app, "acme")
    with tenant_context("acme"), rig.app.shops.current() as db:
        db.executemany(
            "INSERT INTO settings VALUES (?, ?)",
            [("payout_approval", "required"), ("payout_approver", "boss@acme.example")],
        )
    rig.jobs.events.add(PayoutDecided)
    wish = PayoutRequested(
        tenant_id="acme",
        payout_id=payout_id,
        creator_id=seed.BY_STRIPE,
        amount_cents=20_000,
        currency="GBP",
        payout_type="domestic",
    )
    await rig.jobs.send(wish)
    await rig.finish()
    (mail,) = rig.vendors.done("acme", "mail")
    assert mail.target == "boss@acme.example"
    return mail.detail.rsplit("/", 1)[1]


async def test_a_payout_waits_for_its_approver_and_is_paid_once_however_often_the_link_is_used(rig: Rig) -> None:
    token = await asked(rig)
    assert rig.vendors.charges == 0
    (run,) = await rig.runs_of("process-domestic-payout")
    assert run.state == "waiting"
    answers = [(await rig.jobs.approve(token, approved=True)).status for _ in range(3)]
    assert answers == ["accepted", "duplicate", "duplicate"]
    await rig.finish()
    assert rig.vendors.charges == 1
    assert rig.rows("SELECT state FROM payouts") == [("sent",)]
    (run,) = await rig.runs_of("process-domestic-payout")
    assert run.result == "approved"


async def test_a_refused_payout_is_not_paid_and_its_creator_is_told(rig: Rig) -> None:
    token = await asked(rig)
    await rig.jobs.approve(token, approved=False)
    await rig.finish()
    assert rig.vendors.charges == 0
    assert rig.rows("SELECT state FROM payouts") == [("failed",)]
    assert [mail.detail for mail in rig.vendors.done("acme", "mail")][1:] == ["payout-refused p1"]
    with tenant_context("acme"), rig.app.shops.current() as db:
        assert paying.balance(db, seed.BY_STRIPE, "GBP") == seed.OPENING_BALANCE_CENTS


async def test_a_payout_nobody_decides_about_stays_where_it_is(rig: Rig) -> None:
    token = await asked(rig)
    rig.harness.clock.advance(ANSWER_WITHIN)
    await rig.finish()
    (run,) = await rig.runs_of("process-domestic-payout")
    assert (run.state, run.result) == ("completed", "undecided")
    with pytest.raises(InvalidToken, match="too old"):
        await rig.jobs.approve(token, approved=True)
    assert rig.rows("SELECT state FROM payouts") == [("requested",)]


async def test_a_link_of_a_cancelled_payout_moves_no_money(rig: Rig) -> None:
    token = await asked(rig)
    (run,) = await rig.runs_of("process-domestic-payout")
    with tenant_context("acme"):
        await rig.jobs.runs.cancel(run.id)
    with pytest.raises(RunCancelled):
        await rig.jobs.approve(token, approved=True)
    await rig.finish()
    assert rig.vendors.charges == 0


async def test_a_late_refusal_does_not_touch_a_payout_that_was_approved_elsewhere(rig: Rig) -> None:
    token = await asked(rig)
    with tenant_context("acme"), rig.app.shops.current() as db:
        assert paying.approve(db, "p1")
    await rig.jobs.approve(token, approved=False)
    await rig.finish()
    assert rig.rows("SELECT state FROM payouts") == [("approved",)]


async def night(rig: Rig, task_id: str, orders: int = 1) -> Run:
    """A schedule's run for a tenant that had ``orders`` yesterday."""
    noon = rig.harness.clock.now().replace(hour=12) - timedelta(days=1)
    with tenant_context("acme"), rig.app.shops.current() as db:
        db.executemany(
            "INSERT INTO orders (order_id, kind, customer_id, amount_cents, currency, booked_at)"
            " VALUES (?, 'created', 'ann', 100, 'GBP', ?)",
            [(f"o{number}", to_micros(noon)) for number in range(orders)],
        )
        db.executemany(
            "INSERT INTO unattributed (order_id, tries) VALUES (?, 2)", [(f"o{number}",) for number in range(orders)]
        )
    await rig.jobs.tenants.add("acme")
    await rig.jobs.declare()
    await rig.jobs.schedules.trigger(task_id)
    await rig.harness.drain(raise_failures=True)
    (run,) = await rig.runs_of(task_id)
    assert run.state == "completed"
    return run


async def test_nightly_figures_are_made_by_a_run_for_each_day_that_had_orders(rig: Rig) -> None:
    run = await night(rig, "analytics-aggregate-daily-metrics")
    assert run.result == 1
    (child,) = await rig.runs_of("analytics-aggregate-daily-metrics-on-request")
    yesterday = (rig.harness.clock.now() - timedelta(days=1)).date().isoformat()
    assert (child.parent_id, child.payload["date"]) == (run.id, yesterday)
    assert rig.rows("SELECT day_on, orders, revenue_cents FROM metric_days") == [(yesterday, 1, 100)]


async def test_a_night_without_orders_calls_nothing(rig: Rig) -> None:
    run = await night(rig, "analytics-aggregate-daily-metrics", orders=0)
    assert run.result == 0
    with tenant_context("acme"):
        assert (await rig.jobs.runs.get(run.id)).steps == ()
        assert not await rig.jobs.runs.list(parent_id=run.id)


async def test_channel_figures_wait_for_both_tasks_that_see_to_the_credits(rig: Rig) -> None:
    run = await night(rig, "attribution-daily-metrics", orders=2)
    with tenant_context("acme"):
        children = await rig.jobs.runs.list(parent_id=run.id)
    assert {(child.task, child.state) for child in children} == {
        ("attribution-recalculate-recent-on-request", "completed"),
        ("attribution-order-reconciliation-manual", "completed"),
    }
    assert rig.rows("SELECT channel, orders, revenue_cents FROM attribution_days") == [("direct", 2, 200)]


async def test_paid_orders_are_reported_together(rig: Rig) -> None:
    orders = [
        OrderPaid(tenant_id=tenant, order_id=f"{tenant}-{number}", total_amount_cents=100, currency="EUR")
        for number in range(3)
        for tenant in ("acme", "other")
    ]
    await rig.jobs.send_many(orders)
    await rig.harness.drain(with_scheduled=True, raise_failures=True)
    (run,) = await rig.runs_of("order-pixel-events")
    assert (run.events, run.result) == (3, 9)
    assert {done.target for done in rig.vendors.done("acme", "purchase")} == {"acme-0", "acme-1", "acme-2"}


async def test_a_figure_that_stays_unusual_is_reported_once_an_hour(rig: Rig) -> None:
    task = rig.task("unusual-activity-alert")
    assert task.payload is not None

    async def report(figure: str) -> str:
        payload = task.payload(tenant_id="acme", figure=figure, value=90, usual=5)  # type: ignore[misc]
        return (await task.send(payload)).status

    assert [await report(figure) for figure in ("refunds", "refunds", "orders")] == ["accepted", "refused", "accepted"]
    await rig.finish()
    rig.harness.clock.advance(3_600)
    assert await report("refunds") == "accepted"
    await rig.finish()
    assert len(rig.vendors.done("acme", "post")) == 3


@pytest.mark.parametrize("option", FLOW_CONTROL)
def test_every_way_of_flow_control_has_its_task(rig: Rig, option: str) -> None:
    users: list[Any] = [task.id for task in rig.jobs.tasks if getattr(task.flow, option)]
    assert users
