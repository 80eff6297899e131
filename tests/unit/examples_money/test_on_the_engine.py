"""The same tasks as the engine runs them: a worker that dies, billing that meets billing, a cart over several days."""

import asyncio
import multiprocessing
import os
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.unit.examples_services.bench import Vendors

from cgk_jobs import tenant_context
from cgk_jobs.events.catalogue.subscriptions import SubscriptionBilling
from cgk_jobs.examples.commerce import Commerce, build
from cgk_jobs.examples.commerce.tasks import CATEGORIES
from cgk_jobs.examples.commerce.vendors import Answer, VendorDoubles
from cgk_jobs.testing import JobsHarness

BEFORE_BILLING = datetime(2026, 3, 4, 5, 59, tzinfo=UTC)
KILLED = 9
TENANTS = ("acme", "blue")
SUBSCRIBE = (
    "INSERT INTO subscriptions (subscription_id, customer_id, amount_cents, currency, next_billing_on)"
    " VALUES (?, ?, 1200, 'GBP', '2026-03-04')"
)


def installation(folder: Path | None, vendors: VendorDoubles, start: datetime) -> tuple[JobsHarness, Commerce]:
    """The tasks under test on the engine; ``folder`` keeps ledger and databases for whoever comes next."""
    harness = JobsHarness(folder=folder, start=start)
    app, _ = build(folder, clock=harness.clock, vendors=vendors)
    for name in ("subscriptions", "gift-cards", "recovery"):
        harness.jobs.include(CATEGORIES[name](app))
    return harness, app


