"""Workflows by the real clock, with workers that share a ledger, and one that is killed."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from tests.integration.postgres.gathering import Gathered, gatherer
from tests.servers.postgres import LedgerDatabase

from cgk_jobs import Context, Event, Jobs, Retry, Sent, tenant_context
from cgk_jobs.runs import Run

_SCRIPT = Path(__file__).with_name("gathering.py")
LEASE = 2.0
"""Seconds a dead worker is waited for at most."""
LIMIT = 60.0
"""Seconds until a test is given up."""


class Placed(Event, name="pg_workflows.placed"):
    order_id: str = "1"


class Paid(Event, name="pg_workflows.paid"):
    order_id: str
    cents: int


class Level(BaseModel):
    n: int


@pytest.fixture
async def site(postgres_database: LedgerDatabase) -> AsyncIterator[Site]:
    site = Site(postgres_database)
    yield site
    await site.close()


class Site:
    """Applications on one ledger, each with a worker once it is started."""

    def __init__(self, database: LedgerDatabase) -> None:
        self.database = database
        self.applications: list[Jobs] = []

    def application(self) -> Jobs:
        """One more."""
        self.applications.append(Jobs(self.database.worker_url, max_call_depth=60))
        return self.applications[-1]

    async def start(self, concurrency: int) -> None:
        """Start a worker in each."""
        for jobs in self.applications:
            await jobs.start(concurrency=concurrency, lease=LEASE)

    async def outcome(self, sent: Sent) -> Run:
        """The run of a send, once it has ended, however it has."""
        jobs = self.applications[0]
        async with asyncio.timeout(LIMIT):
            with tenant_context("acme"):
                while True:
                    run = await jobs.runs.get(sent.run_id)
                    if run.finished_at is not None:
                        return run
                    await asyncio.sleep(0.01)

    async def close(self) -> None:
        for jobs in self.applications:
            await jobs.stop(0)
            jobs.close()


async def send(jobs: Jobs, event: Event) -> Sent:
    sent = await jobs.send(event)
    assert isinstance(sent, Sent)
    return sent


async def test_two_workers_share_the_children_of_a_gather(site: Site) -> None:
    for jobs in (site.application(), site.application()):
        gatherer(jobs)
    await site.start(concurrency=20)
    sent = await send(site.applications[0], Gathered(tenant_id="acme", size=200))
    run = await site.outcome(sent)
    assert (run.state, run.result) == ("completed", [1, *range(0, 400, 2)])
    assert run.attempt == 1
    with tenant_context("acme"):
        page = await site.applications[0].runs.list(parent_id=run.id, limit=1_000)
    assert {child.state for child in page} == {"completed"}
    assert len(page.runs) == 200


async def test_fifty_calls_deep_with_one_slot(site: Site) -> None:
    jobs = site.application()

    @jobs.task(id="deeper")
    async def deeper(payload: Level, ctx: Context) -> int:
        return 1 + int(await ctx.call(deeper, Level(n=payload.n - 1))) if payload.n else 0

    @jobs.task(on=Placed)
    async def top(event: Placed, ctx: Context) -> int:
        return int(await ctx.call(deeper, Level(n=49)))

    await site.start(concurrency=1)
    run = await site.outcome(await send(jobs, Placed(tenant_id="acme")))
    assert (run.state, run.result) == ("completed", 49)


async def test_an_event_from_another_process_ends_a_wait(site: Site) -> None:
    jobs, other = site.application(), site.application()

    @jobs.task(on=Placed)
    async def wait(event: Placed, ctx: Context) -> int:
        return (await ctx.wait_for(Paid, "order_id", timeout=LIMIT)).cents

    await jobs.start(concurrency=5)
    sent = [await send(jobs, Placed(tenant_id="acme", order_id=str(number))) for number in range(10)]
    for number in reversed(range(10)):
        await other.send(Paid(tenant_id="acme", order_id=str(number), cents=number))
    assert [(await site.outcome(one)).result for one in sent] == list(range(10))


async def test_a_saga_is_undone_last_first(site: Site) -> None:
    jobs = site.application()
    done: list[Any] = []

    @jobs.task(id="ship", retry=Retry(max_attempts=1))
    async def ship(payload: Level) -> None:
        raise ValueError("no stock")

    @jobs.task(on=Placed, retry=Retry(max_attempts=1))
    async def order(event: Placed, ctx: Context) -> None:
        await ctx.step("reserve", done.append, "reserve", undo=lambda _: done.append("release"))
        await ctx.step("charge", done.append, "charge", undo=lambda _: done.append("refund"))
        await ctx.call(ship, Level(n=1))

    await site.start(concurrency=5)
    run = await site.outcome(await send(jobs, Placed(tenant_id="acme")))
    assert run.state == "failed"
    assert done == ["reserve", "charge", "refund", "release"]


def gathering(database: LedgerDatabase, limit: int) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [sys.executable, str(_SCRIPT), str(limit)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin is not None
    process.stdin.write(database.worker_url.encode() + b"\n")
    process.stdin.flush()
    return process


async def test_a_gather_goes_on_after_kill_9(site: Site) -> None:
    jobs = site.application()
    gatherer(jobs)
    await jobs.declare()
    sent = await send(jobs, Gathered(tenant_id="acme", size=40))
    victim = await asyncio.to_thread(gathering, site.database, 15)
    try:
        told, _ = await asyncio.to_thread(victim.communicate)
    finally:
        victim.kill()
    assert victim.returncode == -9
    begun = [int(line.split()[0]) for line in told.splitlines()]
    assert len(begun) == 16
    await site.start(concurrency=10)
    run = await site.outcome(sent)
    assert (run.state, run.result) == ("completed", [1, *range(0, 80, 2)])
    assert [step.name for step in run.steps if not step.name.startswith("gather")][:1] == ["first"]
    with tenant_context("acme"):
        page = await jobs.runs.list(parent_id=run.id, limit=100)
    again = [child for child in page if child.attempt > 1]
    assert len(page.runs) == 40
    assert 1 <= len(again) <= 8, "those that were under way, no others"
