"""Sends of a tenant with quotas take its counter last, so that no settlement waits for it in a circle (locking.py)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import psycopg
import pytest
from tests.servers.postgres import LedgerDatabase

from cgk_jobs.engine.postgres.server import QUERIES
from cgk_jobs.engine.postgres.store import PostgresStore
from cgk_jobs.engine.quotas import TenantQuotas
from cgk_jobs.engine.records import NewEvent
from cgk_jobs.tasks.flow import Flow, Latest
from cgk_jobs.testing.clock import TestClock
from cgk_jobs.testing.conformance.case import subscription

EVENT = NewEvent("acme", "flow", 1, '{"k":"a"}')


@pytest.fixture
async def store(postgres_database: LedgerDatabase) -> AsyncIterator[PostgresStore]:
    store = PostgresStore(postgres_database.worker_url, TestClock())
    yield store
    store.close()


def hold_the_run(connection: psycopg.Connection) -> None:
    """As one that settles or cancels it does."""
    assert connection.execute("SELECT FROM cgk_jobs.runs FOR UPDATE").rowcount == 1


def hold_the_line(connection: psycopg.Connection) -> None:
    """As one that settles the head of a line does, before all else."""
    (name,) = connection.execute("SELECT 'acme order ' || order_key FROM cgk_jobs.runs").fetchall()[0]
    text = QUERIES["lock_keys"].replace("$1", "%s").replace("$2", "512")
    connection.execute(text.encode(), ([name],))


@pytest.mark.parametrize(
    ("flow", "hold"),
    [(Flow(latest=Latest("k")), hold_the_run), (Flow(ordered_by=("k",)), hold_the_line)],
    ids=["latest", "ordered_by"],
)
async def test_the_counter_is_free_while_a_send_waits_for_keys_and_runs(
    store: PostgresStore, postgres_database: LedgerDatabase, flow: Flow, hold: Callable[[psycopg.Connection], None]
) -> None:
    await store.subscribe([subscription("flow", "flow", flow=flow.stored())])
    await store.put_quotas(TenantQuotas("acme", queued_hard=100))
    await store.insert([EVENT])
    url = postgres_database.admin_url
    with psycopg.connect(url) as settling, psycopg.connect(url, autocommit=True) as looker:
        hold(settling)
        sending = asyncio.create_task(store.insert([EVENT]))
        waiting = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        while looker.execute(waiting).rowcount == 0:
            assert not sending.done()
            await asyncio.sleep(0)
        settling.execute("SELECT FROM cgk_jobs.quota_counters WHERE tenant_id = 'acme' FOR UPDATE NOWAIT")
        settling.rollback()
    assert len((await sending)[0].run_seqs) == 1
    with psycopg.connect(url) as admin:
        counted = admin.execute("SELECT runs FROM cgk_jobs.quota_counters").fetchall()
        assert counted == admin.execute("SELECT count(*) FROM cgk_jobs.runs").fetchall()
