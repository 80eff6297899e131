"""Figures, digests, texts and the treasury as the engine runs them: schedules, retries, several tenants."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.unit.examples_services.bench import Bench

from cgk_jobs import tenant_context
from cgk_jobs.clock import to_micros
from cgk_jobs.events.catalogue.notifications import SmsSend
from cgk_jobs.events.catalogue.treasury import TreasuryEmailReceived, TreasuryTopupSucceeded
from cgk_jobs.examples.commerce import Commerce
from cgk_jobs.examples.commerce.tasks import CATEGORIES
from cgk_jobs.runs import Run
from cgk_jobs.testing import JobsHarness

CHOSEN = ("segments", "sms", "digests", "analytics", "treasury", "payouts")
START = datetime(2026, 3, 6, 7, 58, tzinfo=UTC)
"""A Friday morning, two days before the clocks of New York go forward."""


class Installation:
    """Two tenants on the engine: ``acme`` on London's clocks, ``blue`` on New York's."""

    def __init__(self) -> None:
        self.harness = JobsHarness(start=START)
        self.jobs = self.harness.jobs
        self.bench = Bench(self.harness.clock)
        app: Commerce = replace(self.bench.app, seconds_between_texts=0)  # the pace is real time, and no test waits
        for name in CHOSEN:
            self.jobs.include(CATEGORIES[name](app))

    async def open(self) -> None:
        for tenant, zone in (("acme", "Europe/London"), ("blue", "America/New_York")):
            await self.jobs.tenants.add(tenant)
            self.execute(tenant, "INSERT INTO settings VALUES ('timezone', ?)", zone)
            self.execute(tenant, "INSERT INTO settings VALUES ('admin_email', ?)", f"boss@{tenant}")
            self.execute(tenant, "INSERT INTO settings VALUES ('treasurer_email', ?)", f"treasurer@{tenant}")
            self.execute(
                tenant, "INSERT INTO customers (customer_id, phone, sms_consent) VALUES ('a', '+1', 1), ('b', '+2', 0)"
            )

    def execute(self, tenant: str, statement: str, *values: Any) -> None:
        with tenant_context(tenant):
            self.bench.execute(statement, *values)

    def rows(self, tenant: str, query: str) -> list[tuple[Any, ...]]:
        with tenant_context(tenant):
            return self.bench.rows(query)

    def book(self, tenant: str, order_id: str, cents: int, at: datetime) -> None:
        self.execute(
            tenant,
            "INSERT INTO orders (order_id, kind, amount_cents, currency, booked_at) VALUES (?, 'created', ?, 'GBP', ?)",
            order_id,
            cents,
            to_micros(at),
        )

    async def go_to(self, *moments: datetime) -> None:
        for moment in moments:
            self.harness.clock.set(moment)
            await self.harness.drain(raise_failures=True)

    async def runs(self, tenant: str, task_id: str) -> list[Run]:
        return [run for run in await self.harness.runs_of(tenant) if run.task == task_id]


@pytest.fixture
def installation() -> Iterator[Installation]:
    made = Installation()
    try:
        yield made
    finally:
        made.harness.close()
        made.bench.close()


async def test_a_bulk_text_leaves_in_each_tenants_own_morning(installation: Installation) -> None:
    await installation.open()
    bulk = next(task for task in installation.jobs if task.id == "send-bulk-sms")
    assert bulk.payload is not None
    for tenant in ("acme", "blue"):
        await bulk.send(bulk.payload(tenant_id=tenant, recipients=["+1", "+2", "+3"], message=f"sale at {tenant}"))
    vendors = installation.bench.vendors
    await installation.go_to(START + timedelta(minutes=1))
    assert vendors.calls_seen == []
    await installation.go_to(datetime(2026, 3, 6, 9, tzinfo=UTC))
    assert [(text.target, text.detail) for text in vendors.done("acme", "text")] == [("+1", "sale at acme")]
    await installation.go_to(datetime(2026, 3, 6, 13, 59, tzinfo=UTC))
    assert vendors.done("blue", "text") == []
    await installation.go_to(datetime(2026, 3, 6, 14, tzinfo=UTC))
    assert [(text.target, text.detail) for text in vendors.done("blue", "text")] == [("+1", "sale at blue")]
    states = "SELECT recipient, state FROM texts ORDER BY recipient"
    assert installation.rows("acme", states) == [("+1", "sent"), ("+2", "refused"), ("+3", "refused")]
    installation.harness.assert_no_tenant_leaks()


async def test_a_text_is_sent_once_by_the_attempt_that_gets_through(installation: Installation) -> None:
    await installation.open()
    await installation.go_to(datetime(2026, 3, 6, 10, 1, tzinfo=UTC))
    installation.bench.vendors.down, installation.bench.vendors.loses_answers = {"sms"}, True
    await installation.jobs.send(SmsSend(tenant_id="acme", to="+1", message="hello"))
    await installation.harness.drain()
    installation.bench.vendors.down = set()
    await installation.harness.drain(with_scheduled=True, raise_failures=True)
    (run,) = await installation.runs("acme", "send-sms")
    assert (run.state, run.attempt, run.result) == ("completed", 2, "sent")
    assert len(installation.bench.vendors.done("acme", "text")) == 1


async def test_a_text_whose_run_gave_up_is_sent_after_an_hour_of_rest(installation: Installation) -> None:
    await installation.open()
    await installation.go_to(datetime(2026, 3, 6, 10, 1, tzinfo=UTC))
    vendors = installation.bench.vendors
    vendors.down = {"sms"}
    await installation.jobs.send(SmsSend(tenant_id="acme", to="+1", message="hello"))
    await installation.harness.drain(with_scheduled=True)
    (run,) = await installation.runs("acme", "send-sms")
    assert (run.state, run.attempt) == ("failed", 5)
    vendors.down = set()
    await installation.go_to(datetime(2026, 3, 6, 11, tzinfo=UTC), datetime(2026, 3, 6, 11, 1, tzinfo=UTC))
    assert vendors.done("acme", "text") == []  # it has rested less than an hour
    await installation.go_to(datetime(2026, 3, 6, 12, tzinfo=UTC), datetime(2026, 3, 6, 12, 1, tzinfo=UTC))
    assert len(vendors.done("acme", "text")) == 1


async def test_after_an_outage_hours_and_days_are_whole(installation: Installation) -> None:
    await installation.open()
    for hours in range(1, 60):
        installation.book("acme", f"o{hours}", 1 << (hours % 30), START + timedelta(hours=hours))
    await installation.go_to(datetime(2026, 3, 6, 8, 5, tzinfo=UTC), datetime(2026, 3, 7, 2, 5, tzinfo=UTC))
    # Down from the night to Saturday until the night to Monday.
    await installation.go_to(datetime(2026, 3, 9, 1, 30, tzinfo=UTC), datetime(2026, 3, 9, 3, tzinfo=UTC))
    booked = installation.rows("acme", "SELECT count(*), sum(amount_cents) FROM orders")
    for table in ("metric_hours", "metric_days"):
        assert installation.rows("acme", f"SELECT sum(orders), sum(revenue_cents) FROM {table}") == booked, table
        assert installation.rows("blue", f"SELECT count(*) FROM {table}") == [(0,)]


async def test_the_overview_comes_at_eight_of_workdays_in_new_york_summer_or_winter(installation: Installation) -> None:
    await installation.open()
    for day in range(5, 10):
        installation.book("acme", f"o{day}", 100, datetime(2026, 3, day, 6, tzinfo=UTC))
    mails = installation.bench.vendors.done
    due = (datetime(2026, 3, 6, 13, tzinfo=UTC), datetime(2026, 3, 9, 12, tzinfo=UTC))
    for number, moment in enumerate(due):
        await installation.go_to(moment - timedelta(minutes=1))
        assert len(mails("acme", "mail")) == number
        await installation.go_to(moment, moment + timedelta(minutes=1))
        assert len(mails("acme", "mail")) == number + 1
    assert installation.rows(
        "acme", "SELECT day_on, body FROM digests WHERE kind = 'admin-digest' ORDER BY day_on"
    ) == [
        ("2026-03-06", "2026-03-05: 1 orders, 1.00"),
        ("2026-03-09", "\n".join(f"2026-03-0{day}: 1 orders, 1.00" for day in (6, 7, 8))),
    ]
    assert mails("blue", "mail") == []


async def test_a_refill_reaches_the_balance_once_however_often_it_is_asked_about(installation: Installation) -> None:
    await installation.open()
    installation.execute("acme", "INSERT INTO accounts VALUES ('payouts', 100, 50, 'GBP')")
    installation.execute(
        "acme", "INSERT INTO topups (topup_id, account, amount_cents, currency) VALUES ('t', 'payouts', 700, 'GBP')"
    )
    states = installation.bench.vendors.transfer_states
    states["topup:t"] = "pending"
    await installation.go_to(START + timedelta(minutes=2))
    balance = "SELECT balance_cents FROM accounts"
    assert installation.rows("acme", balance) == [(100,)]
    states["topup:t"] = "paid"
    await installation.go_to(*(START + timedelta(minutes=minutes) for minutes in (17, 32, 47)))
    assert len(await installation.runs("acme", "on-topup-succeeded")) == 1
    # The vendor's own message about it may come as well.
    await installation.jobs.send(
        TreasuryTopupSucceeded(tenant_id="acme", topup_id="t", amount_cents=700, currency="GBP")
    )
    await installation.harness.drain(raise_failures=True)
    assert installation.rows("acme", balance) == [(800,)]
    assert installation.rows("acme", "SELECT state FROM topups") == [("succeeded",)]
    assert len(await installation.runs("acme", "on-topup-succeeded")) == 2
    assert installation.rows("blue", "SELECT count(*) FROM topups") == [(0,)]


async def test_a_draw_approved_by_mail_is_transferred_once_with_the_next_tick(installation: Installation) -> None:
    await installation.open()
    for tenant in ("acme", "blue"):
        installation.execute(
            tenant, "INSERT INTO draw_requests (request_id, amount_cents, currency) VALUES ('d', 9, 'GBP')"
        )
    for _ in range(2):  # the mail is delivered twice
        await installation.jobs.send(
            TreasuryEmailReceived(tenant_id="acme", message_id="m", sender="Treasurer@ACME", body="Approved: d")
        )
    await installation.harness.drain(raise_failures=True)
    vendors = installation.bench.vendors
    assert vendors.charges == 0
    vendors.down, vendors.loses_answers = {"payments"}, True
    installation.harness.clock.set(datetime(2026, 3, 6, 8, tzinfo=UTC))
    await installation.harness.drain()
    vendors.down = set()
    # The second attempt comes ten seconds later, the next tick at noon.
    await installation.go_to(datetime(2026, 3, 6, 8, 1, tzinfo=UTC), datetime(2026, 3, 6, 12, tzinfo=UTC))
    assert [(one.key, one.amount_cents) for one in vendors.done("acme", "transfer")] == [("draw:d", 9)]
    assert installation.rows("acme", "SELECT state FROM draw_requests") == [("sent",)]
    assert installation.rows("blue", "SELECT state FROM draw_requests") == [("requested",)]
    assert vendors.charges == 1


async def test_a_draw_that_the_account_does_not_cover_waits_for_the_refill(installation: Installation) -> None:
    await installation.open()
    installation.execute("acme", "INSERT INTO accounts VALUES ('payouts', 100, 50, 'GBP')")
    installation.execute("acme", "INSERT INTO draw_requests VALUES ('d', 600, 'GBP', 'approved', NULL, NULL)")
    await installation.go_to(datetime(2026, 3, 6, 8, tzinfo=UTC))
    assert installation.bench.vendors.charges == 0
    await installation.jobs.send(
        TreasuryTopupSucceeded(tenant_id="acme", topup_id="t", amount_cents=700, currency="GBP")
    )
    await installation.harness.drain(raise_failures=True)
    await installation.go_to(datetime(2026, 3, 6, 12, tzinfo=UTC), datetime(2026, 3, 6, 16, tzinfo=UTC))
    assert installation.rows("acme", "SELECT balance_cents FROM accounts") == [(200,)]
    assert [one.amount_cents for one in installation.bench.vendors.done("acme", "transfer")] == [600]


async def test_three_days_of_all_schedules_leave_nothing_failed(installation: Installation) -> None:
    await installation.open()
    for number in range(5):
        installation.book("acme", f"o{number}", 100, START + timedelta(hours=12 * number))
    for hours in range(6, 84, 6):
        await installation.go_to(START + timedelta(hours=hours))
    for tenant in ("acme", "blue"):
        states = {run.state for run in await installation.harness.runs_of(tenant)}
        assert states == {"completed"}
        started = {run.task for run in await installation.harness.runs_of(tenant)}
        assert {"calculate-rfm", "process-sms-queue", "analytics-weekly-metrics-summary"} <= started
    installation.harness.assert_no_tenant_leaks()
