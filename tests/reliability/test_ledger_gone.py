"""The ledger does not answer for a while: work that was done meanwhile is settled afterwards, once, and the worker goes on."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from cgk_jobs import Context, Event, Jobs, Tick, tenant_context
from cgk_jobs.engine.scheduler import ActiveTenant, Scheduler
from cgk_jobs.engine.sqlite import commits
from cgk_jobs.errors import NotConfigured, ProviderUnavailable


class Placed(Event, name="gone.placed"):
    number: int


class Heard(logging.Handler):
    """Tells when the worker complains."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.get_running_loop()
        self.complained = asyncio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        if "does not answer" in record.getMessage():
            self.loop.call_soon_threadsafe(self.complained.set)


async def finish(jobs: Jobs, run_id: str) -> Any:
    with tenant_context("acme"):
        return await jobs.runs.wait(run_id, 20)


async def test_a_run_that_ended_while_the_ledger_was_locked_is_settled_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commits, "PATIENCE", 0.05)
    jobs = Jobs(database=tmp_path / "jobs.db")
    begun, go_on = asyncio.Event(), asyncio.Event()
    executed: list[int] = []

    @jobs.task(on=Placed)
    async def sync(event: Placed, ctx: Context) -> int:
        executed.append(event.number)
        begun.set()
        await go_on.wait()
        return event.number

    heard = Heard()
    logging.getLogger("cgk_jobs.engine").addHandler(heard)
    await jobs.start()
    try:
        sent = await jobs.send(Placed(tenant_id="acme", number=1))
        await begun.wait()
        other = sqlite3.connect(tmp_path / "jobs.db", isolation_level=None, timeout=20)
        other.execute("BEGIN IMMEDIATE")
        go_on.set()
        await heard.complained.wait()
        with pytest.raises(ProviderUnavailable, match="locked by another process"):
            await jobs.send(Placed(tenant_id="acme", number=2))
        other.execute("ROLLBACK")
        other.close()
        assert await finish(jobs, sent.run_id) == 1
        again = await jobs.send(Placed(tenant_id="acme", number=3))
        assert await finish(jobs, again.run_id) == 3
    finally:
        logging.getLogger("cgk_jobs.engine").removeHandler(heard)
        await jobs.stop()
        jobs.close()
    assert executed == [1, 3]


async def test_no_error_of_the_ledger_ends_the_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = Jobs(database=tmp_path / "jobs.db")

    @jobs.task(on=Placed)
    async def sync(event: Placed, ctx: Context) -> int:
        return event.number

    exchange = jobs.provider.store.exchange
    refusals: list[Exception] = [NotConfigured("the folder can't be written"), OSError("the disk is gone")]

    async def refusing(worker: int, settlements: Sequence[Any], appetite: Any) -> Any:
        if refusals:
            raise refusals.pop()
        return await exchange(worker, settlements, appetite)

    monkeypatch.setattr(jobs.provider.store, "exchange", refusing)
    await jobs.start()
    try:
        sent = await jobs.send(Placed(tenant_id="acme", number=7))
        assert await finish(jobs, sent.run_id) == 7
    finally:
        await jobs.stop()
        jobs.close()
    assert not refusals


async def test_a_list_of_tenants_that_fails_once_does_not_end_the_schedules(tmp_path: Path) -> None:
    jobs = Jobs(database=tmp_path / "jobs.db")
    asked_again = asyncio.Event()
    asked = 0

    @jobs.cron("0 0 1 1 *", tenants="each")
    async def yearly(tick: Tick, ctx: Context) -> None: ...

    async def tenants(seen: bool) -> list[ActiveTenant]:
        nonlocal asked
        asked += 1
        if asked == 1:
            raise KeyError("the application's own fault")
        asked_again.set()
        return [ActiveTenant("acme")]

    await jobs.declare()
    scheduler = Scheduler(jobs.provider.store, jobs.tasks, tenants, jobs.signals, jobs.clock)
    scheduler.start()
    try:
        await asked_again.wait()
    finally:
        await scheduler.stop()
        jobs.close()
