"""The demo: a year of a real shop's orders, and two days of every schedule."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Iterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from itertools import groupby
from pathlib import Path

from cgk_jobs.clock import monotonic
from cgk_jobs.examples.commerce.demo.crew import Crew
from cgk_jobs.examples.commerce.demo.hosted import run_hosted
from cgk_jobs.examples.commerce.demo.ledger import Ledger, demo_ledger
from cgk_jobs.examples.commerce.demo.memory import peak_mb
from cgk_jobs.examples.commerce.demo.plan import NAMED_SCHEDULES, TWO_DAYS
from cgk_jobs.examples.commerce.demo.result import DemoOptions, DemoResult, Progress, Told
from cgk_jobs.examples.commerce.demo.stage import Stage
from cgk_jobs.examples.commerce.demo.totals import chosen_orders, expect, read_books
from cgk_jobs.examples.commerce.demo.two_days import replay_two_days
from cgk_jobs.examples.commerce.demo.vendors import HOSTED
from cgk_jobs.examples.commerce.stream import Order, to_event

__all__ = ["run_demo"]

HOUR = timedelta(hours=1)
Key = tuple[str, str, str]
"""Tenant, event and order: what names an invoice."""


async def run_demo(options: DemoOptions, told: Told) -> DemoResult:
    """Replay, reconcile and count. ``told`` hears how far it is. Raises ``JobsError`` if a worker can't be started."""
    if options.provider in HOSTED:
        return await run_hosted(options, told)
    if options.folder is not None:
        options.folder.mkdir(parents=True, exist_ok=True)
        return await _run(options, options.folder, told)
    with tempfile.TemporaryDirectory(prefix="cgk-jobs-demo-") as folder:
        return await _run(options, Path(folder), told)


async def _run(options: DemoOptions, folder: Path, told: Told) -> DemoResult:
    begun = monotonic()
    result = DemoResult()
    kept = result.kept if options.keep else None
    async with demo_ledger(folder / "stream", options.server, kept) as ledger:
        await _replay_stream(options, ledger, result, told)
    if options.two_days:
        async with AsyncExitStack() as stack:
            ledgers = [
                await stack.enter_async_context(
                    demo_ledger(folder / "two-days" / day.isoformat(), options.server, kept)
                )
                for day in TWO_DAYS
            ]
            await replay_two_days(ledgers, result, told)
    result.seconds = monotonic() - begun
    result.peak_rss_mb += peak_mb()
    return result


async def _replay_stream(options: DemoOptions, ledger: Ledger, result: DemoResult, told: Told) -> None:
    orders = chosen_orders(options)
    start = _midnight(orders[0].placed_at)
    end = _midnight(orders[-1].placed_at) + timedelta(days=1)
    stage = Stage(ledger, start, expect(orders, result), NAMED_SCHEDULES)
    crew = Crew(ledger, options.workers)
    try:
        await stage.open()
        await crew.start()
        sent_at: dict[Key, float] = {}
        done = 0
        hours = int((end - start) / HOUR)
        for number, (moment, batch) in enumerate(_by_hour(orders, start, end), start=1):
            await crew.caught_up(stage.stored)
            events = [to_event(order) for order in batch]
            sent_at |= dict.fromkeys(
                ((event.tenant_id, event.event_name, event.order_id) for event in events), monotonic()
            )
            await stage.at(moment, events)
            done += len(events)
            if options.kill and number == hours // 2:
                await crew.kill_one()
            told(Progress("a year of orders", number, hours, f"{done:,} orders, {moment:%d %b %Y}"))
        await stage.drain(lambda: crew.begun, crew.check)
        await crew.stop()
        await stage.collect(result, result.stream_ticks, end)
        read_books(stage.shop, result)
    except BaseException:
        crew.abandon()
        raise
    finally:
        stage.close()
    result.killed = crew.killed
    result.peak_rss_mb = crew.peak_mb
    _waits(result, sent_at, crew)


def _by_hour(orders: list[Order], start: datetime, end: datetime) -> Iterator[tuple[datetime, list[Order]]]:
    """The end of each hour, with the orders placed in it."""
    placed = {
        hour: list(group)
        for hour, group in groupby(orders, key=lambda order: order.placed_at.replace(minute=0, second=0))
    }
    moment = start
    while moment < end:
        yield moment + HOUR, placed.get(moment, [])
        moment += HOUR


def _midnight(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def _waits(result: DemoResult, sent_at: dict[Key, float], crew: Crew) -> None:
    # A retry after a kill begins a second time: the first start counts.
    starts: dict[Key, float] = {}
    for key, begun in crew.starts():
        starts[key] = min(begun, starts.get(key, begun))
    waits: dict[str, list[float]] = {}
    for key, begun in starts.items():
        waits.setdefault(key[0], []).append((begun - sent_at[key]) * 1_000)
    for slug, found in waits.items():
        tenant = result.tenants[slug]
        tenant.wait_p50_ms = round(statistics.median(found), 2)
        tenant.wait_p95_ms = round(sorted(found)[int(len(found) * 0.95)], 2)
