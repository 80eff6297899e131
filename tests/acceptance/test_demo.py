"""The demo in small: the first days of the stream, with a worker killed in the middle."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import psycopg
import pytest
from tests.servers.postgres import PostgresServer

from cgk_jobs.clock import ManualClock
from cgk_jobs.examples.commerce.demo import DemoOptions, Progress, run_demo
from cgk_jobs.examples.commerce.demo.ledger import Ledger
from cgk_jobs.examples.commerce.demo.plan import NAMED_SCHEDULES, TWO_DAYS, application
from cgk_jobs.examples.commerce.demo.result import DemoResult, TenantResult, TicksResult
from cgk_jobs.examples.commerce.stream import read_orders
from cgk_jobs.tasks.schedule import Cron

TENANTS = ("france", "germany", "eire")


async def test_the_books_equal_the_file_though_a_worker_is_killed() -> None:
    heard: list[Progress] = []
    result = await run_demo(DemoOptions(kill=True, tenants=TENANTS, days=20, two_days=False), heard.append)
    _assert_the_books_are_right(result, 20)
    assert heard[-1].done == heard[-1].total


@pytest.mark.timeout(240)
async def test_the_same_on_postgresql_with_four_workers(postgres_server: PostgresServer) -> None:
    options = DemoOptions(
        kill=True, tenants=TENANTS, days=8, two_days=False, workers=4, server=postgres_server.url, keep=False
    )
    result = await run_demo(options, lambda _: None)
    _assert_the_books_are_right(result, 8)
    left = "SELECT datname FROM pg_database WHERE datname ~ 'jobs_demo' UNION SELECT rolname FROM pg_roles WHERE rolname ~ 'jobs_demo'"
    with psycopg.connect(postgres_server.url) as admin:
        assert admin.execute(left).fetchall() == [], "the demo left something on the server"


def _assert_the_books_are_right(result: DemoResult, days: int) -> None:
    document = result.document()
    assert result.killed == 1
    assert result.reconciled, document
    assert result.lost == 0
    assert set(result.runs) == {"completed"}
    assert result.retries > 0
    assert result.stream_ticks.due == result.stream_ticks.ran > 0
    orders = list(read_orders(TENANTS))
    end = orders[0].placed_at + timedelta(days=days)
    assert result.revenue_pence == sum(order.total_pence for order in orders if order.placed_at < end)
    assert {"tenants", "runs", "retries", "lost", "seconds", "peak_rss_mb"} <= document.keys()
    (france,) = [tenant for slug, tenant in document["tenants"].items() if slug == "france"]
    assert {"orders", "revenue_pence", "runs", "wait_p50_ms", "wait_p95_ms"} <= france.keys()


def test_the_named_schedules_are_hourly_daily_and_weekly_ones_of_the_example(tmp_path: Path) -> None:
    jobs, _ = application(Ledger(tmp_path), ManualClock(datetime(2010, 12, 1, tzinfo=UTC)), NAMED_SCHEDULES)
    periods = Counter(_period(task.schedule.cron) for task in jobs.tasks if task.schedule is not None)
    assert periods == {"hour": 1, "day": 4, "week": 5}
    jobs.close()


def _period(cron: Cron) -> str:
    _, hour, _, _, weekday = cron.expression.split()
    return "hour" if hour == "*" else "day" if weekday == "*" else "week"


def test_the_ticks_the_demo_expects_on_its_two_days_are_those_a_look_at_every_minute_finds(tmp_path: Path) -> None:
    jobs, _ = application(Ledger(tmp_path), ManualClock(datetime(2011, 3, 13, tzinfo=UTC)), None)
    crons = {task.id: task.schedule.cron for task in jobs.tasks if task.schedule is not None}
    assert len(crons) == 127
    for day in TWO_DAYS:
        start = datetime.combine(day, time(), UTC)
        for task, cron in crons.items():
            # The demo begins at midnight and steps to the minute after: what is due at midnight belongs to the next day.
            minutes = (start + timedelta(minutes=number) for number in range(1, 1_441))
            seen = sum(1 for minute in minutes if _matches(cron, minute))
            if task == "ab-nightly-metrics-reconciliation" and day == TWO_DAYS[0]:
                assert seen == 0, "New York had no 2 o'clock that day"
                seen = 1
            assert cron.count_between(start, start + timedelta(days=1)) == seen, (task, cron.expression, day)
    jobs.close()


def _matches(cron: Cron, moment: datetime) -> bool:
    """Cron read in the plainest way: numbers, ``*``, ranges, lists and steps, on the zone's clocks at that minute."""
    local = moment.astimezone(ZoneInfo(cron.timezone))
    fields = cron.expression.split()
    values = (local.minute, local.hour, local.day, local.month, local.isoweekday() % 7)
    return all(
        any(_in_part(part, value) for part in field.split(",")) for field, value in zip(fields, values, strict=True)
    )


def _in_part(part: str, value: int) -> bool:
    span, _, step = part.partition("/")
    if span == "*":
        return value % int(step or 1) == 0
    low, _, high = span.partition("-")
    return int(low) <= value <= int(high or low) and (value - int(low)) % int(step or 1) == 0


def test_a_penny_an_invoice_a_tick_or_a_run_that_is_missing_is_not_reconciled() -> None:
    def result(tenant: TenantResult, ticks: TicksResult, lost: int = 0) -> DemoResult:
        return DemoResult(tenants={"france": tenant}, stream_ticks=ticks, lost=lost)

    books, ticks = TenantResult(orders=1, expected_orders=1, revenue_pence=5, expected_pence=5), TicksResult(1, 7, 7)
    assert result(books, ticks).reconciled
    assert not result(replace(books, revenue_pence=4), ticks).reconciled
    assert not result(replace(books, orders=0), ticks).reconciled
    assert not result(books, replace(ticks, ran=6)).reconciled
    assert not result(books, replace(ticks, ran=8)).reconciled
    assert not result(books, ticks, lost=1).reconciled
