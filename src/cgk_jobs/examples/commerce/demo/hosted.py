"""The demo through a provider: the stream's orders in real time, each run woken by a vendor.

The clock is the real one, since a vendor's can't be moved: so there are the orders and what they start, and no schedules.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path

from cgk_jobs import Jobs, TaskGroup, across_tenants
from cgk_jobs.clock import SystemClock, monotonic
from cgk_jobs.engine.reads import RunFilter
from cgk_jobs.engine.states import FINAL
from cgk_jobs.errors import JobsError
from cgk_jobs.examples.commerce import build, seed
from cgk_jobs.examples.commerce.application import Commerce
from cgk_jobs.examples.commerce.demo.memory import peak_mb
from cgk_jobs.examples.commerce.demo.middleware import OrderMiddleware
from cgk_jobs.examples.commerce.demo.result import CategoryResult, DemoOptions, DemoResult, Progress, Told
from cgk_jobs.examples.commerce.demo.totals import chosen_orders, expect, read_books
from cgk_jobs.examples.commerce.demo.vendors import Vendor, vendor
from cgk_jobs.examples.commerce.organizations import enrol
from cgk_jobs.examples.commerce.payout_approvals import PayoutDecided
from cgk_jobs.examples.commerce.stream import Order, to_event
from cgk_jobs.providers.registry import create_provider
from cgk_jobs.settings import Settings

__all__ = ["run_hosted"]

AT_ONCE = 500
"""Orders of one send."""
AHEAD = 4_000
"""Runs that may wait while more is sent."""
CONCURRENCY = 100
LOOK_EVERY = 0.1
PATIENCE = 180.0
"""Seconds without any progress after which what is left counts as lost."""


async def run_hosted(options: DemoOptions, told: Told) -> DemoResult:
    """Replay the orders with ``options.provider`` and reconcile. Raises ``NotConfigured`` where something is missing."""
    if options.folder is not None:
        options.folder.mkdir(parents=True, exist_ok=True)
        return await _run(options, options.folder, told)
    with tempfile.TemporaryDirectory(prefix="cgk-jobs-demo-") as folder:
        return await _run(options, Path(folder), told)


async def _run(options: DemoOptions, folder: Path, told: Told) -> DemoResult:
    from cgk_jobs.testing.peers.loopback import Loopback

    begun = monotonic()
    result = DemoResult()
    orders = chosen_orders(options)
    customers = expect(orders, result)
    door = _Door()
    async with Loopback(door) as server, vendor(options.provider, server.url) as found:
        starts = OrderMiddleware()
        jobs, shop = _application(folder, options.provider, server.url, found, starts)
        try:
            await _open(jobs, shop, customers)
            door.app = jobs.asgi()
            if not found.on_call:
                await jobs.start(concurrency=CONCURRENCY, scheduler=False)
            sent_at = await _send(jobs, orders, told)
            await _finish(jobs, told)
            await _collect(jobs, shop, result)
            _waits(result, sent_at, starts)
        finally:
            await jobs.stop()
            jobs.close()
            shop.close()
    result.seconds = monotonic() - begun
    result.peak_rss_mb = peak_mb()
    return result


class _Door:
    """Where the application is reached, once there is one."""

    def __init__(self) -> None:
        self.app: object = None

    async def __call__(self, scope: object, receive: object, send: object) -> None:
        await self.app(scope, receive, send)  # type: ignore[operator]


def _application(
    folder: Path, provider: str, public_url: str, found: Vendor, starts: OrderMiddleware
) -> tuple[Jobs, Commerce]:
    path = folder / "jobs.db"
    settings = Settings(
        provider=provider,
        database=path,
        full_sync=False,
        # Several demos may share a Redis.
        app=f"demo{os.getpid()}",
        folder=folder,
        ledger=str(path),
        public_url=public_url,
        signing_keys=found.signing_keys,
        values=dict(found.values),
    )
    shop, groups = build(folder, clock=SystemClock())
    chosen = TaskGroup()
    for group in groups:
        for task in group:
            if task.on is not None and task.on.event_name.startswith(("order.", "commerce_example.")):
                task.middleware = (starts,)
                chosen.tasks.add(task)
    jobs = Jobs(create_provider(settings))
    jobs.include(chosen)
    jobs.events.add(PayoutDecided)
    return jobs, shop


async def _open(jobs: Jobs, shop: Commerce, customers: dict[str, list[str]]) -> None:
    for tenant, known in customers.items():
        await jobs.tenants.add(tenant)
        seed.plant(shop, tenant, known)
    with across_tenants(reason="the demo enrols its tenants"):
        enrol(shop.shops, list(customers), jobs.clock.micros())
    await jobs.declare()


async def _send(jobs: Jobs, orders: Sequence[Order], told: Told) -> dict[tuple[str, str, str], float]:
    sent_at: dict[tuple[str, str, str], float] = {}
    for first in range(0, len(orders), AT_ONCE):
        events = [to_event(order) for order in orders[first : first + AT_ONCE]]
        now = monotonic()
        sent_at |= {(event.tenant_id, event.event_name, event.order_id): now for event in events}
        await jobs.send_many(events)
        told(Progress("a year of orders", first + len(events), len(orders), f"{await _left(jobs):,} runs wait"))
        await _until_few(jobs, AHEAD)
    return sent_at


async def _left(jobs: Jobs) -> int:
    counts = await jobs.provider.store.reads.count(RunFilter(None, unfinished=True))
    return sum(count for state, count in counts.items() if state not in FINAL and state != "waiting")


async def _until_few(jobs: Jobs, most: int) -> None:
    """Wait until so many are left. Raises ``JobsError`` where nothing moves any more."""
    left, moved_at = await _left(jobs), monotonic()
    while left > most:
        if monotonic() - moved_at > PATIENCE:
            raise JobsError(f"{left:,} runs wait, and none was begun for {PATIENCE:.0f} s: does the provider ring?")
        await asyncio.sleep(LOOK_EVERY)
        now = await _left(jobs)
        if now != left:
            left, moved_at = now, monotonic()


async def _finish(jobs: Jobs, told: Told) -> None:
    most = max(await _left(jobs), 1)
    while (left := await _left(jobs)) > 0:
        told(Progress("what is left", most - left, most, f"{left:,} runs"))
        await _until_few(jobs, max(left - max(most // 100, 1), 0))
    told(Progress("what is left", most, most))


async def _collect(jobs: Jobs, shop: Commerce, result: DemoResult) -> None:
    categories = {task.id: task.tags[0] for task in jobs.tasks}
    for row in await jobs.provider.store.reads.tally():
        category = result.categories.setdefault(categories[row.task], CategoryResult())
        category.states[row.state] = category.states.get(row.state, 0) + row.runs
        category.retries += row.retries
        if row.tenant_id in result.tenants:
            result.tenants[row.tenant_id].runs += row.runs
        if row.state not in FINAL and row.state != "waiting":
            result.lost += row.runs
    read_books(shop, result)


def _waits(result: DemoResult, sent_at: dict[tuple[str, str, str], float], starts: OrderMiddleware) -> None:
    waits: dict[str, list[float]] = {}
    for tenant, event, order, begun in starts.starts:
        sent = sent_at.get((tenant, event, order))
        if sent is not None:
            waits.setdefault(tenant, []).append((begun - sent) * 1_000)
    for slug, found in waits.items():
        result.tenants[slug].wait_p50_ms = round(statistics.median(found), 2)
        result.tenants[slug].wait_p95_ms = round(sorted(found)[int(len(found) * 0.95)], 2)
