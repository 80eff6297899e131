"""A tenant is paused, resumed, changed and purged by one process while another one works for it."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
import pytest
from tests.integration.postgres.live_worker import Turn, application
from tests.reliability.processes import until_async
from tests.servers.postgres import LedgerDatabase

from cgk_jobs import Jobs, Quota, QuotaExceeded, TenantClosed
from cgk_jobs.engine.postgres.store import PostgresStore
from cgk_jobs.tenants import Purged


class Pair:
    """This process, which changes settings, and one that works."""

    def __init__(self, database: LedgerDatabase, folder: Path) -> None:
        self.database = database
        self.folder = folder
        self.jobs = application(database.worker_url, folder)
        self._worker: subprocess.Popen[bytes] | None = None

    def work(self, concurrency: int = 1) -> None:
        program = [sys.executable, "-m", "tests.integration.postgres.live_worker"]
        self._worker = subprocess.Popen([*program, self.database.worker_url, str(self.folder), str(concurrency)])

    @property
    def turns(self) -> list[str]:
        path = self.folder / "turns"
        return path.read_text().split() if path.exists() else []

    def open(self) -> None:
        (self.folder / "gate").touch()

    async def send(self, tenant_id: str, count: int) -> None:
        await self.jobs.send_many([Turn(tenant_id=tenant_id) for _ in range(count)])

    async def completed(self, tenant_id: str, count: int) -> None:
        async with asyncio.timeout(40):
            while (await self.jobs.tenants.usage(tenant_id)).states.get("completed", 0) < count:  # noqa: ASYNC110 - elsewhere
                await asyncio.sleep(0.02)

    def stop(self) -> None:
        self.open()
        if self._worker is not None:
            self._worker.send_signal(signal.SIGTERM)
            self._worker.wait(30)


@pytest.fixture
async def pair(postgres_database: LedgerDatabase, tmp_path: Path) -> AsyncIterator[Pair]:
    pair = Pair(postgres_database, tmp_path)
    await pair.jobs.declare()
    yield pair
    await asyncio.to_thread(pair.stop)
    pair.jobs.close()


async def test_a_pause_reaches_a_worker_elsewhere_at_once(pair: Pair) -> None:
    await pair.send("acme", 5)
    await pair.send("globex", 5)
    pair.work()
    await until_async(lambda: pair.turns)
    await pair.jobs.tenants.pause("acme")
    begun = pair.turns.count("acme")
    pair.open()
    await pair.completed("globex", 5)
    # All of the other's are through, and the worker has looked again and again: nothing of the paused one was begun.
    assert pair.turns.count("acme") == begun <= 1
    await pair.jobs.tenants.resume("acme")
    await pair.completed("acme", 5)
    assert len(pair.turns) == 10


async def test_a_share_and_a_limit_reach_a_worker_elsewhere(pair: Pair) -> None:
    await pair.jobs.tenants.add("acme")
    for _ in range(60):
        await pair.send("acme", 1)
        await pair.send("globex", 1)
    await pair.jobs.tenants.limit("acme", weight=3)
    pair.open()
    pair.work()
    await until_async(lambda: len(pair.turns) >= 40)
    assert 25 <= pair.turns[:40].count("acme") <= 35
    await pair.completed("acme", 60)
    await pair.completed("globex", 60)


async def test_quotas_set_elsewhere_hold_for_the_next_send(pair: Pair) -> None:
    other = application(pair.database.worker_url, pair.folder)
    await other.send(Turn(tenant_id="acme"))
    await pair.jobs.tenants.limit("acme", queued=Quota(hard=2))
    await other.send(Turn(tenant_id="acme"))
    with pytest.raises(QuotaExceeded):
        await other.send(Turn(tenant_id="acme"))
    pair.open()
    pair.work(5)
    await pair.completed("acme", 2)
    await other.send(Turn(tenant_id="acme"))
    await pair.completed("acme", 3)
    (use,) = (await pair.jobs.tenants.usage("acme")).quotas
    assert use.used == 0
    other.close()


async def test_senders_at_the_same_moment_never_pass_a_quota_together(pair: Pair) -> None:
    others = [application(pair.database.worker_url, pair.folder) for _ in range(3)]
    await pair.jobs.tenants.limit("acme", queued=Quota(hard=20))
    for other in others:
        await other.declare()
    sends = [other.send(Turn(tenant_id="acme")) for _ in range(20) for other in others]
    answers = await asyncio.gather(*sends, return_exceptions=True)
    assert sum(not isinstance(answer, BaseException) for answer in answers) == 20
    assert {type(answer) for answer in answers if isinstance(answer, BaseException)} == {QuotaExceeded}
    assert (await pair.jobs.tenants.usage("acme")).states == {"queued": 20}
    for other in others:
        other.close()


async def test_a_count_gone_wrong_is_put_right(pair: Pair) -> None:
    await pair.jobs.tenants.limit("acme", queued=Quota(hard=5))
    await pair.send("acme", 1)
    with psycopg.connect(pair.database.admin_url) as connection:
        connection.execute("UPDATE cgk_jobs.quota_counters SET runs = 5, recount_at = 0")
    with pytest.raises(QuotaExceeded):
        await pair.jobs.send(Turn(tenant_id="acme"))
    await pair.jobs.provider.store.expire()
    await pair.jobs.send(Turn(tenant_id="acme"))
    (use,) = (await pair.jobs.tenants.usage("acme")).quotas
    assert use.used == 2


async def test_a_send_in_the_applications_transaction_is_held_to_quotas_too(pair: Pair) -> None:
    await pair.jobs.tenants.limit("acme", queued=Quota(hard=1))
    async with await psycopg.AsyncConnection.connect(pair.database.tenant_url) as connection:
        await pair.jobs.send(Turn(tenant_id="acme"), connection=connection)
        with pytest.raises(QuotaExceeded):
            await pair.jobs.send(Turn(tenant_id="acme"), connection=connection)
        # The transaction goes on as it was; rolled back, its send counts until what there is is counted again.
        await connection.execute("SELECT 1")
        await connection.rollback()
    with psycopg.connect(pair.database.admin_url) as admin:
        row = admin.execute("SELECT runs, recount_at FROM cgk_jobs.quota_counters").fetchone()
        assert row is not None
        assert row[0] == 1
        assert row[1] <= pair.jobs.clock.micros() + 31_000_000
        admin.execute("UPDATE cgk_jobs.quota_counters SET recount_at = 0")
    await pair.jobs.provider.store.expire()
    await pair.jobs.send(Turn(tenant_id="acme"))


async def test_a_clock_published_after_the_purge_makes_nothing_anew(pair: Pair) -> None:
    other = application(pair.database.worker_url, pair.folder)
    store = other.provider.store
    assert isinstance(store, PostgresStore)
    await other.send(Turn(tenant_id="acme"))
    store._placing.give("default", "acme", 0)
    await pair.jobs.tenants.purge("acme", confirm="acme")
    await store._placing.publish(store._database)
    with psycopg.connect(pair.database.admin_url) as admin:
        assert admin.execute("SELECT tenant_id FROM cgk_jobs.tenant_clocks").fetchall() == []
    other.close()


async def test_a_purge_ends_attempts_elsewhere(pair: Pair) -> None:
    await pair.send("acme", 3)
    pair.work()
    await until_async(lambda: pair.turns)
    purge = asyncio.create_task(pair.jobs.tenants.purge("acme", confirm="acme"))
    other = application(pair.database.worker_url, pair.folder)
    with pytest.raises(TenantClosed):
        await _send_until(other, purge)
    purged = await purge
    assert purged.abandoned == 0
    assert pair.turns == ["acme"]
    assert await pair.jobs.tenants.list() == []
    other.close()
    # The worker goes on for others.
    await pair.send("globex", 1)
    await until_async(lambda: pair.turns == ["acme", "globex"])


async def _send_until(other: Jobs, purge: asyncio.Task[Purged]) -> None:
    while not purge.done():
        await other.send(Turn(tenant_id="acme"))
        await asyncio.sleep(0)