def execute(app: Commerce, tenant_id: str, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    with tenant_context(tenant_id), app.shops.current() as db:
        return db.execute(statement, values).fetchall()


class DeadlyVendors(VendorDoubles):
    """Takes the money of ``blue``'s customer, and with it the life of the process."""

    async def charge(self, tenant_id: str, key: str, customer: str, amount_cents: int, currency: str) -> Answer:
        answer = await super().charge(tenant_id, key, customer, amount_cents, currency)
        if tenant_id == "blue":
            os._exit(KILLED)
        return answer


def bill_and_die(folder: Path) -> None:
    """What the first worker's process does."""

    async def work() -> None:
        harness, app = installation(folder, DeadlyVendors(folder), BEFORE_BILLING)
        for tenant_id in TENANTS:
            await harness.jobs.tenants.add(tenant_id)
            execute(app, tenant_id, SUBSCRIBE, "s1", "c1")
        await harness.drain()
        harness.clock.advance(timedelta(minutes=1))
        await harness.drain()

    asyncio.run(work())


async def test_a_worker_that_dies_between_charge_and_write_charges_once(tmp_path: Path) -> None:
    first = multiprocessing.get_context("spawn").Process(target=bill_and_die, args=(tmp_path,))
    first.start()
    await asyncio.to_thread(first.join, 30)
    assert first.exitcode == KILLED
    vendors = VendorDoubles(tmp_path)
    harness, app = installation(tmp_path, vendors, BEFORE_BILLING + timedelta(minutes=2))
    try:
        # The money has moved and the tenant's database does not know it.
        assert len(vendors.done("blue", "charge")) == 1
        assert execute(app, "blue", "SELECT * FROM billings") == []
        await harness.drain(with_scheduled=True, raise_failures=True)
        for tenant_id in TENANTS:
            assert [done.key for done in vendors.done(tenant_id, "charge")] == ["billing:s1:2026-03-04:2026-04-03"]
            assert execute(app, tenant_id, "SELECT period_start_on FROM billings") == [("2026-03-04",)]
            assert execute(app, tenant_id, "SELECT next_billing_on FROM subscriptions") == [("2026-04-03",)]
        runs = [run for run in await harness.runs_of("blue") if run.task == "subscription-daily-billing"]
        assert [(run.state, run.attempt) for run in runs] == [("completed", 2)]
        assert vendors.calls - vendors.charges >= 1, "the second attempt asked again, with the same key"
    finally:
        harness.close()
        app.shops.close()
        vendors.close()


class WatchfulVendors(VendorDoubles):
    """Lets others have a turn during a charge, and notes how many of a tenant overlap."""

    def __init__(self) -> None:
        super().__init__(None)
        self.underway: Counter[str] = Counter()
        self.most: Counter[str] = Counter()
        self.most_at_all = 0

    async def charge(self, tenant_id: str, key: str, customer: str, amount_cents: int, currency: str) -> Answer:
        self.underway[tenant_id] += 1
        self.most[tenant_id] = max(self.most[tenant_id], self.underway[tenant_id])
        self.most_at_all = max(self.most_at_all, self.underway.total())
        for _ in range(50):
            await asyncio.sleep(0)
        self.underway[tenant_id] -= 1
        return await super().charge(tenant_id, key, customer, amount_cents, currency)


async def test_billing_never_meets_billing_of_the_same_tenant() -> None:
    vendors = WatchfulVendors()
    harness, app = installation(None, vendors, BEFORE_BILLING)
    try:
        for tenant_id in TENANTS:
            await harness.jobs.tenants.add(tenant_id)
            for number in range(3):
                execute(app, tenant_id, SUBSCRIBE, f"s{number}", f"c{number}")
        batch = next(task for task in harness.jobs if task.id == "subscription-batch-billing")
        assert batch.payload is not None
        for tenant_id in TENANTS:
            await harness.jobs.send(SubscriptionBilling(tenant_id=tenant_id))
            await batch.send(batch.payload(tenant_id=tenant_id, subscription_ids=["s0", "s1", "s2"]))
            await harness.jobs.send(SubscriptionBilling(tenant_id=tenant_id, subscription_id="s1"))
        await harness.drain(raise_failures=True)
        assert dict(vendors.most) == {"acme": 1, "blue": 1}
        assert vendors.most_at_all == 2
        assert vendors.calls == vendors.charges == 6
        harness.assert_no_tenant_leaks()
    finally:
        harness.close()
        app.shops.close()
        vendors.close()


Scene = tuple[JobsHarness, Commerce, Vendors]


@pytest.fixture
def scene() -> Any:
    vendors = Vendors()
    harness, app = installation(None, vendors, BEFORE_BILLING)
    yield harness, app, vendors
    harness.close()
    app.shops.close()
    vendors.close()


async def _pass(harness: JobsHarness, *spans: timedelta, then: Callable[[], object] = lambda: None) -> None:
    for span in spans:
        harness.clock.advance(span)
        await harness.drain(raise_failures=True)
        then()


async def test_a_cart_is_reminded_of_by_the_schedules_until_it_is_bought(scene: Scene) -> None:
    harness, app, vendors = scene
    await harness.jobs.tenants.add("acme")
    await harness.drain()
    for checkout_id in ("k1", "k2"):
        execute(
            app,
            "acme",
            "INSERT INTO checkouts (checkout_id, email, total_cents, currency, touched_at) VALUES (?, ?, 900, 'GBP', ?)",
            checkout_id,
            f"{checkout_id}@example.com",
            app.now(),
        )
    five_minutes, day = timedelta(minutes=5), timedelta(days=1)
    # A tick finds the carts; the same one, or the next, sends what it planned.
    await _pass(harness, timedelta(minutes=70), five_minutes)
    execute(app, "acme", "UPDATE checkouts SET state = 'completed' WHERE checkout_id = 'k2'")
    await _pass(harness, day, five_minutes, 2 * day, five_minutes, 4 * day, five_minutes)
    assert [done.detail for done in vendors.done("acme", "mail")] == [
        "cart-reminder-1 k1",
        "cart-reminder-2 k1",
        "cart-reminder-3 k1",
        "cart-reminder-1 k2",
    ]
